"""The results of an archive, read back: which generations there are, and their rows through DuckDB.

A results folder holds `generation=N/*.parquet`. Names that begin with `.` or `_` are unfinished parts.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from maclip_daemon.archive.addresses.address_errors import readable
from maclip_daemon.archive.rows import FORMAT, FORMAT_KEY, ROW_SCHEMA
from maclip_daemon.archive.storage import file_system_of, names_below
from maclip_daemon.errors import EnvironmentUnfit, UsageError
from maclip_daemon.files.paths import printable_utf8

if TYPE_CHECKING:
    from fsspec.spec import AbstractFileSystem

_ROWS_AT_ONCE = 2000
_GENERATION = re.compile(r"generation=(\d{1,9})")
NEWEST_ROWS = """
CREATE VIEW photos AS SELECT * FROM results
QUALIFY row_number() OVER (PARTITION BY address, address_bytes ORDER BY scored_at DESC) = 1
"""
"""A photo that changed, or was tried again, has several rows; the newest counts."""


@dataclass(frozen=True)
class ResultsFolder:
    """A folder with results, at a path or a URL."""

    address: str
    """As it was typed."""
    file_system: AbstractFileSystem
    generations: Mapping[int, tuple[str, ...]]
    """Each generation's files, as paths of the file system."""

    @property
    def newest(self) -> int:
        """Return the number of the newest generation."""
        return max(self.generations)

    def parts(self, generation: int | None = None) -> tuple[str, ...]:
        """Return the files of a generation, the newest by default. Raises `UsageError` for an unknown one."""
        wanted = self.newest if generation is None else generation
        found = self.generations.get(wanted)
        if found is None:
            known = ", ".join(map(str, sorted(self.generations)))
            raise UsageError(
                f"{printable_utf8(self.address)} has no generation {wanted}. It has these: {known}."
            )
        return found

    @contextmanager
    def rows(self, generation: int | None = None, *, memory_mb: int = 2048) -> Iterator[Rows]:
        """Open a generation for questions in SQL, the newest by default.

        Raises `UsageError` for Parquet of another program, `EnvironmentUnfit` for a part that cannot be read;
        the questions raise it too.
        """
        parts = self.parts(generation)
        with _told(self, parts):
            _require_ours(self, parts[0])
            dataset = ds.dataset(
                list(parts), schema=ROW_SCHEMA, format="parquet", filesystem=self.file_system
            )
        with (
            tempfile.TemporaryDirectory(prefix="maclip-") as spill,
            duckdb.connect(config=_config(memory_mb, spill)) as connection,
        ):
            connection.register("results", dataset)
            connection.execute(NEWEST_ROWS)
            yield Rows(self, parts, connection)


@dataclass(frozen=True)
class Rows:
    """One generation's rows: the view `photos` has one for each photo, `results` every row ever written."""

    folder: ResultsFolder
    parts: tuple[str, ...]
    connection: duckdb.DuckDBPyConnection

    def ask(self, question: str, *values: object) -> list[dict[str, Any]]:
        """Return the rows that answer a question in SQL, by column name."""
        with _told(self.folder, self.parts):
            answer = self.connection.execute(question, values)
            names = [column[0] for column in answer.description or ()]
            return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

    def each(self, question: str, *values: object) -> Iterator[dict[str, Any]]:
        """Yield the answer row by row, before the next question; a few thousand are in memory at a time."""
        with _told(self.folder, self.parts):
            answer = self.connection.execute(question, values)
            names = [column[0] for column in answer.description or ()]
            while rows := answer.fetchmany(_ROWS_AT_ONCE):
                yield from (dict(zip(names, row, strict=True)) for row in rows)


def open_results(address: str) -> ResultsFolder:
    """Return the results at a path or URL.

    Raises `UsageError` where there is no folder or no result, `EnvironmentUnfit` where it cannot be read.
    """
    shown = printable_utf8(address)
    with readable(shown):
        file_system, path = file_system_of(address)
        file_system.invalidate_cache()
        if isinstance(file_system, LocalFileSystem) and not file_system.isdir(path):
            raise UsageError(f"There is no folder {shown}. Check the spelling.")
        found: dict[int, list[str]] = {}
        names = names_below(file_system, path, _is_generation)
        for name in names:
            *_, folder, file_name = ("/" + name).rsplit("/", 2)
            number = _GENERATION.fullmatch(folder)
            if number and file_name.endswith(".parquet") and not file_name.startswith((".", "_")):
                found.setdefault(int(number[1]), []).append(name)
        others = not found and any(name.endswith(".parquet") for name in names)
    if others:
        raise UsageError(f"{shown} holds Parquet files of another program, no results of `maclip archive`.")
    if not found:
        raise UsageError(f"{shown} holds no results yet. `maclip archive SOURCE --out {shown}` makes them.")
    return ResultsFolder(address, file_system, {key: tuple(names) for key, names in found.items()})


def _is_generation(folder: str) -> bool:
    return _GENERATION.fullmatch(folder.rpartition("/")[2]) is not None


def _require_ours(folder: ResultsFolder, part: str) -> None:
    found = pq.read_schema(part, filesystem=folder.file_system).metadata or {}
    if found.get(FORMAT_KEY) != FORMAT:
        raise UsageError(
            f"{printable_utf8(folder.address)} holds Parquet files of another program or another version, no "
            "results that this one reads."
        )


@contextmanager
def _told(folder: ResultsFolder, parts: tuple[str, ...]) -> Iterator[None]:
    """Name the part that is damaged, in place of a library's text."""
    with readable(printable_utf8(folder.address)):
        try:
            yield
        except (duckdb.Error, pa.ArrowInvalid) as error:
            damaged = next((part for part in parts if _is_damaged(folder, part)), None)
            if damaged is None:
                raise EnvironmentUnfit(_not_answered(error)) from None
            raise EnvironmentUnfit(
                f"{printable_utf8(damaged)} is damaged, so the results are not whole. Move it away and run "
                "`maclip archive` again: it judges the photos of that part again."
            ) from None


def _not_answered(error: Exception) -> str:
    if isinstance(error, duckdb.OutOfMemoryException):
        return "The results need more memory to be sorted than there is. Free some, or give --memory-mb more."
    return "The results cannot be read as they are. Run `maclip archive` with this version of maclip again."


def _is_damaged(folder: ResultsFolder, part: str) -> bool:
    try:
        with folder.file_system.open(part, "rb") as file:
            for _ in pq.ParquetFile(file).iter_batches(columns=["address", "score", "scored_at"]):
                pass
    except (pa.ArrowException, OSError, KeyError):
        return True
    return False


def _config(memory_mb: int, spill: str) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "memory_limit": f"{memory_mb}MB",
        "temp_directory": spill,
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,  # no network
    }
