"""The parent's side of metadata: ask the child to read, prepare, commit and undo. Loads no pyexiv2."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from maclip_daemon import errors
from maclip_daemon.metadata.child import messages
from maclip_daemon.metadata.child.metadata_limits import PROCESSOR_S
from maclip_daemon.metadata.records import FoundRating, Prepared, RatingRequest, UndoEntry, UndoOutcome
from maclip_daemon.processes.child import Child, Header, Reply

TIMEOUT_S = 60.0  # for a photo alone; a safe write takes 2 to 30 ms, a sleeping network disk many seconds
TIMEOUT_SIDECAR_S = 2.0  # more for each further sidecar of a batch; one that fails is done again singly


class MetadataWriter:
    """Writes ratings in two phases, so that the journal row is stored before the file is replaced.

    Any method raises `ChildDied` or `ChildTimedOut` when the child is lost; the next call starts a new one.
    A `Prepared` outlives its child: `commit` and `discard` work with a new child too. Not thread-safe.
    """

    def __init__(self, *, timeout_s: float = TIMEOUT_S, processor_s: float = PROCESSOR_S) -> None:
        """`timeout_s`, `processor_s`: what one photo may take, by the clock and of the processor.

        A batch has more: `TIMEOUT_SIDECAR_S` for each further sidecar, `timeout_s` for a photo itself.
        """
        self._child = Child(messages.MODULE, {"processor_s": processor_s})
        self._timeout_s = timeout_s

    def prepare(self, request: RatingRequest) -> Prepared:
        """Write and verify a temporary file beside the target; a person sees no difference yet.

        What cannot be done now and here (no permission, hard links, a name that is too long, XML that is not
        safe) is a `skipped` result with a reason. Raises `NoSpace`, `FileChanged` (the photo or the sidecar
        changed meanwhile or is gone: try again), `Transient`.
        """
        result = self.prepare_many([request])[0]
        if isinstance(result, errors.MaclipError):
            raise result
        return result

    def prepare_many(self, requests: Sequence[RatingRequest]) -> list[Prepared | errors.MaclipError]:
        """`prepare` for many photos with their data flushed together; an error takes its photo's place."""
        results: list[Prepared | errors.MaclipError] = []
        while rest := requests[len(results) :]:
            message = {
                "operation": "prepare",
                "requests": [messages.request_to_message(each) for each in rest],
            }
            if len(rest) == 1:
                with _blamed_on(rest[0].photo):
                    reply = self._request(message)
            else:
                reply = self._request(message, timeout_s=self._time_for([each.mode for each in rest]))
            results += messages.results_from_frame(reply.header, reply.payload)
        return results

    def commit(self, prepared: Prepared) -> None:
        """Put the prepared file in its place and flush it to the disk.

        Raises `FileChanged` when the target is no longer what it was at `prepare` (it is left as it is and
        the temporary file is removed), `NoSpace`, `Transient`. Committing twice is harmless.
        """
        error = self.commit_many([prepared])[0]
        if error is not None:
            raise error

    def commit_many(self, prepared: Sequence[Prepared]) -> list[errors.MaclipError | None]:
        """`commit` for many photos with each folder flushed once; None where it was done."""
        reply = self._request(
            {"operation": "commit", "prepared": [messages.prepared_to_message(each)[0] for each in prepared]},
            timeout_s=self._time_for(
                ["embed" if each.target == each.photo else "sidecar" for each in prepared]
            ),
        )
        return [message and messages.error_from_message(message) for message in reply.header["results"]]

    def discard(self, prepared: Prepared) -> None:
        """Remove the temporary file of a prepared write."""
        self._request({"operation": "discard", "prepared": [messages.prepared_to_message(prepared)[0]]})

    def undo(self, entry: UndoEntry) -> UndoOutcome:
        """Bring the file back to its bytes, permissions and time of before, or remove the sidecar we created.

        Raises `EnvironmentUnfit` when the folder or the file may not be written, `NoSpace`, `Transient`.
        """
        message = {"operation": "undo", "entry": messages.entry_to_message(entry)}
        return messages.outcome_from_message(self._request(message, entry.restore).header)

    def inspect(self, photo: Path, last_written: int | None = None) -> FoundRating:
        """Read the rating that photo managers see, and whose it is.

        Raises `FileChanged` when the photo is gone, `Poison` when its sidecar cannot be read.
        """
        message = {
            "operation": "inspect",
            "photo": os.path.abspath(photo),
            "last_written": last_written,
        }
        with _blamed_on(photo):
            reply = self._request(message).header
        if "poison" in reply:
            raise errors.Poison(reply["poison"])
        return messages.found_from_message(reply["found"])

    def close(self) -> None:
        """Let the child end."""
        self._child.close()

    @property
    def pid(self) -> int | None:
        """The child's process id, or None while none runs."""
        return self._child.pid

    def _time_for(self, modes: Sequence[str]) -> float:
        """What a batch may take: a photo that is written anew whole needs more than a sidecar."""
        each = sorted(self._timeout_s if mode == "embed" else TIMEOUT_SIDECAR_S for mode in modes)
        return self._timeout_s + sum(each[:-1])

    def _request(self, header: Header, payload: bytes = b"", *, timeout_s: float | None = None) -> Reply:
        reply = self._child.request(header, payload, timeout_s=timeout_s or self._timeout_s)
        if reply.header["last"]:
            self._child.close()  # a hostile photo has led exiv2 astray; the next request starts a new child
        return reply

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def _blamed_on(photo: Path) -> Iterator[None]:
    """Name the photo whose metadata the child did not survive."""
    try:
        yield
    except (errors.ChildDied, errors.ChildTimedOut) as error:
        raise type(error)(
            f"{photo}: {error}. Its metadata crash exiv2 or keep it busy without end; write them anew "
            "(exiftool) or take them out to have the photo rated."
        ) from None
