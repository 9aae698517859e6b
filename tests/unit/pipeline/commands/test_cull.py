"""Rejected photos leave with all that belongs to them, and come back."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.files import linux_calls, moved_files
from maclip_daemon.library.queries import rejected_photos
from maclip_daemon.library.queries.finding.photo_filter import PhotoFilter
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import FoundRating
from maclip_daemon.pipeline.commands.culling import cull, cull_list
from maclip_daemon.pipeline.commands.culling.cull import CulledFile
from tests.rated_library import RatedLibrary


def files(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(f"{folder.name}/{name}".encode())
    return [folder / name for name in names]


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != cull_list.LIST_NAME
    }


def taken(photos: list[Path], folder: Path, action: cull.Action = "move") -> list[CulledFile]:
    folder.mkdir(exist_ok=True)
    return list(cull.take(cull.with_sidecars(photos), folder, action))


def test_a_shot_leaves_with_its_sidecars_and_comes_back(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    names = ["IMG_1.cr2", "IMG_1.jpg", "IMG_1.cr2.xmp", "IMG_1.jpg.xmp", "IMG_1.xmp", "IMG_1_01.jpg.xmp"]
    files(photos, *names, "IMG_2.jpg", "IMG_2.jpg.xmp", "IMG_10.jpg.xmp")
    before = contents(photos)
    done = taken([photos / "IMG_1.cr2", photos / "IMG_1.jpg"], tmp_path / "out")
    assert sorted(each.path.name for each in done) == sorted(names)
    assert sorted(contents(photos)) == ["IMG_10.jpg.xmp", "IMG_2.jpg", "IMG_2.jpg.xmp"]
    assert sorted(contents(tmp_path / "out")) == sorted(names)
    assert all(each.target is not None for each in cull.bring_back(tmp_path / "out"))
    assert contents(photos) == before
    assert contents(tmp_path / "out") == {}
    assert list(cull.bring_back(tmp_path / "out")) == []


def test_a_sidecar_that_another_photo_shares_stays(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    files(photos, "a.jpg", "a.png", "a.xmp", "a.jpg.xmp")
    taken([photos / "a.jpg"], tmp_path / "out")
    assert sorted(contents(photos)) == ["a.png", "a.xmp"]


def test_the_sidecar_of_a_photo_that_looks_like_a_duplicate_stays_with_it(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    files(photos, "a.jpg", "a_01.jpg", "a_01.jpg.xmp", "a_02.jpg.xmp")
    taken([photos / "a.jpg"], tmp_path / "out")
    assert sorted(contents(photos)) == ["a_01.jpg", "a_01.jpg.xmp"]


def test_names_that_collide_are_kept_apart_shot_by_shot(tmp_path: Path) -> None:
    one = files(tmp_path / "one", "a.jpg", "a.jpg.xmp")
    two = files(tmp_path / "two", "a.jpg", "a.jpg.xmp", "a.xmp")
    out = tmp_path / "out"
    files(out, "a.jpg.xmp")
    taken([one[0], two[0]], out)
    assert contents(out) == {
        "a.jpg.xmp": "out/a.jpg.xmp",
        "a (2).jpg": "one/a.jpg",
        "a (2).jpg.xmp": "one/a.jpg.xmp",
        "a (3).jpg": "two/a.jpg",
        "a (3).jpg.xmp": "two/a.jpg.xmp",
        "a (3).xmp": "two/a.xmp",
    }
    list(cull.bring_back(out))
    assert contents(tmp_path / "two") == {name: f"two/{name}" for name in ("a.jpg", "a.jpg.xmp", "a.xmp")}


def test_a_copy_leaves_everything_where_it_is(tmp_path: Path) -> None:
    (photo,) = files(tmp_path / "photos", "a.jpg")
    taken([photo], tmp_path / "out", "copy")
    assert photo.read_bytes() == (tmp_path / "out" / "a.jpg").read_bytes()
    with pytest.raises(EnvironmentUnfit, match="no list of moved photos"):
        list(cull.bring_back(tmp_path / "out"))


def test_undo_never_replaces_a_file_that_is_there_again(tmp_path: Path) -> None:
    (photo,) = files(tmp_path / "photos", "a.jpg")
    taken([photo], tmp_path / "out")
    photo.write_text("another photo")
    (left,) = cull.bring_back(tmp_path / "out")
    assert left.target is None
    assert "is there again" in left.reason
    assert (photo.read_text(), (tmp_path / "out" / "a.jpg").exists()) == ("another photo", True)


def test_a_move_that_was_killed_or_cut_off_in_the_list_hurts_nothing(tmp_path: Path) -> None:
    (photo,) = files(tmp_path / "photos", "a.jpg")
    out = tmp_path / "out"
    out.mkdir()
    entry = json.dumps({"from": str(photo), "to": str(out / "a.jpg")})
    (out / cull_list.LIST_NAME).write_text(f"{entry}\n{entry[:20]}")
    assert list(cull.bring_back(out)) == []
    assert photo.exists()


def test_a_move_to_another_disk_is_a_checked_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (photo,) = files(tmp_path / "photos", "a.jpg")
    content, rename = photo.read_bytes(), linux_calls.renameat2

    def other_disk(folder: int, old: str, new: str, flag: int) -> None:
        if Path(old).parent != Path(new).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(folder, old, new, flag)

    monkeypatch.setattr(linux_calls, "renameat2", other_disk)
    out = tmp_path / "out"
    assert taken([photo], out) == [CulledFile(photo, out / "a.jpg")]
    assert (photo.exists(), (out / "a.jpg").read_bytes()) == (False, content)
    assert sorted(path.name for path in out.iterdir()) == ["a.jpg", cull_list.LIST_NAME]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS])
def test_a_file_system_without_exclusive_renames_replaces_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def lacks(*_: object) -> None:
        raise OSError(number, "no such call")

    monkeypatch.setattr(linux_calls, "renameat2", lacks)
    source, target = files(tmp_path, "a", "b")
    with pytest.raises(FileExistsError):
        moved_files.move(source, target)
    assert target.read_bytes().endswith(b"/b")
    moved_files.move(source, tmp_path / "c")
    assert (source.exists(), (tmp_path / "c").read_bytes().endswith(b"/a")) == (False, True)


class Finder(MetadataWriter):
    """Finds these ratings, by the name of the photo."""

    def __init__(self, **found: tuple[str, int | None]) -> None:
        self.found = found

    def inspect(self, photo: Path, last_written: int | None = None) -> FoundRating:
        owner, rating = self.found[photo.stem]
        return FoundRating(owner, rating, None, photo, None)  # type: ignore[arg-type]


def test_only_what_is_still_rejected_leaves(rated: RatedLibrary) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        rated.add(name)
    rated.write("update photos set rating_owner = 'person', rating_in_file = -1 where file_name <> 'c.jpg'")
    with rated.library.snapshot() as snapshot:
        candidates = rejected_photos.rejected(snapshot)
        assert (
            rejected_photos.rejected(snapshot, PhotoFilter(under=(str(rated.folder / "a.jpg"),)))
            == candidates[:1]
        )
    assert [Path(each.path).name for each in candidates] == ["a.jpg", "b.jpg"]
    finder = Finder(a=("person", -1), b=("person", 3))
    first, second = cull.confirmed(candidates, finder, rated.state.probe)
    assert first == candidates[0]
    assert isinstance(second, CulledFile)
    assert "no longer rejected" in second.reason


def test_the_weakest_are_those_that_no_person_rated_or_picked(rated: RatedLibrary) -> None:
    for place, name in enumerate(("a.jpg", "b.jpg", "c.jpg", "d.jpg")):
        rated.add(name, score=place / 10)
    rated.write("update photos set rating_owner = 'person', rating_in_file = 1 where file_name = 'a.jpg'")
    rated.write("update photos set is_picked = 1 where file_name = 'b.jpg'")
    with rated.library.snapshot() as snapshot:
        (found,) = rejected_photos.weakest(snapshot, 1)
    assert Path(found.path).name == "c.jpg"
    (left,) = cull.confirmed([found], Finder(c=("person", 5)), rated.state.probe)
    assert isinstance(left, CulledFile)
