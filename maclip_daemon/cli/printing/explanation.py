"""A photo's score in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from maclip_daemon.cli.printing import measured_lines, output
from maclip_daemon.cli.printing.judged_views import judged_views
from maclip_daemon.files.paths import printable

if TYPE_CHECKING:
    from maclip_daemon.iqa.view_size import Box
    from maclip_daemon.library.queries.photo_detail import PhotoDetail
    from maclip_daemon.library.queries.photo_rows import PhotoRow

# Words for each prompt pair, when the photo fits its good or its bad side better.
WORDS = {
    "good": ("good image", "bad image"),
    "sharpness": ("sharp", "blurry"),
    "edges": ("sharp edges", "blurry edges"),
    "resolution": ("high resolution", "low resolution"),
    "noise_free": ("clean", "noisy"),
}
CLEARLY, SOMEWHAT = 0.65, 0.55  # least agreement with one side of a pair; 0.5 is neither


def lines(detail: PhotoDetail) -> Iterator[str]:
    """Yield the explanation of one photo, line by line."""
    yield printable(detail.path)
    row = detail.quality
    if detail.failure is not None:
        yield f"  failed after {output.count(detail.attempts, 'attempt')}: {printable(detail.failure)}"
        yield "  `maclip retry` queues it again."
    if detail.state == "missing":
        yield f"  missing since {detail.missing_since}; its score is kept (`maclip purge` forgets it)"
    if row is None:
        yield f"  no score yet ({detail.state})"
        former = detail.former_score
        if former is not None:
            yield f"  before     {former.score:.4f} by {former.model} · {former.metric} · {former.protocol}"
            yield "             it is scored again in the background; its stars follow when all photos are"
        return
    rank = "" if row.percentile is None else f", better than {row.percentile:.1f} % of your photos"
    yield f"  score      {row.score:.4f}{rank}   {output.stars(row.stars)}"
    yield from measured_lines.lines(detail, row)
    yield from _cues(detail, row)
    yield "  prompts    how well pairs of descriptions fit; a model's opinion, not measured"
    for name, (good, bad) in WORDS.items():
        value = getattr(row, name)
        if value is not None:
            yield f"  {name:<10} {value:.3f}  {_in_words(value, good, bad)}"
    yield from _views(detail, row)
    yield f"  scored by  {row.model} · {row.metric} · {row.protocol}"
    yield f"             in {detail.precision} on {detail.device}, {row.scored_at}"
    size = f"{detail.width} × {detail.height}" if detail.width else "unknown size"
    yield f"  photo      {size}, taken {row.taken_at or 'at an unknown time'}"
    yield f"  rating     {_rating(row)}"


def _cues(detail: PhotoDetail, row: PhotoRow) -> Iterator[str]:
    weight = detail.details.get("weight_sim")
    if row.q_sim is not None:
        share = "" if weight is None else f", weight {weight:.2f}"
        yield f"  cosine     {row.q_sim:.4f}  how well it fits descriptions of good photos{share}"
    if row.q_mag is not None:
        share = "" if weight is None else f", weight {1 - weight:.2f}"
        yield f"  magnitude  {row.q_mag:.4f}  how strongly the model responds to the photo{share}"


def _in_words(value: float, good: str, bad: str) -> str:
    agreement, word = (value, good) if value >= 0.5 else (1 - value, bad)
    if agreement >= CLEARLY:
        return f"clearly {word}"
    return f"rather {word}" if agreement >= SOMEWHAT else f"neither {good} nor {bad}"


def _views(detail: PhotoDetail, row: PhotoRow) -> Iterator[str]:
    views = judged_views(detail)
    crops = [view for view in views if view[1].kind == "crop"]
    tiles = [view for view in views if view[1].kind == "tile"]
    if not crops:
        return
    yield from _extremes(detail, crops, "")
    yield f"  spread     {row.view_spread or 0:.4f}  over {len(views) - len(tiles)} views"
    yield from _detail(detail, row, tiles)


def _detail(detail: PhotoDetail, row: PhotoRow, tiles: list[tuple[float, Box]]) -> Iterator[str]:
    overall, found = row.overall_score, row.detail_score
    if overall is not None and found is not None and tiles:
        yield f"  overall    {overall:.4f}  the photo as a whole, small"
        yield f"  detail     {found:.4f}  {len(tiles)} parts of it at half its own size"
        yield from _extremes(detail, tiles, ", at half size")


def _extremes(detail: PhotoDetail, views: list[tuple[float, Box]], beside: str) -> Iterator[str]:
    width, height = detail.details["width"], detail.details["height"]
    for title, (score, box) in (("weakest", min(views, key=_first)), ("strongest", max(views, key=_first))):
        region = _region((box.x + box.width / 2) / width, (box.y + box.height / 2) / height)
        yield f"  {title:<10} {score:.4f}  {region}{beside}"


def _first(pair: tuple[float, object]) -> float:
    return pair[0]


def _region(across: float, down: float) -> str:
    column = "left" if across < 0.4 else "right" if across > 0.6 else "centre"
    line = "upper" if down < 0.4 else "lower" if down > 0.6 else "middle"
    if (line, column) == ("middle", "centre"):
        return "the centre"
    return f"{line} {column}"


def _rating(row: PhotoRow) -> str:
    if row.rating_owner == "person":
        return f"{output.stars(row.rating_in_file)}, your own; maclip never changes it"
    if row.rating_owner == "maclip":
        return f"{output.stars(row.rating_in_file)}, written by maclip (`maclip undo` removes it)"
    return "none in the file"
