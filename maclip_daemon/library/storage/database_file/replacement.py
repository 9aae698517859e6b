"""Replace a library by another file: the former one is set aside, and a replacement that was killed is ended.

Meanwhile the former library lies in a hidden folder beside the new one. Whoever opens the library next finds
that folder and puts the former one back, or, when the new one has its place already, ends what was begun.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.files.safe_writer import flush
from maclip_daemon.library.storage.database_errors import DatabaseBusy, translated
from maclip_daemon.library.storage.database_file import clean_shutdown

COMPANIONS = (
    "",
    "-wal",
    "-shm",
    "-journal",
    clean_shutdown.ENDING,
)  # of a library file; they belong to it alone


def replace(library: Path, copy: Path | None, now: datetime) -> Path | None:
    """Put `copy` in the place of the library; return the folder where the former one is, if there was one.

    `copy`: None leaves the place empty. Raises `OSError`, `EnvironmentUnfit`; then the library is as it was.
    """
    present = [path for ending in COMPANIONS if (path := Path(f"{library}{ending}")).exists()]
    if not present:
        if copy is not None:
            copy.replace(library)
            flush(library.parent)
        return None
    folder = _folder_of(library)
    folder.mkdir(mode=0o700)
    with _held(folder, library):
        try:
            # The log first: a library without its log is an old one, a log without its library is refused.
            for path in sorted(present, reverse=True):
                path.rename(folder / path.name)
            flush(folder)
            if copy is not None:
                copy.replace(library)
            flush(library.parent)
            return folder.rename(library.with_name(f"aside-{now:%Y-%m-%d-%H%M%S}"))
        except OSError:
            _put_back(folder, library)
            raise


def end_cut_off(library: Path) -> None:
    """End a replacement that was killed, so that the library is the former one or the new one, whole.

    Raises `EnvironmentUnfit`; `DatabaseBusy` while another process is replacing it.
    """
    folder = _folder_of(library)
    if not folder.is_dir():
        return
    with _held(folder, library):
        if library.exists() and (folder / library.name).exists():
            begun = datetime.fromtimestamp(folder.stat().st_mtime).astimezone()
            try:
                folder.rename(library.with_name(f"aside-{begun:%Y-%m-%d-%H%M%S}"))
            except OSError as error:
                raise translated(error, folder) or error from error
        else:
            _put_back(folder, library)


def _folder_of(library: Path) -> Path:
    return library.with_name(f".{library.name}.former")


@contextmanager
def _held(folder: Path, library: Path) -> Iterator[None]:
    """Hold the folder while its files move. Where nothing can be locked (some file servers), nobody waits."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DatabaseBusy(
            f"The library {library} is being replaced by `maclip db restore`. Try again when it has ended."
        ) from None
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(descriptor)


def _put_back(folder: Path, library: Path) -> None:
    """Return the library that was set aside to its place, its log first: alone, that is refused."""
    try:
        for path in sorted(folder.iterdir(), reverse=True):
            path.rename(library.with_name(path.name))
        folder.rmdir()
    except OSError as error:
        raise EnvironmentUnfit(
            f"{library} could not be replaced, and its folder lets nothing be moved ({error.strerror}). The "
            f"library is whole in {folder}: move all files of that folder back, then try again."
        ) from None
