"""Child processes: how the parent starts one, talks to it, and notices that it died.

A child is `python -m <module>` that reads frames from its standard input and answers each on its standard
output. A frame is eight bytes of lengths, a JSON header, and a payload of raw bytes (pixels). JSON, not
pickle: a decoder taken over by a hostile image must not be able to run code in the parent.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import queue
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, NoReturn

from maclip_daemon import errors

Header = dict[str, Any]
Handler = Callable[[Header, bytes], tuple[Header, bytes]]

_LENGTHS = struct.Struct(">IQ")
START_S = 120.0  # for a child to load its libraries, from a cold disk and beside others
_STDERR_LINES_KEPT = 20  # enough to show why a child died
_PAYLOAD_LIMIT = 1 << 31  # bytes; a taken-over child must not make the parent reserve more
_END = None


@dataclass(frozen=True)
class Reply:
    """What a child answered: a JSON object and, for pixels, raw bytes."""

    header: Header
    payload: bytes


class Child:
    """One child process; started by the first request, and again by the next one after it died.

    Not thread-safe: one thread owns one child.
    """

    def __init__(
        self,
        module: str,
        configuration: Mapping[str, Any] | None = None,
        *,
        nice: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment`: variables on top of the parent's, where the parent has not set them itself."""
        self.module = module
        self._environment = {**(environment or {}), **os.environ}
        self._configuration = dict(configuration or {})
        self._nice = nice
        self._process: subprocess.Popen[bytes] | None = None
        self._replies: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        self._last_words: collections.deque[str] = collections.deque(maxlen=_STDERR_LINES_KEPT)

    @property
    def pid(self) -> int | None:
        """The process id, or None while no process runs."""
        process = self._process  # another thread may ask while this one forgets it
        return process.pid if process is not None and process.poll() is None else None

    @property
    def running(self) -> bool:
        """Whether the process is alive at this moment."""
        return self._process is not None and self._process.poll() is None

    def request(self, header: Header, payload: bytes | memoryview = b"", *, timeout_s: float) -> Reply:
        """Send one request and wait for its reply.

        Raises `EnvironmentUnfit` when it cannot start, `ChildTimedOut` (the child is then killed),
        `ChildDied`, or the error that the child's handler raised, as the same class of `errors`.
        """
        if not self.running:
            self._start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            write_frame(process.stdin, header, payload)
            reply = self._replies.get(timeout=timeout_s)
        except queue.Empty:
            self.kill()
            raise errors.ChildTimedOut(f"no answer within {timeout_s:g} s") from None
        except OSError:
            reply = _END
        if reply is _END:
            raise errors.ChildDied(self._cause_of_death())
        if "error" in reply.header:
            raise _error_from(reply.header["error"])
        return reply

    def close(self, timeout_s: float = 5.0) -> None:
        """Let the child end by closing its input; kill it when it does not end in time."""
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget()

    def kill(self) -> None:
        """End the child at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._forget()

    def _start(self) -> None:
        self._forget()
        # -P: a module in the current folder must never be taken for one of ours.
        command = [sys.executable, "-P", "-m", self.module, json.dumps(self._configuration)]
        try:
            process = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C belongs to the parent, which then ends its children in order
            )
        except OSError as error:
            raise errors.EnvironmentUnfit(f"{self._name} cannot start: {error.strerror}.") from None
        if self._nice and hasattr(os, "setpriority"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, self._nice)
        self._process = process
        self._replies = queue.SimpleQueue()
        self._last_words = collections.deque(maxlen=_STDERR_LINES_KEPT)
        assert process.stdout is not None
        assert process.stderr is not None
        threading.Thread(
            target=_collect_replies,
            args=(process.stdout, self._replies),
            name=f"{self.module} replies",
            daemon=True,
        ).start()
        threading.Thread(
            target=_collect_lines,
            args=(process.stderr, self._last_words),
            name=f"{self.module} stderr",
            daemon=True,
        ).start()
        self._await_start()

    def _await_start(self) -> None:
        """Wait until the child has loaded: a start that fails is the machine's fault, not that of a photo."""
        try:
            greeting = self._replies.get(timeout=START_S)
        except queue.Empty:
            self.kill()
            raise errors.EnvironmentUnfit(f"{self._name} did not start within {START_S:g} s.") from None
        if greeting is _END:
            raise errors.EnvironmentUnfit(f"{self._cause_of_death()}. `maclip doctor` looks at this machine.")

    @property
    def _name(self) -> str:
        return f"the process {self.module.removeprefix('maclip_daemon.')}"

    def _cause_of_death(self) -> str:
        process = self._process
        assert process is not None
        try:
            code = process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.kill()
            code = -9
        cause = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        last = next((line for line in reversed(self._last_words) if line.strip()), "")
        self._forget()
        return f"{self._name} {cause}" + (f": {last.strip()}" if last else "")

    def _forget(self) -> None:
        """Close what is left of the last process, so that no descriptor leaks."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError):
                if process.stdin is not None:
                    process.stdin.close()


def serve(handler: Handler) -> NoReturn:
    """The child's side: answer requests until the parent closes the pipe, then end at once.

    The pipe is read by its own thread, so that a child hangs on no longer than its parent lives. Whatever
    native libraries print goes to standard error, never between the frames.
    """
    requests_in = os.fdopen(os.dup(0), "rb")
    replies_out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    incoming: queue.SimpleQueue[Reply] = queue.SimpleQueue()

    def read_requests() -> None:
        while (frame := read_frame(requests_in)) is not None:
            incoming.put(frame)
        os._exit(0)

    threading.Thread(target=read_requests, name="requests", daemon=True).start()
    write_frame(replies_out, {"ready": True})
    while True:
        request = incoming.get()
        try:
            header, payload = handler(request.header, request.payload)
        except errors.MaclipError as error:
            header, payload = {"error": {"kind": type(error).__name__, "message": str(error)}}, b""
        except MemoryError:
            header, payload = (
                {"error": {"kind": "Poison", "message": "needs more memory than it may use"}},
                b"",
            )
        except Exception as error:  # noqa: BLE001 - the border of a stage: it becomes a failed job
            traceback.print_exc()
            message = f"{type(error).__name__}: {error}"
            header, payload = {"error": {"kind": "Transient", "message": message}}, b""
        write_frame(replies_out, header, payload)


def configuration() -> Header:
    """The child's side: the configuration that the parent passed at the start."""
    parsed: Header = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    return parsed


