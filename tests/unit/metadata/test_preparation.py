from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from metadata_samples import (
    DARKTABLE_SIDECAR,
    DIGIKAM_SIDECAR,
    QUALITY,
    MakePhoto,
    accepted,
    exif_of,
    files_in,
    xmp_of,
)
from PIL import Image

from maclip_daemon.errors import EnvironmentUnfit, FileChanged, MaclipError
from maclip_daemon.files import temporaries
from maclip_daemon.metadata import metadata_process
from maclip_daemon.metadata.content import exiv2_tags, xmp_text
from maclip_daemon.metadata.records import Prepared, RatingRequest, UndoEntry
from maclip_daemon.metadata.sidecars import verdict, write_proof
from maclip_daemon.metadata.writing import commit_write, undo_file
from maclip_daemon.metadata.writing.undo_delta import UndoDelta

XMP = "/http://ns.adobe.com/xap/1.0/ "
OURS = "/http://ns.maclip-daemon/quality/1.0/ "


def prepare(request: RatingRequest) -> Prepared:
    result = metadata_process.prepare_many([request])[0]
    if isinstance(result, MaclipError):
        raise result
    return result


def write(request: RatingRequest) -> Prepared:
    prepared = accepted(prepare(request))
    assert commit_write.commit_many([prepared]) == [None]
    return prepared


def test_all_our_properties_are_in_our_namespace_and_the_rating_is_an_integer(
    make_photo: MakePhoto,
) -> None:
    photo = make_photo()
    write(RatingRequest(photo, QUALITY))
    leaves = xmp_text.read(photo.with_name("IMG_1.jpg.xmp").read_bytes())
    assert leaves.pop(OURS + "Proof") == write_proof.digest_of(xmp_of(photo.with_name("IMG_1.jpg.xmp")))
    assert leaves.pop(OURS + "Seed[1]").startswith("photo ")
    assert {path: text for path, text in leaves.items() if path.startswith(OURS)} == {
        OURS + "Score": "0.812346",
        OURS + "Percentile": "42.12",
        OURS + "Stars": "4",
        OURS + "Metric": "maclip",
        OURS + "Model": "builtin",
        OURS + "Protocol": "spaq448",
        OURS + "ScoredAt": "2026-01-02T03:04:05Z",
    }
    assert leaves[XMP + "Rating"] == "4"


@pytest.mark.parametrize(
    "wrong", [{"stars": 0}, {"stars": 6}, {"stars": 4.6}, {"scored_at": datetime(2026, 1, 1)}]
)
def test_a_rating_that_is_no_whole_star_and_a_time_without_zone_never_reach_a_file(
    wrong: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match="must be"):
        replace(QUALITY, **wrong)


def test_reject_is_written_only_when_asked_for(make_photo: MakePhoto) -> None:
    photo = make_photo()
    prepared = write(RatingRequest(photo, replace(QUALITY, stars=1), reject=True))
    assert prepared.rating == -1
    assert xmp_of(photo.with_name("IMG_1.jpg.xmp"))["Xmp.xmp.Rating"] == "-1"
    assert prepare(RatingRequest(photo, QUALITY, last_written=-1)).status == "prepared"


@pytest.mark.parametrize("mode", ["sidecar", "embed"])
def test_a_second_identical_write_changes_nothing(make_photo: MakePhoto, tmp_path: Path, mode: str) -> None:
    request = RatingRequest(make_photo(), QUALITY, mode)  # type: ignore[arg-type]
    write(request)
    before = files_in(tmp_path)
    again = prepare(replace(request, last_written=4))
    assert again.status == "unchanged"
    assert files_in(tmp_path) == before


def test_no_visible_file_changes_before_the_commit(make_photo: MakePhoto, tmp_path: Path) -> None:
    photo = make_photo()
    photo.with_name("IMG_1.jpg.xmp").write_bytes(DARKTABLE_SIDECAR)
    before = files_in(tmp_path)
    prepared = accepted(prepare(RatingRequest(photo, QUALITY)))
    seen = files_in(tmp_path)
    assert {name for name in seen if not temporaries.is_temporary(name)} == set(before)
    commit_write.discard(prepared)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("sidecar", [DARKTABLE_SIDECAR, DIGIKAM_SIDECAR])
