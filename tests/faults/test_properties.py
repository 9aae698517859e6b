"""The debouncer, the scanner and the job queue against small models, in random orders.

The clocks are arguments and jump both ways; the folders, the database and its transactions are real.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from maclip_daemon.folders.debounce import Debouncer
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.scanner import FoundFile
from maclip_daemon.library.photos import photo_info, photo_records, root_records
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.library.queue.jobs import RetryPolicy
from maclip_daemon.library.queue.leases import LeasedJob
from maclip_daemon.library.results import scores
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.pipeline.discovery.reconciliation import Reconciliation, ScanScope
from maclip_daemon.pipeline.run_state import RunState
from tests.faults.conftest import Figures
from tests.faults.random_walks import TEMPORARY, empty_library, walk, walked

NOW = 1_780_000_000.0
SETTLE_S = 2.0
LEASE_S = 100.0
POLICY = RetryPolicy(max_attempts=3, retry_base_s=4)


class QueueMachine(RuleBasedStateMachine):
    """Two workers, each with its own connection, and one transaction for every step.

    Never: a job leased twice, a result that counts without a lease or for an older request, an attempt
    counted for a photo that was queued again. Always: a queued photo is waiting, leased, given up, or done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=TEMPORARY)
        self.path = Path(shutil.copy(empty_library(), self.folder.name))
        self.workers = {name: Library.open(self.path) for name in "ab"}
        self.now = NOW
        self.photos = []
        with self.workers["a"].writing() as session:
            root = root_records.root_for(session, "/p", self.now)
            for number in range(4):
                found = FoundFile(f"/p/{number}.jpg", 1, 1, inode=number, device=1, ctime_ns=1)
                self.photos.append(photo_records.record_file(session, root, found, self.now).photo_id)
        self.wanted: dict[int, int] = {}  # photo → requests since its last valid result
        self.failed: dict[int, int] = {}
        self.dead: set[int] = set()
        self.leased: list[tuple[str, LeasedJob, int]] = []  # worker, job, number of requests when leased
        self.valid: dict[int, tuple[str, LeasedJob]] = {}  # photo → holder of the valid lease
        walked["rounds"] += 1
        walked["files"] += len(self.photos)

    def teardown(self) -> None:
        for library in self.workers.values():
            library.close()
        self.folder.cleanup()

    @contextlib.contextmanager
    def session_of(self, worker: str) -> Iterator[Session]:
        with self.workers[worker].writing() as session:
            yield session

    @initialize()
    def ask_for_all(self) -> None:
        self.ask(set(range(len(self.photos))), "a")

    @rule(indices=st.sets(st.integers(0, 3), min_size=1), worker=st.sampled_from("ab"))
    def ask(self, indices: set[int], worker: str) -> None:
        asked = [self.photos[index] for index in sorted(indices)]
        with self.session_of(worker) as session:
            jobs.enqueue(session, asked, "score", self.now)
        for photo in asked:
            self.wanted[photo] = self.wanted.get(photo, 0) + 1
            self.dead.discard(photo)
            if photo not in self.valid:
                self.failed[photo] = 0

    @rule(worker=st.sampled_from("ab"), limit=st.integers(1, 3))
    def lease(self, worker: str, limit: int) -> None:
        with self.session_of(worker) as session:
            taken = leases.lease(session, "score", worker, self.now, LEASE_S, limit)
        for job in taken:
            assert job.photo_id in self.wanted
            assert job.photo_id not in self.dead
            assert job.photo_id not in self.valid, "leased twice at once"
            assert job.attempts == self.failed.get(job.photo_id, 0)
            self.valid[job.photo_id] = (worker, job)
            self.leased.append((worker, job, self.wanted[job.photo_id]))

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), how=st.sampled_from(["finish", "finish again", "fail", "poison", "release"]))
    def end(self, data: st.DataObject, how: str) -> None:
        worker, job, asked = self.leased.pop(data.draw(st.integers(0, len(self.leased) - 1)))
        is_valid = self.valid.get(job.photo_id) == (worker, job)
        is_current = is_valid and asked == self.wanted[job.photo_id]
        if is_valid:
            del self.valid[job.photo_id]
        with self.session_of(worker) as session:
            if how == "release":
                jobs.release(session, [job], worker, self.now)
                return
            if how.startswith("finish"):
                assert (job.id in jobs.finish(session, [job], worker)) == is_current
            else:
                poison = how == "poison"
                ended = jobs.fail(session, job, worker, "why", self.now, poison=poison, policy=POLICY)
        if is_valid and not is_current:
            self.failed[job.photo_id] = 0
        if how == "finish again":  # as after an interruption
            with self.session_of(worker) as session:
                assert not jobs.finish(session, [job], worker)
        if how.startswith("finish"):
            if is_current:
                del self.wanted[job.photo_id]
                self.failed[job.photo_id] = 0
        elif not is_current:
            assert ended == "lost"
        else:
            self.failed[job.photo_id] += 1
            is_dead = poison or self.failed[job.photo_id] == POLICY.max_attempts
            assert ended == ("dead" if is_dead else "retry")
            if is_dead:
                self.dead.add(job.photo_id)

    @rule(worker=st.sampled_from("ab"))
    def renew(self, worker: str) -> None:
        with self.session_of(worker) as session:
            renewed = leases.renew(session, worker, self.now, LEASE_S)
        assert renewed == [holder for holder, _ in self.valid.values()].count(worker)

    @rule()
    def retry_all(self) -> None:
        with self.session_of("a") as session:
            assert jobs.retry_dead(session, self.now) == len(self.dead)
        for photo in self.dead:
            self.failed[photo] = 0
        self.dead.clear()

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), at=st.sampled_from(["rest", "finish", "fail"]), all_of_them=st.booleans())
    def killed(self, data: st.DataObject, at: str, all_of_them: bool) -> None:
        worker, job, _ = data.draw(st.sampled_from(self.leased))
        with contextlib.suppress(_Killed), self.session_of(worker) as session:
            if at == "finish":
                jobs.finish(session, [job], worker)
            elif at == "fail":
                jobs.fail(session, job, worker, "why", self.now, poison=True, policy=POLICY)
            raise _Killed
        self._restart(worker, None if all_of_them else worker)

    def _restart(self, worker: str, released: str | None) -> None:
        """Replace a killed worker: its memory is lost, its data stay."""
        walked["faults"] += 1
        self.workers[worker].close()
        self.workers[worker] = Library.open(self.path)
        with self.session_of(worker) as session:
            leases.release_all(session, released, self.now)
        self.valid = {
            photo: (holder, job)
            for photo, (holder, job) in self.valid.items()
            if released is not None and holder != released
        }

    @rule(seconds=st.sampled_from([1.0, 10.0, 90.0, LEASE_S + 1, 86400.0, -0.5, -50.0, -86400.0]))
    def time_passes(self, seconds: float) -> None:
        walked["faults"] += seconds < 0 or seconds > LEASE_S
        self.now += seconds
        with self.session_of("b") as session:
            taken = leases.reclaim_expired(session, self.now, LEASE_S)
            leased = jobs.select(jobs.JOBS.c.photo_id).where(jobs.JOBS.c.state == "leased")
            still = {photo for (photo,) in session.execute(leased)}
        assert taken == len(self.valid) - len(still)
        self.valid = {photo: holder for photo, holder in self.valid.items() if photo in still}

    @invariant()
    def no_request_is_ever_lost(self) -> None:
        with self.workers["a"].reading() as session:
            counted = jobs.counts(session, "score")
        assert counted.dead == len(self.dead)
        assert counted.leased == len(self.valid)
        assert counted.ready + counted.leased + counted.dead == len(self.wanted)

    @invariant()
    def nothing_waits_longer_than_a_pause_can_be(self) -> None:
        with self.workers["b"].reading() as session:
            due = jobs.next_due(session, "score")
        assert due is None or due <= self.now + POLICY.pause_s(POLICY.max_attempts) + 1


