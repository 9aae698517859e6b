"""The list of moved photos, in their folder: written before each move, read to bring them back."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from maclip_daemon import errors
from maclip_daemon.files import safe_writer

LIST_NAME = "maclip-cull.jsonl"


@dataclass(frozen=True)
class CullEntry:
    """One file that was to be moved into the folder."""

    name: str
    """Its name in the folder, which may have been renamed since."""
    source: Path
    """Where it was."""
    shot: str = ""
    """The name of the first file of its shot; empty in lists of earlier versions."""
    is_returned: bool = False
    """Whether it was asked back since."""


def note(folder: Path, pairs: Sequence[tuple[Path, Path]]) -> None:
    """Write the moves of one shot into the list, before they happen. Raises `OSError`."""
    shot = pairs[0][1].name
    _append(folder, [{"from": str(source), "to": str(target), "shot": shot} for source, target in pairs])


def note_end(folder: Path, pairs: Sequence[tuple[Path, Path]]) -> None:
    """Write into the list that all was done for a shot."""
    with contextlib.suppress(OSError):  # then the next start looks at it once more
        _append(folder, [{"ended": pairs[0][1].name}], is_flushed=False)


def note_return(folder: Path, name: str) -> None:
    """Write into the list that a file is brought back. Raises `OSError`."""
    _append(folder, [{"returned": name}])


def entries(folder: Path) -> list[CullEntry]:
    """Return the files that the folder was given, the last use of each name, in the order of the list.

    Raises `EnvironmentUnfit` when the folder has no list.
    """
    return _read(folder)[0]


def newest(folder: Path) -> list[CullEntry]:
    """Return the files of the shot that was moved last, and the file that was asked back last.

    A kill may have cut off what was to be done with them. None where there is no list.
    """
    try:
        known, _, returned = _read(folder)
    except errors.EnvironmentUnfit:
        return []
    return [entry for entry in known if entry.name == returned or entry.shot == known[-1].shot]


def _read(folder: Path) -> tuple[list[CullEntry], str, str]:
    """Return the entries, the shot whose end was noted last, and the name that was asked back last."""
    try:
        lines = (folder / LIST_NAME).read_text("utf-8", "surrogateescape").splitlines()
    except FileNotFoundError:
        raise errors.EnvironmentUnfit(
            f"{folder} has no list of moved photos ({LIST_NAME}), so nothing can be brought back from it."
        ) from None
    except OSError as error:
        raise errors.EnvironmentUnfit(
            f"The list of moved photos in {folder} ({LIST_NAME}) cannot be read: {error.strerror}."
        ) from None
    found: dict[str, CullEntry] = {}
    ended = returned = ""
    for line in lines:
        try:
            read = json.loads(line)
        except (ValueError, RecursionError):
            continue  # cut off by a power cut: that move had not begun
        if not isinstance(read, dict):
            continue
        if entry := _entry(read):
            found.pop(entry.name, None)
            found[entry.name] = entry
            ended = "" if ended == entry.shot else ended
        elif (known := found.get(str(read.get("returned")))) is not None:
            found[known.name] = replace(known, is_returned=True)
            returned = known.name
        ended = str(read.get("ended", ended))
    return list(found.values()), ended, returned


def held(folder: Path) -> list[CullEntry]:
    """Return the entries whose files are in the folder; none where there is no list."""
    try:
        known = entries(folder)
    except errors.EnvironmentUnfit:
        return []
    return [entry for entry in known if os.path.lexists(folder / entry.name)]


def begun(folder: Path) -> list[CullEntry]:
    """Return the files of the shot that a killed run was moving: the last one.

    None where the shot's end is noted, or nothing of it was moved. Raises `EnvironmentUnfit` for a list that
    cannot be read.
    """
    try:
        known, ended, _ = _read(folder)
    except errors.EnvironmentUnfit:
        if os.path.lexists(folder / LIST_NAME):
            raise
        return []
    shot = [entry for entry in known if entry.shot and entry.shot == known[-1].shot]
    if not shot or ended == shot[0].shot or any(each.is_returned for each in shot):
        return []
    return shot if any(os.path.lexists(folder / each.name) for each in shot) else []


def _entry(read: dict[str, Any]) -> CullEntry | None:
    if not {"from", "to"} <= read.keys():
        return None
    name = os.path.basename(str(read["to"]))  # noqa: PTH119 - undecodable names
    return CullEntry(name, Path(str(read["from"])), str(read.get("shot", ""))) if name else None


def _append(folder: Path, lines: Sequence[dict[str, str]], *, is_flushed: bool = True) -> None:
    with (folder / LIST_NAME).open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # a full disk cut the last line off
                file.write(b"\n")
        file.write("".join(json.dumps(line) + "\n" for line in lines).encode("ascii"))
        if is_flushed:
            file.flush()
            os.fsync(file.fileno())
    if is_flushed:
        safe_writer.flush(folder)
