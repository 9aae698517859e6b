"""Reckon what an archive costs in hours and money, from measured times and from prices that you give.

python scripts/archive_costs.py                       # the table of docs/archive.md
python scripts/archive_costs.py --core-hour 0.02 --cores 512
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields

PHOTO_COUNTS = (10_000_000, 100_000_000)


@dataclass(frozen=True)
class Assumptions:
    """Everything the reckoning rests on; times are of one core, in milliseconds."""

    decode_ms: float = 145.0
    """Measured: reading, decoding, measuring a JPEG of 24 megapixels."""
    builtin_ms: float = 306.0
    """Measured: the whole way with the built-in model and `detail-8`."""
    rn50_view_ms: float = 24.8
    """Measured: a view of RN50 in bf16 (12.4 ms on two cores)."""
    views: int = 15
    """Of a 3:2 photo with `detail-8`."""
    overhead: float = 1.1
    """Assumed: Ray, storage and what waits; the aim is below this."""
    cores: int = 256
    """Assumed: cores of the cluster."""
    core_hour: float = 0.045
    """Assumed: dollars for one virtual core, without a commitment."""
    gpu_cores: int = 16
    """Assumed: cores beside one graphics card."""
    gpu_hour: float = 1.6
    """Assumed: dollars for such a machine."""
    gpu_photos: float = 500.0
    """Assumed, not measured: photos a second that the card can judge; more than its cores decode."""
    get_price: float = 0.0004
    """Assumed: dollars for a thousand reads from storage."""


@dataclass(frozen=True)
class Row:
    """One way to do it."""

    way: str
    photos: int
    photos_per_s: float
    machines: str
    hours: float
    dollars: float


def rows(given: Assumptions) -> list[Row]:
    """Return each way for each number of photos."""
    other_ms = given.builtin_ms - given.decode_ms  # encoding and the rest with the built-in model
    rn50_ms = given.decode_ms + given.views * given.rn50_view_ms
    found = []
    for photos in PHOTO_COUNTS:
        reads = photos / 1000 * given.get_price
        for way, core_ms in (("built-in model", given.decode_ms + other_ms), ("RN50", rn50_ms)):
            rate = given.cores * 1000 / core_ms / given.overhead
            hours = photos / rate / 3600
            cost = hours * given.cores * given.core_hour + reads
            found.append(Row(f"{way}, cores alone", photos, rate, f"{given.cores} cores", hours, cost))
        cards = given.cores // given.gpu_cores
        rate = cards * min(given.gpu_photos, given.gpu_cores * 1000 / given.decode_ms) / given.overhead
        hours = photos / rate / 3600
        name = f"{cards} machines, one card and {given.gpu_cores} cores each"
        found.append(
            Row("either, with cards", photos, rate, name, hours, hours * cards * given.gpu_hour + reads)
        )
    return found


def table(given: Assumptions) -> str:
    """Return the rows as a table in Markdown."""
    lines = [
        "| photos | model | on | photos a second | hours | dollars |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.photos // 1_000_000} million | {row.way} | {row.machines} | {row.photos_per_s:.0f}"
        f" | {row.hours:.1f} | {row.dollars:.0f} |"
        for row in rows(given)
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table for the given assumptions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for field in fields(Assumptions):
        kind = int if isinstance(field.default, int) else float
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    print(table(Assumptions(**vars(parser.parse_args(arguments)))))


if __name__ == "__main__":
    main()
