"""Rejected photos move to a folder; a kill, a full disk and an absent drive lose none."""

from __future__ import annotations

import errno
import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from maclip_daemon.errors import ChildDied, FileChanged, MaclipError, NoSpace, UsageError
from maclip_daemon.files import moved_files
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.scanner import found_file
from maclip_daemon.library.photos import gone_copies, photo_records
from maclip_daemon.library.storage.database_errors import DatabaseBusy
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import FoundRating
from maclip_daemon.pipeline.commands.culling import cull, cull_folder, cull_list
from maclip_daemon.pipeline.commands.culling.cull import CulledFile
from maclip_daemon.pipeline.commands.culling.cull_folder import WatchedFolders
from maclip_daemon.pipeline.commands.culling.rejected_moves import MovedShot, RejectedMoves
from maclip_daemon.pipeline.commands.journalled_write import JournalledWrites
from tests.faults.small_disk import small_disk
from tests.rated_library import RatedLibrary
from tests.unit.pipeline.commands.test_cull import contents

NAMES = ("a.jpg", "b.jpg", "c.jpg")


class Killed(BaseException):
    """The program ends here, as kill -9 ends it."""


class SidecarReader(MetadataWriter):
    """Finds the rating that the sidecar of a photo spells."""

    def __init__(self) -> None:
        pass

    def inspect(self, photo: Path, last_written: int | None = None) -> FoundRating:
        try:
            rating = int(photo.with_name(f"{photo.name}.xmp").read_text())
        except FileNotFoundError:
            raise FileChanged("The photo is gone.") from None
        return FoundRating("person", rating, None, photo, None)


@pytest.fixture
def moves(rated: RatedLibrary) -> RejectedMoves:
    """Three rejected photos with sidecars."""
    for name in NAMES:
        photo_id = rated.add(name)
        (rated.folder / name).write_text(f"photo {name}")
        (rated.folder / f"{name}.xmp").write_text("-1")
        found = found_file(str(rated.folder / name))
        assert found is not None
        with rated.library.writing() as session:
            photo_records.record_rewrite(session, photo_id, found)
    rated.write("update photos set rating_owner = 'person', rating_in_file = -1")
    writes = JournalledWrites(rated.library, SidecarReader(), rated.state.probe, lambda: rated.now)
    return RejectedMoves(writes, threading.Lock())


def states(rated: RatedLibrary) -> list[str]:
    return [state for (state,) in rated.rows("select state from photos order by file_name")]


def all_moved(moves: RejectedMoves, folder: Path) -> list[MovedShot]:
    return list(moves.move(moves.shots(()), folder))


def reasons(shots: list[MovedShot]) -> list[str]:
    return [file.sentence() for shot in shots for file in shot.files if file.target is None]


def test_photos_leave_with_their_sidecars_and_return_with_their_scores(
    rated: RatedLibrary, moves: RejectedMoves, tmp_path: Path
) -> None:
    before, known = contents(rated.folder), states(rated)
    out = tmp_path / "out"
    assert reasons(all_moved(moves, out)) == []
    assert contents(out) == before
    assert states(rated) == ["missing"] * 3
    assert moves.folders() == [(out, 6)]
    assert moves.shots(()) == []
    back = list(moves.bring_back(out))
    assert (contents(rated.folder), contents(out)) == (before, {})
    assert sorted(photo for each in back for photo in each.photo_ids) == [1, 2, 3]
    assert states(rated) == known
    assert moves.folders() == []
    assert reasons(all_moved(moves, out)) == []  # and once more: the list knows the names already
    list(moves.bring_back(out))
    assert contents(rated.folder) == before


