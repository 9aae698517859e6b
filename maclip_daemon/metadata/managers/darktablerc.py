"""darktable's settings about sidecars and stars, in every configuration folder and workspace.

A configuration folder holds `darktablerc-common`, `darktablerc` and `library.db`. A workspace NAME has
`darktablerc-NAME` and `library-NAME.db` beside them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.errors import Transient

MAX_STARS = 5
DEFAULT_INITIAL_RATING = 1
# Below the home folder: Flatpak's and Snap's own configuration.
_PACKAGED = (
    ".var/app/org.darktable.Darktable/config/darktable",
    "snap/darktable/current/.config/darktable",
)
_OLD_WRITE_MODES = {"true": "on import", "false": "never"}  # of darktable before 3.6


@dataclass(frozen=True)
class DarktableSettings:
    """What darktable does with sidecars and stars in one workspace."""

    file: Path
    """The workspace's own file; it may be missing, then all is darktable's default."""
    write_sidecar_files: str = "on import"
    """`never`, `on import` or `after edit`."""
    initial_rating: int = DEFAULT_INITIAL_RATING
    """The stars that darktable gives a photo without a rating when it imports it, 0 to 5."""
    ignores_ratings: bool = False
    """Whether it ignores the ratings in photos and in sidecars when it imports."""

    @property
    def first_star(self) -> int:
        """Return the stars that darktable may have given by itself, 1 to 5.

        Where it gives none now, it gave its default before somebody changed that.
        """
        return self.initial_rating or DEFAULT_INITIAL_RATING

    @property
    def keeps_sidecars_current(self) -> bool:
        """Return whether darktable goes on writing the sidecars that it wrote once."""
        return self.write_sidecar_files != "never"


def configuration_folders() -> list[Path]:
    """Return the configuration folders that exist: the usual one, Flatpak's and Snap's."""
    home = Path.home()
    configured = os.environ.get("XDG_CONFIG_HOME")
    candidates = [Path(configured) / "darktable"] if configured else []
    candidates += [home / ".config" / "darktable", *(home / folder for folder in _PACKAGED)]
    found = {os.path.realpath(folder): folder for folder in reversed(candidates) if folder.is_dir()}
    return list(reversed(found.values()))


def workspaces(folder: Path) -> list[DarktableSettings]:
    """Return the settings of each workspace of a configuration folder, the default one first."""
    names = {""} if (folder / "darktablerc").exists() else set()
    names |= {library.stem.removeprefix("library") for library in folder.glob("library*.db")}
    names |= {file.name.removeprefix("darktablerc") for file in folder.glob("darktablerc-*")} - {"-common"}
    return [_settings(folder, name) for name in sorted(names)]


def settings_of(library: Path) -> DarktableSettings:
    """Return the settings that belong to a library: those beside it, else of the first configuration folder.

    darktable's option `--library` separates the two. Raises `Transient` for settings that cannot be read: the
    defaults may not be what counts.
    """
    name = library.stem.removeprefix("library") if library.name.startswith("library") else ""
    if any(library.parent.glob("darktablerc*")):
        return _settings(library.parent, name, is_sure=True)
    for folder in configuration_folders():
        return _settings(folder, "", is_sure=True)
    return DarktableSettings(library.parent / "darktablerc")


def first_stars() -> frozenset[int]:
    """Return the stars that darktable may have given by itself, in any workspace."""
    found = [each for folder in configuration_folders() for each in workspaces(folder)]
    return frozenset(each.first_star for each in found) or frozenset({DEFAULT_INITIAL_RATING})


def _settings(folder: Path, name: str, *, is_sure: bool = False) -> DarktableSettings:
    """Return the settings of a workspace; `is_sure`: raise `Transient` where they cannot be read."""
    file = folder / f"darktablerc{name}"
    values = _read(folder / "darktablerc-common", is_sure) | _read(file, is_sure)
    mode = values.get("write_sidecar_files", "on import").lower()
    return DarktableSettings(
        file,
        _OLD_WRITE_MODES.get(mode, mode),
        _stars(values.get("ui_last/import_initial_rating", "")),
        values.get("ui_last/ignore_exif_rating", "").lower() == "true",
    )


def _read(file: Path, is_sure: bool) -> dict[str, str]:
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        if not is_sure:
            return {}
        raise Transient(
            f"{file} cannot be read: {error.strerror}. It tells what darktable's stars mean. Check its "
            "permissions."
        ) from None
    pairs = (line.partition("=") for line in lines)
    return {key.strip(): value.strip() for key, separator, value in pairs if separator}


def _stars(text: str) -> int:
    """Return the initial rating as darktable reads it: a number out of range counts as its default."""
    try:
        stars = int(text)
    except ValueError:
        return DEFAULT_INITIAL_RATING
    return stars if 0 <= stars <= MAX_STARS else DEFAULT_INITIAL_RATING