def test_an_update_keeps_every_value_that_is_not_ours(make_photo: MakePhoto, sidecar: bytes) -> None:
    photo = make_photo()
    target = photo.with_name("IMG_1.xmp")
    target.write_bytes(sidecar)
    write(RatingRequest(photo, QUALITY))
    before, after = xmp_text.read(sidecar), xmp_text.read(target.read_bytes())
    assert set(xmp_text.lost(before, after, frozenset())) <= {
        XMP + "Rating",
        "/http://ns.acdsee.com/iptc/1.0/ rating",
        "/http://ns.microsoft.com/photo/1.0/ Rating",
    }
    added = after.keys() - before.keys()
    assert {path for path in added if not path.startswith(OURS)} == set()
    assert not photo.with_name("IMG_1.jpg.xmp").exists()


def test_other_rating_fields_are_synchronized(make_photo: MakePhoto) -> None:
    photo = make_photo()
    target = photo.with_name("IMG_1.jpg.xmp")
    target.write_bytes(DIGIKAM_SIDECAR)
    for last, stars, percent in ((None, 4, "75"), (4, 2, "25"), (2, 5, "99")):
        write(RatingRequest(photo, replace(QUALITY, stars=stars), last_written=last))
        values = xmp_of(target)
        assert values["Xmp.acdsee.rating"] == values["Xmp.xmp.Rating"] == str(stars)
        assert values["Xmp.MicrosoftPhoto.Rating"] == percent


def test_embedded_exif_ratings_are_synchronized(make_photo: MakePhoto) -> None:
    photo = make_photo(tags={"Exif.Image.Rating": "0", "Exif.Image.RatingPercent": "0"})
    write(RatingRequest(photo, QUALITY, "embed"))
    exif = exif_of(photo)
    assert (exif["Exif.Image.Rating"], exif["Exif.Image.RatingPercent"]) == ("4", "75")
    assert verdict.inspect(photo, 4).owner == "maclip"


def test_a_percentile_that_is_no_longer_known_is_removed(make_photo: MakePhoto) -> None:
    photo = make_photo()
    write(RatingRequest(photo, QUALITY))
    write(RatingRequest(photo, replace(QUALITY, percentile=None), last_written=4))
    assert "Xmp.maclip.Percentile" not in xmp_of(photo.with_name("IMG_1.jpg.xmp"))


@pytest.mark.parametrize("mode", ["sidecar", "embed"])
def test_a_photo_that_a_person_rated_is_not_touched_at_all(
    make_photo: MakePhoto, tmp_path: Path, mode: str
) -> None:
    make_photo("a.jpg", tags={"Xmp.xmp.Rating": "2"})
    make_photo("b.jpg", tags={"Exif.Image.Rating": "5"})
    make_photo("c.jpg").with_name("c.jpg.xmp").write_bytes(
        DARKTABLE_SIDECAR.replace(b'xmp:Rating="0"', b'xmp:Rating="-1"')
    )
    before = files_in(tmp_path)
    for name, rating in (("a.jpg", 2), ("b.jpg", 5), ("c.jpg", -1)):
        result = prepare(RatingRequest(tmp_path / name, QUALITY, mode))  # type: ignore[arg-type]
        assert (result.status, result.found and result.found.rating) == ("person", rating)
    assert files_in(tmp_path) == before


def test_a_star_pressed_between_two_of_our_writes_wins_for_good(make_photo: MakePhoto) -> None:
    photo = make_photo()
    target = photo.with_name("IMG_1.jpg.xmp")
    write(RatingRequest(photo, QUALITY))
    theirs = target.read_bytes().replace(b'xmp:Rating="4"', b'xmp:Rating="2"')
    target.write_bytes(theirs)
    assert prepare(RatingRequest(photo, replace(QUALITY, stars=5), last_written=4)).status == "person"
    assert target.read_bytes() == theirs


def test_a_change_between_prepare_and_commit_stays(make_photo: MakePhoto, tmp_path: Path) -> None:
    photo = make_photo()
    target = photo.with_name("IMG_1.jpg.xmp")
    for existing, theirs in ((DARKTABLE_SIDECAR, DIGIKAM_SIDECAR), (None, DARKTABLE_SIDECAR)):
        target.unlink(missing_ok=True)
        if existing:
            target.write_bytes(existing)
        prepared = accepted(prepare(RatingRequest(photo, QUALITY)))
        target.write_bytes(theirs)
        with pytest.raises(FileChanged):
            commit_write.commit(prepared)
        assert target.read_bytes() == theirs
        assert set(files_in(tmp_path)) == {"IMG_1.jpg", "IMG_1.jpg.xmp"}


