from pathlib import Path

import pytest

from maclip_daemon.folders.events import EventKind, FolderEvent
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.pipeline.rating import external_edits
from maclip_daemon.pipeline.rating.external_edits import SidecarMonitor
from maclip_daemon.pipeline.run_state import RunState

CHANGED, GONE, MOVED = EventKind.FILE_CHANGED, EventKind.FILE_GONE, EventKind.FILE_MOVED


@pytest.mark.parametrize(
    ("event", "about_photos"),
    [
        (FolderEvent(CHANGED, "/a.jpg"), FolderEvent(CHANGED, "/a.jpg")),
        (FolderEvent(CHANGED, "/a.jpg.xmp"), None),
        (FolderEvent(GONE, "/a.jpg"), FolderEvent(GONE, "/a.jpg")),
        (FolderEvent(GONE, "/a.XMP"), None),
        (FolderEvent(MOVED, "/a.jpg", "/b.jpg"), FolderEvent(MOVED, "/a.jpg", "/b.jpg")),
        (FolderEvent(MOVED, "/a.xmp", "/b.xmp"), None),
        (FolderEvent(MOVED, "/a.jpg", "/b.xmp"), FolderEvent(GONE, "/a.jpg")),
        (FolderEvent(MOVED, "/a.xmp", "/b.jpg"), FolderEvent(CHANGED, "/b.jpg")),
        (FolderEvent(EventKind.FOLDER_GONE, "/a.xmp"), FolderEvent(EventKind.FOLDER_GONE, "/a.xmp")),
    ],
)
def test_what_is_heard_of_sidecars_is_not_told_of_photos(
    tmp_path: Path, event: FolderEvent, about_photos: FolderEvent | None
) -> None:
    with Library.open(tmp_path / "library.db") as library:
        assert SidecarMonitor(library, RunState()).overhear(event) == about_photos


def test_a_sidecar_is_looked_at_when_it_is_quiet_and_not_more_than_so_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []
    passes: list[int] = []
    monkeypatch.setattr(external_edits, "_is_changed", lambda path, ours: looked_at.append(path))
    monkeypatch.setattr(external_edits, "queue_changed_files", lambda library, state: passes.append(1) or 0)
    monkeypatch.setattr(external_edits, "MOST_HEARD", 3)
    paths = {name: str(tmp_path / f"{name}.jpg.xmp") for name in "abcd"}
    for path in paths.values():
        Path(path).touch()
    with Library.open(tmp_path / "library.db") as library, MetadataWriter() as writer:
        hands = SidecarMonitor(library, RunState())
        for name in "abac":
            hands.overhear(FolderEvent(CHANGED, paths[name]))
        assert hands.look(writer, 1) == 0
        assert (looked_at, passes) == ([], [])
        monkeypatch.setattr(external_edits, "QUIET_S", 0.0)
        for name in "abac":
            hands.overhear(FolderEvent(CHANGED, paths[name]))
        assert hands.look(writer, 1) == 0
        assert (looked_at, passes) == ([paths[name] for name in "abc"], [])
        for name in "abcda":
            hands.overhear(FolderEvent(CHANGED, paths[name]))
        assert hands.look(writer, 1) == 0
        assert passes == [1], "of one nothing was heard, so all are looked at"
        assert hands.look(writer, 1) == 0
        assert passes == [1]


def test_a_huge_sidecar_is_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "a.xmp"
    huge.write_bytes(b"x")
    assert external_edits._is_changed(str(huge), None)
    with huge.open("r+b") as file:
        file.truncate(1 << 34)
    assert not external_edits._is_changed(str(huge), None)


def test_what_was_heard_goes_along_with_its_folder_and_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []
    monkeypatch.setattr(external_edits, "_is_changed", lambda path, ours: looked_at.append(path) or True)
    monkeypatch.setattr(external_edits, "QUIET_S", 0.0)
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    with Library.open(tmp_path / "library.db") as library, MetadataWriter() as writer:
        hands = SidecarMonitor(library, RunState())
        hands.overhear(FolderEvent(CHANGED, f"{old}/in/a.xmp"))
        hands.overhear(FolderEvent(CHANGED, f"{old}er.xmp"))
        moved = FolderEvent(EventKind.FOLDER_MOVED, old, new)
        assert hands.overhear(moved) == moved
        Path(new, "in").mkdir(parents=True)
        Path(new, "in", "a.xmp").touch()
        assert hands.look(writer, 1) == 0
    # There is no photo beside it, so it is looked at again; the other one is not there, and not read.
    assert looked_at == [f"{new}/in/a.xmp"] * (1 + external_edits.MOST_LOOKS)
