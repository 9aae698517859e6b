"""Lines for systemd's journal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
import structlog

from maclip_daemon.daemon import journal
from maclip_daemon.daemon.log_format import configure_logging
from maclip_daemon.settings import LogSettings


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[TextIO]:
    with (tmp_path / "stream").open("w+", encoding="utf-8") as file:
        yield file


def its_name(stream: TextIO) -> str:
    status = os.fstat(stream.fileno())
    return f"{status.st_dev}:{status.st_ino}"


def test_the_journal_is_recognised_by_its_stream_only(stream: TextIO) -> None:
    assert journal.is_connected(stream, {"JOURNAL_STREAM": its_name(stream)})
    for name in ("", "1:2", "nonsense", its_name(stream) + "0"):
        assert not journal.is_connected(stream, {"JOURNAL_STREAM": name})
    assert not journal.is_connected(stream, {})


def test_lines_for_the_journal_have_priorities_and_no_time_or_level_of_their_own(
    stream: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = structlog.get_config()
    monkeypatch.setenv("JOURNAL_STREAM", its_name(stream))
    monkeypatch.setattr("sys.stderr", stream)
    try:
        configure_logging(LogSettings())
        log = structlog.get_logger("maclip")
        log.info("folder scanned", photos=3)
        log.warning("paused")
        try:
            raise ZeroDivisionError("by zero")
        except ZeroDivisionError:
            log.exception("stopped by an unexpected error")
    finally:
        structlog.configure(**configured)
    stream.seek(0)
    first, second, third, *traceback = stream.read().splitlines()
    assert (first, second) == ("<6>folder scanned photos=3", "<4>paused")
    assert third == "<3>stopped by an unexpected error"
    assert traceback[-1] == "<7>ZeroDivisionError: by zero"
    assert {line[:3] for line in traceback} == {"<7>"}, "for debugging only"
