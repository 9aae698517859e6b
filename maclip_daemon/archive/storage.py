"""Where photos and results lie: a folder, or any address that fsspec opens, whose server may fail."""

from __future__ import annotations

import dataclasses
import errno
import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from maclip_daemon.archive.rows import PhotoSource
from maclip_daemon.errors import MaclipError, NoPermission, NoSpace, PhotoMissing, Transient
from maclip_daemon.files.os_errors import DISK_FULL, shortage
from maclip_daemon.files.paths import printable_utf8

if TYPE_CHECKING:
    from fsspec.spec import AbstractFileSystem

_Result = TypeVar("_Result")
_LONGEST_PAUSE_S = 30.0
_ETAGS = ("ETag", "etag", "md5Hash")  # of S3, of Google and Azure
_TALKATIVE = ("adlfs", "azure", "gcsfs", "paramiko", "s3fs")
_MTIMES = ("LastModified", "last_modified", "mtime", "updated")
_FILE_SERVER = "maclip_daemon.archive.addresses.file_server.FileServer"
for _protocol in ("sftp", "ssh"):  # fsspec's own trusts any host, and stays broken after a lost connection
    fsspec.register_implementation(_protocol, _FILE_SERVER, clobber=True)


@dataclass(frozen=True)
class Pauses:
    """How often a request to storage is tried, and how the pauses between grow."""

    attempts: int
    first_s: float

    def after(self, attempt: int) -> float:
        """Return the seconds after this attempt (1 is the first): doubled each time, and never in step."""
        return min(_LONGEST_PAUSE_S, self.first_s * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)


