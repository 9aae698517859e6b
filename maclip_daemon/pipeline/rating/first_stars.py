"""darktable's own first star: how many photos carry it, so that a person can let maclip rate them.

darktable gives each photo without a rating its initial rating at import, one star by default. A star that a
person pressed looks the same, so nothing is assumed.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.errors import NoAnswer
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.queries import rating_counts
from maclip_daemon.library.queries.rating_counts import Snapshot
from maclip_daemon.metadata.managers import darktablerc
from maclip_daemon.metadata.sidecars import sidecar_names
from maclip_daemon.pipeline.rating.darktable_check import FIRST_STAR

SAMPLED = 100  # sidecars; a hundred are read in a second, from a cold disk too
SIZE_LIMIT = 4 << 20  # bytes of a sidecar that are read
TIMEOUT_S = 5.0  # for a server; then its folder is left out
MOST = 0.5  # of the ratings that are not maclip's; below that a person has rated most photos


@dataclass(frozen=True)
class FirstStars:
    """Photos of one root that carry exactly the rating that darktable gives to new photos."""

    root: str
    rating: int
    count: int
    is_exact: bool
    """False: a sample was read, and the count is an estimate."""

    def sentence(self) -> str:
        """Return the number, the reason and the one command."""
        about = "" if self.is_exact else "about "
        photos = "1 photo" if self.count == 1 else f"{about}{self.count} photos"
        stars = "★" * self.rating
        return (
            f"{photos} in {self.root} got no stars from maclip, because of the {stars} that darktable gives "
            f"to each photo it imports. A {stars} of yours looks the same. To have all of them rated: "
            f"`maclip rate --over-first-stars {shlex.quote(self.root)}` (--dry-run lists them, and "
            f"`maclip undo` brings {stars} back)."
        )


def survey(snapshot: Snapshot, ratings: Collection[int] | None = None) -> list[FirstStars]:
    """Return the roots where most ratings that are not maclip's are darktable's initial one.

    `ratings`: the initial ratings of darktable; None reads them from its settings.
    """
    initial = darktablerc.first_stars() if ratings is None else ratings
    unrated = rating_counts.with_problem(snapshot, FIRST_STAR)
    found = []
    for counted in rating_counts.persons_ratings(snapshot, initial):
        only_in_library = unrated.pop(counted.root, 0)
        if counted.count + only_in_library <= MOST * (counted.of + only_in_library):
            continue
        paths = rating_counts.sample(snapshot, counted.root_id, counted.rating, SAMPLED)
        by_darktable = _count_by_darktable(counted.root, paths)
        count = round(counted.count * by_darktable / len(paths)) + only_in_library
        if count > MOST * (counted.of + only_in_library):
            is_exact = counted.count <= SAMPLED or by_darktable == len(paths)
            found.append(FirstStars(counted.root, counted.rating, count, is_exact))
    for root, count in unrated.items():  # no file there holds a rating of a person's
        found.append(FirstStars(root, min(initial, default=1), count, is_exact=True))
    return sorted(found, key=lambda each: each.root)


def _count_by_darktable(root: str, photos: list[str]) -> int:
    """Return how many of these photos have a sidecar that darktable wrote and maclip did not."""
    probe = FilesystemProbe(TIMEOUT_S)
    probe.refresh_mounts(root)
    try:
        return probe.call_below(root, lambda: sum(_is_by_darktable(Path(photo)) for photo in photos))
    except NoAnswer:
        return 0


def _is_by_darktable(photo: Path) -> bool:
    try:
        sidecars = sidecar_names.find_all(photo)
        if not sidecars:
            return False
        with sidecars[0].path.open("rb") as file:
            text = file.read(SIZE_LIMIT)
    except OSError:
        return False
    return b"darktable:xmp_version" in text and b"maclip:Stars" not in text
