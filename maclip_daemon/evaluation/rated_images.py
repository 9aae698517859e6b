"""Rated images: the image file of every human opinion, found and checked before any image is scored.

Of a mean opinion score (MOS) more is always better; loaders negate the differential scores (DMOS, less is
better) that some datasets publish.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from maclip_daemon.errors import UsageError
from maclip_daemon.evaluation.opinions import EXAMPLES_SHOWN, Opinion
from maclip_daemon.evaluation.statistics import MINIMUM_IMAGES

_MOST_SUBSETS = 30  # more groups than this are a naming scheme, no subsets


@dataclass(frozen=True)
class RatedImage:
    """An image file with its mean opinion score."""

    path: Path
    mos: float
    """Higher is better, on the scale of its dataset."""
    subset: str = ""
    """Its part of the dataset; empty: none."""


def locate(
    opinions: Sequence[Opinion],
    folders: Sequence[Path],
    source: Path,
    subset_of: Callable[[str], str] | None = None,
    *,
    may_repeat: bool = False,
) -> list[RatedImage]:
    """Return the image file of every opinion, from the first folder that has it.

    An image is searched by its path as given, then by its bare file name in any case. `subset_of`: name of an
    image → its subset; None: the subset column, else the folder, else a prefix that ends in `_`. Raises
    `UsageError` for images that are missing, ambiguous, too few, or listed twice without `may_repeat`, and
    for equal scores.
    """
    check(opinions, source, may_repeat=may_repeat)
    names = _FileNames(folders)
    found = [(opinion, names.paths_of(opinion.image)) for opinion in opinions]
    missing = [opinion for opinion, paths in found if not paths]
    if missing:
        where = " or ".join(str(folder) for folder in folders)
        raise UsageError(
            f"{source}: {_counted(missing, 'image is', 'images are')} not in {where}: {_examples(missing)}. "
            "Name the folder that the names are relative to, or remove the lines."
        )
    ambiguous = [opinion for opinion, paths in found if len(paths) > 1]
    if ambiguous:
        raise UsageError(
            f"{source}: {_counted(ambiguous, 'name fits', 'names fit')} several files: "
            f"{_examples(ambiguous)}. Write the folder before the name."
        )
    if not may_repeat:
        _refuse_repeats([(str(paths[0]), opinion) for opinion, paths in found], source)
    subsets = _subsets(opinions, subset_of)
    return [
        RatedImage(paths[0], opinion.mos, subset)
        for (opinion, paths), subset in zip(found, subsets, strict=True)
    ]


def sample(images: Sequence[RatedImage], limit: int, seed: int) -> list[RatedImage]:
    """Return `limit` of the images, drawn with the seed, in their order; all when there are fewer."""
    if limit >= len(images):
        return list(images)
    chosen = sorted(random.Random(seed).sample(range(len(images)), limit))
    return [images[index] for index in chosen]


def check(opinions: Sequence[Opinion], source: Path, *, may_repeat: bool = False) -> None:
    """Raise `UsageError` for too few or equal opinions, or an image named twice without `may_repeat`."""
    if not may_repeat:
        _refuse_repeats([(_key(opinion.image), opinion) for opinion in opinions], source)
    if len(opinions) < MINIMUM_IMAGES:
        raise UsageError(
            f"{source} has {len(opinions)} rated images; correlations need at least {MINIMUM_IMAGES}. "
            "Add more."
        )
    if len({opinion.mos for opinion in opinions}) == 1:
        raise UsageError(
            f"{source}: every image has the score {opinions[0].mos:g}; without differences there is nothing "
            "to compare with. Check that the right column holds the scores."
        )


def _refuse_repeats(keyed: Sequence[tuple[str, Opinion]], source: Path) -> None:
    seen: dict[str, Opinion] = {}
    repeated = [
        (opinion, first) for key, opinion in keyed if (first := seen.setdefault(key, opinion)) is not opinion
    ]
    if repeated:
        again = [opinion for opinion, _ in repeated]
        raise UsageError(
            f"{source}: {_counted(again, 'image is', 'images are')} listed twice: {_examples(again)}; "
            f"the first of them also in {repeated[0][1].place}. Keep one line for each image."
        )


def _key(image: str) -> str:
    return PurePosixPath(image.replace("\\", "/")).as_posix()


class _FileNames:
    """Finds files by name in some folders; lists the folders only when a path leads to no file."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._by_name: list[dict[str, list[Path]]] | None = None

    def paths_of(self, image: str) -> list[Path]:
        """Return the files that a name can mean: usually one."""
        relative = PurePosixPath(image.replace("\\", "/"))
        for folder in self._folders:
            for candidate in (folder / relative, folder / relative.name):
                if candidate.is_file():
                    return [candidate]
        if self._by_name is None:
            self._by_name = [_files_by_name(folder) for folder in self._folders]
        fitting = (names[relative.name.lower()] for names in self._by_name if relative.name.lower() in names)
        return next(fitting, [])


def _files_by_name(folder: Path) -> dict[str, list[Path]]:
    names: dict[str, list[Path]] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            names.setdefault(path.name.lower(), []).append(path)
    return names


def _subsets(opinions: Sequence[Opinion], subset_of: Callable[[str], str] | None) -> list[str]:
    if subset_of is not None:
        return [opinion.subset or subset_of(opinion.image) for opinion in opinions]
    if any(opinion.subset for opinion in opinions):
        return [opinion.subset for opinion in opinions]
    paths = [PurePosixPath(opinion.image.replace("\\", "/")) for opinion in opinions]
    for guessed in (
        [path.parent.as_posix() for path in paths],
        [path.name.partition("_")[0] if "_" in path.name else "" for path in paths],
    ):
        sizes = [guessed.count(name) for name in set(guessed)]
        if 2 <= len(sizes) <= _MOST_SUBSETS and min(sizes) >= MINIMUM_IMAGES:
            return guessed
    return [""] * len(opinions)


def _counted(opinions: Sequence[Opinion], one: str, many: str) -> str:
    return f"{len(opinions)} {one if len(opinions) == 1 else many}"


def _examples(opinions: Sequence[Opinion]) -> str:
    shown = ", ".join(f"{opinion.image} ({opinion.place})" for opinion in opinions[:EXAMPLES_SHOWN])
    return shown + (" …" if len(opinions) > EXAMPLES_SHOWN else "")
