"""Undo of one write: former bytes, permissions and time, unless the file was changed since."""

from __future__ import annotations

import contextlib
import os

from maclip_daemon.errors import EnvironmentUnfit, FileChanged, WriteRefused
from maclip_daemon.files import safe_writer, symlinks
from maclip_daemon.metadata.records import UndoEntry, UndoOutcome
from maclip_daemon.metadata.sidecars import targets
from maclip_daemon.metadata.writing import undo_delta


def undo(entry: UndoEntry) -> UndoOutcome:
    """Undo one committed write.

    Raises `EnvironmentUnfit` when the file may not be written, `NoSpace`, `FileChanged`, `Transient`.
    """
    try:
        with safe_writer.translate_errors(entry.target):
            return _undo(entry)
    except WriteRefused as refusal:
        raise EnvironmentUnfit(str(refusal)) from None


def _undo(entry: UndoEntry) -> UndoOutcome:
    target = entry.target
    if not targets.is_rating_file(target):
        return UndoOutcome("changed", f"{target} was not written by maclip; its journal entry is invalid.")
    symlinks.require_no_links(target.parent)
    try:
        data, status = safe_writer.read_regular(target)
    except FileNotFoundError:
        if entry.before_hash is None:
            return UndoOutcome("already", f"{target} is gone already.")
        return UndoOutcome("changed", f"{target} was removed since; nothing is left to restore.")
    except (WriteRefused, OSError) as error:
        if isinstance(error, OSError) and not target.is_symlink():
            raise
        return UndoOutcome("changed", f"{target} is no longer a regular file; it is left alone.")
    present = safe_writer.digest(data)
    if present == entry.before_hash:
        return UndoOutcome("already", f"{target} is as it was before.")
    if present != entry.after_hash:
        return UndoOutcome("changed", f"{target} was changed by another program since; it is left alone.")
    if entry.before_hash is None:
        target.unlink()
        safe_writer.flush(target.parent)
        return UndoOutcome("removed")
    if status.st_nlink > 1:
        return UndoOutcome("changed", f"{target} got a second name (hard link) since; it is left alone.")
    return _restore(entry, data)


def _restore(entry: UndoEntry, data: bytes) -> UndoOutcome:
    record = undo_delta.UndoDelta.decode(entry.restore)
    old = record.apply(data)
    if safe_writer.digest(old) != entry.before_hash:
        return UndoOutcome(
            "changed", f"The journal's record for {entry.target} is damaged; the file is left alone."
        )
    safe_writer.require_writable(entry.target)
    temporary = safe_writer.write_temporary(entry.target, old, like=entry.target, mode=record.mode)
    try:
        os.utime(temporary, ns=(record.mtime_ns, record.mtime_ns))
        safe_writer.flush(temporary)
        if safe_writer.digest(safe_writer.read_regular(entry.target)[0]) != entry.after_hash:
            raise FileChanged(f"{entry.target} changed during undo; it is left alone.")
        temporary.replace(entry.target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    safe_writer.flush(entry.target.parent)
    return UndoOutcome("restored")
