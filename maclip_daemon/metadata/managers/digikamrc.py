"""digiKam's settings about metadata, from the section [Metadata Settings] of `digikamrc`.

The file has KDE's format: `[Group][Subgroup]`, keys with options in brackets (`key[$e]=`), a later value of a
key replaces an earlier one, `key[$d]` removes it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

PHOTOS_ONLY, SIDECARS_ONLY, SIDECARS_AND_PHOTOS, SIDECARS_FOR_READONLY = range(4)
"""digiKam's `Metadata Writing Mode`."""

_GROUP = "Metadata Settings"
_HEADER = re.compile(r"\[(?P<groups>.*)\]")
_KEY = re.compile(r"(?P<name>[^\[\]]+?)(?P<options>(?:\[[^\]]*\])*)")
_FLATPAK = ".var/app/org.kde.digikam/config/digikamrc"
_YES = frozenset({"true", "1", "on", "yes"})


@dataclass(frozen=True)
class DigikamSettings:
    """What digiKam does with ratings and sidecars. A key that is missing has digiKam's default."""

    file: Path
    reads_sidecars: bool = False
    rescans: bool = False
    """Whether it reads files again that changed."""
    saves_rating: bool = False
    """Whether stars leave digiKam's database at all."""
    writing_mode: int = PHOTOS_ONLY
    compatible_file_name: bool = False
    """Whether sidecars are called IMG.xmp rather than IMG.jpg.xmp."""

    @property
    def writes_sidecars(self) -> bool:
        """Return whether stars reach the sidecar of every photo."""
        return self.writing_mode in (SIDECARS_ONLY, SIDECARS_AND_PHOTOS)


def find() -> list[DigikamSettings]:
    """Return the settings of each digiKam of this user: the usual one and Flatpak's."""
    configured = os.environ.get("XDG_CONFIG_HOME")
    home = Path.home()
    candidates = [Path(configured) / "digikamrc"] if configured else []
    candidates += [home / ".config" / "digikamrc", home / _FLATPAK]
    files = {os.path.realpath(file): file for file in reversed(candidates) if file.is_file()}
    return [read(file) for file in reversed(files.values())]


def read(file: Path) -> DigikamSettings:
    """Return the settings of one file; one that cannot be read has the defaults."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        text = ""
    values = section(text, _GROUP)
    return DigikamSettings(
        file,
        reads_sidecars=_is_yes(values, "Use XMP Sidecar For Reading"),
        rescans=_is_yes(values, "Rescan File If Modified"),
        saves_rating=_is_yes(values, "Save Rating"),
        writing_mode=_number(values, "Metadata Writing Mode"),
        compatible_file_name=_is_yes(values, "Use Compatible File Name"),
    )


def section(text: str, group: str) -> dict[str, str]:
    """Return the keys and values of one group, without its subgroups, translations and options of keys."""
    values: dict[str, str] = {}
    current = ""
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            current = _group_of(line)
            continue
        key, separator, value = line.partition("=")
        found = _KEY.fullmatch(key.strip())
        if current != group or found is None:
            continue
        options = re.findall(r"\[([^\]]*)\]", found["options"])
        if "$d" in options:
            values.pop(found["name"].strip(), None)
        elif separator and all(option.startswith("$") for option in options):
            values[found["name"].strip()] = value.strip()
    return values


def _group_of(line: str) -> str:
    """Return the name of a header's group; subgroups keep the brackets between, `[$i]` is an option."""
    found = _HEADER.match(line)
    if found is None:
        return ""
    parts = [part for part in found["groups"].split("][") if not part.startswith("$")]
    return "][".join(parts)


def _is_yes(values: dict[str, str], key: str) -> bool:
    return values.get(key, "").lower() in _YES


def _number(values: dict[str, str], key: str) -> int:
    try:
        return int(values.get(key, "0"))
    except ValueError:
        return PHOTOS_ONLY
