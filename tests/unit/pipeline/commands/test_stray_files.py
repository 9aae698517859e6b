"""Files that an interrupted write left are named once a run would take care of them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from maclip_daemon.files import exchange, temporaries
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.pipeline.commands import stray_files
from maclip_daemon.pipeline.commands.disagreement import Cures


def found(folder: Path) -> set[str]:
    """Return the names that a check without a daemon finds in a folder."""
    cures, before = Cures(folder / "library.db", is_running=False), time.time() + 1
    strays = stray_files.find(
        [str(folder)], set(), MetadataWriter(), FilesystemProbe(5.0), cures, lambda _: None, before
    )
    return {Path(each.path).name for each in strays}


def test_an_edit_that_lies_aside_is_named_once_a_run_would_put_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = tmp_path / temporaries.new_aside("IMG.jpg.xmp")
    aside.write_bytes(b"an edit")
    temporary = temporaries.new_path(tmp_path)
    temporary.touch()
    assert found(tmp_path) == {temporary.name}, "the command that is printed would change nothing yet"
    monkeypatch.setattr(exchange, "MAY_BE_RUNNING_S", -2.0)
    assert found(tmp_path) == {temporary.name, aside.name}
