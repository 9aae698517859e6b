"""The tables of the library, as typed models.

Times are UTC text (`timestamps.text`), paths are text or raw bytes (`stored_paths.stored`). The views for
people are in `sql_views.py`.
"""

from __future__ import annotations

from maclip_daemon.library.storage.tables.journal_tables import (
    DecisionColumns,
    DecisionFileColumns,
    JournalEntryColumns,
)
from maclip_daemon.library.storage.tables.photo_tables import (
    FOUND_BY,
    BurstColumns,
    BurstFrameColumns,
    FolderColumns,
    PhotoColumns,
    PhotoPairColumns,
    RootColumns,
)
from maclip_daemon.library.storage.tables.score_tables import (
    CalibrationColumns,
    MeasureColumns,
    QuantileColumns,
    ScoreColumns,
    ScoringConfigColumns,
)
from maclip_daemon.library.storage.tables.table import Table
from maclip_daemon.library.storage.tables.work_tables import AGAIN, FRESH, JobColumns, NoteColumns

__all__ = [
    "AGAIN",
    "BURSTS",
    "BURST_FRAMES",
    "CALIBRATIONS",
    "DECISIONS",
    "DECISION_FILES",
    "FOLDERS",
    "FOUND_BY",
    "FRESH",
    "JOBS",
    "JOURNAL",
    "MEASURES",
    "NOTES",
    "PAIRS",
    "PHOTOS",
    "QUANTILES",
    "ROOTS",
    "SCORES",
    "SCORING_CONFIGS",
    "BurstColumns",
    "BurstFrameColumns",
    "CalibrationColumns",
    "DecisionColumns",
    "DecisionFileColumns",
    "FolderColumns",
    "JobColumns",
    "JournalEntryColumns",
    "MeasureColumns",
    "NoteColumns",
    "PhotoColumns",
    "PhotoPairColumns",
    "QuantileColumns",
    "RootColumns",
    "ScoreColumns",
    "ScoringConfigColumns",
    "Table",
]

# The same tables without the ORM, for statements that run once for each photo.
ROOTS, FOLDERS, PHOTOS = (Table.metadata.tables[name] for name in ("roots", "folders", "photos"))
SCORING_CONFIGS, SCORES, JOBS = (
    Table.metadata.tables[name] for name in ("scoring_configs", "scores", "jobs")
)
CALIBRATIONS, QUANTILES = (Table.metadata.tables[name] for name in ("calibrations", "quantiles"))
JOURNAL, NOTES = (Table.metadata.tables[name] for name in ("rating_journal", "notes"))
BURSTS, BURST_FRAMES = (Table.metadata.tables[name] for name in ("bursts", "burst_frames"))
PAIRS = Table.metadata.tables["photo_pairs"]
DECISIONS, DECISION_FILES = (Table.metadata.tables[name] for name in ("decisions", "decision_files"))
MEASURES = Table.metadata.tables["measures"]
