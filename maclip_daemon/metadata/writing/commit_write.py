"""The second phase of a write: the prepared file replaces its target, unless anything changed since."""

from __future__ import annotations

import contextlib
from pathlib import Path

from maclip_daemon.errors import FileChanged, MaclipError, Transient, WriteRefused
from maclip_daemon.files import exchange, exclusive_rename, safe_writer, temporaries
from maclip_daemon.files.exchange import Displaced
from maclip_daemon.files.open_folder import OpenFolder
from maclip_daemon.files.signature import ExactSignature
from maclip_daemon.metadata.records import Prepared
from maclip_daemon.metadata.sidecars import sidecar_names


def commit(prepared: Prepared) -> Displaced | None:
    """Replace or create the target; return the old file, on which `commit_many` has a last look.

    Any process can commit. Raises `FileChanged` when the target or (for a new sidecar) the photo changed:
    then the temporary file is removed and everything else left alone.
    """
    target, temporary = prepared.target, prepared.temporary
    if prepared.status != "prepared" or target is None or temporary is None or prepared.after_hash is None:
        raise ValueError(f"nothing was prepared for {prepared.photo}")
    try:
        with safe_writer.translate_errors(target), OpenFolder(target.parent) as folder:
            if not _is_whole(folder, temporary, prepared):
                _require_done(target, prepared)
            elif prepared.created:
                _create(folder, temporary.name, target.name, prepared)
            else:
                _require_unchanged(folder, target, prepared)
                assert prepared.before_hash is not None
                return exchange.replace(
                    folder,
                    temporary.name,
                    target.name,
                    expected=prepared.before_hash,
                    new=prepared.after_hash,
                )
    except MaclipError as error:
        discard(prepared)  # on a full disk too: it would take the room that is missing
        if isinstance(error, WriteRefused):  # a permission taken away since; the next `prepare` will say it
            raise Transient(str(error)) from None
        raise
    return None


def discard(prepared: Prepared) -> None:
    """Remove the temporary file."""
    if prepared.temporary is not None and temporaries.is_temporary(prepared.temporary.name):
        with contextlib.suppress(OSError):
            prepared.temporary.unlink()


def commit_many(batch: list[Prepared]) -> list[MaclipError | None]:
    """Commit several, flush each of their folders once, then look again at the files that were replaced."""
    results: list[MaclipError | None] = []
    folders: dict[Path, list[int]] = {}
    displaced: list[tuple[int, Path, Displaced]] = []
    with sidecar_names.one_listing():
        for index, prepared in enumerate(batch):
            try:
                former = commit(prepared)
            except MaclipError as error:
                results.append(error)
                continue
            results.append(None)
            assert prepared.target is not None
            folders.setdefault(prepared.target.parent, []).append(index)
            if former is not None:
                displaced.append((index, prepared.target.parent, former))
    for folder, indices in folders.items():
        try:
            with safe_writer.translate_errors(folder / "."):
                safe_writer.flush(folder)
        except WriteRefused:
            continue  # a folder that may be written but not read cannot be flushed
        except MaclipError as error:
            for index in indices:
                results[index] = error
    for index, folder, former in displaced:
        try:
            _settle(folder, former)
        except MaclipError as error:
            results[index] = results[index] or error
    return results


def _settle(path: Path, former: Displaced) -> None:
    try:
        with safe_writer.translate_errors(path / former.target), OpenFolder(path) as folder:
            exchange.settle(folder, former)
    except WriteRefused as refusal:
        raise Transient(str(refusal)) from None


def _is_whole(folder: OpenFolder, temporary: Path, prepared: Prepared) -> bool:
    """Return whether the prepared file is there; an earlier commit, whose process died, may have used it."""
    try:
        found = folder.stat(temporary.name)
    except FileNotFoundError:
        return False
    if ExactSignature.of(found) == prepared.temporary_signature:
        return True
    return safe_writer.digest_of(temporary) == prepared.after_hash  # a server set its time


def _require_done(target: Path, prepared: Prepared) -> None:
    known = [each for each in (prepared.before_hash, prepared.after_hash) if each is not None]
    exchange.recover(target, known, 0.0, is_dead=True)
    if safe_writer.digest_of(target) != prepared.after_hash:
        raise FileChanged(f"The prepared file for {prepared.photo} is gone; it is prepared again.")


def _create(folder: OpenFolder, temporary: str, target: str, prepared: Prepared) -> None:
    if any(each.path.name not in prepared.beside for each in sidecar_names.find_all(prepared.photo)):
        raise FileChanged(f"Another program created a sidecar for {prepared.photo}; it is left alone.")
    if ExactSignature.of(folder.stat(prepared.photo.name)) != prepared.photo_signature:
        raise FileChanged(f"{prepared.photo} changed while its sidecar was prepared.")
    try:
        exclusive_rename.create_exclusively(folder, temporary, target)
    except FileExistsError:
        raise FileChanged(f"Another program created {folder.path / target}; it is left alone.") from None


def _require_unchanged(folder: OpenFolder, target: Path, prepared: Prepared) -> None:
    """Look before the exchange: a change that is seen now need not come out and be put back."""
    found = folder.stat(target.name)
    if target == prepared.photo and found.st_nlink > 1:
        raise FileChanged(f"{target} got a second name (hard link); it is left alone.")
    if ExactSignature.of(found) == prepared.before_signature:
        return
    if safe_writer.digest_of(target) != prepared.before_hash:
        raise FileChanged(f"{target} was changed by another program; it is left alone.")
