"""What `maclip db restore` tells before it replaces the library: what was merged, what undo will lack."""

from __future__ import annotations

import functools
from pathlib import Path

from maclip_daemon.errors import MaclipError
from maclip_daemon.files.safe_writer import digest_of
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.restore.journal_merge import MergeReport
from maclip_daemon.library.restore.restore_database import ReadyCopy


def beyond_undo(ready: ReadyCopy, probe: FilesystemProbe) -> list[str]:
    """Return the files that `maclip undo` could not restore byte for byte with this journal.

    Only a damaged journal leaves such files, so the others are not read. A file that is gone, or whose server
    does not answer, is left out.
    """
    if ready.report.is_complete:
        return []
    return [path for path, last_hash in ready.last_writes() if _differs(path, last_hash, probe)]


def _differs(path: str, last_hash: str, probe: FilesystemProbe) -> bool:
    try:
        present = probe.call_with_timeout(path, functools.partial(digest_of, Path(path)))
    except (OSError, MaclipError):
        return False
    return present is not None and present != last_hash


def merged(report: MergeReport) -> str:
    """Return in a sentence what the library takes over; empty when there was nothing."""
    parts = []
    if report.added:
        entries = "journal entry" if report.added == 1 else "journal entries"
        parts.append(f"{report.added} {entries} that only the present library has")
    if report.changed:
        parts.append(f"{report.changed} that it has changed since")
    if report.ratings:
        parts.append(f"the ratings of {report.ratings} photo{'s' * (report.ratings != 1)}")
    if not parts:
        return ""
    return f"Merged, so that `maclip undo` knows every file: {', '.join(parts)}."


def warnings(report: MergeReport, lost: list[str], *, is_new: bool) -> list[str]:
    """Return what a person must know before the library is replaced; nothing when no file is concerned."""
    lines = []
    if not report.is_readable:
        lines.append(
            "The present library is damaged, and its journal cannot be read. "
            + (
                "The new library recognises maclip's own stars by the proof in each file; `maclip undo` can "
                "then take them out, but not restore what an older journal entry held. Sidecars of versions "
                "before 0.3 have no proof: see `maclip adopt --without-proof`."
                if is_new
                else "What it wrote after the backup can be taken out by the proof in each file, but not "
                "restored byte for byte."
            )
        )
    elif report.unreadable:
        entries = "journal entry" if report.unreadable == 1 else "journal entries"
        lines.append(
            f"{report.unreadable} {entries} of the present library are damaged and cannot be merged."
        )
    if report.decisions_unreadable:
        decisions = "decision" if report.decisions_unreadable == 1 else "decisions"
        lines.append(
            f"{report.decisions_unreadable} {decisions} of `maclip review` in the present library are damaged"
            " and cannot be merged. Those of the other library stay as they were."
        )
    if report.decisions_left:
        decisions = "1 decision" if report.decisions_left == 1 else f"{report.decisions_left} decisions"
        lines.append(
            f"{decisions} that you made in `maclip review` could not be written yet, and the other library"
            " does not know the photos. Connect their disk and run `maclip review` first to keep them."
        )
    if lost:
        files = "1 file" if len(lost) == 1 else f"{len(lost)} files"
        lines.append(
            f"{files} changed after the last entry that is left. `maclip undo` can take maclip's stars out,"
            " but not restore these byte for byte:"
        )
    return lines
