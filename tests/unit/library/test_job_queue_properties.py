"""The job queue against a small model of it, in random orders, with a clock that jumps both ways."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from maclip_daemon.library import jobs, leases, photos, roots
from maclip_daemon.library.database import Library
from maclip_daemon.library.jobs import LeasedJob, RetryPolicy

LEASE_S = 100.0
POLICY = RetryPolicy(max_attempts=3, retry_base_s=4)


_EMPTY = tempfile.TemporaryDirectory()
Library.open(Path(_EMPTY.name) / "library.db").close()


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        copy = shutil.copy(Path(_EMPTY.name) / "library.db", self.folder.name)
        self.library = Library.open(Path(copy))
        self.context = self.library.writing()  # one transaction: what is tested is the logic, not the disk
        self.session = self.context.__enter__()
        self.now = 1_780_000_000.0
        root = roots.root_for(self.session, "/p", self.now)
        self.photos = []
        for number in range(4):
            found = _Found(f"/p/{number}.jpg", number)
            self.photos.append(photos.see(self.session, root, found, self.now).photo_id)
        self.wanted: dict[int, int] = {}  # photo → how often it was asked for since its last valid result
        self.failed: dict[int, int] = {}
        self.dead: set[int] = set()
        self.held: list[tuple[str, LeasedJob, int]] = []  # worker, job, its count of asking when leased
        self.valid: dict[int, tuple[str, int]] = {}  # photo → holder of the valid lease

    def teardown(self) -> None:
        self.context.__exit__(None, None, None)
        self.library.close()
        self.folder.cleanup()

    @rule(index=st.integers(0, 3))
    def ask(self, index: int) -> None:
        photo = self.photos[index]
        jobs.enqueue(self.session, photo, "score", self.now)
        self.wanted[photo] = self.wanted.get(photo, 0) + 1
        self.dead.discard(photo)
        if photo not in self.valid:
            self.failed[photo] = 0

    @rule(worker=st.sampled_from("ab"), limit=st.integers(1, 3))
    def lease(self, worker: str, limit: int) -> None:
        for job in jobs.lease(self.session, "score", worker, self.now, LEASE_S, limit):
            assert job.photo_id in self.wanted
            assert job.photo_id not in self.dead
            assert job.photo_id not in self.valid, "leased twice at once"
            assert job.attempts == self.failed.get(job.photo_id, 0)
            self.valid[job.photo_id] = (worker, job.lease_number)
            self.held.append((worker, job, self.wanted[job.photo_id]))

    def _is_valid(self, worker: str, job: LeasedJob) -> bool:
        return self.valid.get(job.photo_id) == (worker, job.lease_number)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), poison=st.booleans(), succeeds=st.booleans())
    def end(self, data: st.DataObject, poison: bool, succeeds: bool) -> None:
        worker, job, asked = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        valid = self._is_valid(worker, job)
        current = valid and asked == self.wanted[job.photo_id]
        if valid:
            del self.valid[job.photo_id]
        if succeeds:
            assert jobs.finish(self.session, job, worker) == current
            if current:
                del self.wanted[job.photo_id]
                self.failed[job.photo_id] = 0
        else:
            ended = jobs.fail(self.session, job, worker, "why", self.now, poison=poison, policy=POLICY)
            if not current:
                assert ended == "lost"
            else:
                self.failed[job.photo_id] += 1
                gone = poison or self.failed[job.photo_id] == POLICY.max_attempts
                assert ended == ("dead" if gone else "retry")
                if gone:
                    self.dead.add(job.photo_id)
        if valid and not current:
            self.failed[job.photo_id] = 0

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        worker, job, _ = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        if self._is_valid(worker, job):
            del self.valid[job.photo_id]
        jobs.give_back(self.session, [job], worker, self.now)

    @rule(worker=st.sampled_from(["a", "b", None]))
    def killed(self, worker: str | None) -> None:
        leases.release_all(self.session, worker, self.now)
        for photo, (holder, _) in list(self.valid.items()):
            if worker in (None, holder):
                del self.valid[photo]

    @rule(seconds=st.sampled_from([1.0, 10.0, 90.0, LEASE_S + 1, 86400.0, -0.5, -50.0, -86400.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        taken = leases.reclaim_expired(self.session, self.now, LEASE_S)
        still = {
            photo
            for (photo,) in self.session.execute(
                jobs.select(jobs.JOBS.c.photo_id).where(jobs.JOBS.c.state == "leased")
            )
        }
        assert taken == len(self.valid) - len(still)
        self.valid = {photo: holder for photo, holder in self.valid.items() if photo in still}

    @invariant()
    def no_request_is_ever_lost(self) -> None:
        counted = jobs.counts(self.session, "score")
        assert counted.dead == len(self.dead)
        assert counted.leased == len(self.valid)
        assert counted.ready + counted.leased + counted.dead == len(self.wanted)

    @invariant()
    def nothing_waits_longer_than_a_pause_can_be(self) -> None:
        due = jobs.next_due(self.session, "score")
        assert due is None or due <= self.now + POLICY.pause_s(POLICY.max_attempts) + 1


class _Found:
    def __init__(self, path: str, inode: int) -> None:
        self.path, self.inode, self.device, self.size, self.mtime_ns = path, inode, 1, 1, 1


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
