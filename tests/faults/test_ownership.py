"""maclip's own stars stay maclip's and can be undone: after restores, moves, purges, in second libraries."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import mounts
from tests.faults.conftest import Figures
from tests.homes import Home, contents, make_photo, make_photos

PHOTOS = 8
OTHER_SHARES = {"MACLIP_RATING__SHARES": "[0,10,10,20,60]"}  # other stars for most photos
OWNERS = "select rating_owner, count(*) from photos where state <> 'missing' group by 1"
TITLE = (
    "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
    "<rdf:Description rdf:about='' xmlns:dc='http://purl.org/dc/elements/1.1/' dc:source='a scan'/>"
    "</rdf:RDF></x:xmpmeta>"
)


def photos_of(folder: Path, count: int = PHOTOS, first: int = 0) -> dict[Path, bytes]:
    """Make photos, one of them with a sidecar of a person; return all files with their bytes."""
    paths = make_photos(folder, count, first)
    Path(f"{paths[0]}.xmp").write_text(TITLE, encoding="utf-8")
    return contents(folder)


def run(home: Home, *folders: Path, **environment: str) -> str:
    return home.maclip("run", "--once", *(folders or (home.photos,)), **environment).stdout


def assert_all_maclips(home: Home, count: int) -> None:
    assert home.sql(OWNERS) == [("maclip", count)]


def assert_undone(home: Home, before: dict[Path, bytes], *folders: Path) -> None:
    """Undo everything; the files are as they were before maclip."""
    home.maclip("undo")
    after: dict[Path, bytes] = {}
    for folder in folders or (home.photos,):
        after |= contents(folder)
    assert after == before


@pytest.mark.long_form("embed")
@pytest.mark.parametrize("mode", ["sidecar", "embed"])
def test_after_an_older_backup_every_file_is_maclips_and_comes_back(
    home: Home, mode: str, figures: Figures
) -> None:
    options = {"MACLIP_RATING__MODE": mode}
    before = photos_of(home.photos)
    run(home, **options)
    home.maclip("db", "backup", home.folder / "backup.db")
    before |= photos_of(home.photos / "later", 4, first=20)
    run(home, **options)
    home.maclip("rate", **options, **OTHER_SHARES)
    restored = home.maclip("db", "restore", home.folder / "backup.db", **options)
    assert "Merged" in restored.stdout
    assert restored.stderr == ""  # nothing is lost, so nothing is warned of
    run(home, **options)
    assert_all_maclips(home, PHOTOS + 4)
    assert_undone(home, before)
    figures(rounds=1, files=len(before), faults=1, note=f"an older backup restored ({mode})")


@pytest.mark.long_form
def test_undone_photos_stay_undone_after_an_older_backup(home: Home, figures: Figures) -> None:
    before = photos_of(home.photos)
    run(home)
    home.maclip("db", "backup", home.folder / "backup.db")
    home.maclip("undo")
    home.maclip("db", "restore", home.folder / "backup.db")
    run(home)
    assert contents(home.photos) == before
    assert home.sql(OWNERS) == [("none", PHOTOS)]
    figures(rounds=1, files=PHOTOS, faults=1)


@pytest.mark.long_form
def test_a_damaged_library_says_before_the_restore_what_undo_will_lack(home: Home, figures: Figures) -> None:
    photos_of(home.photos)
    run(home)
    home.maclip("db", "backup", home.folder / "backup.db")
    home.maclip("rate", **OTHER_SHARES)
    # Each has one entry, which stands for the writes before, too.
    rewritten = home.sql(
        "select target_path from rating_journal where state = 'written' and former_stars is not null"
    )
    library = home.data / "library.db"
    library.write_bytes(b"no database at all" * 1000)
    restored = home.maclip("db", "restore", home.folder / "backup.db")
    assert "journal cannot be read" in restored.stderr
    listed = {line.strip() for line in restored.stderr.splitlines() if line.startswith("  ")}
    assert listed
    assert listed <= {path for (path,) in rewritten}
    run(home, **OTHER_SHARES)
    assert_all_maclips(home, PHOTOS)
    home.maclip("undo")
    assert [path.name for path in contents(home.photos) if path.suffix == ".xmp"] == ["IMG_0000.jpg.xmp"]
    assert "maclip" not in (home.photos / "IMG_0000.jpg.xmp").read_text(encoding="utf-8")
    figures(rounds=1, files=PHOTOS, faults=1, note="a backup restored over a destroyed library")


@pytest.mark.long_form("embed")
@pytest.mark.parametrize("mode", ["sidecar", "embed"])
def test_a_new_library_knows_the_journal_of_the_one_before(home: Home, mode: str, figures: Figures) -> None:
    options = {"MACLIP_RATING__MODE": mode}
    before = photos_of(home.photos)
    run(home, **options)
    home.maclip("db", "restore", "--new", **options)
    run(home, **options, **OTHER_SHARES)
    assert_all_maclips(home, PHOTOS)
    assert_undone(home, before)
    figures(rounds=1, files=PHOTOS, faults=1, note=f"begun anew ({mode})")


def test_a_lost_library_is_replaced_by_the_proof_in_the_files(home: Home, figures: Figures) -> None:
    photos = set(photos_of(home.photos))
    run(home)
    shutil.rmtree(home.data)
    assert "rated by another maclip library and taken over" in run(home)
    assert_all_maclips(home, PHOTOS)
    rated = home.maclip("rate", **OTHER_SHARES).stdout  # they follow new stars
    assert ", 0 of your own left alone, 0 skipped." in rated
    assert_all_maclips(home, PHOTOS)
    home.maclip("undo")
    left = contents(home.photos)
    assert left.keys() == photos
    assert b"maclip" not in left[home.photos / "IMG_0000.jpg.xmp"]
    assert b"a scan" in left[home.photos / "IMG_0000.jpg.xmp"]
    figures(rounds=1, files=PHOTOS, faults=1, note="the data folder lost")


@contextlib.contextmanager
def other_disk(folder: Path) -> Iterator[Path]:
    with mounts.memory_disk(folder):
        yield folder


def move(files: dict[Path, bytes], source: Path, destination: Path, names: str) -> dict[Path, bytes]:
    """Move photos with their sidecars; return where the files of before are to be afterwards."""
    destination.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob(names)):
        shutil.move(path, destination / path.name)
    return {
        destination / path.name if path.parent == source and path.match(names) else path: data
        for path, data in files.items()
    }


@pytest.mark.long_form("embed")
@pytest.mark.parametrize("mode", ["sidecar", "embed"])
def test_photos_that_move_to_another_disk_keep_stars_and_undo(
    home: Home, mode: str, figures: Figures
) -> None:
    options = {"MACLIP_RATING__MODE": mode}
    first = home.photos
    before = photos_of(first)
    with other_disk(home.folder / "disk") as second:
        (second / "x").mkdir()
        before |= photos_of(second / "x", 2, first=30)
        run(home, first, second, **options)
        before = move(before, first, second / "2026", "IMG_000[0-3]*")
        run(home, first, second, **options)
        assert_all_maclips(home, PHOTOS + 2)
        assert home.sql("select count(*) from photos where state = 'missing'") == [(0,)]
        home.maclip("rate", **options, **OTHER_SHARES)
        assert_all_maclips(home, PHOTOS + 2)
        assert_undone(home, before, first, second)
    figures(rounds=1, files=len(before), faults=1, note=f"moved to another disk ({mode})")


@pytest.mark.long_form
def test_undone_photos_that_move_to_another_disk_stay_unrated(home: Home, figures: Figures) -> None:
    first = home.photos
    before = photos_of(first)
    with other_disk(home.folder / "disk") as second:
        make_photo(second / "x.jpg", 50)
        before |= contents(second)
        run(home, first, second)
        home.maclip("undo")
        before = move(before, first, second / "2026", "IMG_000[0-3]*")
        run(home, first, second)
        assert contents(first) | contents(second) == before
    figures(rounds=1, files=len(before), faults=1)


@pytest.mark.long_form("embed")
@pytest.mark.parametrize("mode", ["sidecar", "embed"])
def test_photos_that_return_after_a_purge_keep_stars_and_undo(
    home: Home, mode: str, figures: Figures
) -> None:
    options = {"MACLIP_RATING__MODE": mode}
    before = photos_of(home.photos / "kept", 4) | photos_of(home.photos / "away", 4, first=20)
    run(home, **options)
    (home.photos / "away").rename(home.folder / "away")
    run(home, **options)
    home.maclip("purge", "--yes", **options)
    (home.folder / "away").rename(home.photos / "back")
    run(home, **options)
    assert_all_maclips(home, 8)
    before = {
        home.photos / "back" / path.name if path.parent.name == "away" else path: data
        for path, data in before.items()
    }
    assert_undone(home, before)
    figures(rounds=1, files=len(before), faults=1, note=f"purged, and back under another name ({mode})")


@pytest.mark.long_form
def test_a_disk_with_another_device_number_and_a_renamed_folder(home: Home, figures: Figures) -> None:
    image, point = home.folder / "disk.img", home.folder / "disk"
    with mounts.failing_disk(image, point):
        before = photos_of(point / "kept", 4) | photos_of(point / "shoot", 4, first=20)
        device = point.stat().st_dev
        run(home, point)
        subprocess.run(["umount", point], check=True)
        occupied = home.folder / "other.img"
        with occupied.open("wb") as file:
            file.truncate(1 << 20)
        taken = subprocess.run(
            ["losetup", "-f", "--show", occupied], check=True, capture_output=True, text=True
        ).stdout.strip()
        try:
            mounts.mount("-o", "loop,noatime", image, point)
            if point.stat().st_dev == device:
                pytest.skip("the disk has the same device number again")
            (point / "shoot").rename(point / "2026-shoot")
            run(home, point)
            assert_all_maclips(home, 8)
            assert home.sql("select count(*) from photos where state = 'missing'") == [(0,)]
            before = {
                Path(str(path).replace("/shoot/", "/2026-shoot/")): data for path, data in before.items()
            }
            shutil.rmtree(point / "lost+found", ignore_errors=True)
            assert_undone(home, before, point)
        finally:
            subprocess.run(["losetup", "-d", taken], check=False)
    figures(rounds=1, files=len(before), faults=2, note="another device number, and a renamed folder")


@pytest.mark.long_form("embed")
@pytest.mark.parametrize("mode", ["sidecar", "embed"])
def test_the_same_files_through_a_second_mount_are_maclips_too(
    home: Home, mode: str, figures: Figures
) -> None:
    options = {"MACLIP_RATING__MODE": mode}
    disk, point = home.folder / "disk", home.folder / "again"
    point.mkdir()
    with mounts.removable_disk(disk, point):
        before = photos_of(disk)
        run(home, disk, **options)
        run(home, disk, point, **options)
        assert_all_maclips(home, 2 * PHOTOS)
        home.maclip("rate", **options, **OTHER_SHARES)
        run(home, disk, point, **options, **OTHER_SHARES)
        assert_all_maclips(home, 2 * PHOTOS)
        assert_undone(home, before, disk)
    figures(rounds=1, files=PHOTOS, faults=1, note=f"a bind mount ({mode})")


@pytest.mark.long_form
def test_two_libraries_in_one_folder_say_so_and_do_not_answer_each_other(
    home: Home, figures: Figures
) -> None:
    before = photos_of(home.photos)
    second = ("--data-dir", home.folder / "second")
    run(home)
    assert "taken over" in home.maclip(*second, "run", "--once", home.photos).stdout
    home.maclip(*second, "rate", **OTHER_SHARES)
    seen = contents(home.photos)
    report = home.maclip("run", "--once", home.photos)
    assert "another maclip library" in report.stderr
    assert contents(home.photos) == seen
    assert_all_maclips(home, PHOTOS)
    for words in (("status",), ("doctor",)):
        assert f"{home.photos}: another maclip library" in home.maclip(*words, expect=None).stdout
    home.maclip(*second, "run", "--once", home.photos, **OTHER_SHARES)
    assert contents(home.photos) == seen
    # The second one is given up; this one takes its stars over, and rates anew.
    assert "taken over" in home.maclip("adopt", home.photos).stdout
    assert "another maclip library" not in home.maclip("status").stdout
    run(home)
    assert_all_maclips(home, PHOTOS)
    home.maclip("undo")
    assert contents(home.photos).keys() == before.keys()
    figures(rounds=1, files=PHOTOS, faults=1, note="two libraries in one folder")


@pytest.mark.long_form
def test_a_purge_takes_the_sidecars_of_deleted_photos_along_if_they_are_maclips_alone(
    home: Home, figures: Figures
) -> None:
    photos_of(home.photos)
    run(home)
    gone = [home.photos / f"IMG_000{number}.jpg" for number in (0, 1, 2)]
    edited = Path(f"{gone[1]}.xmp")
    edited.write_text(
        edited.read_text(encoding="utf-8").replace(
            "<rdf:Description ",
            "<rdf:Description xmlns:dc='http://purl.org/dc/elements/1.1/' dc:source='me' ",
            1,
        ),
        encoding="utf-8",
    )
    for photo in gone:
        photo.unlink()
    run(home)
    kept = contents(home.photos)
    listed = home.maclip("purge", "--dry-run").stdout
    assert str(Path(f"{gone[2]}.xmp")) in listed
    assert "2 sidecars stay" in listed
    assert contents(home.photos) == kept
    done = home.maclip("purge", "--yes").stdout
    assert "3 photos forgotten, 1 sidecar removed." in done
    del kept[Path(f"{gone[2]}.xmp")]
    assert contents(home.photos) == kept
    # A photo that comes back is rated again; undo knows the rest.
    make_photo(gone[2], 2)
    run(home)
    assert Path(f"{gone[2]}.xmp").exists()
    home.maclip("undo")
    left = {path.name: data for path, data in contents(home.photos).items() if path.suffix == ".xmp"}
    assert left.keys() == {"IMG_0000.jpg.xmp", "IMG_0001.jpg.xmp"}
    assert all(b"maclip" not in data for data in left.values())
    figures(rounds=1, files=PHOTOS, faults=3, note="orphaned sidecars")


@pytest.mark.long_form
def test_sidecars_of_earlier_versions_are_adopted_on_request(home: Home, figures: Figures) -> None:
    photos_of(home.photos)
    run(home)
    persons = home.photos / "IMG_0001.jpg.xmp"
    for sidecar in home.photos.glob("*.xmp"):
        text = sidecar.read_text(encoding="utf-8")
        sidecar.write_text(text.replace("maclip:Proof=", "maclip:Was="), encoding="utf-8")
    shutil.rmtree(home.data)
    run(home)
    assert home.sql(OWNERS) == [("person", PHOTOS)]
    set_rating(persons)
    refused = home.maclip("adopt")
    assert f"{PHOTOS - 1} without a proof left alone" in refused.stdout
    assert refused.stderr.count("--without-proof") == PHOTOS - 1
    assert f"{PHOTOS - 1} taken over" in home.maclip("adopt", "--without-proof").stdout
    run(home)
    assert home.sql(OWNERS) == [("maclip", PHOTOS - 1), ("person", 1)]
    home.maclip("undo")
    assert {path.name for path in home.photos.glob("*.xmp")} == {"IMG_0000.jpg.xmp", persons.name}
    figures(rounds=1, files=PHOTOS, faults=1)


def set_rating(sidecar: Path) -> None:
    """Give a sidecar other stars, as a person does."""
    text = sidecar.read_text(encoding="utf-8")
    changed = re.sub(r'xmp:Rating="(\d)"', lambda found: f'xmp:Rating="{5 - int(found[1])}"', text)
    assert changed != text
    sidecar.write_text(changed, encoding="utf-8")
