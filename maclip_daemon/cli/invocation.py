"""What one call of the program was given: the global flags, and what follows from them on demand."""

from __future__ import annotations

import os
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
        configuration or the data folder.
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
        for place in (loaded.data_dir, loaded.database_path):
            permissions.require_private(place)
        return loaded

    def looking(self, settings: Settings, *, any_version: bool = False) -> ReadOnlyLibrary:
        """Open the library only for reading, safely beside a running daemon; close it when done.

        Raises `DatabaseUnfit` and, when there is no library yet, `EnvironmentUnfit` that says how to begin.
        """
        from maclip_daemon.library.storage.open_readonly import open_readonly

        return open_readonly(settings.database_path, any_version=any_version)

    def changing(self, settings: Settings) -> Library:
        """Open the library to change it; close it when done. Raises like `looking`."""
        from maclip_daemon.daemon.lock import is_running
        from maclip_daemon.errors import EnvironmentUnfit
        from maclip_daemon.library.storage.database import Library

        path = settings.database_path
        if not path.exists():
            raise EnvironmentUnfit(f"There is no library at {path} yet. `maclip run FOLDER` makes one.")
        return Library.open(path, create=False, is_in_use=is_running(settings.data_dir))


def of(context: typer.Context) -> Invocation:
    """Return the invocation that the global flags made."""
    invocation: Invocation = context.find_root().obj
    return invocation


def given(**values: Any) -> dict[str, Any]:
    """Keep the flags that were typed: those that are not None."""
    return {key: value for key, value in values.items() if value is not None}


def absolute(path: Path) -> str:
    """Return a path as the library knows it: absolute, `~` expanded, the links of its folder resolved."""
    given = expanded(path)
    if given.is_dir():
        return os.path.realpath(given)
    parent = os.path.realpath(given.parent)
    return os.path.normpath(os.path.join(parent, given.name)) if given.name else parent


def folder(path: Path) -> str:
    """Return a folder as the library knows it.

    Raises `UsageError` for a file, and for a name that was never a folder of photos here.
    """
    from maclip_daemon.errors import UsageError

    place = absolute(path)
    if os.path.lexists(place) and not os.path.isdir(place):  # noqa: PTH112 - surrogates
        raise UsageError(f"{path} is a file. --under takes a folder.")
    if not os.path.lexists(place):
        raise UsageError(f"There is no folder {path}.")
    return place
