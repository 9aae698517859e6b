"""Photos that came back under another path, on another disk or with another device number: before they are
rated, journal and stars of the photo that is gone become theirs.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.photos import gone_copies, photo_succession
from maclip_daemon.library.photos.photo_succession import FormerPhoto, Successor
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline import disk_presence, file_stability
from maclip_daemon.pipeline.run_state import log


def follow(library: Library, probe: FilesystemProbe, photo_ids: Sequence[int]) -> None:
    """Let each of these photos have what the library knows of the photo that it was before."""
    with library.reading() as session:
        has_forgotten = photo_succession.has_forgotten(session)
    if has_forgotten:
        with library.writing() as session:
            photo_succession.claim_forgotten(session, photo_ids)
    with library.reading() as session:
        found = photo_succession.successors(session, photo_ids)
        former = photo_succession.former_photos(session, found) if found else {}
    # The files are looked at before the transaction: a server may take its time.
    chosen = [(each, _chosen(each, former.get(each.photo_id, []), probe)) for each in found]
    for successor, before in photo_succession.without_rivals(
        [(each, before) for each, before in chosen if before is not None]
    ):
        is_moved = before.photo_id is None or _has_moved(successor, before, probe)
        with library.writing() as session:
            if is_moved:
                photo_succession.take_over(session, successor, before)
            else:
                photo_succession.inherit_rating(session, successor, before)
        log.info("recognised by its pixels", photo=successor.path, before=before.path)
    _forget_originals(library, probe, photo_ids)


def _forget_originals(library: Library, probe: FilesystemProbe, photo_ids: Sequence[int]) -> None:
    """Forget photos that were moved away slowly: first copied, and deleted when the copy had been rated."""
    with library.reading() as session:
        found = gone_copies.gone_originals(session, list(photo_ids))
    moved = [each for each in found if _is_gone(each.path, probe) and _is_on(each.path, each.device, probe)]
    if moved:
        with library.writing() as session:
            for original in moved:
                gone_copies.forget(session, original)


def _chosen(
    successor: Successor, former: Sequence[FormerPhoto], probe: FilesystemProbe
) -> FormerPhoto | None:
    """Return the photo that a successor was before.

    None when none is gone, several could be meant, or the successor is not there itself.
    """
    gone = [each for each in former if _is_gone(each.path, probe)]
    # Looked at afterwards: a root that goes away at this moment takes both along, and nothing was moved.
    if not gone or _is_gone(successor.path, probe):
        return None
    return photo_succession.choose(successor, gone)


def _is_gone(path: str, probe: FilesystemProbe) -> bool:
    return probe.call_or(path, functools.partial(file_stability.is_gone, path), default=False)


def _has_moved(successor: Successor, former: FormerPhoto, probe: FilesystemProbe) -> bool:
    """Return whether a photo is gone for good, and not only its disk offline.

    Its own file system is there without it, or the file itself (its inode, size and time) is at the new path.
    """
    return successor.identity == former.identity or _is_on(former.path, former.device, probe)


def _is_on(path: str, device: int | None, probe: FilesystemProbe) -> bool:
    """Return whether what is left of this path is on the file system of this number."""
    found = probe.call_or(path, functools.partial(disk_presence.device_of, path), None)
    return found is not None and found == device
