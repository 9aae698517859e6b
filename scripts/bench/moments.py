"""Are photos of one moment found? Scenes with known answers, built from large photos, among other frames."""

from __future__ import annotations

import io
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageFilter

from maclip_daemon.photos.shots.picture_descriptor import describe
from maclip_daemon.pipeline.bursts.burst_frame import NO_EXPOSURE, BurstFrame, Exposure
from maclip_daemon.pipeline.bursts.grouping import group

LONG_EDGE = 1400  # pixels of a scene: a descriptor sees no more
SECOND = 1_000_000
RESAMPLES = 1000


@dataclass
class Scene:
    """One moment: its kind and its frames, in order."""

    kind: str
    name: str
    frames: list[BurstFrame] = field(default_factory=list)


@dataclass
class Timeline:
    """A day of one camera."""

    rng: random.Random
    with_dates: bool
    at_us: int = 1_777_000_000 * SECOND
    number: int = 0
    is_exact_to_fractions: bool = True

    def take(self, image: Image.Image, step_s: float, **changes: object) -> BurstFrame:
        """Take a frame `step_s` after the last one; as JPEG, as a camera stores it."""
        self.at_us += round(step_s * SECOND)
        self.number += 1
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=self.rng.choice((85, 92, 96)))
        moment = self.at_us if self.is_exact_to_fractions else self.at_us // SECOND * SECOND
        values: dict[str, object] = {
            "photo_id": self.number,
            "moment_us": moment,
            "is_exact": self.with_dates,
            "folder_id": 1,
            "file_name": f"IMG_{self.number:04d}.JPG",
            "role": "developed",
            "width": image.width * 4,
            "height": image.height * 4,
            "pixel_hash": str(self.number),
            "exposure": NO_EXPOSURE,
            "packed": describe(Image.open(buffer).convert("RGB")),
        }
        return BurstFrame(**{**values, **changes})  # type: ignore[arg-type]


def opened(path: Path) -> Image.Image:
    """Return a photo at the size of scenes."""
    with Image.open(path) as image:
        image.draft("RGB", (2 * LONG_EDGE, 2 * LONG_EDGE))
        small = image.convert("RGB")
    small.thumbnail((LONG_EDGE, LONG_EDGE))
    return small


def reframed(image: Image.Image, rng: random.Random, shift: float = 0.03, tilt: float = 1.5) -> Image.Image:
    """Return the scene as a hand-held camera sees it a moment later: shifted, cropped, tilted."""
    width, height = image.size
    turned = image.rotate(rng.uniform(-tilt, tilt), Image.Resampling.BICUBIC)
    left = width * (0.05 + rng.uniform(-shift, shift))
    top = height * (0.05 + rng.uniform(-shift, shift))
    closer = rng.uniform(0, shift) * width / 2
    box = (left + closer, top + closer, left + width * 0.9 - closer, top + height * 0.9 - closer)
    return turned.crop(tuple(round(edge) for edge in box))  # type: ignore[arg-type]


