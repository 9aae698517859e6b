"""Measure the review page in a real browser: key to picture, scrolling, memory, a million rows."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import text

from maclip_daemon.folders.scanner import found_file
from maclip_daemon.library.photos import photo_records, root_records
from maclip_daemon.library.results import calibration, scores
from maclip_daemon.library.storage.database import Library

NOW = 1_780_000_000.0
SIZE = (6000, 4000)  # 24 megapixels
STARTS = 5
_LINK = re.compile(r"http://\S+")


def main(
    photos: Annotated[int, typer.Option(help="Large photos to look at, one key each.")] = 60,
    rows: Annotated[int, typer.Option(help="Photos of the large library.")] = 1_000_000,
    scrolled: Annotated[int, typer.Option(help="Photos in the grid that is scrolled.")] = 100_000,
    decisions: Annotated[int, typer.Option(help="Decisions before memory is read again.")] = 1000,
) -> None:
    """Print the figures of docs/review.md."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver, tempfile.TemporaryDirectory(prefix="maclip-bench-") as folder:
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        for name, measure, count in (
            ("keys", key_to_picture, photos),
            ("scroll", scrolling, scrolled),
            ("memory", memory_after_decisions, decisions),
            ("million", first_page, rows),
        ):
            home = Path(folder, name)
            home.mkdir()
            measure(browser, home, count)
        browser.close()


def key_to_picture(browser: Any, home: Path, count: int) -> None:
    """Press → once a second and measure until the next picture is on the screen."""
    fill(home, count, large=True)
    with Served(home) as link:
        page = opened(browser, link)
        page.keyboard.press("Space")
        page.wait_for_timeout(8000)
        measured = [change_ms(page) for _ in range(count - 1) if page.wait_for_timeout(1000) is None]
    measured.sort()
    middle, late = statistics.median(measured), measured[int(len(measured) * 0.95)]
    print(f"key to picture, {len(measured)} photos of 24 MP: median {middle:.0f} ms, 95th {late:.0f} ms")


def change_ms(page: Page) -> float:
    """Return the milliseconds from → to the frame in which the next picture is drawn."""
    handle = page.evaluate_handle("document")
    return float(
        handle.evaluate(
            """page => new Promise(done => {
              const frame = page.querySelector('#loupe .frame');
              const before = frame.querySelector('img')?.alt;
              const began = performance.now();
              const look = () => {
                const image = frame.querySelector('img');
                if (image && image.alt !== before && image.complete) done(performance.now() - began);
                else requestAnimationFrame(look);
              };
              page.querySelector('#photos').dispatchEvent(
                new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}));
              requestAnimationFrame(look);
            })"""
        )
    )


def scrolling(browser: Any, home: Path, count: int) -> None:
    """Scroll through the whole grid and count frames that came late."""
    fill(home, count, large=False, is_recorded_only=True)
    with Served(home) as link:
        page = opened(browser, link)
        page.wait_for_timeout(3000)
        heap_before = heap_mb(page)
        gaps = page.evaluate_handle("document").evaluate(
            """page => new Promise(done => {
              const grid = page.querySelector('#grid');
              const gaps = [];
              let last = performance.now(), left = 600;
              const step = now => {
                gaps.push(now - last);
                last = now;
                grid.scrollTop += grid.scrollHeight / 600;
                if ((left -= 1)) requestAnimationFrame(step);
                else done(gaps);
              };
              requestAnimationFrame(step);
            })"""
        )
        late = sum(gap > 34 for gap in gaps)
        print(
            f"scrolling {count} photos in {len(gaps)} frames: {late} later than two frames of 60 Hz,"
            f" median {statistics.median(gaps):.1f} ms; heap {heap_before:.0f} → {heap_mb(page):.0f} MB"
        )


def memory_after_decisions(browser: Any, home: Path, count: int) -> None:
    """Decide about many photos and read the memory of the server and of the page before and after."""
    fill(home, count + 10, large=False)
    with Served(home) as link:
        page = opened(browser, link)
        page.wait_for_timeout(2000)
        before, server = heap_mb(page), served_mb()
        began = time.monotonic()
        for place in range(count):
            page.keyboard.press("12345x"[place % 6])
        page.get_by_text(f"{count} of ").wait_for(timeout=900_000)
        took = time.monotonic() - began
        print(
            f"{count} decisions written in {took:.0f} s; page {before:.0f} → {heap_mb(page):.0f} MB,"
            f" server {server:.0f} → {served_mb():.0f} MB"
        )


def first_page(browser: Any, home: Path, count: int) -> None:
    """Measure from the command to the first picture painted by a browser that runs, with a million photos.

    The browser opens the link in a new tab as soon as it is printed. Half of the starts find no picture kept.
    """
    fill(home, count, large=False, is_recorded_only=True)
    for has_pictures in (False, True):
        starts = [_start(browser, home, count, has_pictures=has_pictures) for _ in range(STARTS)]
        told = ", ".join(
            f"{name} {statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})"
            for name, times in zip(_MOMENTS, zip(*starts, strict=True), strict=True)
        )
        kept = "with" if has_pictures else "without"
        print(f"{count} rows, {kept} kept pictures, {STARTS} starts, seconds after the command: {told}")


