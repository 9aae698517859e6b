"""Replace or remove a file that other programs may be writing, without losing what they wrote.

Between a last look and a rename, another program can still write. So the new file and the old one are
exchanged in one step, and what came out is looked at: if it is not what was expected, it is put back. The
name under which it lies meanwhile tells whose it is (`temporaries.new_aside`), for `recover` after a kill.

An editor may have found the old file by its name before the exchange, and open it only after that look. So
the old file keeps its hidden name until `settle` has looked again, a moment later.

File systems without an exchange (exFAT, NFS, some FUSE shares): a second name keeps the old file while the
new one is renamed over it. That shows edits in place. An edit that another program renames into place in the
same moment is seen only if it came before the second name. Without hard links, the last look decides.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import blake3

from maclip_daemon.errors import FileChanged
from maclip_daemon.files import linux_calls, nofollow, temporaries
from maclip_daemon.files.exclusive_rename import create_exclusively
from maclip_daemon.files.open_folder import OpenFolder

_BLOCK = 1 << 20  # bytes read at a time
# Opening takes microseconds from a name to the lock; where a processor is taken away meanwhile, some ms.
SETTLE_S = 0.01
# A running exchange takes less than a millisecond. On a file server it may take seconds.
MAY_BE_RUNNING_S = 60.0


@dataclass(frozen=True)
class Displaced:
    """An old file under its hidden name, until a last look shows that nobody wrote into it (`settle`)."""

    aside: str
    target: str
    expected: str
    """BLAKE3 of its content, in hex."""
    ours: str | None
    """BLAKE3 of what has its name now, in hex; None when it was to be removed."""
    since: float = field(default_factory=time.monotonic)


def replace(folder: OpenFolder, temporary: str, target: str, *, expected: str, new: str) -> Displaced | None:
    """Put the file `temporary` in the place of `target`, which must hold what is expected.

    `expected`, `new`: BLAKE3 of the target and of the temporary file, in hex. Return what `settle` must be
    told; None where the file system keeps no second name. Raises `FileChanged` when another program changed
    the target: its change stays, or is put back. Raises `OSError`. In either case the temporary file is gone.
    """
    aside = temporaries.new_aside(target)
    try:
        folder.rename(temporary, aside)
        is_exchanged = folder.exchange(aside, target)
    except OSError as error:
        _remove(folder, temporary, aside)
        if error.errno == errno.ENOENT:
            raise FileChanged(f"{folder.path / target} was removed by another program.") from None
        raise
    if not is_exchanged:
        former = _replace_by_second_name(folder, aside, target, expected=expected)
        if former is None:
            return None
        aside = former
    displaced = Displaced(aside, target, expected, new)
    _require_unwritten(folder, displaced)
    return displaced


def remove(folder: OpenFolder, target: str, *, expected: str) -> Displaced:
    """Take its name from `target`, which must hold what is expected (BLAKE3 in hex); `settle` removes it.

    Raises `FileChanged` when another program changed it: then it is put back. `OSError`.
    """
    aside = temporaries.new_aside(target)
    folder.rename(target, aside)
    displaced = Displaced(aside, target, expected, None)
    _require_unwritten(folder, displaced)
    return displaced


def settle(folder: OpenFolder, displaced: Displaced) -> None:
    """Look again at an old file, a moment after its displacement, and remove it.

    Waits until that moment has passed. Raises `FileChanged` when another program has written into it: its
    change is put back. `OSError`.
    """
    time.sleep(max(0.0, displaced.since + SETTLE_S - time.monotonic()))
    _require_unwritten(folder, displaced)
    _remove(folder, displaced.aside)


def _require_unwritten(folder: OpenFolder, displaced: Displaced) -> None:
    if _is_as_expected(folder, displaced.aside, displaced.expected):
        return
    if displaced.ours is None:
        _put_back(folder, displaced.aside, displaced.target)
    else:
        _give_back(folder, displaced.aside, displaced.target, ours=displaced.ours)
    raise _changed(folder, displaced.target)


def recover(target: Path, known: Collection[str], now: float, *, is_dead: bool = False) -> list[str]:
    """Put back the change of another program that came out in an interrupted exchange with `target`.

    `known`: the hashes (BLAKE3 in hex) of the contents that are ours, or that we expected there. `is_dead`:
    the process that exchanged is known to be dead; otherwise what is younger than a minute is left for it.
    Return a sentence for each change that was put back or kept. Raises `FileChanged`, `OSError`.
    """
    done: list[str] = []
    with OpenFolder(target.parent) as folder:
        for aside in [name for name in folder.names() if temporaries.is_aside_of(name, target.name)]:
            if is_dead or not _may_be_running(folder, aside, now):
                done += _recover_one(folder, aside, target.name, known)
    return done


def _recover_one(folder: OpenFolder, aside: str, target: str, known: Collection[str]) -> list[str]:
    out, present = _digest_of(folder, aside), _digest_of(folder, target)
    if out is not None and (out in known or out == present):
        _remove(folder, aside)
        return []
    path = folder.path / target
    if present is not None and present in known:
        kept = _give_back(folder, aside, target, ours=present)
        if kept is None:
            return [f"{path} has its last edit again, which an interrupted write had taken out"]
    else:
        kept = _put_back(folder, aside, target)
        if kept is None:
            return [f"{path} is back, which an interrupted undo had taken away"]
    return [f"an edit of {path} that an interrupted write had taken out is kept as {kept}"]


def _replace_by_second_name(folder: OpenFolder, temporary: str, target: str, *, expected: str) -> str | None:
    """Rename over the target; return the second name that keeps the old file, None without hard links."""
    former = temporaries.new_aside(target)
    if not _is_as_expected(folder, target, expected):
        _remove(folder, temporary)
        raise _changed(folder, target)
    try:
        folder.link(target, former)
    except OSError:
        folder.rename(temporary, target)
        return None
    folder.rename(temporary, target)
    return former


def _give_back(folder: OpenFolder, aside: str, target: str, *, ours: str) -> Path | None:
    """Exchange again: another program's change gets its name back, and ours is removed.

    Where ours was changed in the moment in which it had the name, the newest change keeps that, and the path
    is returned under which the other one is kept.
    """
    try:
        if not folder.exchange(aside, target):
            if not _is_as_expected(folder, target, ours):
                return _put_back(folder, aside, target)
            folder.rename(aside, target)
            return None
    except FileNotFoundError:  # ours was removed meanwhile
        return _put_back(folder, aside, target)
    if _is_as_expected(folder, aside, ours):
        _remove(folder, aside)
        return None
    folder.exchange(aside, target)
    return _keep(folder, aside, target)


def _put_back(folder: OpenFolder, aside: str, target: str) -> Path | None:
    """Return its name to a file; where another file has taken it, keep it beside and return its path."""
    try:
        create_exclusively(folder, aside, target)
    except FileExistsError:
        return _keep(folder, aside, target)
    return None


def _keep(folder: OpenFolder, aside: str, target: str) -> Path:
    """Keep a change that was overtaken by a newer one under a name that people see."""
    name = f"{target}.kept-{secrets.token_hex(4)}"
    try:
        folder.rename(aside, name)
    except OSError:  # a name that is too long; the hidden one keeps it too
        return folder.path / aside
    return folder.path / name


def _changed(folder: OpenFolder, target: str) -> FileChanged:
    return FileChanged(
        f"{folder.path / target} was changed by another program, or is open in one; it is left alone."
    )


def _remove(folder: OpenFolder, *names: str) -> None:
    for name in names:
        try:
            folder.unlink(name)
        except FileNotFoundError:
            continue


def _is_as_expected(folder: OpenFolder, name: str, expected: str) -> bool:
    """Return whether a file has this content, and no program has it open for writing."""
    return _digest_of(folder, name, is_free=True) == expected


def _digest_of(folder: OpenFolder, name: str, *, is_free: bool = False) -> str | None:
    """Return the hash of a file; None for anything else, or where `is_free` asks and a program writes it."""
    try:
        descriptor = folder.open(name, nofollow.READ_FLAGS)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
            return None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode) or (is_free and _is_open_for_writing(descriptor)):
            return None
        digest = blake3.blake3()
        while block := os.read(descriptor, _BLOCK):
            digest.update(block)
        return digest.hexdigest()
    finally:
        os.close(descriptor)


def _is_open_for_writing(descriptor: int) -> bool:
    """Return whether a program has this file open for writing; False where the file system cannot tell.

    Linux grants a read lease only while nobody writes: fcntl(2). It ends when the descriptor is closed. NFS
    and SMB refuse one in the same words where their server delegates nothing.
    """
    try:
        import fcntl
        import signal

        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # one that ends no process, were it broken
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except (ImportError, AttributeError):  # no Linux
        return False
    except OSError as error:
        return error.errno == errno.EAGAIN and not linux_calls.is_on_file_server(descriptor)
    return False


def _may_be_running(folder: OpenFolder, aside: str, now: float) -> bool:
    try:
        found = folder.stat(aside)
    except FileNotFoundError:
        return True
    return -temporaries.AHEAD_S < now - max(found.st_ctime, found.st_mtime) < MAY_BE_RUNNING_S
