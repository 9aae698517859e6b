"""Scores of an archive for a library (`maclip archive import`), found by the pixels of its photos.

The run scans, decodes and stores as ever. Where an archive has the score of the same pixels, it is not
computed again; a photo that has a score of this model already is not touched.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from maclip_daemon.archive.results_folder import open_results
from maclip_daemon.archive.score_lookup import ScoreLookup, score_lookup
from maclip_daemon.files.paths import expanded
from maclip_daemon.library.results.scores import ScoreRow
from maclip_daemon.photos.formats import is_photo
from maclip_daemon.scoring.scorer_client import ScorerClient
from maclip_daemon.settings import Settings

_COLUMNS = tuple(field.name for field in fields(ScoreRow) if field.name != "details")


@dataclass(frozen=True)
class ImportSource:
    """What an archive has for the photos below some folders."""

    lookup: ScoreLookup
    files: int
    """Photo files below the folders."""

    def score_of(self, pixel_hash: str) -> ScoreRow | None:
        """Return the score of a picture; None where the archive has none, or one that is no number."""
        found = self.lookup.find(pixel_hash)
        return None if found is None else _row(found)


@contextmanager
def import_source(
    out: str,
    roots: Sequence[Path],
    settings: Settings,
    *,
    generation: int | None = None,
    memory_mb: int = 2048,
) -> Iterator[ImportSource]:
    """Open the results at `out` for the photos below `roots`.

    Raises `UsageError` for no results, or results of another model than the settings choose.
    """
    folder = open_results(out)
    config = ScorerClient(settings.scoring, settings.data_dir).identity()
    files = [found for root in roots for found in _photo_files(os.path.realpath(expanded(root)))]
    with score_lookup(folder, config, files, generation=generation, memory_mb=memory_mb) as lookup:
        yield ImportSource(lookup, len(files))


def _photo_files(folder: str) -> Iterator[tuple[str, int]]:
    """Yield name and size of each photo file; those that cannot be read are left to the scan."""
    for where, _, names in os.walk(folder):
        for name in filter(is_photo, names):
            try:
                size = os.lstat(os.path.join(where, name)).st_size
            except OSError:
                continue
            yield name, size


def _row(found: Mapping[str, Any]) -> ScoreRow | None:
    values = {name: found[name] for name in _COLUMNS}
    if any(isinstance(value, float) and not math.isfinite(value) for value in values.values()):
        return None
    try:
        details = json.loads(found["score_details"] or "{}")
    except ValueError:
        details = {}
    return ScoreRow(
        **{**values, "views": values["views"] or 1}, details=details if isinstance(details, dict) else {}
    )
