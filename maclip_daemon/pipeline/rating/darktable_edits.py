"""New sidecars that darktable would take for the end of its own edits are not written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from maclip_daemon import errors
from maclip_daemon.library.queries import darktable_library
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import Prepared

Result = Prepared | errors.MaclipError


def hold_back(results: Sequence[Result], writer: MetadataWriter, configured: str) -> list[Result]:
    """Take back the new sidecars of photos whose edits exist in darktable's library alone.

    They become `skipped` results with a reason. `configured`: the setting `rating.darktable_library`.
    """
    library = darktable_library.find_library(configured)
    new = {str(result.photo) for result in results if isinstance(result, Prepared) and result.created}
    if library is None or not new:
        return list(results)
    problem: errors.Transient | None = None
    edited: set[str] = set()
    try:
        edited = darktable_library.edited_photos(library, new)
    except errors.Transient as error:
        problem = error
    kept: list[Result] = []
    for result in results:
        if not isinstance(result, Prepared) or not result.created:
            kept.append(result)
        elif problem is not None:
            writer.discard(result)
            kept.append(problem)
        elif str(result.photo) in edited:
            writer.discard(result)
            kept.append(replace(result, status="skipped", reason=_REASON.format(photo=result.photo)))
        else:
            kept.append(result)
    return kept


_REASON = (
    "darktable's edits of {photo} are in its library alone, and a new sidecar would end them. Select the "
    "photo in darktable, use 'write sidecar files', then run `maclip rate`."
)
