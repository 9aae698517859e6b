"""The job queue and the database shared by real processes, one of them killed at work."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import select

from maclip_daemon.library.photos import missing_photos, photo_records, root_records
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.library.queue.jobs import JobCounts
from maclip_daemon.library.results import scores
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.tables import SCORES

NOW = 1_780_000_000.0
JOB_COUNT = 4000
LEASE_S = 900.0

WORKER = """
import sys
from pathlib import Path
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.library.results import scores
from maclip_daemon.library.storage.database import Library

path, name, pause_after, wait_after = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
done = 0
with Library.open(path) as library:
    while True:
        with library.writing() as session:
            config = scores.active_scoring_config(session)
            leased = leases.lease(session, "score", name, 1_780_000_000.0, 900, 25)
        if not leased:
            break
        if pause_after and done >= pause_after:
            print("holding", len(leased), flush=True)
            sys.stdin.read()  # holds its leases until it is killed
        with library.writing() as session:
            for job in leased:
                assert jobs.finish(session, [job], name) == {job.id}
                score = scores.ScoreRow(0.5, device=name)
                scores.record(session, config.id, [(job.photo_id, score)], 1_780_000_000.0)
        done += len(leased)
        if done == wait_after:
            sys.stdin.readline()  # leaves work to the other one, whoever the lock has favoured so far
print("done", done, flush=True)
"""


class Found(NamedTuple):
    path: str
    inode: int
    device: int = 1
    size: int = 1
    mtime_ns: int = 1
    ctime_ns: int = 1


def start(path: Path, name: str, pause_after: int = 0, wait_after: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(path), name, str(pause_after), str(wait_after)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "library.db"
    with Library.open(place) as library, library.writing() as session:
        root = root_records.root_for(session, "/p", NOW)
        scores.activate(session, scores.scoring_config_for(session, "maclip", "builtin", "spaq448").id)
        ids = [
            photo_records.record_file(session, root, Found(f"/p/{number}.jpg", number), NOW).photo_id
            for number in range(JOB_COUNT)
        ]
        jobs.enqueue(session, ids, "score", NOW)
    return place


def test_two_processes_do_each_job_once_when_one_is_killed_at_work(path: Path) -> None:
    victim = start(path, "victim", pause_after=500)
    survivor = start(path, "survivor", wait_after=JOB_COUNT - 1000)
    try:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "holding 25\n"
        victim.send_signal(signal.SIGKILL)
        victim.wait(timeout=60)
        output, _ = survivor.communicate("go on\n", timeout=120)
        assert survivor.returncode == 0
    finally:
        for process in (victim, survivor):
            process.kill()
            process.communicate()
    with Library.open(path) as library:
        assert library.check() == []
        with library.writing() as session:
            assert jobs.counts(session, "score") == JobCounts(leased=25)
            assert leases.reclaim_expired(session, NOW + LEASE_S - 1, LEASE_S) == 0
            assert leases.reclaim_expired(session, NOW + LEASE_S, LEASE_S) == 25
        last = start(path, "last")
        assert last.communicate(timeout=60)[0] == "done 25\n"
        with library.reading() as session:
            assert jobs.counts(session, "score") == JobCounts()
            done = Counter(session.execute(select(SCORES.c.device)).scalars())
    assert done.total() == JOB_COUNT
    assert (done["last"], f"done {done['survivor']}\n") == (25, output)


def test_a_transaction_of_a_killed_process_is_rolled_back(path: Path) -> None:
    program = (
        "import sys, os, signal\n"
        "from pathlib import Path\n"
        "from maclip_daemon.library.storage.database import Library\n"
        "from maclip_daemon.library.photos import missing_photos\n"
        "with Library.open(Path(sys.argv[1])) as library, library.writing() as session:\n"
        "    missing_photos.mark_missing(session, range(4001), 1.0)\n"
        "    session.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    with Library.open(path) as library, library.reading() as session:
        assert library.check() == []
        assert missing_photos.count_missing(session) == 0


def test_two_processes_that_create_a_library_at_once_create_one(tmp_path: Path) -> None:
    place = tmp_path / "data" / "library.db"
    program = (
        "import sys; from pathlib import Path; from maclip_daemon.library.storage.database import Library\n"
        "Library.open(Path(sys.argv[1])).close()"
    )
    both = [subprocess.Popen([sys.executable, "-c", program, str(place)]) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    with Library.open(place) as library:
        assert library.check() == []
