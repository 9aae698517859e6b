"""What every stage of a bulk run is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maclip_daemon.archive.storage import Pauses
from maclip_daemon.iqa.photo_score import ScoringConfig
from maclip_daemon.settings import ArchiveSettings, DecodingSettings, ScoringSettings

_OWN_ATTEMPTS = 80  # with pauses of up to 30 s


@dataclass(frozen=True)
class ArchiveJob:
    """One run over an archive. Travels to each worker."""

    run: str
    """Names this run, in each of its rows."""
    out: str
    """The address of the results folder."""
    generation: int
    config: ScoringConfig
    scored_after: float
    """Unix seconds: no row of this run is older, or that of an earlier one would count."""
    decoding: DecodingSettings
    scoring: ScoringSettings
    archive: ArchiveSettings
    data_dir: Path
    """Where models are installed, on each machine."""
    tally: Any
    """The handle of the `RunTally`."""

    @property
    def pauses(self) -> Pauses:
        """Return how storage is asked again for a photo, before that photo fails."""
        return Pauses(self.archive.storage_attempts, self.archive.storage_pause_s)

    @property
    def own_pauses(self) -> Pauses:
        """Return how it is asked for the run's own files, without which all ends: for about half an hour."""
        return Pauses(max(_OWN_ATTEMPTS, self.archive.storage_attempts), self.archive.storage_pause_s)

    @property
    def folder(self) -> str:
        """Return the address of this generation's folder."""
        return f"{self.out.rstrip('/')}/generation={self.generation}"