@dataclass(frozen=True)
class Place:
    """An address as its file system knows it."""

    file_system: AbstractFileSystem
    path: str
    prefix: str = ""
    """What its address has before the path: `sftp://person@host`, `az://`; empty where it is not known."""

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine."""
        return isinstance(self.file_system, LocalFileSystem)

    def below(self, name: str) -> str:
        """Return the path of something in this folder."""
        return f"{self.path.rstrip('/')}/{name}"

    def folder(self, name: str) -> Place:
        """Return the place of a folder in this one."""
        return dataclasses.replace(self, path=self.below(name))


def place_of(address: str) -> Place:
    """Return the place of an address. Raises what `results_folder.readable` translates."""
    if "://" not in address:
        return Place(LocalFileSystem(), os.path.abspath(address))
    file_system, path = file_system_of(address)
    # A path does not tell the host of a file server, nor which of its names a kind of storage was given by.
    whole, tail = address.rstrip("/"), path.rstrip("/")
    is_bucket = tail != "" and not tail.startswith("/") and whole.endswith(tail)
    is_told = is_bucket or hasattr(file_system, "host")
    return Place(file_system, path, whole.removesuffix(tail) if is_told else "")


def file_system_of(address: str) -> tuple[AbstractFileSystem, str]:
    """Return what opens an address, and its path there. Raises as `place_of`."""
    for library in _TALKATIVE:  # their remarks are for programmers; their errors come as exceptions
        logging.getLogger(library).setLevel(logging.CRITICAL)
    file_system, path = fsspec.core.url_to_fs(address)
    return file_system, path


def address_of_path(place: Place, path: str) -> str:
    """Return the address of a path of this file system; a local one is the path itself."""
    if place.is_local:
        return path
    return f"{place.prefix}{path}" if place.prefix else str(place.file_system.unstrip_protocol(path))


def is_there(file_system: AbstractFileSystem, path: str) -> bool:
    """Return whether something is at a path. Raises what the storage raises; fsspec's `exists` says no."""
    try:
        file_system.info(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def walked(
    file_system: AbstractFileSystem, top: str, is_wanted: Callable[[str], bool] = lambda _: True
) -> Iterator[dict[str, Any]]:
    """Yield fsspec's information on each file at and below `top`, folder by folder, sorted by name.

    `is_wanted(path)`: whether to enter a folder. Raises what the storage raises: fsspec's own walk leaves
    out a folder below the first level that cannot be listed. The largest folder bounds the memory.
    """
    top = top.rstrip("/") or top
    left = [top]
    while left:
        folder = left.pop()
        file_system.invalidate_cache()
        try:
            listed = file_system.ls(folder, detail=True)
        except FileNotFoundError:
            if folder == top:
                raise
            continue  # it went meanwhile
        # An object may have the name of a folder. The mark of an empty folder has that of this one.
        files = {str(each["name"]): each for each in listed if each["type"] != "directory"}
        folders = {str(each["name"]).rstrip("/") for each in listed if each["type"] == "directory"}
        if folder != top:
            files.pop(folder, None)
        yield from (files[name] for name in sorted(files) if not name.endswith("/"))
        left += [path for path in sorted(folders - {folder}, reverse=True) if is_wanted(path)]


def names_below(
    file_system: AbstractFileSystem, top: str, is_wanted: Callable[[str], bool] = lambda _: True
) -> list[str]:
    """Return the paths of all files at and below `top`, in order; none where only what holds it is there."""
    try:
        return sorted(str(info["name"]) for info in walked(file_system, top, is_wanted))
    except FileNotFoundError:
        file_system.ls(top.rstrip("/").rpartition("/")[0])
        return []


def insist(work: Callable[[], _Result], pauses: Pauses, shown: str) -> _Result:
    """Return what `work` returns; try again with growing pauses while the storage fails.

    Raises `PhotoMissing`, `NoPermission` and `NoSpace` at once, `Transient` when all attempts failed.
    """
    for attempt in range(1, pauses.attempts + 1):
        try:
            return work()
        except MaclipError:
            raise
        except Exception as error:  # noqa: BLE001 - a storage library raises anything; here it becomes a failure
            failure = failure_of(error, shown)
            if not isinstance(failure, Transient) or isinstance(failure, NoSpace):
                raise failure from None
            if attempt == pauses.attempts:
                raise failure from None
        time.sleep(pauses.after(attempt))
    raise AssertionError("unreachable")


def failure_of(error: Exception, shown: str) -> MaclipError:
    """Return the error of this program that a storage library's error amounts to."""
    name = printable_utf8(shown)
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return PhotoMissing(f"{name}: it is not there. Check the list, or the spelling.")
    if is_refused(error):
        return NoPermission(f"{name}: these credentials give no access to it. Check the account's rights.")
    number = error.errno if isinstance(error, OSError) else None
    if number in DISK_FULL:
        return NoSpace(f"{shortage(number, name)}. Free some space.")
    if number == errno.ENAMETOOLONG:
        return PhotoMissing(f"{name}: no file can have a name of this length. Check the list.")
    return Transient(
        f"{name}: the storage failed, however often it was asked. When it is well, run the command again "
        "with --retry-failed."
    )


def is_refused(error: BaseException) -> bool:
    """Return whether a storage library tells of missing rights, in whatever class it has for that."""
    name = type(error).__name__
    is_told = isinstance(error, PermissionError) or "Credentials" in name or "Authentication" in name
    return is_told or getattr(error, "status_code", None) in (401, 403)


def source_of(address: str, info: dict[str, Any]) -> PhotoSource:
    """Return a photo as a file system describes it."""
    etag = next((str(info[name]).strip('"') for name in _ETAGS if info.get(name)), None)
    moment = next((info[name] for name in _MTIMES if info.get(name)), None)
    size = info.get("size")
    return PhotoSource(address, None if size is None else int(size), _time_of(moment), etag)


def _time_of(moment: object) -> datetime | None:
    if isinstance(moment, datetime):
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if isinstance(moment, int | float):
        return datetime.fromtimestamp(moment, UTC)
    if isinstance(moment, str):
        try:
            return datetime.fromisoformat(moment)
        except ValueError:
            return None
    return None
