"""One photo in a folder, and maclip's discovery, scores, ratings and undo over it, all in this process."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from PIL import Image

from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.library.photos import photo_info, root_records
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.library.restore import restore_database
from maclip_daemon.library.results import calibration, scores
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata import metadata_process
from maclip_daemon.metadata.content import exiv2_tags
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.pipeline.commands import rerate, undo_ratings
from maclip_daemon.pipeline.commands.undo_ratings import UndoResult
from maclip_daemon.pipeline.discovery.reconciliation import Reconciliation, ScanScope
from maclip_daemon.pipeline.rating.external_edits import SidecarMonitor
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.pipeline.rating.rating_stage import RatingStage
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.processes.child import Reply
from maclip_daemon.processes.frames import Header
from maclip_daemon.settings import JobSettings, RatingSettings, Settings
from tests.faults.random_walks import TEMPORARY, empty_library
from tests.rated_library import FakeRoots

SCORE = 0.5
LEASE_S = 600.0


class DirectWriter(MetadataWriter):
    """The metadata writer without its process: two thousand walks need no protection from exiv2."""

    def _request(
        self, header: Header, files: Sequence[Path], payload: bytes = b"", *, timeout_s: float | None = None
    ) -> Reply:
        answer, data = metadata_process.handle(header | {"folders": []}, payload)
        assert not answer["last"], "a file has spoilt exiv2's prefixes"
        return Reply(answer, data)


class OnePhoto:
    """A folder with one photo. Time passes only between the steps of a walk."""

    def __init__(self) -> None:
        exiv2_tags._tainted = False  # by another test in this process
        self._temporary = tempfile.TemporaryDirectory(dir=TEMPORARY)
        self.root = Path(self._temporary.name, "Pictures")
        self.root.mkdir()
        self.photo = self.root / "IMG.jpg"
        buffer = io.BytesIO()
        Image.new("RGB", (16, 16), (90, 120, 60)).save(buffer, "JPEG")
        self.photo.write_bytes(buffer.getvalue())
        self._passed_s = 100.0
        self.stars = 3
        self.settings = RatingSettings(darktable_library="off")
        self._backup: Path | None = None
        self._open(empty_library())

    def close(self) -> None:
        self._library.close()
        self._temporary.cleanup()

    def _open(self, copied_from: Path | None = None) -> None:
        if copied_from is not None:
            self._path = Path(tempfile.mkdtemp(dir=self._temporary.name), "library.db")
            shutil.copy(copied_from, self._path)
        self._library = Library.open(self._path)
        self._state = RunState(self.now)
        self._writer = DirectWriter()
        with self._library.writing() as session:
            self._root_id = root_records.root_for(session, str(self.root), self.now())
            config = scores.scoring_config_for(session, "maclip", "builtin", "spaq448")
            scores.activate(session, config.id)
            self._config_id = config.id

    def now(self) -> float:
        return time.time() + self._passed_s

    def time_passes(self) -> None:
        self._passed_s += 60.0

    def touch(self, *files: Path) -> None:
        """Give files that another program wrote the time of now."""
        for file in files:
            os.utime(file, (self.now(), self.now()))

    def run(self) -> None:
        """Do what `maclip run --once` does: scan, score, and write the stars that changed."""
        self._scan()
        self._score()
        self._calibrate()
        SidecarMonitor(self._library, self._state).check_all()
        self._write_stars()

    def rate(self, stars: int) -> None:
        """Do what `maclip rate` does after a run, with edges by which this photo has these stars."""
        self.run()
        self.stars = stars
        rating = self.settings.model_copy(update={"edges": self._edges()})
        settings = Settings(data_dir=self._path.parent, rating=rating)
        rerate.calibrate(self._library, settings, self.now())
        self._write_stars()

    def undo(self) -> list[UndoResult]:
        """Do what `maclip undo --dry-run` and `maclip undo` do, which must come to the same."""
        foreseen, done = (
            list(
                undo_ratings.undo(
                    self._library,
                    self._writer,
                    self._state.probe,
                    undo_ratings.targets(self._library),
                    self.now(),
                    dry_run=dry_run,
                )
            )
            for dry_run in (True, False)
        )
        assert foreseen == done, "--dry-run decided otherwise"
        return done

    def lose_the_library(self) -> None:
        """Begin anew, as on another computer: nothing is left of the journal."""
        self._library.close()
        self._open(empty_library())

    def back_up(self) -> None:
        """Do what `maclip db backup` does."""
        self._backup = Path(tempfile.mkdtemp(dir=self._temporary.name), "backup.db")
        self._library.backup(self._backup)

    def restore(self, *, new: bool) -> None:
        """Do what `maclip db restore` does, with the last backup or with --new."""
        self.time_passes()  # two in one second would set aside into one folder
        self._library.close()
        with restore_database.restoring(self._path, None if new else self._backup) as ready:
            ready.take_place(datetime.fromtimestamp(self.now()))
        self._open()

    @property
    def has_backup(self) -> bool:
        return self._backup is not None

    @property
    def is_known(self) -> bool:
        """Whether the library knows the photo, which a new one does only after a scan."""
        with self._library.reading() as session:
            return session.execute(scores.text("select 1 from photos")).first() is not None

    def row(self) -> tuple[str, str | None]:
        """Return whose rating it is for the library, and why the photo has no stars."""
        with self._library.reading() as session:
            found = session.execute(
                scores.text("select rating_owner, rating_problem from photos where state <> 'missing'")
            ).first()
        return (found[0], found[1]) if found is not None else ("none", None)

    def _scan(self) -> None:
        scope = ScanScope(self._root_id, str(self.root), Exclusion(), settle_s=0.0)
        report = Reconciliation(self._library, self._state, scope, lambda path: None, lambda: True).run()
        assert report.is_complete
        assert not report.problems

    def _score(self) -> None:
        with self._library.writing() as session:
            for job in leases.lease(session, "score", "walk", self.now(), LEASE_S, 10):
                assert jobs.finish(session, [job], "walk")
                info = photo_info.PhotoInfo(16, 16, None, "5" * 64)
                photo_info.set_photo_info(session, {job.photo_id: info})
                row = scores.ScoreRow(SCORE)
                scores.record(session, self._config_id, [(job.photo_id, row)], self.now())
                jobs.enqueue(session, [job.photo_id], "rate", self.now())

    def _edges(self) -> tuple[float, ...]:
        """Return edges by which the score of all photos has the wanted stars."""
        return tuple(SCORE + 0.01 * n + (-0.1 if n < self.stars else 0.1) for n in range(1, 5))

    def _calibrate(self) -> None:
        rule = calibration.StarRule(self.settings.shares, 2, absolute_edges=self._edges())
        with self._library.writing() as session:
            calibration.renew(session, self._config_id, rule, self.now())

    def _write_stars(self) -> None:
        rate_jobs = RateJobs(self._library, self._state, JobSettings(), "walk", FakeRoots())
        stage = RatingStage(rate_jobs, self._state, self.settings, self._writer)
        while stage.work():
            pass
        with self._library.reading() as session:
            waiting = jobs.counts(session, "rate")
        assert not waiting.ready + waiting.leased + waiting.dead, "a rating failed"
