"""The metadata process: the only one that loads pyexiv2. Started by `metadata_writer.MetadataWriter`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.errors import WriteRefused
from maclip_daemon.files import safe_writer
from maclip_daemon.metadata.content import exiv2_tags, second_reader
from maclip_daemon.metadata.content.second_reader_process import SecondReaderProcess
from maclip_daemon.metadata.messages import pack, unpack
from maclip_daemon.metadata.records import DecisionRequest, FoundRating, Prepared, RatingRequest, UndoEntry
from maclip_daemon.metadata.sidecars import sidecar_names, verdict
from maclip_daemon.metadata.writing import commit_write, decision_write, preparation, undo_file
from maclip_daemon.processes import child_server, landlock, limits, sandbox, syscall_filter
from maclip_daemon.processes.frames import Header

FLUSHES_TOGETHER = 8  # the file system answers flushes that wait together with one write of its journal
# Address space: embedding into the largest photo (512 MiB) takes 2.7 GiB, the threads 1 GiB.
MEMORY_MIB = 4096

_processor_s = 0.0  # for each photo; 0 means no limit


def prepare_many(requests: Sequence[RatingRequest]) -> list[Prepared | errors.MaclipError]:
    """Prepare all, then flush all: the file system writes its journal once for many files.

    Stops early when this process is tainted: the next one does the rest.
    """
    results: list[Prepared | errors.MaclipError] = []
    with sidecar_names.one_listing():
        for request in requests:
            results.append(_prepare(request))
            if exiv2_tags.is_tainted():
                break
        _prepare_with_exiftool(requests, results)
    with ThreadPoolExecutor(FLUSHES_TOGETHER) as pool:
        return list(pool.map(_flush, results))


def _prepare_with_exiftool(
    requests: Sequence[RatingRequest], results: list[Prepared | errors.MaclipError]
) -> None:
    """Let exiftool read the photos that exiv2 could not read, all at once, and prepare these again."""
    try:
        while unread := {
            index: result.photo
            for index, result in enumerate(results)
            if isinstance(result, second_reader.SecondReadingNeeded)
        }:
            second_reader.read_many(list(unread.values()))
            for index in unread:
                results[index] = _prepare(requests[index])
    finally:
        second_reader.forget()


def prepare_decision(request: DecisionRequest) -> Prepared | errors.MaclipError:
    """Prepare one file of a decision, and flush it."""
    try:
        while True:
            try:
                with sidecar_names.one_listing(), limits.processor_timer(_processor_s):
                    return _flush(decision_write.prepare(request))
            except second_reader.SecondReadingNeeded as needed:
                second_reader.read_many([needed.photo])
    except errors.MaclipError as error:
        return error
    finally:
        second_reader.forget()


def _prepare_return(entry: UndoEntry) -> Prepared | errors.MaclipError:
    try:
        return _flush(decision_write.prepare_return(entry))
    except errors.MaclipError as error:
        return error


def _inspect(photo: Path, last_written: int | None) -> FoundRating:
    try:
        while True:
            try:
                with limits.processor_timer(_processor_s):
                    return verdict.inspect(photo, last_written)
            except second_reader.SecondReadingNeeded as needed:
                second_reader.read_many([needed.photo])
    finally:
        second_reader.forget()


def _prepare(request: RatingRequest) -> Prepared | errors.MaclipError:
    try:
        with limits.processor_timer(_processor_s):
            return preparation.prepare(request)
    except MemoryError:
        return errors.Poison(
            f"{request.photo}: its metadata needs more memory than {MEMORY_MIB} MiB. "
            "Rewrite it with exiftool, then run `maclip retry`."
        )
    except errors.MaclipError as error:
        return error


def _flush(prepared: Prepared | errors.MaclipError) -> Prepared | errors.MaclipError:
    if not isinstance(prepared, Prepared) or prepared.temporary is None:
        return prepared
    try:
        with safe_writer.translate_errors(prepared.temporary):
            safe_writer.flush(prepared.temporary)
    except errors.MaclipError as error:
        commit_write.discard(prepared)
        return errors.Transient(str(error)) if isinstance(error, WriteRefused) else error
    return prepared


def handle(header: Header, payload: bytes) -> tuple[Header, bytes]:
    """Answer one request of the parent; `last` tells that this process must end after it."""
    for folder in header["folders"]:
        sandbox.require_reach(folder)
    parts: list[bytes] = []
    reply = _answer(header, BytesIO(payload), parts)
    return reply | {"last": exiv2_tags.is_tainted()}, b"".join(parts)


def _answer(header: Header, payload: BytesIO, parts: list[bytes]) -> Header:
    match header["operation"]:
        case "prepare":
            requests = [unpack(RatingRequest, message, payload) for message in header["requests"]]
            return {"results": pack(prepare_many(requests), parts)}
        case "prepare decision":
            request = unpack(DecisionRequest, header["request"], payload)
            return {"result": pack(prepare_decision(request), parts)}
        case "prepare return":
            entry = unpack(UndoEntry, header["entry"], payload)
            return {"result": pack(_prepare_return(entry), parts)}
        case "commit":
            batch = [unpack(Prepared, message, payload) for message in header["prepared"]]
            return {"results": pack(commit_write.commit_many(batch), parts)}
        case "discard":
            commit_write.discard(unpack(Prepared, header["prepared"], payload))
            return {}
        case "undo":
            with limits.processor_timer(_processor_s):
                outcome = undo_file.undo(unpack(UndoEntry, header["entry"], payload))
            return {"outcome": pack(outcome, parts)}
        case "preview undo":
            entries = [unpack(UndoEntry, message, payload) for message in header["entries"]]
            with limits.processor_timer(_processor_s):
                return {"outcomes": pack(undo_file.preview(entries), parts)}
        case "inspect":
            try:
                found = _inspect(Path(header["photo"]), header["last_written"])
            except errors.Poison as error:  # the answer, and no failure of this process
                return {"found": pack(error, parts)}
            return {"found": pack(found, parts)}
        case operation:
            raise errors.Transient(f"The metadata process does not know the operation {operation}.")


def main() -> None:
    """Serve the parent's requests under limits of memory and of processor time."""
    global _processor_s
    configuration = child_server.configuration()
    _processor_s = configuration["processor_s"]
    folders = configuration["folders"]
    with contextlib.suppress(OSError):
        os.chdir("/")  # must not keep a folder busy that is to be unmounted
    has_reader = hasattr(os, "fork") and bool(configuration["scratch"]) and second_reader.is_available()
    if has_reader:
        second_reader.let_read(SecondReaderProcess(folders, configuration["scratch"]).read_many)
    limits.limit_memory(MEMORY_MIB)
    writable = dict.fromkeys(folders, landlock.REPLACE)
    # The reader dies with this process, stopped or not; the filter of system calls refuses other signals.
    sandbox.enter(writable, syscall_filter.REPLACING_FILES, may_signal=has_reader)
    child_server.serve(handle)


if __name__ == "__main__":
    main()