def test_what_was_decided_meanwhile_stays(rated: RatedLibrary, moves: RejectedMoves, tmp_path: Path) -> None:
    shots = moves.shots(())
    (rated.folder / "a.jpg.xmp").write_text("3")  # by darktable
    rated.write("update photos set rating_in_file = 5 where file_name = 'b.jpg'")  # on the page
    (left,) = reasons(list(moves.move(shots, tmp_path / "out")))
    assert "another program rated it meanwhile" in left
    assert sorted(contents(tmp_path / "out")) == ["c.jpg", "c.jpg.xmp"]


def test_a_photo_about_which_a_decision_waits_stays(rated: RatedLibrary, moves: RejectedMoves) -> None:
    rated.write(
        "insert into decisions (photo_id, review, press, rating, before, state, decided_at)"
        " values (1, 'today', 1, 5, '{}', 'waiting', '2026-01-01T00:00:00Z')"
    )
    assert [shot[0].photo_id for shot in moves.shots(())] == [2, 3]


@pytest.mark.parametrize("step", range(14))
def test_a_kill_at_any_step_leaves_whole_shots_that_can_be_brought_back(
    rated: RatedLibrary, moves: RejectedMoves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    before, out = contents(rated.folder), tmp_path / "out"
    left = step

    def mortal(do: Callable[..., object]) -> Callable[..., object]:
        def one_step(*arguments: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return do(*arguments, **options)

        return one_step

    with monkeypatch.context() as patch:
        patch.setattr(moved_files, "move", mortal(moved_files.move))
        patch.setattr(cull_list, "note", mortal(cull_list.note))
        patch.setattr(cull_list, "note_end", mortal(cull_list.note_end))
        patch.setattr(gone_copies, "mark_gone", mortal(gone_copies.mark_gone))
        with pytest.raises(Killed) if step < 14 else pytest.warns():
            all_moved(moves, out)
    moves.finish_killed()
    assert contents(rated.folder) | contents(out) == before
    assert not contents(rated.folder).keys() & contents(out).keys()
    for name in NAMES:
        folder = out if (out / name).exists() else rated.folder
        assert (folder / f"{name}.xmp").exists(), name
    away = ["missing" if (out / name).exists() else "scored" for name in NAMES]
    assert states(rated) == away, "the library knows what the killed run had moved"
    all_moved(moves, out)
    assert contents(out) == before
    back = moves.bring_back(out)
    while next(back).files[0].path.suffix != ".jpg":
        pass
    rated.write("update photos set state = 'missing'")  # killed before it was recorded
    moves.finish_killed()
    assert states(rated).count("scored") == 1
    list(moves.bring_back(out))
    assert contents(rated.folder) == before


def test_a_copy_to_another_disk_that_was_cut_off_before_its_end_is_one_photo(
    moves: RejectedMoves, tmp_path: Path
) -> None:
    writer = moves._writes.writer
    photo, out = tmp_path / "a.jpg", tmp_path / "out"
    out.mkdir()
    photo.write_text("a photo")
    (tmp_path / "a.jpg.xmp").write_text("-1")
    (out / "a.jpg").write_text("a photo")
    cull_list.note(out, [(photo, out / "a.jpg")])
    assert [each.target for each in cull.finish(out, 0.0, writer)] == [out / "a.jpg"]
    assert not photo.exists()
    cull_list.note_end(out, [(photo, out / "a.jpg")])
    photo.write_text("a photo")  # copied from the card once more, later
    assert cull.finish(out, 0.0, writer) == []
    assert photo.exists()


def test_ctrl_c_while_a_move_is_flushed_leaves_a_whole_shot_where_it_was(
    rated: RatedLibrary, moves: RejectedMoves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, move, out = contents(rated.folder), moved_files.move, tmp_path / "out"
    out.mkdir()

    def moved_and_cut_off(source: Path, target: Path) -> None:
        move(source, target)
        raise KeyboardInterrupt

    def copied_and_cut_off(source: Path, target: Path) -> None:
        moved_files.copy(source, target)
        raise KeyboardInterrupt

    for cut_off in (moved_and_cut_off, copied_and_cut_off):
        with monkeypatch.context() as patch:
            patch.setattr(moved_files, "move", iter_then(cut_off, move))
            with pytest.raises(KeyboardInterrupt):
                cull.take_shot([rated.folder / "a.jpg", rated.folder / "a.jpg.xmp"], out)
        assert (contents(rated.folder), contents(out)) == (before, {})


def iter_then(first: Callable[[Path, Path], None], then: Callable[[Path, Path], None]) -> Callable[..., None]:
    """Return a function that does the one thing once, and the other from then on."""
    ways = itertools.chain([first], itertools.repeat(then))
    return lambda source, target: next(ways)(source, target)


def test_what_cannot_be_asked_after_a_kill_stays_and_a_whole_copy_beside_its_original_goes(
    rated: RatedLibrary, moves: RejectedMoves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, jpeg, raw = tmp_path / "out", rated.folder / "a.jpg", rated.folder / "a.dng"
    out.mkdir()
    (out / "a.dng").write_text("a RAW")
    (out / "a.jpg").write_bytes(jpeg.read_bytes())
    sidecar = rated.folder / "a.jpg.xmp"
    cull_list.note(out, [(raw, out / "a.dng"), (jpeg, out / "a.jpg"), (sidecar, out / "a.jpg.xmp")])
    sidecar.write_text("5")
    moves._remember(out)

    def lost(*_: object) -> FoundRating:
        raise ChildDied("The metadata process ended.")

    with monkeypatch.context() as patch:
        patch.setattr(SidecarReader, "inspect", lost)
        moves.finish_killed()
    assert jpeg.exists()
    assert sidecar.exists()
    moves.finish_killed()
    assert contents(out) == {}, "the copy has an original"
    assert raw.read_text() == "a RAW"
    assert moves.folders() == []


@pytest.mark.parametrize("end", [Killed, KeyboardInterrupt])
def test_what_is_rated_after_a_move_was_cut_off_gets_its_shot_back(
    rated: RatedLibrary,
    moves: RejectedMoves,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: type[BaseException],
) -> None:
    out, move = tmp_path / "out", moved_files.move
    raw, jpeg = rated.folder / "IMG_9.dng", rated.folder / "IMG_9.jpg"
    for path in (raw, jpeg):
        path.write_text(path.name)
        path.with_name(f"{path.name}.xmp").write_text("-1")
    before = contents(rated.folder)
    out.mkdir()

    def cut_off(source: Path, target: Path) -> None:
        if source == jpeg:
            raise end
        move(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(moved_files, "move", cut_off)
        with pytest.raises(end):
            list(cull.take(cull.with_sidecars([raw, jpeg]), out, "move"))
    assert (out / raw.name).exists() is (end is Killed), "Ctrl-C leaves a whole shot"
    jpeg.with_name(f"{jpeg.name}.xmp").write_text("5")
    moves._remember(out)
    moves.finish_killed()
    assert contents(rated.folder) == before | {f"{jpeg.name}.xmp": "5"}
    assert contents(out) == {}


def test_a_shot_of_which_one_file_cannot_move_stays_whole(
    rated: RatedLibrary, moves: RejectedMoves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, move = contents(rated.folder), moved_files.move

    def refuses(source: Path, target: Path) -> None:
        if source.name == "b.jpg.xmp":
            raise PermissionError(13, "Permission denied")
        move(source, target)

    monkeypatch.setattr(moved_files, "move", refuses)
    left = reasons(all_moved(moves, tmp_path / "out"))
    assert len(left) == 2
    assert all("Permission denied" in each for each in left)
    assert sorted(contents(rated.folder)) == ["b.jpg", "b.jpg.xmp"]
    assert contents(rated.folder) | contents(tmp_path / "out") == before
    assert states(rated)[1] != "missing"


def test_a_full_disk_ends_the_move_and_leaves_no_half_photo(
    rated: RatedLibrary, moves: RejectedMoves, tmp_path: Path
) -> None:
    (rated.folder / "b.jpg").write_bytes(b"b" * (3 << 20))
    with small_disk(tmp_path / "disk", 2) as disk:
        out = disk.folder / "out"
        with pytest.raises(NoSpace, match="takes no more"):
            all_moved(moves, out)
        assert sorted(contents(out)) == ["a.jpg", "a.jpg.xmp"]
        assert sorted(contents(rated.folder)) == ["b.jpg", "b.jpg.xmp", "c.jpg", "c.jpg.xmp"]
        disk.fill()
        with pytest.raises(NoSpace, match="takes no more"):
            all_moved(moves, out)
        disk.empty()
        with pytest.raises(NoSpace, match=r"has 0\.0 GB free"):
            cull_folder.require_space(out, [rated.folder / "b.jpg"])
        (rated.folder / "b.jpg").write_text("small")
        assert reasons(all_moved(moves, out)) == []
        assert len(contents(out)) == 6
        list(moves.bring_back(out))
        assert len(contents(rated.folder)) == 6


def test_an_absent_drive_is_the_reason_and_nothing_returns_to_its_mount_point(
    rated: RatedLibrary, moves: RejectedMoves, tmp_path: Path
) -> None:
    out, away = tmp_path / "out", tmp_path / "unplugged"
    shots = moves.shots(())
    assert reasons(list(moves.move(shots[:1], out))) == []
    rated.folder.rename(away)
    left = reasons(list(moves.move(shots[1:], out)))
    assert len(left) == 2
    assert all("Connect its disk" in each for each in left)
    assert all("Connect its disk" in each for each in reasons(list(moves.bring_back(out))))
    assert not rated.folder.exists()
    away.rename(rated.folder)
    assert reasons(list(moves.bring_back(out))) == []
    assert len(contents(rated.folder)) == 6


def test_the_folder_may_have_another_path_when_photos_return(
    rated: RatedLibrary, moves: RejectedMoves, tmp_path: Path
) -> None:
    before = contents(rated.folder)
    all_moved(moves, tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    assert all(each.target for each in cull.bring_back(tmp_path / "elsewhere"))
    assert contents(rated.folder) == before


def test_a_line_that_a_full_disk_cut_off_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / cull_list.LIST_NAME).write_text('{"from": "/photos/a.j')
    cull_list.note(tmp_path, [(Path("/photos/b.jpg"), tmp_path / "b.jpg")])
    for line in ("[" * 100_000, "3", '{"returned": []}', '{"ended": 1}'):
        with (tmp_path / cull_list.LIST_NAME).open("a") as file:
            file.write(line + "\n")
    (entry,) = cull_list.entries(tmp_path)
    assert (entry.name, entry.source) == ("b.jpg", Path("/photos/b.jpg"))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "Type the folder"),
        ("a\0b", "Type the folder"),
        ("x" * 5000, "Type the folder"),
        ("Desktop", "Type the whole path of the folder, such as ~/Desktop"),
        ("/", "holds other things"),
        ("~", "holds other things"),
        ("{root}", "holds other things"),
        ("{root}/out", "inside the watched folder"),
        ("{root}/../photos/out", "inside the watched folder"),
        ("{link}/out", "inside the watched folder"),
        ("{home}/.config/out", "is hidden"),
        ("{home}/@Recycle/out", "belongs to another program"),
        ("{home}/Mine.lrdata", "belongs to another program"),
        ("{own}/out", "belongs to maclip"),
        ("/etc/maclip", "belongs to the system"),
        ("/proc/self/fd", "belongs to the system"),
        ("{home}/file", "is a file"),
        ("{home}/no/such", "is not there. Connect its drive"),
    ],
)
def test_a_folder_in_which_photos_would_be_lost_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, said: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    root, own = tmp_path / "photos", tmp_path / "own"
    root.mkdir()
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "file").write_text("")
    watched = WatchedFolders([str(root)], Exclusion(["culled/"]), [str(own)])
    path = typed.format(home=tmp_path, root=root, own=own, link=tmp_path / "link")
    with pytest.raises(UsageError, match=said):
        cull_folder.require_fit(path, watched)
    assert cull_folder.require_fit(f"{root}/culled", watched) == root / "culled"
    assert cull_folder.require_fit("~/Pictures rejected", watched) == tmp_path / "Pictures rejected"
    assert cull_folder.default_for([str(root)], f"{root}/2026/a.jpg") == f"{tmp_path}/photos rejected"


def test_a_folder_that_cannot_be_made_is_said(moves: RejectedMoves, tmp_path: Path) -> None:
    with pytest.raises(MaclipError, match="cannot be made: No such file"):
        all_moved(moves, tmp_path / "not" / "there")


def test_a_return_that_could_not_be_recorded_is_recorded_by_the_next(
    rated: RatedLibrary, moves: RejectedMoves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = states(rated)
    out = tmp_path / "out"
    all_moved(moves, out)
    with monkeypatch.context() as locked:
        locked.setattr(rated.library, "writing", busy)
        with pytest.raises(DatabaseBusy):
            list(moves.bring_back(out))
    list(moves.bring_back(out))
    assert states(rated) == known


def test_a_cut_off_move_is_finished_though_another_folder_cannot_be_and_the_library_is_locked_at_first(
    rated: RatedLibrary, moves: RejectedMoves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_moved(moves, tmp_path / "whole")
    list(moves.bring_back(tmp_path / "whole"))
    move, finish = moved_files.move, cull.finish
    moving: list[Path] = []

    def mortal(source: Path, target: Path) -> None:
        moving.append(source)
        if len(moving) == 4:  # the sidecar of the second photo
            raise Killed
        move(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(moved_files, "move", mortal)
        with pytest.raises(Killed):
            all_moved(moves, tmp_path / "cut off")
    tried: list[str] = []

    def refused_for_one(folder: Path, now: float, writer: MetadataWriter) -> list[CulledFile]:
        tried.append(folder.name)
        if folder.name == "whole":
            raise NoSpace("The disk is full.")
        return finish(folder, now, writer)

    with monkeypatch.context() as patch:
        patch.setattr(cull, "finish", refused_for_one)
        patch.setattr(rated.library, "writing", busy)
        assert not moves.finish_killed()
    assert tried == ["whole", "cut off"]
    assert moves.finish_killed()
    assert states(rated).count("missing") == 2


def busy(*_arguments: object) -> NoReturn:
    raise DatabaseBusy("Another program holds the library.")


def test_what_waited_for_a_photo_when_it_left_is_asked_for_when_it_is_back(
    rated: RatedLibrary, moves: RejectedMoves, tmp_path: Path
) -> None:
    rated.queue(1)
    all_moved(moves, tmp_path / "out")
    assert rated.jobs() == []
    list(moves.bring_back(tmp_path / "out"))
    assert ("a.jpg", "rate", "ready", 0) in rated.jobs()


def test_a_cut_off_move_to_a_drive_that_is_absent_is_finished_once_it_is_there(
    rated: RatedLibrary, moves: RejectedMoves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive = tmp_path / "drive"
    move = moved_files.move

    def mortal(source: Path, target: Path) -> None:
        if source.suffix == ".xmp":
            raise Killed
        move(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(moved_files, "move", mortal)
        with pytest.raises(Killed):
            all_moved(moves, drive)
    drive.rename(tmp_path / "unplugged")
    assert not moves.finish_killed()
    with monkeypatch.context() as patch:
        patch.setattr(moves._writes.probe, "call", not_connected)
        assert not moves.finish_killed()
    (tmp_path / "unplugged").rename(drive)
    assert moves.finish_killed()
    assert {"a.jpg", "a.jpg.xmp"} <= contents(drive).keys()


def not_connected(*_arguments: object) -> NoReturn:
    raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