def write_frame(stream: IO[bytes], header: Header, payload: bytes | memoryview = b"") -> None:
    """Write one frame and flush it."""
    text = json.dumps(header).encode("ascii")
    stream.write(_LENGTHS.pack(len(text), len(payload)))
    stream.write(text)
    if payload:
        stream.write(payload)
    stream.flush()


def read_frame(stream: IO[bytes]) -> Reply | None:
    """Read one frame; None at the end of the stream or when it was cut off."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return _END
    header_length, payload_length = _LENGTHS.unpack(lengths)
    if payload_length > _PAYLOAD_LIMIT:
        return _END
    text = stream.read(header_length)
    payload = stream.read(payload_length) if payload_length else b""
    if len(text) < header_length or len(payload) < payload_length:
        return _END
    try:
        return Reply(json.loads(text), payload)
    except ValueError:
        return _END


def _error_from(description: Mapping[str, str]) -> errors.MaclipError:
    kind = getattr(errors, description["kind"], errors.Transient)
    error: errors.MaclipError = kind(description["message"])
    return error


def _collect_replies(stream: IO[bytes], replies: queue.SimpleQueue[Reply | None]) -> None:
    with stream:
        while (frame := read_frame(stream)) is not None:
            replies.put(frame)
    replies.put(_END)


def _collect_lines(stream: IO[bytes], lines: collections.deque[str]) -> None:
    with stream:
        for line in stream:
            lines.append(line.decode("utf-8", "replace"))
