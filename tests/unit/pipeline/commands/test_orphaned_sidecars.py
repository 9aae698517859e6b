"""Sidecars without their photo: none that another photo may share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from maclip_daemon.errors import NoAnswer
from maclip_daemon.library.photos import missing_photos
from maclip_daemon.metadata.records import UndoOutcome
from maclip_daemon.pipeline.commands import orphaned_sidecars
from tests.rated_library import RatedLibrary


@pytest.mark.parametrize("error", [NoAnswer("It does not respond."), OSError(5, "Input/output error")])
def test_a_folder_that_cannot_be_listed_hides_who_shares_a_sidecar(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def failing(path: str, operation: Callable[[], object]) -> object:
        if getattr(operation, "func", None) is orphaned_sidecars._stems:
            raise error
        return operation()

    raw, _ = rated.add("IMG.nef"), rated.add("IMG.jpg")
    shared, alone = rated.folder / "IMG.xmp", rated.folder / "IMG.nef.xmp"
    for sidecar in (shared, alone):
        sidecar.write_bytes(b"stars: 3")
    (rated.folder / "IMG.nef").unlink()
    with rated.library.writing() as session:
        missing_photos.mark_missing(session, [raw], rated.now)
    monkeypatch.setattr(rated.writer, "preview_undo", lambda entries: [UndoOutcome("removed")])
    probe = rated.state.probe
    assert orphaned_sidecars.find(rated.library, rated.writer, probe, None).ours == [str(alone)]
    monkeypatch.setattr(probe, "call", failing)
    found = orphaned_sidecars.find(rated.library, rated.writer, probe, None)
    assert (found.ours, found.others) == ([], [])