def test_no_sidecar_is_made_beside_a_lightroom_sidecar_that_appears_meanwhile(make_photo: MakePhoto) -> None:
    photo = make_photo()
    prepared = accepted(prepare(RatingRequest(photo, QUALITY)))
    photo.with_suffix(".xmp").write_bytes(DARKTABLE_SIDECAR)
    with pytest.raises(FileChanged):
        commit_write.commit(prepared)
    assert not photo.with_name("IMG_1.jpg.xmp").exists()


def test_a_sidecar_that_appears_in_the_last_moment_is_never_replaced(
    make_photo: MakePhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = make_photo()
    prepared = accepted(prepare(RatingRequest(photo, QUALITY)))
    assert prepared.target is not None
    prepared.target.write_bytes(b"theirs")
    monkeypatch.setattr(commit_write.sidecar_names, "find_all", lambda _: [])  # as just before it appeared
    with pytest.raises(FileChanged, match="Another program created"):
        commit_write.commit(prepared)
    assert prepared.target.read_bytes() == b"theirs"
    assert not [name for name in files_in(photo.parent) if temporaries.is_temporary(name)]


def test_a_photo_that_changed_meanwhile_is_prepared_again(make_photo: MakePhoto) -> None:
    photo = make_photo()
    prepared = accepted(prepare(RatingRequest(photo, QUALITY)))
    make_photo(seed=2)
    with pytest.raises(FileChanged):
        commit_write.commit(prepared)
    assert set(files_in(photo.parent)) == {"IMG_1.jpg"}


def test_committing_twice_is_harmless(make_photo: MakePhoto, tmp_path: Path) -> None:
    prepared = write(RatingRequest(make_photo(), QUALITY))
    before = files_in(tmp_path)
    assert commit_write.commit_many([prepared]) == [None]
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_embedding_leaves_the_pixels_as_they_were(make_photo: MakePhoto, name: str) -> None:
    photo = make_photo(name, tags={"Xmp.dc.title": "Title", "Exif.Image.Artist": "Anna"})
    with Image.open(photo) as image:
        pixels = image.tobytes()
    write(RatingRequest(photo, QUALITY, "embed"))
    with Image.open(photo) as image:
        assert image.tobytes() == pixels
    values = xmp_of(photo)
    assert values["Xmp.xmp.Rating"] == values["Xmp.maclip.Stars"] == "4"
    assert values["Xmp.dc.title"] == {'lang="x-default"': "Title"}
    assert exif_of(photo)["Exif.Image.Artist"] == "Anna"
    assert set(files_in(photo.parent)) == {name}


def test_extended_xmp_and_wrong_suffixes_are_not_embedded(make_photo: MakePhoto) -> None:
    extended = make_photo("a.jpg")
    segment = b"http://ns.adobe.com/xmp/extension/\0" + b"x" * 40
    data = extended.read_bytes()
    extended.write_bytes(data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2) + segment + data[2:])
    lying = make_photo("b.png").rename(extended.with_name("b.jpg"))
    lying.write_bytes(b"GIF89a" + lying.read_bytes())
    for photo in (extended, lying):
        before = photo.read_bytes()
        prepared = write(RatingRequest(photo, QUALITY, "embed"))
        assert prepared.created
        assert "not embedded" in prepared.notes[-1]
        assert photo.read_bytes() == before


def test_an_embedded_rating_of_ours_is_never_contradicted_by_a_sidecar(make_photo: MakePhoto) -> None:
    photo = make_photo()
    write(RatingRequest(photo, QUALITY, "embed"))
    result = prepare(RatingRequest(photo, replace(QUALITY, stars=2), "sidecar", last_written=4))
    assert result.status == "skipped"
    assert "maclip undo" in result.reason


