"""The last stage of a bulk run: rows → Parquet files, each of which appears as a whole or not at all."""

from __future__ import annotations

import hashlib
import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from maclip_daemon.archive.rows import FAILED, ROW_SCHEMA, SCORED
from maclip_daemon.archive.stages.archive_job import ArchiveJob
from maclip_daemon.archive.stages.run_tally import told
from maclip_daemon.archive.storage import place_of
from maclip_daemon.archive.whole_files import write_whole


def write_parts(rows: pa.Table, job: ArchiveJob) -> pa.Table:
    """Write rows into a file of scored and a file of failed photos; return how many there are of each.

    The names follow from the addresses: a task that Ray runs again replaces its own files.
    Raises `NoSpace`, `NoPermission`, `Transient`.
    """
    rows = rows.select(ROW_SCHEMA.names).cast(ROW_SCHEMA)
    place = place_of(job.folder)
    counts = {}
    for state in (SCORED, FAILED):
        part = rows.filter(pc.equal(rows["state"], state))
        counts[state] = part.num_rows
        if part.num_rows:
            name = f"{state}-{_digest(part)}.parquet"
            with told(job.tally):
                write_whole(place, name, _parquet(part), job.own_pauses)
    return pa.table({state: [count] for state, count in counts.items()})


class WriteStage:
    """Writes rows. Ray makes one in each of its actors, which live as long as the run.

    Single tasks would not do: Ray ends a worker that has nothing to do for a second, and its successor
    imports Ray Data again, 1.3 s of processor time for each file.
    """

    def __init__(self, job: ArchiveJob) -> None:
        self._job = job

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Write rows as `write_parts`."""
        return write_parts(rows, self._job)


def _digest(rows: pa.Table) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in ("run", "address", "address_bytes"):
        for value in rows[name].to_pylist():
            digest.update(repr(value).encode("utf-8"))
    return digest.hexdigest()


def _parquet(rows: pa.Table) -> bytes:
    memory = io.BytesIO()
    pq.write_table(rows, memory, compression="zstd")
    return memory.getvalue()
