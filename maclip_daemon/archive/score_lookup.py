"""Scores of an archive's results by the hash of the picture, for files that may be among its photos.

An archive may have a thousand times more photos than a library. Only rows whose file name or size occurs
among the given files are kept, in a table of their own that is looked up by pixel hash.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from maclip_daemon.archive.results_folder import ResultsFolder, Rows
from maclip_daemon.errors import UsageError
from maclip_daemon.files.paths import printable_utf8
from maclip_daemon.iqa.photo_score import ScoringConfig

_SCORES = (
    "score, overall_score, detail_score, q_sim, q_mag, good, sharpness, edges, resolution, noise_free,"
    " views, view_spread, precision, device, score_details"
)
_CONFIGS = "SELECT DISTINCT metric, model, protocol FROM results WHERE state = 'scored' ORDER BY ALL"
_CANDIDATES = f"""
CREATE TEMP TABLE candidates AS SELECT pixel_hash, file_name, size, {_SCORES} FROM results
WHERE state = 'scored' AND isfinite(score) AND pixel_hash IS NOT NULL
  AND metric = ? AND model = ? AND protocol = ?
  AND (file_name IN (SELECT file_name FROM files) OR size IN (SELECT size FROM files))
"""
_LIKELY = """
SELECT count(*) AS photos FROM files SEMI JOIN candidates USING (file_name, size)
"""
_BY_HASH = f"SELECT {_SCORES} FROM candidates WHERE pixel_hash = ? LIMIT 1"


class ScoreLookup:
    """The scores of one generation, for files of the given names and sizes. Thread-safe."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._lock = threading.Lock()  # a connection answers one question at a time

    @property
    def count(self) -> int:
        """Return how many scores may be those of the files."""
        return int(self._ask("SELECT count(*) AS n FROM candidates")[0]["n"])

    @property
    def likely(self) -> int:
        """Return how many of the files have both the name and the size of a scored photo."""
        return int(self._ask(_LIKELY)[0]["photos"])

    def find(self, pixel_hash: str) -> dict[str, Any] | None:
        """Return the columns of a picture's score, with `score_details` as JSON; None without one."""
        found = self._ask(_BY_HASH, pixel_hash)
        return found[0] if found else None

    def _ask(self, question: str, *values: object) -> list[dict[str, Any]]:
        with self._lock:
            return self._rows.ask(question, *values)


@contextmanager
def score_lookup(
    folder: ResultsFolder,
    config: ScoringConfig,
    files: Iterable[tuple[str, int]],
    *,
    generation: int | None = None,
    memory_mb: int = 2048,
) -> Iterator[ScoreLookup]:
    """Open the scores of a configuration for files, each a name and a size.

    Takes the newest generation with this configuration. Raises `UsageError` where none has it, and like
    `ResultsFolder.rows`.
    """
    chosen = _generation_of(folder, config) if generation is None else generation
    names, sizes = [], []
    for name, size in files:
        names.append(printable_name(name))
        sizes.append(size)
    with folder.rows(chosen, memory_mb=memory_mb) as rows:
        _require_config(folder, rows, config)
        table = pa.table({"file_name": pa.array(names, pa.string()), "size": pa.array(sizes, pa.int64())})
        rows.connection.register("files", table)
        rows.ask(_CANDIDATES, config.metric, config.model, config.protocol)
        rows.ask("CREATE INDEX by_hash ON candidates (pixel_hash)")
        yield ScoreLookup(rows)


def printable_name(name: str) -> str:
    """Return a file's name as results have it: bytes that are not UTF-8 as `\\\\xNN`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _generation_of(folder: ResultsFolder, config: ScoringConfig) -> int:
    for number in sorted(folder.generations, reverse=True):
        with folder.rows(number) as rows:
            if _names(config) in map(tuple, map(dict.values, rows.ask(_CONFIGS))):
                return number
    return folder.newest  # `_require_config` tells what it has instead


def _require_config(folder: ResultsFolder, rows: Rows, config: ScoringConfig) -> None:
    known = [tuple(row.values()) for row in rows.ask(_CONFIGS)]
    if _names(config) in known:
        return
    shown = printable_utf8(folder.address)
    if not known:
        raise UsageError(f"{shown} has failures only. `maclip archive report` says why.")
    raise UsageError(
        f"{shown} has scores of {' and of '.join(map(_in_words, known))}, but this library uses "
        f"{_in_words(_names(config))}: scores of different models are not comparable. Run `maclip archive` "
        "again with the library's model, or choose the other one in the configuration (scoring.model)."
    )


def _names(config: ScoringConfig) -> tuple[str, str, str]:
    return config.metric, config.model, config.protocol


def _in_words(names: tuple[str, ...]) -> str:
    metric, model, protocol = names
    return f"{model} · {metric} · {protocol}"
