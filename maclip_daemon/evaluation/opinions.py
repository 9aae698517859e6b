"""Human opinions as read from a file: a table (CSV) or the authors' JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maclip_daemon.errors import UsageError

IMAGE_COLUMNS = (
    "image",
    "image_name",
    "img_path",
    "image_path",
    "dist_img",
    "file_name",
    "filename",
    "name",
    "file",
    "path",
)
MOS_COLUMNS = ("mos", "gt_score", "mos_quality", "mean_opinion_score", "score", "mean", "mos_zscore")
SUBSET_COLUMNS = ("subset", "split", "set")
_DELIMITERS = ",;\t"
EXAMPLES_SHOWN = 3  # bad rows named one by one in an error


@dataclass(frozen=True)
class Opinion:
    """One row of a file of opinions."""

    image: str
    """The name of the image, or its path relative to the folder of images."""
    mos: float
    place: str
    """Its position in the file, for messages: `line 7` or `entry 7`."""
    subset: str = ""


def read(source: Path, mos_columns: Sequence[str] = MOS_COLUMNS) -> list[Opinion]:
    """Return the opinions of a CSV or JSON file.

    CSV: a header with an image and a MOS column (`image,mos`; the usual variants are known), separated by
    commas, semicolons or tabs. JSON: a list of objects with `img_path` and `gt_score`, bare or under `files`,
    `data` or `images`, or an object that maps names to scores. `mos_columns`: names of the column of scores.
    Raises `UsageError` that names the file, the line and what to do.
    """
    try:
        text = source.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}. Check the path of --mos.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{source} is not a text file. Save the scores as CSV with `image,mos`.") from None
    return (
        _from_json(text, source) if source.suffix.lower() == ".json" else _from_csv(text, source, mos_columns)
    )


def opinions_from_rows(
    rows: Iterable[tuple[str, str, str, str]], source: Path, *, first_place: str = "line"
) -> list[Opinion]:
    """Return opinions from rows of text: image, score, subset, number of the line.

    Raises `UsageError` that names the first scores that are not finite numbers.
    """
    opinions, bad = [], []
    for image, score, subset, number in rows:
        place = f"{first_place} {number}"
        value = _number(score)
        if value is None or not image.strip():
            bad.append((place, image, score))
        else:
            opinions.append(Opinion(image.strip(), value, place, subset.strip()))
    if bad:
        shown = "; ".join(
            f"{place}: {score!r} for {image!r}" if image.strip() else f"{place}: no image name"
            for place, image, score in bad[:EXAMPLES_SHOWN]
        )
        more = f" and {len(bad) - EXAMPLES_SHOWN} more" if len(bad) > EXAMPLES_SHOWN else ""
        raise UsageError(
            f"{source} has scores that are not numbers ({shown}{more}). Write plain numbers such as 3.7."
        )
    return opinions


def column(header: Sequence[str], known: Sequence[str]) -> int | None:
    """Return the position of the first known column name in a header; None when it has none.

    Case, blanks and hyphens do not matter.
    """
    names = [name.strip().strip('"').lower().replace(" ", "_").replace("-", "_") for name in header]
    return next((names.index(name) for name in known if name in names), None)


def _from_csv(text: str, source: Path, mos_columns: Sequence[str]) -> list[Opinion]:
    lines = text.splitlines()
    if not lines:
        raise UsageError(f"{source} is empty. It needs a header `image,mos` and a line for each image.")
    delimiter = max(_DELIMITERS, key=lines[0].count)
    reader = csv.reader(lines, delimiter=delimiter)
    header = next(reader)
    image, mos = column(header, IMAGE_COLUMNS), column(header, mos_columns)
    if image is None or mos is None:
        raise UsageError(_wrong_columns(header, source, image is None))
    subset = column(header, SUBSET_COLUMNS)
    rows = []
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) <= max(image, mos):
            raise UsageError(
                f"{source}, line {reader.line_num}: {len(row)} columns where the header has {len(header)}. "
                "Complete the line or remove it."
            )
        group = row[subset] if subset is not None and subset < len(row) else ""
        rows.append((row[image], row[mos], group, str(reader.line_num)))
    return opinions_from_rows(rows, source)


def _wrong_columns(header: Sequence[str], source: Path, image_missing: bool) -> str:
    names = ", ".join(name.strip() for name in header)
    if column(header, ("dmos",)) is not None and not image_missing:
        return (
            f"{source} has a DMOS column ({names}), and whether more is better depends on the dataset. Name "
            "the dataset with --dataset, or rename the column to mos with higher as better."
        )
    if any(_number(name) is not None for name in header):
        return f"{source}, line 1 is not a header: it holds a score. Put `image,mos` above it."
    return (
        f"{source}, line 1 has the columns {names}, but no {'image' if image_missing else 'mos'} column. "
        "Name the columns `image` and `mos`."
    )


def _from_json(text: str, source: Path) -> list[Opinion]:
    try:
        content: Any = json.loads(text)
    except json.JSONDecodeError as error:
        position = f"line {error.lineno}, column {error.colno}"
        raise UsageError(f"{source} is not valid JSON, in {position}.") from None
    if isinstance(content, dict):
        nested = next((content[key] for key in ("files", "data", "images") if key in content), None)
        if nested is None:
            content = [{"img_path": name, "gt_score": score} for name, score in content.items()]
        else:
            content = nested
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise UsageError(f"{source} must hold a list of objects with `img_path` and `gt_score`.")
    rows = []
    for number, entry in enumerate(content, 1):
        keys = list(entry)
        image, mos = column(keys, IMAGE_COLUMNS), column(keys, MOS_COLUMNS)
        if image is None or mos is None:
            raise UsageError(
                f"{source}, entry {number} has the keys {', '.join(keys)}, but no "
                f"{'img_path' if image is None else 'gt_score'}. Name them `img_path` and `gt_score`."
            )
        subset = column(keys, SUBSET_COLUMNS)
        group = str(entry[keys[subset]]) if subset is not None else ""
        rows.append((str(entry[keys[image]]), str(entry[keys[mos]]), group, str(number)))
    return opinions_from_rows(rows, source, first_place="entry")


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
