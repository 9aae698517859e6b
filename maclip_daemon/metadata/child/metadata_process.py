"""The metadata child: the only process that loads pyexiv2. Started by `writer.MetadataWriter`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.errors import WriteRefused
from maclip_daemon.files import safe_writer
from maclip_daemon.metadata.child import messages, metadata_limits
from maclip_daemon.metadata.content import exiv2_tags
from maclip_daemon.metadata.records import Prepared, RatingRequest
from maclip_daemon.metadata.sidecars import read_metadata
from maclip_daemon.metadata.writing import commit_write, preparation, undo_file
from maclip_daemon.processes import child_server
from maclip_daemon.processes.frames import Header

FLUSHES_TOGETHER = 8  # the file system answers flushes that wait together with one write of its journal


def prepare_many(requests: Sequence[RatingRequest]) -> list[Prepared | errors.MaclipError]:
    """Prepare all, then flush all: the file system writes its journal once for many files.

    Stops early when this process is tainted: the next one does the rest.
    """
    results = []
    for request in requests:
        results.append(_prepare(request))
        if exiv2_tags.is_tainted():
            break
    with ThreadPoolExecutor(FLUSHES_TOGETHER) as pool:
        return list(pool.map(_flushed, results))


def _prepare(request: RatingRequest) -> Prepared | errors.MaclipError:
    try:
        with metadata_limits.limited_time():
            return preparation.prepare(request)
    except MemoryError:
        return errors.Poison(f"{request.photo}: its metadata need more memory than they may use.")
    except errors.MaclipError as error:
        return error


def _flushed(prepared: Prepared | errors.MaclipError) -> Prepared | errors.MaclipError:
    if not isinstance(prepared, Prepared) or prepared.temporary is None:
        return prepared
    try:
        with safe_writer.named_failures(prepared.temporary):
            safe_writer.flush(prepared.temporary)
    except errors.MaclipError as error:
        commit_write.discard(prepared)
        return errors.Transient(str(error)) if isinstance(error, WriteRefused) else error
    return prepared


def handle(header: Header, payload: bytes) -> tuple[Header, bytes]:
    """Answer one request of the parent, and say whether this process must end with it."""
    reply, data = _answer(header, payload)
    return reply | {"last": exiv2_tags.is_tainted()}, data


def _answer(header: Header, payload: bytes) -> tuple[Header, bytes]:
    operation = header["operation"]
    if operation == "prepare":
        requests = [messages.request_from_message(message) for message in header["requests"]]
        return messages.results_to_frame(prepare_many(requests))
    if operation in {"commit", "discard"}:
        batch = [messages.prepared_from_message(message, b"") for message in header["prepared"]]
        if operation == "discard":
            for prepared in batch:
                commit_write.discard(prepared)
            return {}, b""
        results = commit_write.commit_many(batch)
        return {"results": [error and messages.error_to_message(error) for error in results]}, b""
    if operation == "undo":
        outcome = undo_file.undo(messages.entry_from_message(header["entry"], payload))
        return {"status": outcome.status, "reason": outcome.reason}, b""
    if operation == "inspect":
        try:
            with metadata_limits.limited_time():
                found = read_metadata.inspect(Path(header["photo"]), header["last_written"])
        except errors.Poison as error:
            return {"poison": str(error)}, b""
        return {"found": messages.found_to_message(found)}, b""
    raise errors.Transient(f"The metadata process does not know the operation {operation}.")


if __name__ == "__main__":
    metadata_limits.impose(**child_server.configuration())
    with contextlib.suppress(OSError):
        os.chdir("/")  # must not keep a folder busy that is to be unmounted
    child_server.serve(handle)
