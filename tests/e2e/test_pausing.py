"""`maclip pause` and `maclip resume` beside a real daemon."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from maclip_daemon.pipeline.wanted_waits import ORDERED
from tests.homes import Home, make_photo, make_photos, until


def pauses(home: Home, daemon: subprocess.Popen[str]) -> dict[str, Any] | None:
    """Return the pauses that this daemon has noted; None before its first note."""
    rows = home.sql("select value from notes where key = 'daemon'")
    note = json.loads(rows[0][0]) if rows else {}
    return note["pauses"] if note.get("pid") == daemon.pid else None


def test_a_pause_holds_across_a_restart_and_ends_with_resume(home: Home) -> None:
    make_photos(home.photos, 6)
    daemon = home.daemon()
    until(lambda: len(home.scored()) == 6 and home.is_at_rest(), "the first photos")

    assert home.maclip("pause", "2h").stdout.startswith("Paused until ")
    until(lambda: pauses(home, daemon) == {"timed pause": ORDERED}, "the pause")
    make_photo(home.photos / "late.jpg", 99)
    waiting = "select 1 from jobs join photos on photos.id = photo_id where file_name = 'late.jpg'"
    until(lambda: home.sql(waiting), "the new photo is noticed")
    assert f"paused     all work: {ORDERED} (goes on at " in home.maclip("status").stdout

    output = home.stop(daemon)
    assert "paused" in output
    refused = home.maclip("run", "--once", home.photos, expect=3)
    assert ORDERED in refused.stderr
    daemon = home.daemon()
    until(lambda: pauses(home, daemon) == {"timed pause": ORDERED}, "the pause after the restart")
    assert len(home.scored()) == 6

    assert home.maclip("resume").stdout == "The pause has ended.\n"
    until(lambda: "late.jpg" in home.scored() and home.is_at_rest(), "the new photo is scored")
    assert (home.photos / "late.jpg.xmp").exists()
    assert "resumed" in home.stop(daemon)
