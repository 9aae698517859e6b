"""What a bulk run costs: the bookkeeping alone, beside `maclip score`, and on one and two machines."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer

from bench.archive_processes import ProcessTree
from maclip_daemon import settings
from maclip_daemon.archive.archive_run import ArchiveRequest, run
from maclip_daemon.archive.planning.plan_chunks import read_chunk
from maclip_daemon.archive.rows import SCORED, Row, RowOrigin, failed_row, scored_row, table_of
from maclip_daemon.archive.stages.archive_job import ArchiveJob
from maclip_daemon.archive.stages.decoded_batch import Decoding, packed, unpacked
from maclip_daemon.archive.stages.run_tally import Counts
from maclip_daemon.errors import PhotoMissing
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.photos.shots.descriptor_layout import DESCRIPTOR_BYTES

NOTHING = bytes(DESCRIPTOR_BYTES)
PHOTO = DecodedPhoto(b"x" * 12, None, 2, 2, 6000, 4000, "j:" + "0" * 32, None, None, descriptor=NOTHING)
MISSING = PhotoMissing("It is not there.")
SCORE = PhotoScore(0.5, 0.5, 0.5, {}, 13, (0.5,) * 13, 0.1, 0.5)


class ConstantDecode:
    """Takes every photo for the same one, and reads none."""

    def __init__(self, job: ArchiveJob) -> None:
        self._job = job

    def __call__(self, chunks: pa.Table) -> Iterator[pa.Table]:
        """Yield one small batch for each chunk of the plan."""
        for chunk in chunks.to_pylist():
            sources = read_chunk(chunk["plan"], chunk["group"], self._job.pauses)
            yield packed(
                [Decoding(each, MISSING if "missing" in each.address else PHOTO) for each in sources]
            )


class ConstantScore:
    """Scores every photo alike."""

    def __init__(self, job: ArchiveJob, version: str, _threads: int) -> None:
        self._job, self._version = job, version

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return rows as the real stage does."""
        job = self._job
        origin = RowOrigin(
            job.config, self._version, job.generation, job.run, socket.gethostname(), time.time()
        )
        rows = [_row(each, origin) for each, _ in unpacked(table)]
        scored = sum(row["state"] == SCORED for row in rows)
        job.tally.add.remote(scored, [row["failure"] for row in rows if row["state"] != SCORED])
        return table_of(rows)


def _row(decoding: Decoding, origin: RowOrigin) -> Row:
    if isinstance(decoding.outcome, PhotoMissing):
        return failed_row(decoding.source, decoding.outcome, origin)
    return scored_row(decoding.source, PHOTO, SCORE, origin)


class Silent:
    """Notes when the work began and when the first photos were counted, and tells nothing."""

    began = planned_at = first_at = 0.0
    first = 0

    def planned(self, *_: Any) -> None:
        """Note that the plan is made."""
        self.planned_at = time.monotonic()

    def started(self, *_: Any) -> None:
        """Note that Ray runs."""
        self.began = time.monotonic()

    def progressed(self, counts: Counts) -> None:
        """Note the first photos."""
        if counts.done and not self.first_at:
            self.first_at, self.first = time.monotonic(), counts.done


def _as_installed() -> None:
    """Let Ray's processes start as those of a user do, without what only tools of development bring."""
    folder = Path(__file__).parents[2] / "tests/archive/as_installed"
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    sys.path.insert(0, str(folder))


def main(
    rows: Annotated[
        str, typer.Option(help="Addresses of the bookkeeping runs, after each other.")
    ] = "10000,100000",
    photos: Annotated[
        Path | None, typer.Option(help="A folder of photos: compare with `maclip score`.")
    ] = None,
    nodes: Annotated[
        Path | None, typer.Option(help="A folder of photos: one against two machines of one core each.")
    ] = None,
    missing: Annotated[bool, typer.Option(help="Half of the addresses of the bookkeeping miss.")] = False,
    turns: Annotated[int, typer.Option(help="How often each is measured, one after the other.")] = 2,
) -> None:
    """Measure rows a second with constant scores, the overhead beside `maclip score`, machines: JSON."""
    _as_installed()
    for count in filter(None, rows.split(",")):
        print(json.dumps(_bookkeeping(int(count), missing=missing)), flush=True)
    if photos is not None:
        print(json.dumps(_overhead(photos, turns)), flush=True)
    if nodes is not None:
        from bench.archive_nodes import one_and_two

        for taken in one_and_two(nodes, turns):
            print(json.dumps(taken), flush=True)


def _bookkeeping(count: int, *, missing: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "list.txt"
        with listed.open("w") as file:
            for number in range(count):
                folder_name = "missing" if missing and number % 2 else f"{number // 1000:06d}"
                file.write(f"s3://studio/archive/{folder_name}/IMG_{number:09d}.jpg\n")
        observer = Silent()
        processes = ProcessTree(lambda: bool(observer.first_at))
        request = ArchiveRequest(str(listed), f"{folder}/out", settings.load(), cores=os.cpu_count() or 1)
        began = time.monotonic()
        result = run(request, observer, (ConstantDecode, ConstantScore))
        ended = time.monotonic()
        processes.end()
        assert (result.scored, result.failed) == ((count + 1) // 2, count // 2) if missing else (count, 0)
    return {
        "rows": count,
        "missing": result.failed,
        "planning_s": round(observer.planned_at - began, 1),
        "ray_start_s": round(observer.began - observer.planned_at, 1),
        "work_s": round(ended - observer.began, 1),
        "rows_a_second": round(count / (ended - observer.began)),
        "planning_mib": processes.before_mib,
        "driver_mib": processes.own_mib,
        "workers_mib": processes.workers_mib,
        "processor_s": processes.processor_s(),
        "load": os.getloadavg()[0],
    }


def _overhead(photos: Path, turns: int) -> dict[str, Any]:
    """Run both on the same photos, one after the other and in turn; the faster of each counts."""
    maclip = [sys.executable, "-m", "maclip_daemon"]
    taken: dict[str, list[float]] = {"score": [], "archive": []}
    spent: dict[str, dict[str, float]] = {}
    count = 0
    for _ in range(turns):
        with tempfile.TemporaryDirectory() as folder:
            for name, command in {
                "score": [*maclip, "score", "--json", photos],
                "archive": [*maclip, "archive", photos, "--out", f"{folder}/out"],
            }.items():
                began = time.monotonic()
                processes = ProcessTree()
                done = subprocess.run(command, capture_output=True, check=False)
                processes.end()
                assert done.returncode in (0, 1), done.stderr.decode(
                    errors="replace"
                )  # 1: some photos failed
                taken[name].append(time.monotonic() - began)
                spent[name] = processes.processor_s()
                count = max(count, done.stdout.count(b"\n"))
    score, archive = min(taken["score"]), min(taken["archive"])
    return {"photos": count, **{name: [round(each, 1) for each in times] for name, times in taken.items()},
            "overhead": round(archive / score - 1, 3), "processor_s": spent,
            "load": os.getloadavg()[0]}  # fmt: skip
