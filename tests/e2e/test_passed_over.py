"""What is not scored is left alone, counted and named."""

from __future__ import annotations

import json

from tests.homes import Home, make_photo


def test_a_run_counts_and_names_what_it_passes_over(home: Home) -> None:
    library = home.photos / "Photos Library.photoslibrary" / "originals"
    library.mkdir(parents=True)
    make_photo(library / "IMG_1.jpg", 9)
    for number in range(12):
        (home.photos / f"{number:02}.jpg").touch()
    make_photo(home.photos / "a.jpg").rename(home.photos / "a.HEIC")
    (home.photos / "b.gif").write_bytes(b"GIF89a")
    (home.photos / "c.jpg").write_bytes(b"GIF89a" + bytes(100))
    done = home.maclip("run", "--once", home.photos, expect=1)
    assert "1 scored" in done.stdout
    assert "Passed over: 1 GIF file: kinds of pictures that maclip does not read." in done.stdout
    assert "Left alone: Photos Library.photoslibrary (Apple Photos)." in done.stdout
    assert "and 7 more (`maclip status --failed`)" in done.stdout
    assert "not supported: it is a GIF" in done.stderr
    assert not list(library.glob("*.xmp"))

    short = home.maclip("status").stdout
    assert "and 2 more (`maclip status --failed`)" in short
    full = home.maclip("status", "--failed").stdout
    assert full.count("is empty (0 bytes)") == 12
    found = json.loads(home.maclip("status", "--json").stdout)["passed_over"]
    assert found["kinds"] == {"GIF": 1}
    assert len(found["empty"]) == 12
    assert found["libraries"] == [str(home.photos / "Photos Library.photoslibrary")]
