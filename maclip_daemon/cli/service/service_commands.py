"""`maclip service`: start the daemon at log-in, under the platform's service manager."""

from __future__ import annotations

import enum
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from maclip_daemon.cli.service import darktable_plugin, isolation, service_definition, service_manager
from maclip_daemon.cli.service.service_manager import Command, ServiceManager
from maclip_daemon.errors import EnvironmentUnfit, UsageError
from maclip_daemon.files.paths import expanded

group = typer.Typer(
    name="service",
    help="Start the daemon automatically at log-in. These commands never touch your photos or the database.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="service")


Folders = Annotated[
    list[Path] | None,
    typer.Argument(metavar="PATH…", help="Folders to watch. Default: folders.paths of the configuration."),
]


Darktable = Annotated[
    bool, typer.Option("--darktable", help="The plugin for darktable's lighttable instead of the service.")
]


class DefinitionKind(enum.StrEnum):
    """The definitions that `print` shows."""

    USER = "user"
    SYSTEM = "system"
    LAUNCHD = "launchd"
    WINDOWS = "windows"
    SYSCTL = "sysctl"


@group.command()
def install(
    context: typer.Context,
    folders: Folders = None,
    linger: Annotated[
        bool, typer.Option("--linger", help="Also run while you are not logged in (systemd only).")
    ] = False,
    darktable: Darktable = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")] = False,
) -> None:
    """Write the service definition for this installation, and start it.

    Run it again with other folders to replace the earlier ones.
    """
    if darktable:
        if folders or linger:
            raise UsageError("--darktable only installs the plugin and takes no folders. Use two commands.")
        darktable_plugin.install(
            _global_flag(context, "config"), _global_flag(context, "data_dir"), dry_run=dry_run
        )
        return
    manager = service_manager.of_this_platform()
    text = _definition_for(_native_platform(), context, _checked(folders, context))
    if manager.definition.exists() and not _is_ours(manager):
        raise EnvironmentUnfit(
            f"{manager.definition} was changed by hand or written by something else, so it is left alone. "
            "Move it away and try again; your own changes belong in a drop-in (`systemctl --user edit "
            "maclip`)."
        )
    commands = (*(manager.before_replacing if manager.definition.exists() else ()), *manager.activate)
    if linger:
        if manager.linger is None:
            raise UsageError(f"--linger needs systemd. Leave it out with {manager.name}.")
        commands = (*commands, manager.linger)
    if dry_run:
        typer.echo(f"Would write {manager.definition}:\n\n{text}\nand run:")
        _list(commands)
        return
    _write(manager, text)
    typer.echo(f"Written: {manager.definition}")
    if not manager.reachable():
        typer.echo(
            f"{manager.name.capitalize()} cannot be reached from here. As yourself, on the desktop, type:"
        )
        _list(commands)
        return
    manager.carry_out(commands)
    typer.echo(f"maclip runs, and starts at each log-in. To read its log: `{manager.log}`.")
    for hint in _hints(manager, linger):
        typer.echo(hint)


@group.command()
def uninstall(
    darktable: Darktable = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")] = False,
) -> None:
    """Stop the service and remove its definition. Photos, ratings, database and settings stay."""
    if darktable:
        darktable_plugin.uninstall(dry_run=dry_run)
        return
    manager = service_manager.of_this_platform()
    if not manager.definition.exists():
        typer.echo(f"No service is installed ({manager.definition}).")
        return
    if not _is_ours(manager):
        raise EnvironmentUnfit(
            f"{manager.definition} was changed by hand or written by something else, so it is left alone. "
            f"Remove it yourself after: {'; '.join(shlex.join(command) for command in manager.deactivate)}"
        )
    reachable = manager.reachable()
    if dry_run:
        typer.echo(f"Would remove {manager.definition} and run:")
        _list((*manager.deactivate, *manager.forget))
        return
    if reachable:
        manager.carry_out(manager.deactivate)
    manager.definition.unlink()
    typer.echo(f"Removed: {manager.definition}. Photos, ratings, database and settings are unchanged.")
    if reachable:
        manager.carry_out(manager.forget)
    else:
        typer.echo(f"{manager.name.capitalize()} cannot be reached from here. If the service runs, type:")
        _list((*manager.deactivate, *manager.forget))


@group.command()
def status() -> None:
    """Show whether the service is installed, and its state."""
    manager = service_manager.of_this_platform()
    if not manager.definition.exists():
        typer.echo(
            f"Not installed: {manager.definition} does not exist. To install: `maclip service install PATH…`"
        )
        return
    changed = "unchanged" if _is_ours(manager) else "changed by hand, or written by something else"
    typer.echo(f"Installed: {manager.definition} ({changed})")
    typer.echo(manager.state())
    for hint in _hints(manager, linger=True):
        typer.echo(hint)


@group.command()
def start() -> None:
    """Start the installed service now."""
    manager = _installed()
    manager.carry_out(manager.start)
    typer.echo("maclip runs.")


@group.command()
def stop() -> None:
    """Stop the service until `maclip service start` or the next log-in.

    It finishes the photos it has begun. `maclip pause` lets it run on without work.
    """
    manager = _installed()
    manager.carry_out(manager.stop)
    typer.echo("maclip has stopped. `maclip service start` starts it again.")


@group.command(name="print")
def print_(
    context: typer.Context,
    folders: Folders = None,
    platform: Annotated[
        DefinitionKind | None,
        typer.Option("--for", help="Which definition; by default the one that `install` writes here."),
    ] = None,
) -> None:
    """Print a service definition for this installation. Nothing is written."""
    chosen = platform or _native_platform()
    if chosen is DefinitionKind.SYSCTL:
        text = service_definition.inotify_limits()
    else:
        text = _definition_for(chosen, context, _checked(folders, context))
    typer.echo(text, nl=False)


def _installed() -> ServiceManager:
    """Return the manager of the installed service. Raises `EnvironmentUnfit` where none is installed."""
    manager = service_manager.of_this_platform()
    if not manager.definition.exists():
        raise EnvironmentUnfit(
            f"The service is not installed: {manager.definition} does not exist. "
            "To install: `maclip service install PATH…`"
        )
    return manager


def _native_platform() -> DefinitionKind:
    return {"darwin": DefinitionKind.LAUNCHD, "win32": DefinitionKind.WINDOWS}.get(
        sys.platform, DefinitionKind.USER
    )


def _definition_for(platform: DefinitionKind, context: typer.Context, folders: list[Path]) -> str:
    config, data_dir = _global_flag(context, "config"), _global_flag(context, "data_dir")
    if data_dir is None and platform is not DefinitionKind.SYSTEM and os.environ.get("MACLIP_DATA_DIR"):
        data_dir = expanded(os.environ["MACLIP_DATA_DIR"])
    command = service_definition.service_command(folders, config=config, data_dir=data_dir)
    if platform is DefinitionKind.SYSTEM:
        writable = folders if data_dir is None else [*folders, data_dir.absolute()]
        return service_definition.system_unit(command, writable, network=_needs_network(context))
    if platform is DefinitionKind.LAUNCHD:
        return service_definition.launch_agent(command, service_manager.launchd_log())
    if platform is DefinitionKind.WINDOWS:
        user = f"{os.environ.get('USERDOMAIN', '.')}\\{os.environ.get('USERNAME', '')}"
        return service_definition.windows_task(command, user)
    from maclip_daemon import settings

    network = _needs_network(context)
    unit = service_definition.user_unit(command, network=network)
    obstacle = isolation.obstacle(unit, folders, config or settings.default_config_path())
    if not obstacle:
        return unit
    typer.echo(f"Less isolated than it could be: {obstacle} (docs/service.md, Hardening).", err=True)
    return service_definition.user_unit(command, in_namespace=False, network=network)


def _needs_network(context: typer.Context) -> bool:
    """Return whether a setting needs the network: notifications, or the status page."""
    from maclip_daemon import settings

    loaded = settings.load(_global_flag(context, "config"))
    notify = loaded.notify
    return bool(notify.urls or loaded.listen.address) or notify.health_url is not None


def _checked(folders: list[Path] | None, context: typer.Context) -> list[Path]:
    """Return the folders as absolute paths; raises `UsageError` for one that cannot be watched."""
    from maclip_daemon import settings

    chosen = folders or settings.load(_global_flag(context, "config")).folders.paths
    if not chosen:
        raise UsageError(
            "No folder to watch. Name at least one, as in `maclip service install ~/Pictures`, or set "
            "folders.paths in the configuration."
        )
    # Not resolved: a symbolic link that the user moves to a new disk later must lead there.
    absolute = [Path(os.path.abspath(expanded(folder))) for folder in chosen]
    for folder in absolute:
        if not folder.exists():
            raise UsageError(
                f"The folder {folder} does not exist. Check the spelling, or mount its disk first."
            )
        if not folder.is_dir():
            raise UsageError(f"{folder} is a file, not a folder. Name the folder that it is in.")
    return list(dict.fromkeys(absolute))


def _global_flag(context: typer.Context, name: str) -> Path | None:
    """Return a flag given before `service`, so that the service uses the same files as this command."""
    value = context.find_root().params.get(name)
    return None if value is None else expanded(value)


def _is_ours(manager: ServiceManager) -> bool:
    try:
        return service_definition.is_unchanged(manager.definition.read_text(encoding=manager.encoding))
    except UnicodeError:
        return False
    except OSError as error:
        raise EnvironmentUnfit(f"{manager.definition} cannot be read: {error.strerror}.") from None


def _write(manager: ServiceManager, text: str) -> None:
    beside = manager.definition.with_name(manager.definition.name + ".new")
    try:
        manager.definition.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding=manager.encoding, newline="\n")
        beside.replace(manager.definition)
    except OSError as error:
        raise EnvironmentUnfit(f"{manager.definition} cannot be written: {error.strerror}.") from None


def _hints(manager: ServiceManager, linger: bool) -> list[str]:
    hints = []
    if manager.linger is not None and not linger:
        hints.append(f"To run it also while you are not logged in: {shlex.join(manager.linger)}")
    if Path("/proc/driver/nvidia").exists() and not Path("/dev/nvidia-uvm").exists():
        hints.append(
            "The NVIDIA driver's compute module is not loaded, and the service may not load it: it would use "
            "the processor. `echo nvidia-uvm | sudo tee /etc/modules-load.d/nvidia-uvm.conf`, then restart."
        )
    return hints


def _list(commands: tuple[Command, ...]) -> None:
    for command in commands:
        typer.echo(f"  {shlex.join(command)}")
