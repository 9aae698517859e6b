"""The parent's side of a child process: start it, send requests, detect its death.

A child is `python -m <module>`. It reads frames from standard input and answers each on standard output.
`child_server` is its own side.
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
from maclip_daemon.processes import child_deaths, priority, program_files
from maclip_daemon.processes.frames import Header, Reply, read_frame, write_frame

__all__ = ["Child", "Header", "Reply"]

_Outgoing = queue.SimpleQueue[tuple[Header, bytes | memoryview] | None]

START_TIMEOUT_S = 300.0  # loading the libraries from a cold disk, at low priority on a busy machine
_KILL_TIMEOUT_S = 5.0  # a process in an uninterruptible read outlives SIGKILL
_POLL_S = 1.0  # poll interval; bounds the time-out lost to a suspend
_STDERR_LINES_KEPT = 20  # enough to show why a child died
_STDERR_TIMEOUT_S = 1.0  # the thread that reads standard error may end after the process
_LINE_LIMIT = 4096  # bytes; a library may print a photo's whole text without a line end
_KILL = 9  # SIGKILL, which Windows does not have
_END = None


class Child:
    """One child process. The first request starts it; the next one after a crash starts it again.

    Not thread-safe: one thread owns one child.
    """

    def __init__(
        self,
        module: str,
        configuration: Mapping[str, Any] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment`: defaults for variables that the parent's environment does not set."""
        program_files.at_start()
        self.module = module
        self._environment = {**(environment or {}), **os.environ}
        self._configuration = dict(configuration or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: _Outgoing = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        self._stderr_lines: collections.deque[str] = collections.deque(maxlen=_STDERR_LINES_KEPT)
        self._stderr_reader: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """The process id, or None while no process runs."""
        process = self._process  # another thread may set it to None meanwhile
        return process.pid if process is not None and process.poll() is None else None

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def request(self, header: Header, payload: bytes | memoryview = b"", *, timeout_s: float) -> Reply:
        """Send one request and wait for its reply, `timeout_s` for both together.

        Time in which the parent did not run (stopped, suspended) does not count. Raises `EnvironmentUnfit`
        when the child cannot start, `ChildTimedOut` (the child is then killed), `ChildDied`, or the error
        that the child's handler raised, as the same class of `errors`.
        """
        if not self.running:
            self._start()
        self._requests.put((header, payload))
        try:
            reply = self._next_reply(timeout_s)
        except queue.Empty:
            self.kill()
            child_deaths.record(self.module)
            raise errors.ChildTimedOut(f"no reply within {timeout_s:g} s") from None
        if reply is _END:
            child_deaths.record(self.module)
            raise errors.ChildDied(self._cause_of_death())
        if "error" in reply.header:
            raise _error_from(reply.header["error"])
        return reply

    def close(self, timeout_s: float = 5.0) -> None:
        """Close the child's input so that it ends; kill it after `timeout_s`."""
        if self._process is None:
            return
        self._requests.put(_END)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget()

    def kill(self) -> None:
        """Kill the child."""
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # a hung file server holds it; it ends later
                self._process.wait(_KILL_TIMEOUT_S)
            self._forget()

    def _start(self) -> None:
        self._forget()
        if program_files.are_replaced():
            raise errors.EnvironmentUnfit(f"{program_files.REPLACED}.")
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
        self._stderr_lines = collections.deque(maxlen=_STDERR_LINES_KEPT)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._start_thread("requests", _send_requests, process.stdin, self._requests)
        self._start_thread("replies", _collect_replies, process.stdout, self._replies)
        self._stderr_reader = self._start_thread("stderr", _collect_lines, process.stderr, self._stderr_lines)
        self._wait_until_ready()

    def _start_thread(self, name: str, work: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, name=f"{self.module} {name}", daemon=True)
        thread.start()
        return thread

    def _wait_until_ready(self) -> None:
        """Wait until the child has loaded. Raise `EnvironmentUnfit`: no photo causes a failed start."""
        try:
            ready = self._next_reply(START_TIMEOUT_S)
        except queue.Empty:
            self.kill()
            raise errors.EnvironmentUnfit(
                f"{self._name} did not start within {START_TIMEOUT_S:g} s."
            ) from None
        if ready is _END:
            raise errors.EnvironmentUnfit(f"{self._cause_of_death()}. Run `maclip doctor`.")

    def _next_reply(self, timeout_s: float) -> Reply | None:
        """Wait in steps, so that hours of suspension cost one step and not the whole time-out."""
        while timeout_s > _POLL_S:
            with contextlib.suppress(queue.Empty):
                return self._replies.get(timeout=_POLL_S)
            timeout_s -= _POLL_S
        return self._replies.get(timeout=timeout_s)

    @property
    def _name(self) -> str:
        return f"the {self.module.rpartition('.')[2].replace('_', ' ')}"

    def _cause_of_death(self) -> str:
        process = self._process
        assert process is not None
        try:
            code = process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.kill()
            code = -9
        cause = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        if code == -_KILL:
            cause = "was killed, as systems do when memory runs out"
        if self._stderr_reader is not None:
            self._stderr_reader.join(_STDERR_TIMEOUT_S)
        last = next((line for line in reversed(self._stderr_lines) if line.strip()), "")
        self._forget()
        return f"{self._name} {cause}" + (f": {last.strip()}" if last else "")

    def _forget(self) -> None:
        """Drop the process; let its writer thread close the pipe, so that no descriptor leaks."""
        self._process = None
        self._requests.put(_END)


def _error_from(description: object) -> errors.MaclipError:
    """Return the error that a child reports, as one of `errors` even if the child is not to be trusted."""
    report = description if isinstance(description, dict) else {"message": description}
    kind = getattr(errors, str(report.get("kind")), None)
    if not (isinstance(kind, type) and issubclass(kind, errors.MaclipError)):
        kind = errors.Transient
    return kind(str(report.get("message")))


def _send_requests(stream: IO[bytes], requests: _Outgoing) -> None:
    """Write requests, in a thread: a child that stopped reading must not block its parent."""
    with contextlib.suppress(OSError), stream:  # the end of its replies reports a dead child
        while (request := requests.get()) is not _END:
            write_frame(stream, *request)


def _collect_replies(stream: IO[bytes], replies: queue.SimpleQueue[Reply | None]) -> None:
    with stream:
        while (frame := read_frame(stream)) is not None:
            replies.put(frame)
    replies.put(_END)


def _collect_lines(stream: IO[bytes], lines: collections.deque[str]) -> None:
    with stream:
        while line := stream.readline(_LINE_LIMIT):
            lines.append(line.decode("utf-8", "replace"))
