"""What one decoder takes at a time: a chunk of the plan. Workers read it, and load no database for that."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from maclip_daemon.archive.rows import PhotoSource
from maclip_daemon.archive.storage import Pauses, insist, place_of


def read_chunk(plan: str, group: int, pauses: Pauses) -> list[PhotoSource]:
    """Return the photos of a chunk."""
    place = place_of(plan)

    def read() -> pa.Table:
        with place.file_system.open(place.path, "rb") as file:
            return pq.ParquetFile(file).read_row_group(group)

    return [
        PhotoSource(row["address"].decode("utf-8", "surrogateescape"), row["size"], row["mtime"], row["etag"])
        for row in insist(read, pauses, plan).to_pylist()
    ]
