"""A library of scored photos in a folder, and a metadata writer that needs no process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import blake3
from sqlalchemy import text

from maclip_daemon.errors import FileChanged, MaclipError
from maclip_daemon.files import temporaries
from maclip_daemon.folders.scanner import found_file
from maclip_daemon.library.photos import photo_records, root_records
from maclip_daemon.library.queue import jobs
from maclip_daemon.library.results import calibration, scores
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import (
    FoundRating,
    Prepared,
    RatingRequest,
    UndoEntry,
    UndoOutcome,
    WriteProof,
)
from maclip_daemon.metadata.writing import undo_delta
from maclip_daemon.metadata.writing.undo_delta import UndoDelta
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.settings import RatingSettings

NOW = 1_780_000_000.0  # hours away from the clock of the files: temporary files of now count as old
EDGES = (0.2, 0.4, 0.6, 0.8)
SETTINGS = RatingSettings(edges=EDGES, darktable_library="off")
PERSONS = b"rated by a person: 5"
CLEARED = b"rated by nobody: 0"
TAKEN_OUT = b"only a person's: 5"
BROKEN = b"damaged"


def sidecar_of(photo: Path) -> Path:
    return Path(f"{photo}.xmp")


class FakeRoots:
    """Roots that are offline where `is_offline_path` says so; `checked` has what is checked soon."""

    def __init__(self, is_offline_path: Callable[[str], bool] = lambda path: False) -> None:
        self.is_offline_path = is_offline_path
        self.checked: list[tuple[str, str]] = []

    def is_offline(self, path: str) -> bool:
        return self.is_offline_path(path)

    def check_photo_soon(self, path: str) -> None:
        self.checked.append(("photo", path))

    def check_root_soon(self, path: str) -> None:
        self.checked.append(("root", path))


class FakeWriter(MetadataWriter):
    """Writes `stars: 3` into sidecars, in this process; `problems` and `lost` make it fail.

    `stars: 3 by 0a0b0c0d` in a sidecar proves that the library of this id wrote it.
    """

    def __init__(self) -> None:
        self.problems: dict[str, MaclipError] = {}
        """What `prepare` and `commit` of the photo of this name run into."""
        self.skipped: dict[str, str] = {}
        self.lost: MaclipError | None = None
        """Ends the next `commit_many`, after it replaced the first file."""
        self.prepared: list[list[str]] = []
        """The names of each `prepare_many`."""
        self.closed = 0

    def prepare_many(self, requests: Sequence[RatingRequest]) -> list[Prepared | MaclipError]:
        self.prepared.append([request.photo.name for request in requests])
        return [self._prepare(request) for request in requests]

    def _prepare(self, request: RatingRequest) -> Prepared | MaclipError:
        photo, rating, target = request.photo, request.rating, sidecar_of(request.photo)
        if photo.name in self.problems:
            return self.problems[photo.name]
        if photo.name in self.skipped:
            return Prepared(photo, "skipped", rating, self.skipped[photo.name])
        found = self.inspect(photo, request.last_written)
        new = f"stars: {rating}".encode()
        if found.owner == "person":
            return Prepared(photo, "person", rating, found=found)
        if target.exists() and target.read_bytes().partition(b" by ")[0] == new:
            return Prepared(photo, "unchanged", rating, found=found)
        old = target.read_bytes() if target.exists() else None
        temporary = temporaries.new_path(target.parent)
        temporary.write_bytes(new)
        return Prepared(
            photo,
            "prepared",
            rating,
            found=found,
            target=target,
            temporary=temporary,
            created=old is None,
            before_hash=None if old is None else blake3.blake3(old).hexdigest(),
            after_hash=blake3.blake3(new).hexdigest(),
            restore=UndoDelta(created=True).encode()
            if old is None
            else undo_delta.between(old, new, mode=0o644, mtime_ns=0).encode(),
        )

    def commit_many(self, prepared: Sequence[Prepared]) -> list[MaclipError | None]:
        outcomes: list[MaclipError | None] = []
        for result in prepared:
            assert result.temporary is not None
            assert result.target is not None
            problem = self.problems.get(f"commit {result.photo.name}")
            if problem is None:
                result.temporary.replace(result.target)
            else:
                result.temporary.unlink(missing_ok=True)
            outcomes.append(problem)
            if self.lost is not None:
                lost, self.lost = self.lost, None
                raise lost
        return outcomes

    def discard(self, prepared: Prepared) -> None:
        assert prepared.temporary is not None
        prepared.temporary.unlink(missing_ok=True)

    def inspect(self, photo: Path, last_written: int | None = None) -> FoundRating:
        if not photo.exists():
            raise FileChanged(f"{photo} is gone.")
        source = sidecar_of(photo)
        content = source.read_bytes() if source.exists() else b""
        if content == PERSONS:
            return FoundRating("person", 5, None, source, None)
        if content == CLEARED:
            return FoundRating("none", 0, None, source, blake3.blake3(content).hexdigest())
        if content.startswith(b"stars: "):
            stars, _, library_id = content[7:].decode().partition(" by ")
            proof = WriteProof(int(stars), None, library_id, is_whole=True) if library_id else None
            source_hash = blake3.blake3(content).hexdigest() if library_id else None
            return FoundRating("maclip", int(stars), int(stars), source, source_hash, proof)
        return FoundRating("none", None, None, source, None)

    def undo(self, entry: UndoEntry, *, dry_run: bool = False) -> UndoOutcome:
        content = entry.target.read_bytes() if entry.target.exists() else None
        present = None if content is None else blake3.blake3(content).hexdigest()
        if content is None and (entry.before_hash is None or entry.is_created):
            return UndoOutcome("gone")
        if present == entry.before_hash:
            return UndoOutcome("already")
        if content == PERSONS:
            if not dry_run:
                entry.target.write_bytes(TAKEN_OUT)
            return UndoOutcome("taken_out", persons_rating=5)
        if present != entry.after_hash:
            return UndoOutcome("changed", f"{entry.target} was changed since.")
        if entry.before_hash is None:
            if not dry_run:
                entry.target.unlink()
            return UndoOutcome("removed")
        if not dry_run:
            assert content is not None
            entry.target.write_bytes(UndoDelta.decode(entry.restore).apply(content))
        return UndoOutcome("restored")

    def preview_undo(self, entries: Sequence[UndoEntry]) -> list[UndoOutcome | MaclipError]:
        """Preview the newest write only; `metadata` has the tests of the others."""
        return [self.undo(entries[0], dry_run=True)]

    def close(self) -> None:
        self.closed += 1


@dataclass
class RatedLibrary:
    """Photos below `folder`, each a file with a score; the clock shows `now`."""

    folder: Path
    library: Library
    now: float = NOW
    scoring_config_id: int = 0
    writer: FakeWriter = field(default_factory=FakeWriter)

    def __post_init__(self) -> None:
        self.state = RunState(clock=lambda: self.now)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.library.writing() as session:
            config = scores.scoring_config_for(session, "maclip", "test", "native")
            scores.activate(session, config.id)
            self.scoring_config_id = config.id

    def add(self, name: str, score: float | None = 0.5, device: int | None = None) -> int:
        """Make a photo file with a score; return its id."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        found = found_file(str(path))
        assert found is not None
        with self.library.writing() as session:
            root = root_records.root_for(session, str(self.folder), self.now)
            seen = found if device is None else found._replace(device=device)
            photo_id = photo_records.record_file(session, root, seen, self.now).photo_id
            if score is not None:
                scores.record(session, self.scoring_config_id, [(photo_id, scores.ScoreRow(score))], self.now)
        return photo_id

    def queue(self, *photo_ids: int) -> None:
        """Queue rate jobs that are due."""
        with self.library.writing() as session:
            jobs.enqueue(session, photo_ids, "rate", self.now)

    def calibrate(self) -> None:
        """Freeze the edges of `EDGES`."""
        with self.library.writing() as session:
            rule = calibration.StarRule(SETTINGS.shares, 2, absolute_edges=EDGES)
            calibration.renew(session, self.scoring_config_id, rule, self.now)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.library.reading() as session:
            return [tuple(row) for row in session.execute(text(query))]

    def write(self, statement: str) -> None:
        """Change the database."""
        with self.library.writing() as session:
            session.execute(text(statement))

    def jobs(self) -> list[tuple[Any, ...]]:
        """Return name, kind, state and attempts of each job."""
        return self.rows(
            "select file_name, kind, jobs.state, attempts from jobs join photos on photos.id = photo_id"
            " order by file_name, kind"
        )