class _Killed(Exception):
    """The end of a process in the middle of a transaction."""


FOLDERS = ["", "a", "a/b", "ü 写"]
NAMES = ["one.jpg", "two.JPG", "line\nbreak.jpg", "notes.txt"]


class ScannerMachine(RuleBasedStateMachine):
    """File operations in a real folder, scans in between, and a scorer that reads the files.

    Never: a score of other content than the file's, a photo scored again because it was renamed, a row lost.
    Always: after a scan, the library has exactly the present photos.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=TEMPORARY)
        self.root = Path(self.folder.name, "root")
        self.outside = Path(self.folder.name, "outside")
        for place in (*(self.root / folder for folder in FOLDERS), self.outside):
            place.mkdir(parents=True, exist_ok=True)
        self.library = Library.open(Path(shutil.copy(empty_library(), self.folder.name)))
        self.now = NOW
        self.state = RunState(lambda: self.now)
        self.numbers = itertools.count(1)
        self.was_at: dict[int, Path] = {}  # content → path at the last scan that scoring followed
        self.names_known: set[Path] = set()
        with self.library.writing() as session:
            self.root_id = root_records.root_for(session, str(self.root), self.now)
            self.config = scores.scoring_config_for(session, "maclip", "builtin", "spaq448").id
            scores.activate(session, self.config)
        walked["rounds"] += 1

    @initialize()
    def begin(self) -> None:
        for folder in FOLDERS:
            self._write(self.root / folder / NAMES[0])
        self.scan_and_score()

    def teardown(self) -> None:
        try:
            self.scan_and_score()
        finally:
            self.library.close()
            self.folder.cleanup()

    def _files(self, folder: Path | None = None) -> list[Path]:
        return sorted(path for path in (folder or self.root).rglob("*") if path.is_file())

    def _photos(self) -> dict[Path, int]:
        """Return the photos that a scan should find, with their content."""
        return {
            path: int(path.read_bytes())
            for path in self._files()
            if path.suffix.lower() == ".jpg"
            and not path.is_symlink()
            and not any(part.startswith(".") for part in path.relative_to(self.root).parts)
        }

    def _write(self, path: Path) -> None:
        number = next(self.numbers)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            path.unlink()
        path.write_bytes(str(number).encode())
        os.utime(path, ns=(0, number * 10**9))  # two writes within one clock tick are not tested here
        walked["files"] += 1

    def _fresh(self, folder: str, suffix: str = "") -> Path:
        return self.root / folder / f"fresh {next(self.numbers)}{suffix}"

    @rule(folder=st.sampled_from(FOLDERS), name=st.sampled_from(NAMES), fresh=st.booleans())
    def write(self, folder: str, name: str, fresh: bool) -> None:
        self._write(self._fresh(folder, ".jpg") if fresh else self.root / folder / name)

    @precondition(lambda self: self._files())
    @rule(
        data=st.data(), folder=st.sampled_from(FOLDERS), onto=st.sampled_from([None, *NAMES, ".hidden.jpg"])
    )
    def rename(self, data: st.DataObject, folder: str, onto: str | None) -> None:
        file = data.draw(st.sampled_from(self._files()))
        target = self._fresh(folder, ".jpg") if onto is None else self.root / folder / onto
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)

    @precondition(lambda self: len(self._files()) > 1)
    @rule(data=st.data())
    def swap(self, data: st.DataObject) -> None:
        one, other = (data.draw(st.sampled_from(self._files())) for _ in range(2))
        one.rename(aside := self.outside / "aside")
        if one != other:
            other.rename(one)
        aside.rename(other)

    @precondition(lambda self: self._files())
    @rule(data=st.data(), is_link=st.booleans())
    def delete(self, data: st.DataObject, is_link: bool) -> None:
        file = data.draw(st.sampled_from(self._files()))
        file.unlink()
        if is_link:
            file.symlink_to(self.root)

    @precondition(lambda self: self._files())
    @rule(data=st.data())
    def move_out(self, data: st.DataObject) -> None:
        file = data.draw(st.sampled_from(self._files()))
        file.rename(self.outside / f"{next(self.numbers)}.jpg")

    @precondition(lambda self: self._files(self.outside))
    @rule(data=st.data(), folder=st.sampled_from(FOLDERS))
    def move_in(self, data: st.DataObject, folder: str) -> None:
        file = data.draw(st.sampled_from(self._files(self.outside)))
        target = self._fresh(folder, ".jpg")
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)

    @rule(folder=st.sampled_from(FOLDERS[1:]), back=st.booleans())
    def rename_folder(self, folder: str, back: bool) -> None:
        if (self.root / folder).is_dir():
            (self.root / folder).rename(renamed := self._fresh(""))
            if back:
                renamed.rename(self.root / folder)

    @rule(folder=st.sampled_from(FOLDERS[1:]))
    def delete_folder(self, folder: str) -> None:
        shutil.rmtree(self.root / folder, ignore_errors=True)

    @rule(seconds=st.sampled_from([1.0, 3600.0, -3600.0]))
    def clock_jumps(self, seconds: float) -> None:
        self.now += seconds

    @rule(start=st.sampled_from([None, *FOLDERS]))
    def scan_a_part(self, start: str | None) -> None:
        if start is None or (self.root / start).is_dir():
            self._scan(str(self.root / start) if start else None)

    @rule()
    def root_goes_away_during_a_scan(self) -> None:
        walked["faults"] += 1
        before = self._rows("state <> 'missing'")
        assert not self._scan(reachable=False).is_complete
        assert self._rows("state <> 'missing'") >= before, "a photo of a lost root became missing"

    @rule()
    def scan_and_score(self) -> None:
        rows = self._rows()
        report = self._scan()
        assert report.is_complete
        there = self._photos()
        assert self._present() == set(there)
        assert self._rows() >= rows - report.moved, "a row was lost"
        scored = self._score()
        for path, content in there.items():
            assert self._score_of(path) == content, "a score of other content"
            before = self.was_at.get(content)
            if before is not None and (
                before == path or (path not in self.names_known and not _exists(before))
            ):
                assert content not in scored, f"scored again after it moved from {before} to {path}"
        self.was_at |= {content: path for path, content in there.items()}
        self.names_known |= set(there)

    def _scan(self, start: str | None = None, *, reachable: bool = True):
        there = self._photos()
        report = Reconciliation(
            self.library,
            self.state,
            ScanScope(self.root_id, str(self.root), Exclusion(), settle_s=0.0),
            lambda path: None,
            lambda: reachable,
        ).run(start)
        self.names_known |= set(there) if start is None else set()
        # Content found at that path by any scan has taken over its row.
        self.was_at = {
            content: path for content, path in self.was_at.items() if there.get(path, content) == content
        }
        return report

    def _score(self) -> set[int]:
        """Process the queue as the daemon does; return the scored contents. A score is the content."""
        scored = set()
        with self.library.writing() as session:
            self.now += 3600.0 * 2  # all is due, however the clock jumped
            leases.reclaim_expired(session, self.now, LEASE_S)
            for job in leases.lease(session, "score", "a", self.now, LEASE_S, 1000):
                if (path := Path(job.path)).is_file():
                    assert jobs.finish(session, [job], "a") == {job.id}
                    content = int(path.read_bytes())
                    # A photo whose file was touched is read again, and keeps its score.
                    is_other = photo_info.pixel_hash_of(session, job.photo_id) != str(content)
                    info = photo_info.PhotoInfo(1, 1, None, str(content))
                    photo_info.set_photo_info(session, {job.photo_id: info})
                    row = scores.ScoreRow(float(content))
                    scores.record(session, self.config, [(job.photo_id, row)], self.now)
                    if is_other:
                        scored.add(content)
        return scored

    def _present(self) -> set[Path]:
        with self.library.reading() as session:
            present = photo_paths.present_under(session, str(self.root))
            return {Path(str(photo_paths.path_of(session, photo_id))) for photo_id in present}

    def _score_of(self, path: Path) -> float | None:
        with self.library.reading() as session:
            stored = scores.select(scores.SCORES.c.score).where(
                scores.SCORES.c.photo_id == photo_paths.find_photo(session, str(path))
            )
            found: float | None = session.execute(stored).scalar()
            return found

    def _rows(self, which: str = "1") -> int:
        with self.library.reading() as session:
            return int(
                session.execute(scores.text(f"select count(*) from photos where {which}")).scalar_one()
            )


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


class Disk(dict[str, FoundFile]):
    def put(self, path: str, size: int, mtime_ns: int) -> None:
        self[path] = FoundFile(path, size, mtime_ns, inode=1, device=1, ctime_ns=mtime_ns)


PATHS = [f"/p/{folder}/{number}.jpg" for folder in "abc" for number in range(4)]


class DebouncerMachine(RuleBasedStateMachine):
    """Writes with and without events, deletions, and checks in any order.

    The model knows when each file was last written or touched. Never: a report of an incomplete file. Always:
    after a quiet period, every touched file was reported, or its folder, or everything.
    """

    def __init__(self) -> None:
        super().__init__()
        self.debouncer = Debouncer(SETTLE_S, max_files_per_folder=3, max_files=6)
        self.disk = Disk()
        self.now = 1000.0
        self.version = 0
        self.last_event: dict[str, float] = {}
        self.last_write: dict[str, float] = {}
        self.touched: set[str] = set()  # an event came since the last report
        self.owed: set[str] = set()  # and no check found the file empty or missing
        walked["rounds"] += 1

    @rule(path=st.sampled_from(PATHS), size=st.integers(0, 2), has_event=st.booleans())
    def write(self, path: str, size: int, has_event: bool) -> None:
        self.version += 1
        walked["files"] += 1
        self.disk.put(path, size, self.version)
        self.last_write[path] = self.now
        if has_event:
            self.touch(path)

    @rule(path=st.sampled_from(PATHS))
    def touch(self, path: str) -> None:
        self.debouncer.touch(path, self.now)
        self.last_event[path] = self.now
        self.touched.add(path)
        self.owed.add(path)

    @rule(
        path=st.sampled_from(PATHS), pauses=st.lists(st.sampled_from([0.7, SETTLE_S]), min_size=1, max_size=4)
    )
    def copy_in_pieces(self, path: str, pauses: list[float]) -> None:
        for number, pause in enumerate(pauses):
            self.write(path, 1, has_event=number == 0)
            self.check_due()
            self.wait(pause)
        self.check_due()

    @precondition(lambda self: self.disk)
    @rule(data=st.data(), has_event=st.booleans())
    def delete(self, data: st.DataObject, has_event: bool) -> None:
        path = data.draw(st.sampled_from(sorted(self.disk)))
        del self.disk[path]
        if has_event:
            self.debouncer.forget(path)
            self.owed.discard(path)

    @rule(folder=st.sampled_from(["/p/a", "/p/b", "/p"]))
    def delete_folder(self, folder: str) -> None:
        for path in [path for path in self.disk if path.startswith(folder + "/")]:
            del self.disk[path]
        self.debouncer.forget_folder(folder)
        self.owed = {path for path in self.owed if not path.startswith(folder + "/")}

    @rule(seconds=st.sampled_from([0.1, 0.7, 1.0, SETTLE_S, 60.0, -5.0, -5000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        walked["faults"] += seconds < 0
        if seconds < 0:  # the model shifts with the clock, as the debouncer does
            self.last_event = {path: at + seconds for path, at in self.last_event.items()}
            self.last_write = {path: at + seconds for path, at in self.last_write.items()}
        self.debouncer.wait_s(self.now)

    @rule()
    def check_due(self) -> None:
        due = self.debouncer.due(self.now, self.disk.get)
        for file in due.files:
            assert file == self.disk[file.path]
            assert file.size > 0
            for last in (self.last_event, self.last_write):
                assert self.now - last.get(file.path, -1e9) >= SETTLE_S - 1e-6
            assert file.path in self.touched
            self.touched.discard(file.path)
            self.owed.discard(file.path)
        if due.everything:
            self.owed.clear()
        for folder in due.folders:
            self.owed = {path for path in self.owed if not path.startswith(folder + "/")}
        # An empty or missing file may be dropped: another event or the next scan finds a later write.
        self.owed = {path for path in self.owed if path in self.disk and self.disk[path].size}

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.debouncer.pending <= 6 + 4

    @rule()
    def everything_is_reported_when_it_is_quiet(self) -> None:
        for _ in range(3):
            self.check_due()
            self.now += SETTLE_S
        self.check_due()
        assert self.owed == set()
        assert self.debouncer.pending == 0
        assert self.debouncer.wait_s(self.now) is None


def test_the_debouncer_reports_complete_files_and_nothing_else(full: bool, figures: Figures) -> None:
    walk(DebouncerMachine, examples=5000 if full else 60, steps=40, full=full)
    figures(**walked, note="walks of the debouncer")


def test_scans_match_the_folder_and_no_score_belongs_to_another_file(full: bool, figures: Figures) -> None:
    walk(ScannerMachine, examples=2000 if full else 100, steps=30, full=full)
    figures(**walked, note="walks of the scanner over real folders")


def test_the_queue_loses_no_job_and_runs_none_twice(full: bool, figures: Figures) -> None:
    walk(QueueMachine, examples=1000 if full else 40, steps=60, full=full)
    figures(**walked, note="walks of two workers and their queue")
