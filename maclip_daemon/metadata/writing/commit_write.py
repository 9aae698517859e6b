"""The second phase of a write: the prepared file replaces its target, unless anything changed since."""

from __future__ import annotations

import contextlib
from pathlib import Path

from maclip_daemon.errors import FileChanged, MaclipError, Transient, WriteRefused
from maclip_daemon.files import exclusive_rename, safe_writer, symlinks, temporaries
from maclip_daemon.files.signature import FileSignature
from maclip_daemon.metadata.records import Prepared
from maclip_daemon.metadata.sidecars import sidecar_names


def commit(prepared: Prepared) -> Path | None:
    """Replace or create the target; return the folder to flush.

    Any process can commit. Raises `FileChanged` when the target or (for a new sidecar) the photo changed:
    then the temporary file is removed and everything else left alone.
    """
    target, temporary = prepared.target, prepared.temporary
    if prepared.status != "prepared" or target is None or temporary is None:
        raise ValueError(f"nothing was prepared for {prepared.photo}")
    try:
        with safe_writer.translate_errors(target):
            symlinks.require_no_links(target.parent)
            if safe_writer.digest_of(target) == prepared.after_hash:  # an earlier commit, whose process died
                discard(prepared)
                return target.parent
            _refuse_changes(target, prepared)
            if safe_writer.digest_of(temporary) != prepared.after_hash:
                raise FileChanged(f"The prepared file for {prepared.photo} is gone; it is prepared again.")
            if not prepared.created:
                temporary.replace(target)
                return target.parent
            try:
                exclusive_rename.create_exclusively(temporary, target)
            except FileExistsError:
                raise FileChanged(f"Another program created {target}; it is left alone.") from None
    except MaclipError as error:
        discard(prepared)  # on a full disk too: it would take the room that is missing
        if isinstance(error, WriteRefused):  # a permission taken away since; the next `prepare` will say it
            raise Transient(str(error)) from None
        raise
    return target.parent


def discard(prepared: Prepared) -> None:
    """Remove the temporary file."""
    if prepared.temporary is not None and temporaries.is_temporary(prepared.temporary.name):
        with contextlib.suppress(OSError):
            prepared.temporary.unlink()


def commit_many(batch: list[Prepared]) -> list[MaclipError | None]:
    """Commit several, then flush each of their folders once."""
    results: list[MaclipError | None] = []
    waiting: dict[Path, list[int]] = {}
    with sidecar_names.one_listing():
        for index, prepared in enumerate(batch):
            try:
                folder = commit(prepared)
            except MaclipError as error:
                results.append(error)
            else:
                results.append(None)
                if folder is not None:
                    waiting.setdefault(folder, []).append(index)
    for folder, indices in waiting.items():
        try:
            with safe_writer.translate_errors(folder / "."):
                safe_writer.flush(folder)
        except WriteRefused:
            continue  # a folder that may be written but not read cannot be flushed
        except MaclipError as error:
            for index in indices:
                results[index] = error
    return results


def _refuse_changes(target: Path, prepared: Prepared) -> None:
    if prepared.created:
        if any(each.path.name not in prepared.beside for each in sidecar_names.find_all(prepared.photo)):
            raise FileChanged(f"Another program created a sidecar for {prepared.photo}; it is left alone.")
        if FileSignature.of(prepared.photo.lstat()) != prepared.photo_signature:
            raise FileChanged(f"{prepared.photo} changed while its sidecar was prepared.")
    elif safe_writer.digest_of(target) != prepared.before_hash:
        raise FileChanged(f"{target} was changed by another program; it is left alone.")
    elif target == prepared.photo and target.lstat().st_nlink > 1:
        raise FileChanged(f"{target} got a second name (hard link); it is left alone.")
