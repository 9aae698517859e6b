"""Generations of results: one folder for each model, metric and protocol that judged an archive."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import pyarrow.parquet as pq

from maclip_daemon.archive.rows import FAILED, SCORED
from maclip_daemon.archive.storage import Pauses, Place, insist, is_there
from maclip_daemon.archive.whole_files import write_whole
from maclip_daemon.iqa.photo_score import ScoringConfig

NOTE = "_generation.json"
_FOLDER = re.compile(r"generation=(\d{1,9})")


@dataclass(frozen=True)
class Generation:
    """The results of one model, metric and protocol."""

    number: int
    place: Place
    """Its folder."""
    parts: tuple[str, ...]
    """Paths of its result files."""

    def parts_of(self, state: str) -> tuple[str, ...]:
        """Return the files of scored or of failed photos."""
        return tuple(part for part in self.parts if part.rpartition("/")[2].startswith(f"{state}-"))


def generation_of(out: Place, config: ScoringConfig, pauses: Pauses) -> Generation:
    """Return the generation of a results folder for this model; begin one where there is none.

    Raises what `storage.insist` raises.
    """
    numbers = sorted(_numbers(out, pauses), reverse=True)
    for number in numbers:
        place = out.folder(f"generation={number}")
        if _config_in(place, pauses) == config:
            return Generation(number, place, _parts(place, pauses))
    number = max(numbers, default=0) + 1
    place = out.folder(f"generation={number}")
    note = {"metric": config.metric, "model": config.model, "protocol": config.protocol}
    write_whole(place, NOTE, json.dumps(note).encode(), pauses)
    return Generation(number, place, ())


def _numbers(out: Place, pauses: Pauses) -> list[int]:
    names = (path.rstrip("/").rpartition("/")[2] for path in _listed(out, pauses))
    return [int(found[1]) for found in map(_FOLDER.fullmatch, names) if found]


def _listed(place: Place, pauses: Pauses) -> list[str]:
    def work() -> list[str]:
        place.file_system.invalidate_cache()
        try:
            return [str(path) for path in place.file_system.ls(place.path, detail=False)]
        except FileNotFoundError:
            return []

    return insist(work, pauses, place.path)


def _parts(place: Place, pauses: Pauses) -> tuple[str, ...]:
    return tuple(
        sorted(
            path
            for path in _listed(place, pauses)
            if path.endswith(".parquet") and path.rpartition("/")[2].startswith((f"{SCORED}-", f"{FAILED}-"))
        )
    )


def _config_in(place: Place, pauses: Pauses) -> ScoringConfig | None:
    """Return what judged a generation: by its note, else by its first row."""

    def from_note() -> ScoringConfig | None:
        path = place.below(NOTE)
        if not is_there(place.file_system, path):
            return None
        note = json.loads(place.file_system.cat_file(path))
        return ScoringConfig(note["metric"], note["model"], note["protocol"])

    def from_row() -> ScoringConfig | None:
        parts = _parts(place, pauses)
        if not parts:
            return None
        with place.file_system.open(parts[0], "rb") as file:
            columns = ["metric", "model", "protocol"]
            row = next(pq.ParquetFile(file).iter_batches(1, columns=columns)).to_pylist()[0]
        return ScoringConfig(row["metric"], row["model"], row["protocol"])

    return insist(from_note, pauses, place.path) or insist(from_row, pauses, place.path)