def test_a_hostile_or_broken_sidecar_is_left_untouched(make_photo: MakePhoto) -> None:
    photo = make_photo()
    target = photo.with_name("IMG_1.jpg.xmp")
    for data in (b"", b"<broken", b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', DARKTABLE_SIDECAR[:900]):
        target.write_bytes(data)
        result = prepare(RatingRequest(photo, QUALITY))
        assert result.status == "skipped"
        assert str(target) in result.reason
        assert target.read_bytes() == data


def test_a_sidecar_that_would_lose_an_edit_in_rewriting_is_left_untouched(
    make_photo: MakePhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = make_photo()
    target = photo.with_name("IMG_1.jpg.xmp")
    target.write_bytes(DARKTABLE_SIDECAR)
    faithful = exiv2_tags.change_sidecar
    monkeypatch.setattr(
        exiv2_tags,
        "change_sidecar",
        lambda data, values: faithful(data.replace(b'darktable:operation="flip"', b""), values),
    )
    result = prepare(RatingRequest(photo, QUALITY))
    assert result.status == "skipped"
    assert "would lose" in result.reason
    assert files_in(photo.parent)[target.name] == DARKTABLE_SIDECAR
    assert len(files_in(photo.parent)) == 2


def test_a_sidecar_that_binds_a_familiar_prefix_to_another_namespace_stays_whole(
    make_photo: MakePhoto,
) -> None:
    photo = make_photo()
    target = photo.with_name("IMG_1.jpg.xmp")
    target.write_bytes(DIGIKAM_SIDECAR.replace(b"http://ns.adobe.com/xap/1.0/", b"http://example.org/mine/"))
    before = target.read_bytes()
    result = prepare(RatingRequest(photo, QUALITY))
    assert result.status == "skipped"
    assert target.read_bytes() == before
    assert write(RatingRequest(make_photo("b.jpg"), QUALITY)).created  # and the next photo is not affected
    assert xmp_text.read((photo.parent / "b.jpg.xmp").read_bytes())[XMP + "Rating"] == "4"


def test_permissions_times_and_extended_attributes(make_photo: MakePhoto) -> None:
    photo = make_photo()
    photo.chmod(0o754)
    created = write(RatingRequest(photo, QUALITY)).target
    assert created is not None
    assert stat.S_IMODE(created.stat().st_mode) == 0o644
    created.chmod(0o606)
    try:
        os.setxattr(created, "user.colour", b"green")
    except (OSError, AttributeError):
        pytest.skip("this file system has no extended attributes")
    write(RatingRequest(photo, replace(QUALITY, stars=3), last_written=4))
    assert stat.S_IMODE(created.stat().st_mode) == 0o606
    assert os.getxattr(created, "user.colour") == b"green"


def test_read_only_files_are_left_alone_even_by_root(make_photo: MakePhoto) -> None:
    photo = make_photo()
    target = photo.with_name("IMG_1.jpg.xmp")
    target.write_bytes(DARKTABLE_SIDECAR)
    target.chmod(0o444)
    result = prepare(RatingRequest(photo, QUALITY))
    assert result.status == "skipped"
    assert "read-only" in result.reason
    target.unlink()
    photo.chmod(0o444)
    assert prepare(RatingRequest(photo, QUALITY, "embed")).status == "prepared"  # as a sidecar
    assert xmp_of(photo) == {}


@contextmanager
def without_privileges() -> Iterator[None]:
    """As root, act for a while as a user who owns nothing here."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_without_permission_is_a_reason_and_no_error(make_photo: MakePhoto) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photo = folder / "a.jpg"
        photo.write_bytes(make_photo().read_bytes())
        folder.chmod(0o555)
        with without_privileges():
            result = prepare(RatingRequest(photo, QUALITY))
        folder.chmod(0o755)
        assert [path.name for path in folder.iterdir()] == ["a.jpg"]
    assert result.status == "skipped"
    assert "may not be written" in result.reason


def sidecar_of(photo: Path) -> Path:
    return photo.with_name(f"{photo.name}.xmp")


@pytest.fixture
def immutable(make_photo: MakePhoto) -> Iterator[Path]:
    """Return a photo of whose sidecar nobody may change anything, not even root."""
    photo = make_photo()
    write(RatingRequest(photo, QUALITY))
    sidecar = sidecar_of(photo)
    made = shutil.which("chattr") and subprocess.run(
        ["chattr", "+i", sidecar], check=False, capture_output=True
    )
    if not made or made.returncode:
        pytest.skip("needs root, chattr and a file system with attributes")
    yield photo
    subprocess.run(["chattr", "-i", sidecar], check=True)


def test_an_immutable_sidecar_keeps_its_stars_and_the_reason_names_it(immutable: Path) -> None:
    before = sidecar_of(immutable).read_bytes()
    result = prepare(RatingRequest(immutable, replace(QUALITY, stars=1), last_written=QUALITY.stars))
    assert (result.status, str(sidecar_of(immutable)) in result.reason) == ("skipped", True)
    assert result.found is not None
    assert (result.found.owner, result.found.rating) == ("maclip", QUALITY.stars), "the library forgets them"
    assert sidecar_of(immutable).read_bytes() == before


def test_the_undo_of_an_immutable_sidecar_names_the_file_and_not_its_folder(immutable: Path) -> None:
    written = prepare(RatingRequest(immutable, QUALITY, last_written=QUALITY.stars))
    assert written.status == "unchanged"
    entry = UndoEntry(sidecar_of(immutable), None, "", UndoDelta.taking_out().encode())
    with pytest.raises(EnvironmentUnfit, match=rf"^{re.escape(str(sidecar_of(immutable)))} may not be"):
        undo_file.undo(entry)


def test_a_sidecar_that_may_not_be_read_is_named_and_not_its_folder(make_photo: MakePhoto) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photo = folder / "a.jpg"
        photo.write_bytes(make_photo().read_bytes())
        sidecar_of(photo).write_bytes(b"private")
        sidecar_of(photo).chmod(0)
        folder.chmod(0o777)
        with without_privileges():
            result = prepare(RatingRequest(photo, QUALITY))
    assert result.status == "skipped"
    assert result.reason.startswith(f"{sidecar_of(photo)} may not be read")


@pytest.mark.parametrize(
    "name", ["Zoë & 'Söhne' <1>.jpg", "-rf.jpg", "%n%s.jpg", "new\nline.jpg", "http:x.jpg", "bad\udcff.jpg"]
)
def test_strange_names_get_their_sidecar(make_photo: MakePhoto, tmp_path: Path, name: str) -> None:
    folder = tmp_path / ("dir " + name)
    folder.mkdir()
    photo = make_photo(tags={"Xmp.dc.title": "T"}).rename(folder / name)
    write(RatingRequest(photo, replace(QUALITY, model=f"file:{name}\x01")))
    assert xmp_of(folder / (name + ".xmp"))["Xmp.dc.title"] == {'lang="x-default"': "T"}


def test_a_photo_that_is_gone_is_a_transient_error(tmp_path: Path) -> None:
    with pytest.raises(FileChanged):
        prepare(RatingRequest(tmp_path / "gone.jpg", QUALITY))


def test_our_sidecar_follows_stars_that_a_person_gave_in_the_photo(make_photo: MakePhoto) -> None:
    photo = make_photo()
    write(RatingRequest(photo, QUALITY))
    sidecar = photo.with_name(photo.name + ".xmp")
    ours = xmp_of(sidecar)
    # digiKam and Lightroom can write into the JPEG and leave the sidecar as it is.
    make_photo(tags={"Xmp.xmp.Rating": "5"})
    assert verdict.inspect(photo, 4).owner == "person"
    again = RatingRequest(photo, replace(QUALITY, stars=2), last_written=4)
    outcome = write(again)
    assert outcome.found is not None
    assert (outcome.found.rating, outcome.owner, outcome.rating) == (5, "person", 5)
    assert xmp_of(sidecar) == ours | {"Xmp.xmp.Rating": "5", "Xmp.maclip.Followed": "5 photo"}
    assert prepare(again).status == "person"


def test_an_older_embedding_of_ours_beside_a_sidecar_is_nobodys_rating(make_photo: MakePhoto) -> None:
    photo = make_photo()
    write(RatingRequest(photo, QUALITY, "embed"))
    photo.with_name(photo.name + ".xmp").write_bytes(DARKTABLE_SIDECAR)
    first = write(RatingRequest(photo, replace(QUALITY, stars=2), last_written=4))
    assert first.target == photo.with_name(photo.name + ".xmp")
    assert write(RatingRequest(photo, replace(QUALITY, stars=5), last_written=2)).rating == 5
    assert verdict.inspect(photo, 5).owner == "maclip"