def exposed(image: Image.Image, stops: float) -> Image.Image:
    """Return the picture with more or less light, clipped as a sensor clips."""
    linear = (np.asarray(image) / 255) ** 2.2 * 2.0**stops
    return Image.fromarray((np.clip(linear, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8))


def burst(image: Image.Image, day: Timeline) -> Iterator[BurstFrame]:
    """Yield a hand-held burst in which some frames are shaken, missed in focus, or noisy."""
    rng = day.rng
    step_s = rng.choice((0.1, 0.2, 0.5, 1.2))
    for _ in range(rng.randint(3, 8)):
        frame = reframed(image, rng)
        fault = rng.random()
        if fault < 0.15:
            frame = frame.filter(ImageFilter.GaussianBlur(rng.uniform(1, 4)))
        elif fault < 0.3:
            frame = frame.resize((frame.width // 8, frame.height)).resize(frame.size)  # shaken sideways
        elif fault < 0.4:
            noise = np.random.default_rng(rng.getrandbits(32)).normal(0, 10, (frame.height, frame.width, 3))
            frame = Image.fromarray((np.asarray(frame) + noise).clip(0, 255).astype(np.uint8))
        jitter = exposed(frame, rng.uniform(-0.15, 0.15))  # automatic exposure
        seconds = 1 / rng.choice((125, 160))
        yield day.take(jitter, step_s, exposure=Exposure(seconds, 5.6, 400, 0.0, 50.0))


def bracket(image: Image.Image, day: Timeline) -> Iterator[BurstFrame]:
    """Yield an exposure ladder, on a tripod or hand-held, noted in EXIF in full, in part, or not at all."""
    rng = day.rng
    step = rng.choice((0.7, 1.0, 2.0))
    stops = rng.choice(([0, -step, step], [-step, 0, step], [-2 * step, -step, 0, step, 2 * step]))
    noted = rng.choice(("bias", "settings", "nothing"))
    shift = rng.choice((0.0, 0.01))
    for stop in stops:
        exposure = {
            "bias": Exposure(2.0**stop / 60, 8.0, 100.0, stop, 24.0),
            "settings": Exposure(2.0**stop / 60, 8.0, 100.0, 0.0, 24.0),
            "nothing": NO_EXPOSURE,
        }[noted]
        yield day.take(exposed(reframed(image, rng, shift, shift * 50), stop), 0.4, exposure=exposure)


def panorama(image: Image.Image, day: Timeline) -> Iterator[BurstFrame]:
    """Yield overlapping frames that move on along the longer side."""
    rng = day.rng
    wide = image.width >= image.height
    length = max(image.size)
    size, count = 0.42 * length, 4
    step = (length - size) / (count - 1) * rng.uniform(0.9, 1.0)
    for index in range(count):
        start = index * step
        box = (start, 0, start + size, image.height) if wide else (0, start, image.width, start + size)
        frame = image.crop(tuple(round(edge) for edge in box))  # type: ignore[arg-type]
        yield day.take(frame, rng.uniform(1.2, 5), exposure=Exposure(1 / 250, 8.0, 100.0, 0.0, 35.0))


def focus_stack(image: Image.Image, day: Timeline) -> Iterator[BurstFrame]:
    """Yield frames whose plane of focus moves from the lower to the upper part of the scene."""
    rng, count = day.rng, day.rng.randint(5, 9)
    inner = image.crop((30, 30, image.width - 30, image.height - 30))
    depths = np.linspace(1, 0, inner.height)
    blurred = [np.asarray(inner.filter(ImageFilter.GaussianBlur(sigma)), np.float32) for sigma in range(6)]
    for index in range(count):
        distance = np.abs(depths - index / (count - 1)) * 5
        rows = np.stack([blurred[round(value)][row] for row, value in enumerate(distance)])
        frame = Image.fromarray(rows.astype(np.uint8))
        breath = round(index * 0.002 * frame.width)  # the framing changes a little with the focus
        frame = frame.crop((breath, breath, frame.width - breath, frame.height - breath))
        yield day.take(frame, rng.uniform(0.3, 2.5), exposure=Exposure(1 / 60, 5.6, 200.0, 0.0, 90.0))


def time_lapse(image: Image.Image, day: Timeline) -> Iterator[BurstFrame]:
    """Yield frames at an even interval in which the light changes slowly."""
    rng = day.rng
    interval = rng.choice((3, 5, 10, 30))
    for index in range(rng.randint(9, 14)):
        frame = exposed(reframed(image, rng, 0.002, 0.0), 0.03 * index)
        yield day.take(frame, interval, exposure=Exposure(1 / 100, 8.0, 100.0, 0.0, 16.0))


def duplicate(image: Image.Image, day: Timeline) -> Iterator[BurstFrame]:
    """Yield a photo, an export of it, and a small copy: one moment."""
    yield day.take(image, 5)
    name = f"IMG_{day.number:04d}"
    yield day.take(image, 0, folder_id=2, file_name=f"{name}.jpg")
    small = image.resize((image.width // 3, image.height // 3), Image.Resampling.LANCZOS)
    yield day.take(small, 0, folder_id=3, width=small.width, height=small.height, file_name=f"{name}.jpg")


def alone(image: Image.Image, day: Timeline) -> Iterator[BurstFrame]:
    """Yield one photo."""
    yield day.take(image, 0.1)


MAKERS = {
    "burst": burst,
    "bracket": bracket,
    "panorama": panorama,
    "focus stack": focus_stack,
    "time lapse": time_lapse,
    "duplicate": duplicate,
    "alone": alone,
}
DATED = (
    "burst",
    "alone",
    "bracket",
    "burst",
    "alone",
    "panorama",
    "burst",
    "focus stack",
    "alone",
    "duplicate",
)
UNDATED = ("burst", "alone", "alone", "burst")


def scenes_of(paths: list[Path], day: Timeline, kinds: tuple[str, ...]) -> Iterator[Scene]:
    """Yield one scene a photo; every third follows the last one within the gap of a burst."""
    for index, path in enumerate(paths):
        kind = kinds[index % len(kinds)]
        if kind == "panorama" and day.rng.random() < 0.3:
            kind = "time lapse"
        day.is_exact_to_fractions = day.rng.random() < 0.7
        day.at_us += round(day.rng.choice((0.9, 12, 300)) * SECOND)
        try:
            yield Scene(kind, path.name, list(MAKERS[kind](opened(path), day)))
        except OSError:
            continue


def tally(scenes: list[Scene]) -> list[dict[str, float]]:
    """Return for each scene the pairs that are right, wanted and found, and whether it is found whole."""
    frames = [frame for scene in scenes for frame in scene.frames]
    found = {
        frame.photo_id: (index, each) for index, each in enumerate(group(frames)) for frame in each.frames
    }
    rows = []
    for scene in scenes:
        numbers = [frame.photo_id for frame in scene.frames]
        sizes = Counter(found[number][0] for number in numbers if number in found)
        right = sum(count * (count - 1) / 2 for count in sizes.values())
        named = 0.0  # pairs that are named, half of those with a frame of another scene
        for number in numbers:
            if number in found:
                others = {each.photo_id for each in found[number][1].frames} - {number}
                named += sum(0.5 for _ in others)
        main = max(sizes, key=lambda index: sizes[index], default=None)
        kinds = [each.kind.value for index, each in found.values() if index == main]
        is_whole = main is not None and sizes[main] == len(numbers) == len(kinds)
        rows.append(
            {
                "kind": scene.kind,
                "named": kinds[0] if kinds else "nothing",
                "right": right,
                "wanted": len(numbers) * (len(numbers) - 1) / 2,
                "found": named,
                "whole": float(is_whole if len(numbers) > 1 else main is None),
                "name": scene.name,
            }
        )
    return rows  # type: ignore[return-value]


def interval(rows: list[dict[str, float]], part: str, of: str, seed: int = 1) -> str:
    """Return a ratio of sums with its 95 % interval, by resampling scenes."""
    values = np.array([[row[part], row[of]] for row in rows])
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(values), (RESAMPLES, len(values)))
    sums = values[picks].sum(1)
    low, high = np.quantile(sums[:, 0] / np.maximum(sums[:, 1], 1e-9), (0.025, 0.975))
    total = values.sum(0)
    return f"{total[0] / max(total[1], 1e-9):.3f} [{low:.3f}, {high:.3f}]"


def main(
    photos: Annotated[Path, typer.Argument(help="A folder with large photos, searched with its subfolders.")],
    limit: Annotated[int, typer.Option(help="Scenes.")] = 80,
    seed: int = 1,
    undated: Annotated[bool, typer.Option(help="Photos without EXIF, in one folder.")] = False,
    show_wrong: Annotated[bool, typer.Option(help="Name the scenes that were not found whole.")] = False,
) -> None:
    """Print precision and recall of groups, and which kind each scene was named."""
    rng = random.Random(seed)
    paths = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    rng.shuffle(paths)
    day = Timeline(rng, with_dates=not undated)
    rows = tally(list(scenes_of(paths[:limit], day, UNDATED if undated else DATED)))
    typer.echo(f"{len(rows)} scenes, {day.number} frames")
    typer.echo(f"precision of pairs {interval(rows, 'right', 'found')}")
    typer.echo(f"recall of pairs    {interval(rows, 'right', 'wanted')}")
    named: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        named[str(row["kind"])][str(row["named"])] += 1
    for kind, counts in named.items():
        whole = [row["whole"] for row in rows if row["kind"] == kind]
        typer.echo(
            f"{kind:<12} {len(whole)} scenes, {sum(whole) / len(whole):.3f} whole; named {dict(counts)}"
        )
    if show_wrong:
        for row in rows:
            if not row["whole"] or row["named"] not in (row["kind"], "nothing"):
                typer.echo(json.dumps(row))
