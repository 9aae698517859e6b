"""Child processes: how the parent starts one, talks to it, and notices that it died.

A child is `python -m <module>` that reads frames from its standard input and answers each on its standard
output (`frames`); its own side is `serving`.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any

from maclip_daemon import errors
from maclip_daemon.processes import priority
from maclip_daemon.processes.frames import (
    Header,
    Reply,
    read_frame,
    write_frame,
)

__all__ = ["Child", "Header", "Reply"]

_Outgoing = queue.SimpleQueue[tuple[Header, bytes | memoryview] | None]

START_S = 300.0  # for a child to load its libraries, from a cold disk, at low priority on a busy machine
_DEATH_S = 5.0  # for a killed child to be gone
_STEP_S = 1.0  # of waiting for an answer; what a suspended parent may lose of its patience
_STDERR_LINES_KEPT = 20  # enough to show why a child died
_LAST_WORDS_S = 1.0  # for the thread that reads them; on a busy machine the process may be gone sooner
_LONGEST_LINE = 4096  # bytes; a library may print a photo's whole text, and never end its line
_END = None


class Child:
    """One child process; started by the first request, and again by the next one after it died.

    Not thread-safe: one thread owns one child.
    """

    def __init__(
        self,
        module: str,
        configuration: Mapping[str, Any] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment`: variables on top of the parent's, where the parent has not set them itself."""
        self.module = module
        self._environment = {**(environment or {}), **os.environ}
        self._configuration = dict(configuration or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: _Outgoing = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        self._last_words: collections.deque[str] = collections.deque(maxlen=_STDERR_LINES_KEPT)
        self._listener: threading.Thread | None = None

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
        """Send one request and wait for its reply, `timeout_s` for both together.

        Time in which the parent itself did not run (stopped, frozen, suspended) does not count. Raises
        `EnvironmentUnfit` when it cannot start, `ChildTimedOut` (the child is then killed), `ChildDied`, or
        the error that the child's handler raised, as the same class of `errors`.
        """
        if not self.running:
            self._start()
        self._requests.put((header, payload))
        try:
            reply = self._next_reply(timeout_s)
        except queue.Empty:
            self.kill()
            raise errors.ChildTimedOut(f"no answer within {timeout_s:g} s") from None
        if reply is _END:
            raise errors.ChildDied(self._cause_of_death())
        if "error" in reply.header:
            raise _error_from(reply.header["error"])
        return reply

    def close(self, timeout_s: float = 5.0) -> None:
        """Let the child end by closing its input; kill it when it does not end in time."""
        if self._process is None:
            return
        self._requests.put(_END)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget()

    def kill(self) -> None:
        """End the child at once."""
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # a dead server holds it; it ends later
                self._process.wait(_DEATH_S)
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
        priority.apply_to_session(process.pid)
        self._process = process
        self._requests = queue.SimpleQueue()
        self._replies = queue.SimpleQueue()
        self._last_words = collections.deque(maxlen=_STDERR_LINES_KEPT)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._beside("requests", _send_requests, process.stdin, self._requests)
        self._beside("replies", _collect_replies, process.stdout, self._replies)
        self._listener = self._beside("stderr", _collect_lines, process.stderr, self._last_words)
        self._await_start()

    def _beside(self, what: str, work: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, name=f"{self.module} {what}", daemon=True)
        thread.start()
        return thread

    def _await_start(self) -> None:
        """Wait until the child has loaded: a start that fails is the machine's fault, not that of a photo."""
        try:
            greeting = self._next_reply(START_S)
        except queue.Empty:
            self.kill()
            raise errors.EnvironmentUnfit(f"{self._name} did not start within {START_S:g} s.") from None
        if greeting is _END:
            raise errors.EnvironmentUnfit(f"{self._cause_of_death()}. `maclip doctor` looks at this machine.")

    def _next_reply(self, timeout_s: float) -> Reply | None:
        """Wait in steps: after hours of suspension one step is over, and not the child's whole time."""
        while timeout_s > _STEP_S:
            with contextlib.suppress(queue.Empty):
                return self._replies.get(timeout=_STEP_S)
            timeout_s -= _STEP_S
        return self._replies.get(timeout=timeout_s)

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
        if self._listener is not None:
            self._listener.join(_LAST_WORDS_S)
        last = next((line for line in reversed(self._last_words) if line.strip()), "")
        self._forget()
        return f"{self._name} {cause}" + (f": {last.strip()}" if last else "")

    def _forget(self) -> None:
        """Let the thread that writes to the last process close its end, so that no descriptor leaks."""
        self._process = None
        self._requests.put(_END)


def _error_from(description: object) -> errors.MaclipError:
    """The error a child describes; whatever a taken-over child says, it is one of ours."""
    told = description if isinstance(description, dict) else {"message": description}
    kind = getattr(errors, str(told.get("kind")), None)
    if not (isinstance(kind, type) and issubclass(kind, errors.MaclipError)):
        kind = errors.Transient
    return kind(str(told.get("message")))


def _send_requests(stream: IO[bytes], requests: _Outgoing) -> None:
    """Write in a thread of its own: a child that stopped reading must not stop its parent with it."""
    with contextlib.suppress(OSError), stream:  # a child that died says so by the end of its replies
        while (request := requests.get()) is not _END:
            write_frame(stream, *request)


def _collect_replies(stream: IO[bytes], replies: queue.SimpleQueue[Reply | None]) -> None:
    with stream:
        while (frame := read_frame(stream)) is not None:
            replies.put(frame)
    replies.put(_END)


def _collect_lines(stream: IO[bytes], lines: collections.deque[str]) -> None:
    with stream:
        while line := stream.readline(_LONGEST_LINE):
            lines.append(line.decode("utf-8", "replace"))
