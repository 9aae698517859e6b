"""`maclip run` as a person at a terminal sees it, and as a log file does."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.logged_daemon import running
from tests.homes import TIMEOUT_S, Home, make_photos, until

ROWS, COLUMNS = 24, 80
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A pseudo-terminal of 80×24 with one program in it."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            command,
            env={**environment, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._ours = ours
        self._seen = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # EIO: the program has ended
                return
            if not data:
                return
            self._seen += data

    @property
    def text(self) -> str:
        """All that was shown so far, without colours and movements of the cursor."""
        return CONTROL.sub("", self._seen.decode("utf-8", "replace")).replace("\r", "\n")

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.text.splitlines()]

    @property
    def shown(self) -> str:
        return self._seen.decode("utf-8", "replace").replace("\r\n", "\n")

    def close(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(TIMEOUT_S)
        self._reader.join()
        os.close(self._ours)
        return code


def on_terminal(home: Home, *arguments: str) -> str:
    """Run a command on a terminal until it ends; return all that it showed, control characters too."""
    terminal = Terminal([sys.executable, "-m", "maclip_daemon", *arguments], home.environment)
    assert terminal.wait() == 0
    return terminal.shown


@pytest.fixture
def terminal(home: Home) -> Iterator[Terminal]:
    make_photos(home.photos / "2026", 7)
    command = [sys.executable, "-m", "maclip_daemon", "run", str(home.photos)]
    opened = Terminal(command, home.environment)
    yield opened
    if opened.process.poll() is None:
        opened.close()


def scored_in(terminal: Terminal) -> int:
    """Return how many photos the terminal said to be scored; two that arrive may be done one by one."""
    return sum(int(number) for number in re.findall(r"Done: (\d+) scored", terminal.text))


def test_a_person_sees_what_happens_and_what_to_type_next(home: Home, terminal: Terminal) -> None:
    # The last line may wait already while the end of the work is still to be told.
    until(
        lambda: "waiting for photos in" in terminal.text and scored_in(terminal) == 7, "the work to be done"
    )
    text = terminal.text
    assert text.index("starting") < text.index("loading the model") < text.index("Done: ")
    assert "`maclip worst`" in " ".join(terminal.lines())
    shown = [line for line in terminal.lines() if re.match(r"★+ +2026/IMG_\d{4}\.jpg$", line)]
    hidden = re.search(r"and (\d+) more", text)
    assert len(shown) + int(hidden[1] if hidden else 0) == 7
    stars = dict(home.sql("select file_name, stars from photo_quality"))
    for line in shown:
        drawn, name = line.split()
        assert len(drawn) == stars[Path(name).name]
    assert max(map(len, terminal.lines())) <= COLUMNS
    assert "info" not in text.lower(), "a log line between what a person reads"
    make_photos(home.photos / "2026", 2, first=50)
    until(lambda: scored_in(terminal) == 9, "the second import")
    assert terminal.close() == 0
    assert "Traceback" not in terminal.text


def test_a_log_has_a_line_when_work_ends_and_no_control_characters(home: Home) -> None:
    make_photos(home.photos, 6)
    with running(home) as daemon:
        until(lambda: home.scored() and home.is_at_rest(), "the photos rated")
        make_photos(home.photos, 1, first=20)
        until(lambda: len(home.scored()) == 7 and home.is_at_rest(), "one more photo")
        until(lambda: home.sql("select 1 from jobs") == [], "no work")
        until(lambda: daemon.sum_in_log("done, waiting for photos", "scored") >= 7, "the line")
        log = daemon.stop()
    assert daemon.sum_in_log("done, waiting for photos", "scored") == 7, log
    assert daemon.sum_in_log("done, waiting for photos", "rated") >= 7, log
    assert "\x1b" not in log
