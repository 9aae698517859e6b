"""The parent's side of the metadata process: prepare, commit, undo and inspect. Loads no pyexiv2."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Self

from maclip_daemon import errors
from maclip_daemon.metadata.messages import pack, unpack, unpack_error
from maclip_daemon.metadata.records import (
    DecisionRequest,
    FoundRating,
    Prepared,
    RatingRequest,
    UndoEntry,
    UndoOutcome,
)
from maclip_daemon.processes.child import Header, Reply
from maclip_daemon.processes.sandboxed_child import SandboxedChild

# Of processor time for one photo, so that a sleeping network disk does not count. A safe write takes 2 to
# 30 ms; an honest list of 200 000 keywords took 14 s.
PROCESSOR_S = 20.0
TIMEOUT_S = 60.0  # for a photo alone; a safe write takes 2 to 30 ms, a sleeping network disk many seconds
TIMEOUT_SIDECAR_S = 2.0  # more for each further sidecar of a batch; one that fails is done again singly


class MetadataWriter:
    """Writes ratings in two phases, so that the journal row is stored before the file is replaced.

    Any method raises `ChildDied` or `ChildTimedOut` when the child is lost; the next call starts a new one.
    `commit` and `discard` work with a new child too. Not thread-safe.
    """

    def __init__(
        self,
        roots: Sequence[Path] = (),
        *,
        timeout_s: float = TIMEOUT_S,
        processor_s: float = PROCESSOR_S,
    ) -> None:
        """Start no child yet. `timeout_s`, `processor_s`: one photo's limits of time and processor time.

        A batch has more: `TIMEOUT_SIDECAR_S` for each further sidecar, `timeout_s` for a photo itself.
        `roots`: the watched folders, in which the child may write; of other files in their folder.
        """
        self._configuration = {"processor_s": processor_s, "scratch": ""}
        self._child = SandboxedChild("maclip_daemon.metadata.metadata_process", self._configuration, roots)
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._timeout_s = timeout_s

    def prepare(self, request: RatingRequest) -> Prepared:
        """Write and verify a temporary file beside the target; the target itself stays as it is.

        Without permission, for hard links, names that are too long and unsafe XML the result is `skipped`,
        with the reason. Raises `NoSpace`, `FileChanged` (the photo or its sidecar changed meanwhile or is
        gone: try again), `Transient`.
        """
        result = self.prepare_many([request])[0]
        if isinstance(result, errors.MaclipError):
            raise result
        return result

    def prepare_many(self, requests: Sequence[RatingRequest]) -> list[Prepared | errors.MaclipError]:
        """Prepare many photos and flush their data together; an error takes its photo's place."""
        results: list[Prepared | errors.MaclipError] = []
        while rest := requests[len(results) :]:
            absolute = [replace(each, photo=Path(os.path.abspath(each.photo))) for each in rest]
            message = {"operation": "prepare", "requests": pack(absolute, [])}
            photos = [each.photo for each in absolute]
            if len(rest) == 1:
                with _naming(rest[0].photo):
                    reply = self._request(message, photos)
            else:
                timeout_s = self._time_for([each.mode for each in rest])
                reply = self._request(message, photos, timeout_s=timeout_s)
            payload = BytesIO(reply.payload)
            results.extend(
                unpack_error(result) or unpack(Prepared, result, payload)
                for result in reply.header["results"]
            )
        return results

    def prepare_decision(self, request: DecisionRequest) -> Prepared:
        """Prepare one file of a person's decision, as `prepare` does for maclip's stars.

        `person`: another program gave a rating that the person has not seen. `has_more`: prepare again after
        the commit, for another file of the photo.
        """
        absolute = replace(request, photo=Path(os.path.abspath(request.photo)))
        message = {"operation": "prepare decision", "request": pack(absolute, [])}
        with _naming(request.photo):
            return _prepared_of(self._request(message, [request.photo]))

    def prepare_return(self, entry: UndoEntry) -> Prepared:
        """Prepare the bytes of before a write of ours; `skipped` where the file was changed since."""
        parts: list[bytes] = []
        message = {"operation": "prepare return", "entry": pack(entry, parts)}
        return _prepared_of(self._request(message, [entry.target], b"".join(parts)))

    def commit(self, prepared: Prepared) -> None:
        """Replace the target by the prepared file and flush it to the disk.

        Raises `FileChanged` when the target changed since `prepare` (the target is left alone, the temporary
        file removed), `NoSpace`, `Transient`. Committing twice is harmless.
        """
        error = self.commit_many([prepared])[0]
        if error is not None:
            raise error

    def commit_many(self, prepared: Sequence[Prepared]) -> list[errors.MaclipError | None]:
        """Commit many photos and flush each folder once; None where a commit succeeded."""
        reply = self._request(
            {"operation": "commit", "prepared": [_without_restore(each) for each in prepared]},
            [each.target or each.photo for each in prepared],
            timeout_s=self._time_for(
                ["embed" if each.target == each.photo else "sidecar" for each in prepared]
            ),
        )
        return [result and unpack_error(result) for result in reply.header["results"]]

    def discard(self, prepared: Prepared) -> None:
        """Remove the temporary file of a prepared write."""
        message = {"operation": "discard", "prepared": _without_restore(prepared)}
        self._request(message, [prepared.target or prepared.photo])

    def undo(self, entry: UndoEntry, *, dry_run: bool = False) -> UndoOutcome:
        """Undo one write: restore the bytes, permissions and time of before, or remove our sidecar.

        From a file that another program wrote since, only what is ours is taken out. With `dry_run` nothing
        changes.
        Raises `EnvironmentUnfit` when the folder or the file may not be written, `NoSpace`, `Transient`.
        """
        if dry_run:
            (outcome,) = self.preview_undo([entry])
            if isinstance(outcome, errors.MaclipError):
                raise outcome
            return outcome
        parts: list[bytes] = []
        message = {"operation": "undo", "entry": pack(entry, parts)}
        reply = self._request(message, [entry.target], b"".join(parts))
        return unpack(UndoOutcome, reply.header["outcome"], BytesIO())

    def preview_undo(self, entries: Sequence[UndoEntry]) -> list[UndoOutcome | errors.MaclipError]:
        """Return what `undo` of these writes to one file, newest first, would come to; changes nothing.

        Ends with the first one that is left alone: an error in its place, or `changed`.
        """
        parts: list[bytes] = []
        message = {"operation": "preview undo", "entries": pack(list(entries), parts)}
        targets = [entry.target for entry in entries]
        outcomes = self._request(message, targets, b"".join(parts)).header["outcomes"]
        return [unpack_error(outcome) or unpack(UndoOutcome, outcome, BytesIO()) for outcome in outcomes]

    def inspect(self, photo: Path, last_written: int | None = None) -> FoundRating:
        """Return the rating that photo managers see, and whose it is.

        Raises `FileChanged` when the photo is gone, `Poison` when its sidecar cannot be read.
        """
        message = {"operation": "inspect", "photo": os.path.abspath(photo), "last_written": last_written}
        with _naming(photo):
            found = self._request(message, [photo]).header["found"]
        if error := unpack_error(found):
            raise error
        return unpack(FoundRating, found, BytesIO())

    def close(self) -> None:
        """End the child."""
        self._child.close()
        if self._scratch is not None:
            self._scratch.cleanup()
        self._scratch = None

    @property
    def pid(self) -> int | None:
        """Return the child's process id; None while no child runs."""
        return self._child.pid

    def _time_for(self, modes: Sequence[str]) -> float:
        """Return the time-out of a batch: a photo that is rewritten whole needs more than a sidecar."""
        each = sorted(self._timeout_s if mode == "embed" else TIMEOUT_SIDECAR_S for mode in modes)
        return self._timeout_s + sum(each[:-1])

    def _request(
        self, header: Header, files: Sequence[Path], payload: bytes = b"", *, timeout_s: float | None = None
    ) -> Reply:
        """Send a request about `files`, in whose folders the child may write."""
        if self._scratch is None:
            # For exiftool. Whoever may write only below it cannot remove it, so it is the parent's.
            with contextlib.suppress(OSError):  # no room: exiftool is not asked
                self._scratch = tempfile.TemporaryDirectory(
                    prefix="maclip-exiftool-", ignore_cleanup_errors=True
                )
            self._configuration["scratch"] = self._scratch.name if self._scratch else ""
        folders = {Path(os.path.abspath(file)).parent for file in files}
        reply = self._child.request(
            header | {"folders": sorted(map(os.fspath, folders))},
            payload,
            folders=folders,
            timeout_s=timeout_s or self._timeout_s,
        )
        if reply.header["last"]:
            self._child.close()  # a photo has spoilt exiv2's prefixes: the next request needs a new child
        return reply

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _prepared_of(reply: Reply) -> Prepared:
    result = reply.header["result"]
    if error := unpack_error(result):
        raise error
    return unpack(Prepared, result, BytesIO(reply.payload))


def _without_restore(prepared: Prepared) -> Header:
    """Return the message of a prepared write; only the journal needs its restore data."""
    message: Header = pack(replace(prepared, restore=b""), [])
    return message


@contextlib.contextmanager
def _naming(photo: Path) -> Iterator[None]:
    """Name the photo whose metadata killed the child or kept it busy."""
    try:
        yield
    except (errors.ChildDied, errors.ChildTimedOut) as error:
        raise type(error)(
            f"{photo}: exiv2 crashes or hangs on this photo's metadata ({error}). "
            "Rewrite it with exiftool, then run `maclip retry`."
        ) from None
