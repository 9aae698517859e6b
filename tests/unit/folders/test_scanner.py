import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maclip_daemon.folders import scanner
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.scanner import FolderListing, folders_only, found_file, scan


def is_photo(name: str) -> bool:
    return name.lower().endswith((".jpg", ".dng"))


def listings(
    root: Path, exclusion: Exclusion | None = None, start: Path | None = None
) -> list[FolderListing]:
    return list(scan(str(root), exclusion or Exclusion(), is_photo, str(start) if start else None))


def names(root: Path, exclusion: Exclusion | None = None) -> list[str]:
    files = [file for listing in listings(root, exclusion) for file in listing.files]
    return sorted(os.path.relpath(file.path, root) for file in files)


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_photos_are_found_in_all_folders_with_size_and_times(tmp_path: Path) -> None:
    photo = put(tmp_path / "2026/07/a.jpg", b"12345")
    put(tmp_path / "b.DNG")
    put(tmp_path / "notes.txt")
    put(tmp_path / "2026/a.jpg.xmp")
    assert names(tmp_path) == ["2026/07/a.jpg", "b.DNG"]
    found = found_file(str(photo))
    facts = photo.stat()
    assert found is not None
    assert (found.name, found.size, found.mtime_ns) == ("a.jpg", 5, facts.st_mtime_ns)
    assert (found.ctime_ns, found.inode, found.device) == (facts.st_ctime_ns, facts.st_ino, facts.st_dev)


def test_excluded_folders_and_files_are_not_entered(tmp_path: Path) -> None:
    for name in [
        "a.jpg",
        ".b.jpg",
        "@eaDir/c.jpg",
        ".d/e.jpg",
        "exports/f.jpg",
        "2026/exports/g.jpg",
        "h_web.jpg",
    ]:
        put(tmp_path / name)
    exclusion = Exclusion(["exports/", "*_web.jpg"])
    assert names(tmp_path, exclusion) == ["a.jpg"]
    assert sorted(folders_only(str(tmp_path), exclusion)) == [str(tmp_path), str(tmp_path / "2026")]


def test_a_scan_of_one_folder_uses_the_patterns_of_the_root(tmp_path: Path) -> None:
    put(tmp_path / "2026/a.jpg")
    put(tmp_path / "2026/web/b.jpg")
    put(tmp_path / "2025/c.jpg")
    found = listings(tmp_path, Exclusion(["/2026/web"]), tmp_path / "2026")
    assert [listing.folder for listing in found] == [str(tmp_path / "2026")]
    assert [file.name for file in found[0].files] == ["a.jpg"]


def test_links_fifos_and_sockets_are_not_photos_and_nothing_hangs(tmp_path: Path) -> None:
    put(tmp_path / "real/a.jpg")
    (tmp_path / "link.jpg").symlink_to("real/a.jpg")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "real/up").symlink_to("..")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "fifo.jpg")
    with socket.socket(socket.AF_UNIX) as unix_socket:
        here = os.open(tmp_path, os.O_RDONLY)
        unix_socket.bind(f"/proc/self/fd/{here}/socket.jpg")
        os.close(here)
        assert names(tmp_path) == ["real/a.jpg"]
    for name in ["link.jpg", "loop", "folder.jpg", "fifo.jpg", "gone.jpg"]:
        assert found_file(str(tmp_path / name)) is None


def test_strange_names_stay_as_they_are(tmp_path: Path) -> None:
    strange = [
        b"new\nline.jpg",
        b"\xff\xfe.jpg",
        b"%s{0}.jpg",
        b"-rf.jpg",
        "é".encode() + b".jpg",
        b"n" * 251 + b".jpg",
    ]
    for name in strange:
        put(tmp_path / os.fsdecode(b"broken\xff\nfolder") / os.fsdecode(name))
    found = [file for listing in listings(tmp_path) for file in listing.files]
    assert sorted(os.fsencode(file.name) for file in found) == sorted(strange)
    assert all(Path(file.path).is_file() for file in found)


def test_a_tree_deeper_than_any_recursion_limit_is_walked(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(1010):  # within PATH_MAX, beyond Python's 1000 frames
        folder = Path(f"{folder}/d")
        folder.mkdir()
    photo = put(folder / "a.jpg")
    assert [file.path for listing in listings(tmp_path) for file in listing.files] == [str(photo)]
    photo.unlink()
    os.removedirs(folder)  # shutil.rmtree, with which pytest tidies up, cannot


def test_a_missing_root_is_a_problem_and_not_an_empty_folder(tmp_path: Path) -> None:
    (listing,) = listings(tmp_path / "gone")
    assert listing.files == []
    assert "No such file" in listing.problem


def test_an_unreadable_folder_is_a_problem_and_its_neighbours_are_scanned(tmp_path: Path) -> None:
    put(tmp_path / "a/1.jpg")
    put(tmp_path / "b/2.jpg")
    (tmp_path / "a").chmod(0)
    if os.access(tmp_path / "a", os.R_OK):
        pytest.skip("this user may read everything")
    found = {listing.folder: listing for listing in listings(tmp_path)}
    (tmp_path / "a").chmod(0o700)
    assert "Permission denied" in found[str(tmp_path / "a")].problem
    assert found[str(tmp_path / "b")].problem == ""
    assert [file.name for file in found[str(tmp_path / "b")].files] == ["2.jpg"]


def test_a_folder_that_vanishes_during_the_walk_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "a/1.jpg")
    put(tmp_path / "b/2.jpg")
    walk = scan(str(tmp_path), Exclusion(), is_photo)
    assert next(walk).subfolders == 2
    (tmp_path / "a/1.jpg").unlink()
    (tmp_path / "a").rmdir()
    assert [listing.folder for listing in walk] == [str(tmp_path / "b")]


def test_a_huge_folder_comes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner, "PART_FILES", 4)
    for number in range(10):
        put(tmp_path / f"{number}.jpg")
    parts = listings(tmp_path)
    assert [len(part.files) for part in parts] == [4, 4, 2]
    assert [part.is_complete for part in parts] == [False, False, True]


_names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12
).filter(lambda name: name not in {".", ".."})
_trees = st.recursive(
    st.none(), lambda children: st.dictionaries(_names, children, max_size=4), max_leaves=12
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.dictionaries(_names, _trees, max_size=4))
def test_any_tree_is_found_as_it_is(
    tree: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("tree")
    photos, folders = set(), {str(root)}
    pending: list[tuple[Path, dict[str, object], bool]] = [(root, tree, False)]
    while pending:
        folder, content, is_hidden = pending.pop()
        for name, below in content.items():
            if isinstance(below, dict):
                (folder / name).mkdir()
                is_left_alone = is_hidden or Exclusion().excludes_folder(name)
                if not is_left_alone:
                    folders.add(str(folder / name))
                pending.append((folder / name, below, is_left_alone))
            else:
                put(folder / f"{name}.jpg")
                if not is_hidden and not name.startswith("."):
                    photos.add(str(folder / f"{name}.jpg"))
    found = listings(root)
    assert {file.path for listing in found for file in listing.files} == photos
    assert {listing.folder for listing in found} == folders == set(folders_only(str(root), Exclusion()))
