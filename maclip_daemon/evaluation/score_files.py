"""Score files: the formats in which authors of IQA datasets publish opinions."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from maclip_daemon.errors import EnvironmentUnfit, UsageError
from maclip_daemon.evaluation.opinions import (
    IMAGE_COLUMNS,
    MOS_COLUMNS,
    Opinion,
    column,
    opinions_from_rows,
    read,
)

_CSIQ_SHEET = "all_by_image"
_CSIQ_FILE_NAMES = {"noise": "AWGN", "blur": "BLUR", "jpeg": "JPEG", "jpeg 2000": "jpeg2000"}


def read_table(file: Path, mos_columns: Sequence[str] = MOS_COLUMNS) -> list[Opinion]:
    """Return the opinions of a table with a header: CSV, or the first sheet of an Excel workbook."""
    if file.suffix.lower() != ".xlsx":
        return read(file, mos_columns)
    rows = _sheet(file, None)
    for number, header in enumerate(rows, 1):
        image, mos = column(header, IMAGE_COLUMNS), column(header, mos_columns)
        if image is not None and mos is not None:
            return opinions_from_rows(
                (
                    (row[image], row[mos], "", str(line))
                    for line, row in enumerate(rows[number:], number + 1)
                    if row[image]
                ),
                file,
            )
    raise UsageError(
        f"{file} has no row with an image and a MOS column. Check that it is the published file."
    )


def read_pairs(files: Iterable[Path], *, score_first: bool = False) -> list[Opinion]:
    """Return the opinions of lines without a header: name and score, separated by a comma or blanks.

    `score_first`: the score comes before the name, as in TID2013.
    """
    opinions: list[Opinion] = []
    for file in files:
        rows = []
        for number, line in enumerate(_text(file).splitlines(), 1):
            parts = line.replace(",", " ").split()
            if not parts:
                continue
            if len(parts) < 2:
                raise UsageError(f"{file}, line {number} must hold a name and a score, not {line!r}.")
            image, score = (parts[1], parts[0]) if score_first else (parts[0], parts[1])
            rows.append((image, score, "", str(number)))
        opinions += opinions_from_rows(rows, file)
    return opinions


def read_matlab(names: Path, scores: Path) -> list[Opinion]:
    """Return the opinions of two MATLAB files, one with a vector of names, one with a vector of scores."""
    images = [str(value[0]) for value in _matlab_vector(names)]
    values = [str(value) for value in _matlab_vector(scores)]
    if len(images) != len(values):
        raise UsageError(f"{names} names {len(images)} images and {scores} has {len(values)} scores.")
    rows = [
        (image, value, "", str(number))
        for number, (image, value) in enumerate(zip(images, values, strict=True), 1)
    ]
    return opinions_from_rows(rows, scores, first_place="entry")


def read_csiq_workbook(file: Path) -> list[Opinion]:
    """Return the opinions of CSIQ's workbook: reference, distortion and level make up each file name."""
    rows = _sheet(file, _CSIQ_SHEET)
    wanted = ("image", "dst_type", "dst_lev", "dmos")
    for number, header in enumerate(rows, 1):
        image, kind, level, score = (column(header, (name,)) for name in wanted)
        if image is not None and kind is not None and level is not None and score is not None:
            body = [(str(line), row) for line, row in enumerate(rows[number:], number + 1) if row[image]]
            kinds = [_CSIQ_FILE_NAMES.get(row[kind].lower(), row[kind]) for _, row in body]
            return opinions_from_rows(
                (
                    (f"{row[image]}.{named}.{row[level]}.png", row[score], row[kind].lower(), line)
                    for (line, row), named in zip(body, kinds, strict=True)
                ),
                file,
            )
    raise UsageError(f"{file}, sheet {_CSIQ_SHEET}, has no row with the columns {', '.join(wanted)}.")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no text in UTF-8.") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None


def _matlab_vector(file: Path) -> list[Any]:
    import scipy.io

    try:
        variables = scipy.io.loadmat(str(file))
    except (OSError, ValueError, NotImplementedError):
        raise UsageError(f"{file} cannot be read as a file of MATLAB.") from None
    vectors = [value for name, value in variables.items() if not name.startswith("__")]
    if len(vectors) != 1:
        raise UsageError(f"{file} must hold one variable, not {len(vectors)}.")
    return list(vectors[0].ravel())


def _sheet(file: Path, name: str | None) -> list[list[str]]:
    """Return the cells of a sheet as text; whole numbers without a decimal point."""
    try:
        openpyxl = importlib.import_module("openpyxl")
    except ImportError:
        raise EnvironmentUnfit(
            f"{file} is an Excel workbook, and reading it needs openpyxl: `pip install openpyxl`. "
            "Or save the sheet as CSV under the same name."
        ) from None
    try:
        workbook = openpyxl.load_workbook(file, read_only=True, data_only=True)
        sheet = workbook[name] if name is not None else workbook.worksheets[0]
        cells = [[_cell_text(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
        workbook.close()
    except (OSError, KeyError, ValueError):
        raise UsageError(
            f"{file} cannot be read as the published workbook. Download it again, or save the sheet as CSV."
        ) from None
    return cells


def _cell_text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()
