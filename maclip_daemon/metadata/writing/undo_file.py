"""Undo of our writes to one file: its former bytes, permissions and time, or all that is ours taken out.

`preview` and `undo` decide with the same function. A file that another program wrote since keeps everything
that is not ours.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maclip_daemon.errors import EnvironmentUnfit, FileChanged, MaclipError, Transient, WriteRefused
from maclip_daemon.files import exchange, safe_writer
from maclip_daemon.files.open_folder import OpenFolder
from maclip_daemon.metadata.content.xmp_text import NAMESPACE
from maclip_daemon.metadata.records import UndoEntry, UndoOutcome
from maclip_daemon.metadata.sidecars import sidecar_names, targets
from maclip_daemon.metadata.writing import take_out, undo_delta

_COPY_WITHIN = 1 << 18  # bytes of a photo in which programs put XMP


@dataclass(frozen=True)
class _Present:
    """A file as it is, or as the undone writes before would leave it."""

    data: bytes | None
    """None: there is no file."""
    links: int = 1


@dataclass(frozen=True)
class _Step:
    """What undo of one write comes to."""

    outcome: UndoOutcome
    data: bytes | None = None
    """The bytes to write; None to write none, or for `removed` to remove the file."""
    delta: undo_delta.UndoDelta | None = None
    """Has the former permissions and time; None keeps the present ones."""


def undo(entry: UndoEntry) -> UndoOutcome:
    """Undo one committed write.

    Raises `EnvironmentUnfit` when the file may not be written, `NoSpace`, `FileChanged`, `Transient` (among
    others when the file's folder is away).
    """
    with _translating(entry.target):
        present = _read(entry.target)
        step = present if isinstance(present, _Step) else _decide(entry, present)
        if step.outcome.status in ("restored", "removed", "taken_out"):
            assert isinstance(present, _Present)
            _carry_out(entry.target, present, step)
        return _with_copy(entry.target, step.outcome)


def preview(entries: Sequence[UndoEntry]) -> list[UndoOutcome | MaclipError]:
    """Return what `undo` of these writes to one file would come to, newest first; changes nothing.

    Ends with the first one that is left alone: an error, or `changed`.
    """
    outcomes: list[UndoOutcome | MaclipError] = []
    present: _Present | _Step | None = None
    for entry in entries:
        try:
            with _translating(entry.target):
                present = _read(entry.target) if present is None else present
                step = present if isinstance(present, _Step) else _decide(entry, present)
        except MaclipError as error:
            return [*outcomes, error]
        outcomes.append(_with_copy(entry.target, step.outcome))
        if step.outcome.status == "changed" or isinstance(present, _Step):
            break
        if step.outcome.status in ("restored", "removed", "taken_out"):
            present = _Present(step.data, present.links)
    return outcomes


@contextlib.contextmanager
def _translating(target: Path) -> Iterator[None]:
    try:
        with safe_writer.translate_errors(target):
            yield
    except WriteRefused as refusal:
        raise EnvironmentUnfit(str(refusal)) from None


def _read(target: Path) -> _Present | _Step:
    """Return the file, or the step of a file that is none of ours. Raises `Transient` when it is away."""
    if not targets.is_rating_file(target):
        return _left_alone(f"{target} was not written by maclip; its journal entry is invalid.")
    if not os.path.lexists(target.parent):
        raise Transient(
            f"{target} is away, for its folder is not there. Run `maclip undo` again once it is back."
        )
    try:
        with OpenFolder(target.parent):
            pass  # a link in its place is refused by name
        data, status = safe_writer.read_regular(target)
    except FileNotFoundError:
        return _Present(None)
    except (WriteRefused, OSError) as error:
        if isinstance(error, OSError) and target.is_file() and not target.is_symlink():
            raise
        return _left_alone(f"{target} is no longer a regular file; it is left alone.")
    return _Present(data, status.st_nlink)


def _decide(entry: UndoEntry, present: _Present) -> _Step:
    """Return what undo of a write comes to in a file as it is. Raises `WriteRefused`, `ReadOnly`."""
    target = entry.target
    delta = _delta_of(entry)
    takes_out = delta is not None and delta.takes_out
    if present.data is None:
        if entry.before_hash is None or entry.is_created or takes_out:
            return _Step(UndoOutcome("gone", f"{target} was removed before."))
        return _left_alone(f"{target} was removed since; nothing is left to restore.")
    digest = safe_writer.digest(present.data)
    if takes_out:
        return _decide_to_take_out(entry, present)
    if digest == entry.before_hash:
        return _Step(UndoOutcome("already", f"{target} is as it was before."))
    if digest != entry.after_hash and entry.is_exact:
        return _left_alone(f"{target} was changed by another program since; it is left alone.")
    if digest != entry.after_hash:
        return _decide_to_take_out(entry, present)
    if entry.before_hash is None:
        return _removed(target)
    if present.links > 1:
        return _left_alone(f"{target} got a second name (hard link) since; it is left alone.")
    old = None if delta is None else delta.apply(present.data)
    if old is None or safe_writer.digest(old) != entry.before_hash:
        return _left_alone(f"The journal's record for {target} is damaged; the file is left alone.")
    safe_writer.require_writable(target)
    return _Step(UndoOutcome("restored"), old, delta)


def _delta_of(entry: UndoEntry) -> undo_delta.UndoDelta | None:
    try:
        return undo_delta.UndoDelta.decode(entry.restore)
    except (ValueError, KeyError, TypeError):  # damaged; the hash of what it makes would show it too
        return None


def _decide_to_take_out(entry: UndoEntry, present: _Present) -> _Step:
    """Return the step for a file that was written since by another program."""
    assert present.data is not None
    target = entry.target
    try:
        is_created = entry.is_created or entry.before_hash is None
        left = take_out.remainder(target, present.data, is_created=is_created)
    except WriteRefused as refusal:
        return _left_alone(
            f"{target} was changed by another program since; maclip's part cannot be removed, for {refusal}."
        )
    if left is None:
        return _Step(UndoOutcome("already", f"{target} holds nothing of maclip's."))
    if left.data is None:
        return _removed(target, left.persons_rating)
    if present.links > 1:
        return _left_alone(f"{target} got a second name (hard link) since; it is left alone.")
    safe_writer.require_writable(target)
    return _Step(UndoOutcome("taken_out", persons_rating=left.persons_rating), left.data)


def _removed(target: Path, persons_rating: int | None = None) -> _Step:
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise WriteRefused(
            f"{target} cannot be removed, for its folder may not be written. Change the permissions of the "
            "folder, then run `maclip undo` again."
        )
    return _Step(UndoOutcome("removed", persons_rating=persons_rating))


def _left_alone(reason: str) -> _Step:
    return _Step(UndoOutcome("changed", reason))


def _carry_out(target: Path, present: _Present, step: _Step) -> None:
    assert present.data is not None
    expected = safe_writer.digest(present.data)
    if step.data is None:
        with OpenFolder(target.parent) as folder:
            removed = exchange.remove(folder, target.name, expected=expected)
            safe_writer.flush(target.parent)
            exchange.settle(folder, removed)
        return
    mode = None if step.delta is None else step.delta.mode
    temporary = safe_writer.write_temporary(target, step.data, like=target, mode=mode)
    try:
        with OpenFolder(target.parent) as folder:
            if step.delta is not None:
                _set_time(folder, temporary.name, step.delta.mtime_ns)
            safe_writer.flush(temporary)
            _require_unchanged(target, present)
            new = safe_writer.digest(step.data)
            former = exchange.replace(folder, temporary.name, target.name, expected=expected, new=new)
            safe_writer.flush(target.parent)
            if former is not None:
                exchange.settle(folder, former)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _with_copy(target: Path, outcome: UndoOutcome) -> UndoOutcome:
    """Return the outcome of a sidecar with whether its photo holds a copy of maclip's properties."""
    photo = target.with_suffix("")
    if not sidecar_names.is_sidecar(target.name) or not targets.is_rating_file(photo):
        return outcome
    try:
        with OpenFolder(photo.parent) as folder, os.fdopen(folder.open(photo.name), "rb") as file:
            is_copied = NAMESPACE.encode() in file.read(_COPY_WITHIN)
    except (MaclipError, OSError):  # no photo there, or none that may be read: nothing is known of it
        return outcome
    return replace(outcome, is_copied_into_photo=is_copied)


def _set_time(folder: OpenFolder, name: str, mtime_ns: int) -> None:
    descriptor = folder.open(name)
    try:
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))
    finally:
        os.close(descriptor)


def _require_unchanged(target: Path, present: _Present) -> None:
    if safe_writer.read_regular(target)[0] != present.data:
        raise FileChanged(f"{target} changed during undo; it is left alone.")
