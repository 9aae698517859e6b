"""Show the daemon at work on a temporary copy of photos: they arrive one by one, are scored and rated."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from maclip_daemon.photos.formats import is_photo

ARRIVAL_INTERVAL_S = 0.3  # slow enough to watch the photos arrive
DEADLINE_S = 240  # then stop waiting and print why
MAXIMUM_PHOTOS = 60  # copied from a folder, so that the demonstration takes under a minute
LEVELS = 7  # the untouched photo and six steps of degradation


def blurred(photo: Image.Image, level: int) -> Image.Image:
    """Lose focus, as a missed autofocus does."""
    return photo.filter(ImageFilter.GaussianBlur(1.0 * level))


def noisy(photo: Image.Image, level: int) -> Image.Image:
    """Add sensor noise, as a high ISO value does."""
    pixels = np.asarray(photo, np.float32)
    noise = np.random.default_rng(level).normal(0, 10.0 * level, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def pixelated(photo: Image.Image, level: int) -> Image.Image:
    """Reduce the resolution, as a messenger's thumbnail does."""
    if not level:
        return photo
    small = photo.resize((max(8, photo.width // (1 + level)), max(8, photo.height // (1 + level))))
    return small.resize(photo.size, Image.Resampling.NEAREST)


def compressed(photo: Image.Image, level: int) -> Image.Image:
    """Compress strongly, as an early web page did."""
    if not level:
        return photo
    squeezed = io.BytesIO()
    photo.save(squeezed, "JPEG", quality=(50, 30, 18, 10, 6, 3)[level - 1])
    return Image.open(squeezed).convert("RGB")


def shaken(photo: Image.Image, level: int) -> Image.Image:
    """Smear along a line, as a shaken camera does."""
    pixels = np.asarray(photo, np.float32)
    return Image.fromarray(
        np.mean([np.roll(pixels, 2 * step, 1) for step in range(2 * level + 1)], 0).astype(np.uint8)
    )


SAMPLES: dict[str, Callable[[Image.Image, int], Image.Image]] = {
    "astronaut.png": blurred,
    "chelsea.png": noisy,
    "coffee.png": pixelated,
    "motorcycle_left.png": shaken,
    "rocket.jpg": compressed,
}


def sample_photos(target: Path) -> Iterator[Path]:
    """Write sample photos of scikit-image (public domain), untouched and ever more degraded; yield paths."""
    import skimage

    source = Path(skimage.__file__).parent / "data"
    for level in range(LEVELS):
        for name, degrade in SAMPLES.items():
            photo = Image.open(source / name).convert("RGB")
            label = f"{level}-{degrade.__name__}" if level else "0-untouched"
            path = target / f"{Path(name).stem}-{label}.jpg"
            degrade(photo, level).save(path, quality=92)
            yield path


def copied_photos(folder: Path, target: Path) -> Iterator[Path]:
    """Copy the first photos of a folder and yield the paths of the copies."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and is_photo(path.name))
    for number, path in zip(range(MAXIMUM_PHOTOS), found, strict=False):
        copy = target / (path.name if not (target / path.name).exists() else f"{number}-{path.name}")
        shutil.copyfile(path, copy)
        yield copy


def model_arguments(data_dir: Path) -> list[str]:
    """Return options for the installed model, or for a random one; print which."""
    from maclip_daemon.errors import ModelUnavailable
    from maclip_daemon.iqa.models import catalogue

    try:
        model = catalogue.resolve("auto", data_dir)
    except ModelUnavailable:
        from maclip_daemon.iqa.models import seeded_checkpoint

        path = data_dir / "seeded.safetensors"
        seeded_checkpoint.write_seeded_checkpoint(path)
        print("No model is installed: this demo uses a random one. ITS SCORES MEAN NOTHING.")
        return ["--model", f"file:{path}"]
    print(f"Scoring with the model {model.name}.")
    return []


def main() -> int:
    """Run the demonstration; return 0 when every photo was scored and rated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        help="photos to copy (default: sample photos)",
    )
    parser.add_argument("--picture", type=Path, help="also save the last tables as this SVG file")
    arguments = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # in a pipe, too, one sees what happens
    folder: Path | None = arguments.folder
    if folder is not None and not folder.is_dir():
        print(f"demo: {folder} is not a folder.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="maclip-demo-") as temporary:
        photos, data_dir = Path(temporary, "Pictures"), Path(temporary, "data")
        photos.mkdir()
        data_dir.mkdir()
        return demonstrate(folder, photos, data_dir, arguments.picture)


def demonstrate(folder: Path | None, photos: Path, data_dir: Path, picture: Path | None) -> int:
    """Start the daemon, add photos until all are rated, print the results, and return the exit code."""
    maclip = [sys.executable, "-m", "maclip_daemon", "--data-dir", str(data_dir)]
    environment = os.environ | {
        "XDG_CONFIG_HOME": str(data_dir / "config"),
        "MACLIP_FOLDERS__SETTLE_S": "0.5",
        # A person waits for this: it does not rest on battery, nor let all other programs go first.
        "MACLIP_BACKGROUND__NICE": "0",
        "MACLIP_BACKGROUND__PAUSE_ON_BATTERY": "false",
    }
    command = [*maclip, "--quiet", "run", str(photos), *model_arguments(data_dir)]
    print(f"$ maclip run {photos} &\n")
    print("  photos arrive; the model is loaded with the first one …")
    daemon = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + DEADLINE_S
    seen: set[str] = set()
    arrived = 0
    try:
        source = copied_photos(folder, photos) if folder else sample_photos(photos)
        for _ in source:
            arrived += 1
            time.sleep(ARRIVAL_INTERVAL_S)
            follow(data_dir, seen)
        while (
            daemon.poll() is None
            and time.monotonic() < deadline
            and not finished(maclip, environment, arrived)
        ):
            follow(data_dir, seen)
            time.sleep(0.5)
        follow(data_dir, seen)
        done = finished(maclip, environment, arrived)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(30)
    if folder is None:
        show_ladders(data_dir)
    print("\n$ maclip worst -n 10")
    sys.stdout.flush()
    subprocess.run([*maclip, "worst", "-n", "10"], env=environment, check=False)
    if picture is not None:
        draw(picture, maclip, environment, photos)
    sidecars = sorted(photos.glob("*.xmp"))
    print(f"$ ls *.xmp        # {len(sidecars)} sidecars, among them")
    for sidecar in sidecars[:3]:
        print(f"  {sidecar.name}")
    print(NEXT)
    if not done:
        print(
            f"demo: not every photo was scored and rated within {DEADLINE_S} s.",
            file=sys.stderr,
        )
    return 0 if done else 1


def follow(data_dir: Path, seen: set[str]) -> None:
    """Print the photos scored since the last call, read from the database."""
    database = data_dir / "library.db"
    if not database.exists():
        return
    try:
        rows = rows_of(data_dir, "select file_name, score from photo_quality order by scored_at")
    except sqlite3.OperationalError:
        return  # the daemon is still creating the database
    for name, score in rows:
        if name not in seen:
            seen.add(name)
            print(f"  scored {len(seen):3d}  {score:.4f}  {name}", flush=True)


def rows_of(data_dir: Path, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a read-only query."""
    connection = sqlite3.connect(f"{(data_dir / 'library.db').as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def show_ladders(data_dir: Path) -> None:
    """Print each sample's scores from untouched to most degraded; they should fall from left to right."""
    scores = dict(rows_of(data_dir, "select file_name, score from photo_quality"))
    print("\nScores of each photo, from untouched to most degraded (they should fall):")
    right = total = 0
    for name, degrade in SAMPLES.items():
        stem = Path(name).stem
        labels = ["0-untouched", *(f"{level}-{degrade.__name__}" for level in range(1, LEVELS))]
        ladder = [scores[f"{stem}-{label}.jpg"] for label in labels if f"{stem}-{label}.jpg" in scores]
        right += sum(better > worse for better, worse in itertools.pairwise(ladder))
        total += max(0, len(ladder) - 1)
        print(f"  {stem:<16} {degrade.__name__:<10} " + "  ".join(f"{score:.3f}" for score in ladder))
    print(f"  {right} of {total} steps to a more degraded copy lowered the score")


def draw(picture: Path, maclip: list[str], environment: dict[str, str], photos: Path) -> None:
    """Save the terminal output of two commands as an SVG file, for the README."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=96, file=io.StringIO(), force_terminal=True)
    ((worst,),) = rows_of(Path(maclip[-1]), "select path from photo_quality order by score limit 1")
    for title, command in (
        ("maclip worst -n 8", ["worst", "-n", "8"]),
        (f"maclip show ~/Pictures/{Path(worst).name}", ["show", worst]),
    ):
        output = on_a_terminal([*maclip, *command], environment).replace(str(photos), "~/Pictures")
        output = re.sub("─{20,}", "─" * 62, output)  # the line fits the temporary folder's longer name
        console.print(Text(f"$ {title}", style="bold"))
        console.print(Text.from_ansi(output))
    console.save_svg(str(picture), title="maclip")


def on_a_terminal(command: list[str], environment: dict[str, str]) -> str:
    """Run a command in a pseudo-terminal and return its output."""
    parent_end, child_end = pty.openpty()
    process = subprocess.Popen(command, env=environment | {"COLUMNS": "140"}, stdout=child_end)
    os.close(child_end)
    output = b""
    with contextlib.suppress(OSError):  # EIO: the program has ended
        while block := os.read(parent_end, 4096):
            output += block
    process.wait()
    os.close(parent_end)
    return output.decode().replace("\r\n", "\n")


def finished(maclip: list[str], environment: dict[str, str], arrived: int) -> bool:
    """Return whether every photo is scored or failed, and every possible rating written."""
    answer = subprocess.run(
        [*maclip, "status", "--json"], env=environment, capture_output=True, text=True, check=False
    )
    if answer.returncode:
        return False
    status = json.loads(answer.stdout)
    counts, jobs = status["photos"], status["jobs"]
    rated = status["calibration"] is not None or counts["scored"] < status["minimum_photos"]
    return bool(
        counts["scored"] + counts["failed"] >= arrived and not jobs["score"] and not jobs["rate"] and rated
    )


NEXT = """
Next, with your own photos:
  scripts/maclip run ~/Pictures --once        score and rate all photos once
  scripts/maclip worst -n 50                  list the 50 lowest scores
  scripts/maclip show PHOTO                   explain one photo's score
  scripts/maclip service install ~/Pictures   score new photos automatically
  scripts/maclip undo                         bring every file back to what it was before
"""


if __name__ == "__main__":
    sys.exit(main())