_MOMENTS = ("link", "first picture painted", "whole order")
# Element by element: the first paint that has a photo.
_PAINTED = """page => new Promise(done => new PerformanceObserver(list => {
  const found = list.getEntries().find(each => each.element?.tagName === 'IMG');
  if (found) done(performance.timeOrigin + found.startTime);
}).observe({type: 'largest-contentful-paint', buffered: true}))"""


def _start(browser: Any, home: Path, count: int, *, has_pictures: bool) -> tuple[float, float, float]:
    if not has_pictures:
        shutil.rmtree(home / ".cache", ignore_errors=True)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    began, epoch = time.monotonic(), time.time()
    with Served(home) as link:
        linked = time.monotonic() - began
        page = context.new_page()
        page.goto(link, wait_until="commit")
        painted = page.evaluate_handle("document").evaluate(_PAINTED) / 1000 - epoch
        page.get_by_text(f"of {count:,} decided").wait_for(timeout=120_000)
        whole = time.monotonic() - began
    context.close()
    return linked, painted, whole


class Served:
    """A running `maclip review`; the context is its link."""

    process: subprocess.Popen[str] | None = None

    def __init__(self, home: Path) -> None:
        self.home = home

    def __enter__(self) -> str:
        environment = os.environ | {"HOME": str(self.home), "MACLIP_DATA_DIR": str(self.home / "data")}
        command = [sys.executable, "-m", "maclip_daemon", "review", "--no-browser", "--port", "0"]
        Served.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert Served.process.stdout is not None
        found = next(filter(None, map(_LINK.search, Served.process.stdout)))
        return found[0]

    def __exit__(self, *_: object) -> None:
        assert Served.process is not None
        Served.process.terminate()
        Served.process.wait()


def served_mb() -> float:
    """Return the resident memory of the server alone."""
    assert Served.process is not None
    return psutil.Process(Served.process.pid).memory_info().rss / 1e6


def heap_mb(page: Page) -> float:
    """Return the page's JavaScript heap after a collection."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "JSHeapUsedSize")) / 1e6


def opened(browser: Any, link: str) -> Page:
    """Return the page in a new window."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.goto(link)
    page.wait_for_url(re.compile(r"/(#.*)?$"))  # its scripts run
    page.wait_for_selector(".cell .name:not(:empty)", timeout=120_000)
    return page


def fill(home: Path, count: int, *, large: bool, is_recorded_only: bool = False) -> None:
    """Make a library of photos; `is_recorded_only`: one file stands for all of them."""
    photos = home / "Pictures"
    photos.mkdir()
    noise = np.random.default_rng(1).normal(128, 40, (400, 600, 3))
    picture = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))
    data = photos / "first.jpg"
    (picture.resize(SIZE, Image.Resampling.BICUBIC) if large else picture).save(data, quality=92)
    with Library.open(home / "data" / "library.db") as library:
        with library.writing() as session:
            root = root_records.root_for(session, str(photos), NOW)
            config = scores.scoring_config_for(session, "maclip", "test", "native")
            scores.activate(session, config.id)
            found = found_file(str(data))
            assert found is not None
            first = photo_records.record_file(session, root, found, NOW).photo_id
            session.execute(text("update photos set width = 6000, height = 4000"))
            scores.record(session, config.id, [(first, scores.ScoreRow(0.0))], NOW)
        for number in range(1, 1 if is_recorded_only else count):
            copy = photos / f"IMG_{number:05}.jpg"
            os.link(data, copy) if large else shutil.copy(data, copy)
        with library.writing() as session:
            if is_recorded_only:
                session.execute(_MANY, {"count": count - 1})
                session.execute(_THEIR_SCORES)
            else:
                for number in range(1, count):
                    found = found_file(str(photos / f"IMG_{number:05}.jpg"))
                    assert found is not None
                    photo_id = photo_records.record_file(session, root, found, NOW).photo_id
                    scores.record(session, config.id, [(photo_id, scores.ScoreRow(number / count))], NOW)
            rule = calibration.StarRule((10, 20, 40, 20, 10), 2)
            calibration.renew(session, config.id, rule, NOW)


_MANY = text(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
    " INSERT INTO photos (folder_id, file_name, device, inode, size, mtime_ns, first_seen_at, width, height)"
    " SELECT folder_id, 'IMG_' || i || '.jpg', device, inode, size, mtime_ns, first_seen_at, 600, 400"
    " FROM photos, n WHERE photos.id = 1"
)
_THEIR_SCORES = text(
    "INSERT INTO scores (photo_id, folder_id, scoring_config_id, score, views, scored_at)"
    " SELECT id, folder_id, 1, (id * 7919 % 1000003) / 1000003.0, 5, first_seen_at FROM photos WHERE id > 1"
)
