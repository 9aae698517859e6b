"""What is left to do: the listing without what is already written, as files that the decoders take in chunks.

DuckDB compares them on disk, so that memory is bounded by a setting and not by the archive.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from maclip_daemon.archive.rows import SCORED, PhotoSource
from maclip_daemon.archive.storage import Pauses, Place, address_of_path
from maclip_daemon.archive.whole_files import write_whole

_PLAN = pa.schema(
    {"address": pa.binary(), "size": pa.int64(), "mtime": pa.timestamp("us", "UTC"), "etag": pa.string()}
)
_LISTED_AT_ONCE = 10_000  # addresses
_MOST_CHUNKS = 16_384  # of one run: Ray keeps some 5 kB for each, in the driver, until the end
_FILE_ROWS = 8192  # of one file of the plan
_KEYS = ["address", "address_bytes", "size", "mtime", "etag", "state", "scored_at"]
_MILLISECOND_S = 0.001  # of which `scored_at` is made
_VERSION = "coalesce(etag, size::VARCHAR || ' ' || epoch_us(mtime)::VARCHAR)"
_LEFT = f"""
CREATE TABLE left_over AS
SELECT address, size, mtime, etag, number FROM (
    SELECT *, {_VERSION} AS version FROM listed
    QUALIFY row_number() OVER (PARTITION BY address ORDER BY number) = 1
) photo
WHERE NOT EXISTS (
    SELECT 1 FROM written
    WHERE written.is_done AND written.address = photo.address
        AND (photo.version IS NULL OR written.version IS NULL OR written.version = photo.version)
)
"""


@dataclass(frozen=True)
class WorkPlan:
    """The photos of one run."""

    listed: int
    """Different addresses in the source."""
    left: int
    """Photos that have no row yet."""
    scored_after: float
    """Unix seconds: no row of this run is older."""
    chunks: tuple[tuple[str, int], ...]
    """Files of the plan, as addresses, and the row group in each: what one decoder takes at a time."""

    @property
    def done(self) -> int:
        """Photos that have a row already."""
        return self.listed - self.left


class Planner:
    """Compares a listing with what is written."""

    def __init__(self, database: duckdb.DuckDBPyConnection, pauses: Pauses) -> None:
        self._database = database
        self._pauses = pauses

    def list(self, photos: Iterable[PhotoSource]) -> int:
        """Take a listing; return how many different addresses it has."""
        self._database.execute(
            "CREATE TABLE listed (number BIGINT, address BLOB, size BIGINT, mtime TIMESTAMPTZ, etag VARCHAR)"
        )
        remaining, first = iter(photos), 0
        while some := list(islice(remaining, _LISTED_AT_ONCE)):
            chunk = _table(some).append_column("number", pa.array(range(first, first + len(some))))
            self._database.register("chunk", chunk)
            self._database.execute("INSERT INTO listed SELECT number, address, size, mtime, etag FROM chunk")
            first += len(some)
        return self._number("SELECT count(DISTINCT address) FROM listed")

    def subtract(self, place: Place, parts: Sequence[str], *, failed_too: bool) -> int:
        """Compare with the rows of these files; return how many photos are left.

        `failed_too`: photos that failed count as done.
        """
        self._database.execute(
            "CREATE TABLE written (address BLOB, version VARCHAR, scored_at VARCHAR, is_done BOOLEAN)"
        )
        if parts:
            dataset = ds.dataset(list(parts), format="parquet", filesystem=place.file_system)
            self._database.register("parts", dataset.scanner(columns=_KEYS).to_reader())
            is_done = "true" if failed_too else f"state = '{SCORED}'"
            columns = f"coalesce(address_bytes, encode(address)), {_VERSION}, scored_at, {is_done}"
            self._database.execute(f"INSERT INTO written SELECT {columns} FROM parts")
        self._database.execute(_LEFT)
        return self._number("SELECT count(*) FROM left_over")

    def next_moment(self) -> float:
        """Return a moment after all that is written, in Unix seconds; 0 where nothing is.

        The clock of a machine may have been ahead, and of two rows of a photo the newest counts.
        """
        ((newest,),) = self._database.execute("SELECT max(scored_at) FROM written").fetchall()
        return 0.0 if newest is None else datetime.fromisoformat(newest).timestamp() + _MILLISECOND_S

    def write(self, folder: Place, chunk_rows: int) -> Iterator[tuple[str, int]]:
        """Write what is left as files of a folder; yield each file's address and its groups, in order."""
        answer = self._database.sql("SELECT address, size, mtime, etag FROM left_over ORDER BY number")
        rows = max(chunk_rows, _FILE_ROWS // chunk_rows * chunk_rows)
        batches: Any = answer.to_arrow_reader(rows)
        for number, table in enumerate(_regrouped(batches, rows)):
            memory = io.BytesIO()
            pq.write_table(table.cast(_PLAN), memory, row_group_size=chunk_rows)
            name = f"{number:06d}.parquet"
            write_whole(folder, name, memory.getvalue(), self._pauses)
            address = address_of_path(folder, folder.below(name))
            yield from ((address, group) for group in range(-(-table.num_rows // chunk_rows)))

    def _number(self, question: str) -> int:
        return int(self._database.execute(question).fetchall()[0][0])


def chunk_rows(left: int, cores: int, *, batch: int, most: int) -> int:
    """Return how many photos one decoder takes at a time.

    A whole `batch` of the model, if there are so many; four chunks a core, so that all end together; not more
    than `most`, but in an archive so large that its chunks would fill the driver's memory.
    """
    whole = min(batch, -(-left // cores))
    return max(1, min(most, max(whole, left // (4 * cores))), -(-left // _MOST_CHUNKS))


@contextmanager
def planner(memory_mib: int, pauses: Pauses) -> Iterator[Planner]:
    """Open a planner whose files are removed at the end."""
    with tempfile.TemporaryDirectory(prefix="maclip-plan-") as folder:
        config: dict[str, Any] = {"memory_limit": f"{memory_mib}MB", "temp_directory": folder, "threads": 2}
        config["autoinstall_known_extensions"] = False
        with duckdb.connect(Path(folder) / "plan.duckdb", config=config) as database:
            database.execute("SET TimeZone = 'UTC'")
            yield Planner(database, pauses)


def _table(photos: Sequence[PhotoSource]) -> pa.Table:
    return pa.table(
        {
            "address": [photo.address.encode("utf-8", "surrogateescape") for photo in photos],
            "size": [photo.size for photo in photos],
            "mtime": [photo.mtime for photo in photos],
            "etag": [photo.etag for photo in photos],
        },
        schema=_PLAN,
    )


def _regrouped(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Yield tables of exactly so many rows, the last one with what remains."""
    kept: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        kept.append(batch)
        count += batch.num_rows
        while count >= rows:
            table = pa.Table.from_batches(kept)
            yield table.slice(0, rows)
            kept = table.slice(rows).to_batches()
            count -= rows
    if count:
        yield pa.Table.from_batches(kept)
