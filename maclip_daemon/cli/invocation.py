"""One call of the program: its global flags, and the settings and the library that they select."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from maclip_daemon.files.paths import expanded

if TYPE_CHECKING:
    from maclip_daemon.library.storage.database import Library
    from maclip_daemon.library.storage.open_readonly import ReadOnlyLibrary
    from maclip_daemon.settings import Settings


@dataclass
class Invocation:
    """The global flags of this call."""

    config: Path | None = None
    data_dir: Path | None = None
    verbosity: int = 0

    def settings(self, flags: Mapping[str, Any] | None = None) -> Settings:
        """Load the settings, with the global flags and `flags` (nested by section) on top.

        Raises `ConfigurationError` that names every bad key, `EnvironmentUnfit` when others may write the
        configuration or the data folder. Old names of settings are mentioned on standard error.
        """
        from maclip_daemon import settings
        from maclip_daemon.files import permissions

        path = expanded(self.config) if self.config else None
        permissions.require_private(path or settings.default_config_path())
        merged: dict[str, Any] = {
            section: dict(values) for section, values in (flags or {}).items() if values
        }
        if self.data_dir is not None:
            merged["data_dir"] = expanded(self.data_dir).absolute()
        if self.verbosity:
            merged["log"] = {"level": "debug" if self.verbosity > 0 else "warning"}
        loaded = settings.load(path, merged)
        for private in (loaded.data_dir, loaded.database_path):
            permissions.require_private(private)
        for hint in loaded.hints:
            print(f"maclip: {hint}", file=sys.stderr)
        return loaded

    def open_readonly(self, settings: Settings, *, any_version: bool = False) -> ReadOnlyLibrary:
        """Return the library opened for reading, also while the daemon runs; the caller closes it.

        Raises `DatabaseUnfit`, and `EnvironmentUnfit` when there is no library yet.
        """
        from maclip_daemon.library.storage.open_readonly import open_readonly

        return open_readonly(settings.database_path, any_version=any_version)

    def open_writable(self, settings: Settings) -> Library:
        """Return the library opened for writing; the caller closes it. Raises like `open_readonly`."""
        from maclip_daemon.daemon.lock import is_running
        from maclip_daemon.errors import EnvironmentUnfit
        from maclip_daemon.library.storage.database import Library

        path = settings.database_path
        if not path.exists():
            raise EnvironmentUnfit(f"There is no library at {path} yet. `maclip run FOLDER` makes one.")
        return Library.open(path, create=False, is_in_use=is_running(settings.data_dir))


def from_context(context: typer.Context) -> Invocation:
    """Return this call of the program."""
    invocation: Invocation = context.find_root().obj
    return invocation


def typed_flags(**values: Any) -> dict[str, Any]:
    """Return the flags that were typed: those that are not None."""
    return {key: value for key, value in values.items() if value is not None}


def resolve_path(path: Path) -> str:
    """Return a path as the library stores it: absolute, `~` expanded, symlinks of its folder resolved."""
    typed = expanded(path)
    if typed.is_dir():
        return os.path.realpath(typed)
    parent = os.path.realpath(typed.parent)
    return os.path.normpath(os.path.join(parent, typed.name)) if typed.name else parent


def resolve_folder(path: Path) -> str:
    """Return a folder as the library stores it. Raises `UsageError` for a file or a missing folder."""
    from maclip_daemon.errors import UsageError

    folder = resolve_path(path)
    if not os.path.lexists(folder):
        raise UsageError(f"There is no folder {path}. Check the spelling.")
    if not os.path.isdir(folder):  # noqa: PTH112 - surrogates
        raise UsageError(f"{path} is a file. --under takes a folder.")
    return folder
