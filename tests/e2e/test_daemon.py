"""The daemon in daily use: photos arrive, change, move and disappear while it runs."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.homes import Home, contents, make_photo, make_photos, until

MEMORY_LIMIT_BYTES = 150 * 1000 * 1000  # the design's promise for the parent process


def rated(home: Home) -> set[str]:
    """Return the names of the photos that have a sidecar."""
    return {path.name.removesuffix(".xmp") for path in home.photos.rglob("*.xmp")}


def test_photos_that_arrive_in_every_way_are_scored_and_rated(
    home: Home,
) -> None:
    home.daemon()
    until(
        lambda: home.data.exists() and home.sql("select 1 from roots where scanned_at is not null"), "a scan"
    )
    # One by one.
    make_photo(home.photos / "first.jpg", 1)
    until(lambda: "first.jpg" in home.scored(), "the first photo")
    # A burst, and a folder that is moved in from outside.
    make_photos(home.photos / "burst", 8, first=20)
    outside = home.folder / "card"
    make_photos(outside / "DCIM", 3, first=40)
    outside.rename(home.photos / "card")
    # Slowly, in pieces: not scored before the copy is complete.
    whole = make_photo(home.folder / "whole.jpg", 2).read_bytes()
    slow = home.photos / "slow.jpg"
    with slow.open("wb") as file:
        for start in range(0, len(whole), len(whole) // 5 + 1):
            file.write(whole[start : start + len(whole) // 5 + 1])
            file.flush()
            time.sleep(0.1)
            assert "slow.jpg" not in home.scored()
    # Under a temporary name, then renamed.
    partial = home.photos / "late.jpg.part"
    partial.write_bytes(make_photo(home.folder / "late.jpg", 3).read_bytes())
    partial.rename(home.photos / "late.jpg")
    expected = {"first.jpg", "slow.jpg", "late.jpg"}
    expected |= {f"IMG_{number:04d}.jpg" for number in [*range(20, 28), *range(40, 43)]}
    until(lambda: home.scored().keys() == expected, "all photos scored")
    until(lambda: rated(home) == expected, "all photos rated")
    assert home.sql("select count(*) from photo_failures") == [(0,)]
    # Our own writes queue no jobs.
    until(home.is_at_rest, "rest")
    assert home.maclip("worst", "-n", "3", "--format", "paths").stdout.count("\n") == 3


def test_changes_renames_and_deletions_are_followed_without_scoring_twice(home: Home) -> None:
    photos = make_photos(home.photos, 5)
    home.daemon()
    until(lambda: len(rated(home)) == 5, "five ratings")
    scores = home.scored()
    scored_at = dict(home.sql("select file_name, scored_at from photo_quality"))
    # A person changes the stars between two of our writes: their rating wins for good.
    sidecar = Path(f"{photos[0]}.xmp")
    ours = sidecar.read_text("utf-8")
    stars = dict(home.sql("select file_name, stars from photo_quality"))[photos[0].name]
    theirs = ours.replace(f'xmp:Rating="{stars}"', f'xmp:Rating="{stars % 5 + 1}"')
    assert theirs != ours
    sidecar.write_text(theirs, "utf-8")
    # A rename, a renamed folder, a deletion, a change of content.
    photos[1].rename(home.photos / "renamed.jpg")
    (home.photos / "album").mkdir()
    photos[2].rename(home.photos / "album" / "moved.jpg")
    until(lambda: {"renamed.jpg", "moved.jpg"} <= home.scored().keys(), "the renames")
    (home.photos / "album").rename(home.photos / "trip")
    photos[3].unlink()
    make_photo(photos[4], seed=99, blur=4)
    until(
        lambda: (
            home.sql("select state from photo_quality where file_name = ?", photos[3].name) == [("missing",)]
        ),
        "m",
    )
    until(
        lambda: home.scored().get(photos[4].name) not in (None, scores[photos[4].name]), "the changed photo"
    )
    until(
        lambda: (
            home.sql("select folder from photo_quality where file_name = 'moved.jpg'")
            == [(str(home.photos / "trip"),)]
        ),
        "the renamed folder",
    )
    now = dict(home.sql("select file_name, scored_at from photo_quality"))
    assert now["renamed.jpg"] == scored_at[photos[1].name]
    assert now["moved.jpg"] == scored_at[photos[2].name]
    # Enough new photos for another calibration: the person's rating does not change.
    make_photos(home.photos, 6, first=50)
    until(lambda: home.sql("select max(number) from calibrations") > [(1,)], "another calibration")
    until(home.is_at_rest, "rest")
    assert sidecar.read_text("utf-8") == theirs


def test_excluded_photos_are_never_scored(home: Home) -> None:
    home.photos.joinpath("@eaDir").mkdir()
    for place in ("@eaDir/thumb.jpg", ".hidden/a.jpg", "cache/b.jpg", ".Trash-1000/files/c.jpg"):
        make_photo(home.photos / place, 1)
    make_photo(home.folder / "elsewhere" / "linked.jpg", 2)
    (home.photos / "link").symlink_to(home.folder / "elsewhere")
    (home.photos / "loop").symlink_to(home.photos)
    os.mkfifo(home.photos / "pipe.jpg")
    make_photo(home.photos / "good.jpg", 3)
    home.daemon(MACLIP_FOLDERS__EXCLUDE='["cache/"]')
    until(lambda: "good.jpg" in home.scored(), "the good one")
    make_photo(home.photos / ".hidden" / "later.jpg", 4)
    make_photo(home.photos / "later.jpg", 5)
    until(lambda: "later.jpg" in home.scored(), "the later one")
    assert home.scored().keys() == {"good.jpg", "later.jpg"}


def test_the_parent_stays_small_without_torch_and_an_idle_scorer_exits(home: Home) -> None:
    make_photos(home.photos, 5)
    daemon = home.daemon(MACLIP_SCORING__IDLE_EXIT_S="2")
    until(lambda: len(rated(home)) == 5, "five ratings")
    parent = psutil.Process(daemon.pid)
    assert not [mapped.path for mapped in parent.memory_maps() if "torch" in mapped.path]
    assert parent.memory_info().rss < MEMORY_LIMIT_BYTES

    def scorers() -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):  # a process just ended
            children = parent.children()
            return [child for child in children if "maclip_daemon.scoring.scoring_process" in child.cmdline()]
        return []

    until(lambda: not scorers(), "the scoring process to end")
    make_photo(home.photos / "next.jpg", 77)
    until(lambda: "next.jpg" in home.scored(), "work after the pause")


def test_sigterm_releases_leased_jobs_and_a_second_daemon_is_refused(home: Home) -> None:
    make_photos(home.photos, 30)
    daemon = home.daemon()
    until(lambda: home.sql("select 1 from jobs where state = 'leased'"), "work in hand")
    second = home.maclip("run", home.photos, expect=3)
    assert "Another maclip process uses" in second.stderr
    began = time.monotonic()
    output = home.stop(daemon, signal.SIGTERM)
    assert time.monotonic() - began < 60, output  # the promise is ten seconds on an idle machine
    assert daemon.returncode == 0, output
    assert home.sql("select count(*) from jobs where state = 'leased'") == [(0,)]
    assert not list(home.photos.glob(".maclip-*"))
    home.maclip("run", "--once", home.photos)
    assert len(home.scored()) == len(rated(home)) == 30


def test_a_killed_daemon_loses_nothing(home: Home) -> None:
    make_photos(home.photos, 12)
    before = contents(home.photos)
    daemon = home.daemon()
    until(lambda: len(home.scored()) >= 2, "some scores")
    children = psutil.Process(daemon.pid).children(recursive=True)
    daemon.kill()
    daemon.communicate()
    psutil.wait_procs(children, timeout=60)
    assert not [child for child in children if child.is_running()], "children outlived their parent"
    home.maclip("run", "--once", home.photos)
    assert len(home.scored()) == len(rated(home)) == 12
    after = contents(home.photos)
    assert {path: data for path, data in after.items() if path.suffix == ".jpg"} == before
    assert home.sql("pragma integrity_check") == [("ok",)]
    assert len(after) == 24, sorted(after)


@pytest.mark.long_form
def test_sighup_applies_a_valid_configuration_and_refuses_an_invalid_one(home: Home) -> None:
    configuration = home.folder / "config.toml"
    configuration.write_text("[log]\nlevel = 'info'\n")
    make_photos(home.photos, 5)
    second = home.folder / "Second"
    make_photo(second / "other.jpg", 9)
    daemon = subprocess.Popen(
        [sys.executable, "-m", "maclip_daemon", "--config", str(configuration), "run"],
        env=home.environment | {"MACLIP_FOLDERS__POLL_INTERVAL_S": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    output = daemon.communicate(timeout=60)[1]
    assert daemon.returncode == 2
    assert "No folder to watch" in output
    configuration.write_text(f"[folders]\npaths = ['{home.photos}']\n")
    log = home.folder / "log"
    with log.open("w") as output:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "maclip_daemon", "--config", str(configuration), "run"],
            env=home.environment,
            stderr=output,
        )
    try:
        until(lambda: len(home.scored()) == 5, "five scores")
        configuration.write_text(f"[folders]\npaths = ['{home.photos}']\nwach = true\n")
        daemon.send_signal(signal.SIGHUP)
        until(lambda: "configuration rejected" in log.read_text(), "a refusal")
        assert "folders.wach" in log.read_text()
        make_photo(home.photos / "still.jpg", 8)
        until(lambda: "still.jpg" in home.scored(), "work under the old configuration")
        configuration.write_text(f"[folders]\npaths = ['{home.photos}', '{second}']\n")
        daemon.send_signal(signal.SIGHUP)
        until(lambda: "other.jpg" in home.scored(), "the new folder")
    finally:
        daemon.terminate()
        daemon.wait(60)
    assert daemon.returncode == 0


@pytest.mark.long_form
def test_an_offline_root_pauses_and_resumes_when_it_returns(home: Home) -> None:
    make_photos(home.photos, 5)
    home.daemon(MACLIP_FOLDERS__POLL_INTERVAL_S="1", MACLIP_FOLDERS__RESCAN_INTERVAL_S="2")
    until(lambda: len(rated(home)) == 5, "five ratings")
    away = home.folder / "away"
    home.photos.rename(away)
    until(lambda: home.sql("select state from roots") == [("paused",)], "the pause")
    states = "select distinct state from photo_quality"
    until(lambda: home.sql(states) == [("missing",)], "the photos taken for missing, some at a time")
    assert "paused" in home.maclip("status").stdout
    away.rename(home.photos)
    until(lambda: len(home.scored()) == 5, "the photos back")
    make_photo(home.photos / "new.jpg", 30)
    until(lambda: "new.jpg" in home.scored(), "work after the return")


def test_status_answers_while_the_daemon_works(home: Home) -> None:
    make_photos(home.photos, 10)
    home.daemon()
    until(lambda: home.scored(), "a first score")
    until(lambda: home.sql("select 1 from notes where key = 'daemon'"), "the daemon's note in the database")
    status = home.json("status", "--json")
    assert status["running"] is True
    assert status["daemon"]["folders"][0]["path"] == str(home.photos)
    assert "running" in home.maclip("status").stdout


@pytest.mark.long_form
def test_a_returned_photo_gets_the_stars_of_the_present_calibration(home: Home) -> None:
    photo, *_ = make_photos(home.photos, 6)
    home.daemon()
    until(lambda: home.sql("select count(*) from photos where stars_written > 0") == [(6,)], "stars for all")
    until(home.is_at_rest, "rest")
    away = photo.rename(home.folder / photo.name)
    until(lambda: home.sql("select count(*) from photos where state = 'missing'") == [(1,)], "it is missing")
    home.maclip("rate", MACLIP_RATING__EDGES="[9, 9, 9, 9]")
    all_stars = "select sum(rating_in_file) from photos where state = 'scored'"
    until(lambda: home.sql(all_stars) == [(5,)], "one star each")
    away.rename(photo)
    until(lambda: home.sql(all_stars) == [(6,)], "one star for the one that came back")
    assert 'xmp:Rating="1"' in Path(f"{photo}.xmp").read_text("utf-8")


@pytest.mark.long_form
def test_temporary_files_of_a_killed_daemon_are_removed_from_the_renamed_folder(home: Home) -> None:
    make_photos(home.photos / "card", 5)
    home.maclip("run", "--once", home.photos)
    stray = home.photos / "card" / ".maclip-0123456789abcdef.tmp"
    stray.write_bytes(b"a sidecar that never came to its place")
    (home.photos / "card").rename(home.photos / "Iceland")
    assert "Nothing to do." in home.maclip("run", "--once", home.photos).stdout
    assert sorted(path.suffix for path in (home.photos / "Iceland").iterdir()) == [".jpg"] * 5 + [".xmp"] * 5


def test_a_persons_rating_is_noticed_while_the_daemon_runs(home: Home) -> None:
    photos = make_photos(home.photos, 6)
    home.daemon()
    until(lambda: home.sql("select count(*) from photos where stars_written > 0") == [(6,)], "stars for all")
    until(home.is_at_rest, "rest")
    written = home.sql("select count(*) from rating_journal")
    # A copy from another machine that gave the same stars. Were it answered, so would be the answer.
    copied = Path(f"{photos[5]}.xmp")
    copied.write_text(
        re.sub('maclip:ScoredAt="[^"]+"', 'maclip:ScoredAt="2020-01-01T00:00:00Z"', copied.read_text())
    )
    as_copied = copied.read_bytes()
    assert b"2020-01-01" in as_copied
    owner = "select rating_owner, rating_in_file from photos where file_name = ?"
    for photo, stars in ((photos[0], "5"), (photos[1], "1"), (photos[0], "2")):  # the last: another opinion
        sidecar = Path(f"{photo}.xmp")
        text = re.sub(r'(xmp:Rating|maclip:Stars)="\d"', rf'\1="{stars}"', sidecar.read_text("utf-8"))
        text = re.sub(r'maclip:Stars="\d"', 'maclip:Stars="3"', text)
        sidecar.write_text(text, "utf-8")
        until(
            lambda photo=photo, stars=stars: home.sql(owner, photo.name) == [("person", int(stars))],
            "noticed",
        )
        assert sidecar.read_text("utf-8") == text
    assert home.sql("select count(*) from photos where rating_owner = 'maclip'") == [(4,)]
    assert copied.read_bytes() == as_copied
    assert home.sql("select count(*) from rating_journal") == written


@pytest.mark.long_form
def test_a_photo_keeps_its_stars_when_it_got_a_hard_link_while_missing(home: Home) -> None:
    photos = make_photos(home.photos, 6)
    home.maclip("run", "--once", home.photos)
    rows = home.sql("select id, file_name, stars_written, rating_owner from photos order by id")
    away = home.folder / photos[3].name
    photos[3].rename(away)
    home.maclip("run", "--once", home.photos)
    assert home.sql("select file_name from photos where state = 'missing'") == [(photos[3].name,)]
    away.rename(photos[3])
    (home.photos / "0 first.jpg").hardlink_to(photos[3])
    home.maclip("run", "--once", home.photos)
    after = home.sql("select id, file_name, stars_written, rating_owner from photos order by id")
    assert after[:6] == rows
    assert [row[1] for row in after[6:]] == ["0 first.jpg"]
