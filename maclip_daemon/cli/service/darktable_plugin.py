"""The Lua plugin for darktable: install it into darktable's configuration folder, and remove it."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from maclip_daemon.cli.service import service_definition
from maclip_daemon.errors import EnvironmentUnfit

_SWITCH = 'require "maclip"'


def plugin_path() -> Path:
    """Return the plugin's path: `$XDG_CONFIG_HOME/darktable/lua/maclip.lua`, also on macOS."""
    configuration = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(configuration) / "darktable" / "lua" / "maclip.lua"


def install(config: Path | None, data_dir: Path | None, *, dry_run: bool) -> None:
    """Write the plugin for this installation, and print how to switch it on."""
    target = plugin_path()
    if target.exists() and not _is_ours(target):
        raise EnvironmentUnfit(
            f"{target} was changed by hand or is not from maclip, so it is left alone. "
            "Move it away and try again."
        )
    if dry_run:
        typer.echo(f"Would write {target}.")
        return
    beside = target.with_name(target.name + ".new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(
            service_definition.darktable_plugin(config=config, data_dir=data_dir), "utf-8", newline="\n"
        )
        beside.replace(target)
    except OSError as error:
        raise EnvironmentUnfit(f"{target} cannot be written: {error.strerror}.") from None
    typer.echo(f"Written: {target}")
    luarc = target.parent.parent / "luarc"
    if _is_switched_on(luarc):
        typer.echo("It is switched on. Restart darktable to use it.")
    else:
        typer.echo(f"To switch it on, add this line to {luarc} and restart darktable:\n\n  {_SWITCH}\n")


def uninstall(*, dry_run: bool) -> None:
    """Remove the plugin, and nothing else."""
    target = plugin_path()
    if not target.exists():
        typer.echo(f"The plugin is not installed: {target} does not exist.")
        return
    if not _is_ours(target):
        raise EnvironmentUnfit(
            f"{target} was changed by hand or is not from maclip, so it is left alone. Remove it yourself."
        )
    if dry_run:
        typer.echo(f"Would remove {target}.")
        return
    target.unlink()
    typer.echo(f"Removed: {target}")
    luarc = target.parent.parent / "luarc"
    if _is_switched_on(luarc):
        typer.echo(f"Remove the line `{_SWITCH}` from {luarc}, or darktable reports a missing plugin.")


def _is_ours(target: Path) -> bool:
    try:
        return service_definition.is_unchanged(target.read_text("utf-8"))
    except (OSError, UnicodeError):
        return False


def _is_switched_on(luarc: Path) -> bool:
    try:
        lines = luarc.read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    return any(line.strip().replace("'", '"') in (_SWITCH, 'require("maclip")') for line in lines)
