"""Edits that darktable keeps in its library alone: a new sidecar would make it drop them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from maclip_daemon import errors
from maclip_daemon.library.queries import darktable_library
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import Prepared

Result = Prepared | errors.MaclipError


def skip_unsaved(results: Sequence[Result], writer: MetadataWriter, configured: str) -> list[Result]:
    """Discard the new sidecars that would end darktable's edits; return the results, those as `skipped`.

    `configured`: the setting `rating.darktable_library`. While that library cannot be read, each new sidecar
    becomes its `Transient` error.
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
    "darktable keeps its edits of {photo} in its library only, and would drop them for a new sidecar. Select "
    "the photo in darktable, use 'write sidecar files', then run `maclip rate`."
)
