"""Types the commands of docs/a-first-hour.md at a pseudo-terminal of 80×24, and writes down what it shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.terminal_screen import TerminalScreen

ROWS, COLUMNS = 24, 80
TIMEOUT_S = 400  # for one command, on a machine with much else to do; no test measures time with it
PROMPT = "$ "
CONSOLE = re.compile(r"(?<=^```console\n)(.*?)(?=^```$)", re.MULTILINE | re.DOTALL)


class Person:
    """A person at a terminal: types commands, answers questions with yes, ends what runs on with Ctrl-C."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self._home = home
        self._environment = environment
        self.codes: dict[str, int] = {}

    def types(self, command: str, meanwhile: Callable[[], None] | None = None) -> str:
        """Run a command with a shell and return what the terminal shows, with the command itself.

        `meanwhile` is done once the program waits for photos; Ctrl-C follows when it is done again.
        """
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        process = subprocess.Popen(
            ["bash", "-c", command],
            env=self._environment | {"TERM": "xterm-256color"},
            cwd=self._home,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        screen = TerminalScreen()
        before_end: list[str] = []
        has_answered = False
        deadline = time.monotonic() + TIMEOUT_S
        for text in _output(ours, deadline):
            screen.feed(text)
            if not has_answered and screen.before_cursor.endswith("[y/N]: "):
                has_answered = True  # a question arrives in pieces: its space comes once the program reads
                os.write(ours, b"y\n")
            elif meanwhile is not None and "waiting for photos in" in (screen.lines or [""])[-1]:
                if any(line.startswith("Done:") for line in screen.lines) and not before_end:
                    before_end = screen.lines
                    os.killpg(process.pid, signal.SIGINT)
                elif not before_end:
                    meanwhile()
                    meanwhile = lambda: None  # noqa: E731
        if time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
        self.codes[command] = process.wait(TIMEOUT_S)
        os.close(ours)
        after = screen.lines[len(before_end) - 1 :] if before_end else screen.lines
        shown = [*before_end, "^C", *after] if before_end else after
        return "\n".join([PROMPT + command, *shown]) + "\n"


def _output(terminal: int, deadline: float) -> Iterator[str]:
    """Yield what arrives, until the program has ended."""
    pending = b""
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.5)[0]:
            continue
        try:
            pending += os.read(terminal, 65536)
        except OSError:  # EIO: the program has ended
            break
        try:
            text = pending.decode()
        except UnicodeDecodeError:
            continue  # the rest of a character is on its way
        pending = b""
        yield text


def commands(block: str) -> list[str]:
    """Return the commands of a console block."""
    return [line.removeprefix(PROMPT) for line in block.splitlines() if line.startswith(PROMPT)]


def comparable(text: str) -> list[str]:
    """Return the lines without what differs between machines and days: numbers, stars, widths, the spinner.

    Of `maclip doctor` only what was checked is left: what it finds is the machine's.
    """
    lines = []
    for line in text.splitlines():
        if checked := re.match(r"(?:ok|note|BAD) +(\w+)", line):
            lines.append(checked[1])
            continue
        if re.match(" {15}", line):  # a further line of doctor's
            continue
        line = re.sub(r"on \w+ in \w+|in \w+ on \w+,", "on cpu", line)
        line = re.sub(r"[\u2800-\u28ff]", "⠋", line)
        line = re.sub(r"★+", "★", re.sub(r"[█▉▊▋▌▍▎▏━╸╺]+", "█", line))
        line = re.sub(r"\d[\d.,:TZ-]*", "0", line)
        lines.append(re.sub(r"[ ─]+", " ", line).strip())
    return lines
