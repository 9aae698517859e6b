"""Undo of files that other programs wrote since: what is ours goes, everything else stays."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from metadata_samples import DARKTABLE_SIDECAR, DIGIKAM_SIDECAR, QUALITY, MakePhoto, exif_of, xmp_of

from maclip_daemon.errors import MaclipError, WriteRefused
from maclip_daemon.metadata import metadata_process
from maclip_daemon.metadata.content import containers, exiv2_tags
from maclip_daemon.metadata.records import Mode, Prepared, RatingRequest, UndoEntry, UndoOutcome
from maclip_daemon.metadata.writing import commit_write
from maclip_daemon.metadata.writing.undo_delta import UndoDelta
from maclip_daemon.metadata.writing.undo_file import preview, undo

RATING, TITLE, CREATOR = "Xmp.xmp.Rating", "Xmp.dc.title", "Xmp.dc.creator"
NEW_TITLE = {'lang="x-default"': "Mine"}
OUR_NAMES = (
    "Score",
    "Percentile",
    "Stars",
    "Metric",
    "Model",
    "Protocol",
    "ScoredAt",
    "PixelHash",
    "Library",
)
OUR_NAMES += ("Seed", "Proof")
FIELDS = ("Xmp.acdsee.rating", "Xmp.MicrosoftPhoto.Rating")


def rate(photo: Path, mode: Mode = "sidecar", **changes: Any) -> UndoEntry:
    request = replace(RatingRequest(photo, QUALITY, mode, pixel_hash="jpeg:1", library_id="01"), **changes)
    (prepared,) = metadata_process.prepare_many([request])
    assert isinstance(prepared, Prepared), prepared
    assert prepared.status == "prepared", prepared
    assert commit_write.commit_many([prepared]) == [None]
    return prepared.undo_entry


def edit(file: Path, changes: dict[str, Any]) -> None:
    """Change a file as another program does, through exiv2."""
    change = exiv2_tags.change_sidecar if file.suffix == ".xmp" else exiv2_tags.change_photo
    file.write_bytes(change(file.read_bytes(), changes))


def ours_in(file: Path) -> set[str]:
    return {
        key for key, value in xmp_of(file).items() if key.startswith("Xmp.maclip.") or "quality" in str(value)
    }


@pytest.mark.parametrize("sidecar", [DARKTABLE_SIDECAR, DIGIKAM_SIDECAR])
def test_a_sidecar_that_was_there_and_was_edited_since_keeps_the_edits(
    make_photo: MakePhoto, sidecar: bytes
) -> None:
    photo = make_photo()
    target = Path(f"{photo}.xmp")
    target.write_bytes(sidecar)
    before = xmp_of(target)
    first = rate(photo, bucket_tags=True)
    second = rate(photo, bucket_tags=True, quality=replace(QUALITY, stars=2), last_written=4)
    edit(target, {TITLE: NEW_TITLE})
    assert undo(second) == UndoOutcome("taken_out")
    expected = {**before, TITLE: NEW_TITLE}
    after = xmp_of(target)
    derived = {
        "Xmp.lr.hierarchicalSubject",
        "Xmp.digiKam.TagsList",
    } - before.keys()  # copies of the user's tags
    assert {key: value for key, value in after.items() if key not in derived} == {
        key: value for key, value in expected.items() if key != RATING
    }
    assert undo(first).status == "already"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_a_photo_that_was_edited_since_keeps_picture_and_edits(make_photo: MakePhoto, name: str) -> None:
    photo = make_photo(name, tags={TITLE: {'lang="x-default"': "T"}, "Exif.Image.Rating": "0"})
    picture = photo.read_bytes()
    entry = rate(photo, "embed")
    edit(photo, {CREATOR: ["Anna"]})
    assert undo(entry) == UndoOutcome("taken_out")
    assert xmp_of(photo) == {TITLE: {'lang="x-default"': "T"}, CREATOR: ["Anna"]}
    assert exif_of(photo)["Exif.Image.Rating"] == "0"
    assert containers.difference(picture, photo.read_bytes(), exif_may_differ=True) == ""


def test_a_persons_star_stays_and_is_reported(make_photo: MakePhoto) -> None:
    photo = make_photo()
    entry = rate(photo)
    edit(entry.target, {RATING: "5"})
    assert undo(entry) == UndoOutcome("taken_out", persons_rating=5)
    assert xmp_of(entry.target) == {RATING: "5"}


def test_stars_that_a_person_took_away_stay_away(make_photo: MakePhoto) -> None:
    photo = make_photo(tags={CREATOR: ["Anna"]})
    entry = rate(photo)
    edit(entry.target, {RATING: "0"})
    assert undo(entry) == UndoOutcome("taken_out", persons_rating=0)
    assert xmp_of(entry.target) == {RATING: "0", CREATOR: ["Anna"]}
    entry = rate(make_photo("b.jpg"))
    edit(entry.target, {RATING: None})
    assert undo(entry) == UndoOutcome("removed", persons_rating=0)  # nothing at all is left in it


def test_copies_of_our_star_in_other_fields_go_and_a_persons_stays(make_photo: MakePhoto) -> None:
    photo = make_photo()
    entry = rate(photo)
    edit(entry.target, {**dict(zip(FIELDS, ("4", "75"), strict=True)), TITLE: NEW_TITLE})
    assert undo(entry) == UndoOutcome("taken_out")
    assert xmp_of(entry.target) == {TITLE: NEW_TITLE, FIELDS[0]: "0", FIELDS[1]: "0"}
    entry = rate(photo)
    edit(entry.target, {FIELDS[0]: "1"})
    assert undo(entry).persons_rating == 4  # which of the two a person gave is unknown: both stay
    assert xmp_of(entry.target) == {TITLE: NEW_TITLE, RATING: "4", FIELDS[0]: "1", FIELDS[1]: "75"}


def test_a_sidecar_of_ours_that_was_only_written_again_is_removed(make_photo: MakePhoto) -> None:
    photo = make_photo(tags={TITLE: {'lang="x-default"': "T"}, "Exif.Image.Artist": "Anna"})
    entry = rate(photo, bucket_tags=True)
    edit(entry.target, {TITLE: NEW_TITLE})
    edit(entry.target, {TITLE: {'lang="x-default"': "T"}})
    assert xmp_of(entry.target)
    assert undo(entry) == UndoOutcome("removed")
    assert not entry.target.exists()


def test_copied_parts_stay_where_the_sidecar_stays(make_photo: MakePhoto) -> None:
    photo = make_photo(tags={"Exif.Image.Artist": "Anna"})
    entry = rate(photo)
    edit(entry.target, {TITLE: NEW_TITLE})
    assert undo(entry) == UndoOutcome("taken_out")
    assert xmp_of(entry.target) == {TITLE: NEW_TITLE, CREATOR: ["Anna"]}


def test_a_sidecar_of_an_earlier_version_is_removed_when_nothing_is_left(make_photo: MakePhoto) -> None:
    photo = make_photo()
    entry = rate(photo)
    edit(entry.target, {f"Xmp.maclip.{name}": None for name in ("Seed", "Proof", "PixelHash", "Library")})
    assert undo(entry) == UndoOutcome("removed")


def test_the_write_of_another_library_is_taken_out_whatever_its_hashes(make_photo: MakePhoto) -> None:
    photo = make_photo()
    first = rate(photo)
    adopted = UndoEntry(first.target, None, first.after_hash, UndoDelta.taking_out().encode())
    edit(first.target, {TITLE: NEW_TITLE})
    current = replace(adopted, after_hash=adopted.after_hash)
    assert undo(current) == UndoOutcome("taken_out")
    assert xmp_of(first.target) == {TITLE: NEW_TITLE}
    assert undo(current).status == "already"
    second = rate(make_photo("b.jpg"))
    whole = UndoEntry(second.target, None, second.after_hash, UndoDelta.taking_out().encode())
    assert (
        undo(
            whole,
        ).status
        == "removed"
    )
    assert undo(whole).status == "gone"


def test_undo_of_an_update_of_another_librarys_write_takes_everything_of_maclip_out(
    make_photo: MakePhoto,
) -> None:
    photo = make_photo()
    rate(photo)
    mine = rate(photo, library_id="02", quality=replace(QUALITY, stars=1))
    assert undo(mine) == UndoOutcome("removed")
    edit(rate(photo).target, {TITLE: NEW_TITLE})
    mine = rate(photo, library_id="02", quality=replace(QUALITY, stars=1))
    assert undo(mine) == UndoOutcome("taken_out")
    assert xmp_of(mine.target) == {TITLE: NEW_TITLE}


def test_a_file_whose_folder_is_away_is_never_undone_already(make_photo: MakePhoto, tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    photo = make_photo("disk/a.jpg")
    entry = rate(photo)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(MaclipError, match="is away") as raised:
        undo(entry)
    assert str(raised.value).count(str(entry.target)) == 1
    (previewed,) = preview([entry])
    assert isinstance(previewed, MaclipError)
    assert str(previewed) == str(raised.value)


@dataclass
class Walk:
    """Random acts on one photo, by us and by others."""

    photo: Path
    mode: Mode
    chance: random.Random
    entries: list[UndoEntry] = field(default_factory=list)
    stars: int | None = None

    @property
    def file(self) -> Path:
        return self.photo if self.mode == "embed" else Path(f"{self.photo}.xmp")

    def rate(self) -> None:
        stars = self.chance.randint(1, 5)
        request = RatingRequest(
            self.photo,
            replace(QUALITY, stars=stars),
            self.mode,
            last_written=self.stars,
            bucket_tags=self.chance.random() < 0.5,
            pixel_hash="jpeg:1",
            library_id="01",
        )
        (prepared,) = metadata_process.prepare_many([request])
        if isinstance(prepared, Prepared) and prepared.status == "prepared":
            assert commit_write.commit_many([prepared]) == [None]
            if prepared.target == self.file:
                self.entries.append(prepared.undo_entry)
                self.stars = stars

    def edit(self) -> None:
        if self.file.exists() and not self.file.is_symlink():
            changes: dict[str, Any] = self.chance.choice(
                [
                    {TITLE: NEW_TITLE},
                    {RATING: self.chance.choice(["0", "1", "3", "5", "-1", None])},
                    {CREATOR: ["Anna"], FIELDS[0]: "0"},
                    {"Xmp.dc.subject": ["Sea"]},
                    {"Xmp.maclip.Stars": None},
                    {f"Xmp.maclip.{name}": None for name in OUR_NAMES},
                ]
            )
            with contextlib.suppress(WriteRefused):  # a damaged file
                edit(self.file, changes)

    def go_back(self) -> None:
        if self.mode == "sidecar" and self.chance.random() < 0.5:
            self.file.unlink(missing_ok=True)
        elif self.entries and self.file.exists():
            with contextlib.suppress(MaclipError):  # a read-only file
                undo(self.entries[-1])

    def damage(self) -> None:
        if not self.file.exists():
            return
        match self.chance.randrange(5):
            case 0:
                self.file.chmod(0o444)
            case 1:
                os.link(self.file, self.file.with_name(f"{self.chance.random()}-link"))
            case 2 if self.mode == "sidecar":
                self.file.write_bytes(self.file.read_bytes()[:200])
            case 3 if self.mode == "sidecar":
                self.file.write_bytes(
                    self.file.read_bytes().replace(b"</x:xmpmeta>", b"<!-- x --></x:xmpmeta>")
                )
            case 4 if self.entries:
                broken = self.entries[-1]
                self.entries[-1] = replace(broken, restore=broken.restore[:-3])

    def walk(self) -> None:
        if self.mode == "sidecar" and self.chance.random() < 0.5:
            self.file.write_bytes(self.chance.choice([DARKTABLE_SIDECAR, DIGIKAM_SIDECAR]))
        self.rate()
        acts: list[Callable[[], None]] = [self.rate, self.edit, self.edit, self.go_back, self.damage]
        for _ in range(self.chance.randrange(6)):
            self.chance.choice(acts)()


def described(outcome: UndoOutcome | MaclipError) -> object:
    return (type(outcome), str(outcome)) if isinstance(outcome, MaclipError) else outcome


@pytest.mark.parametrize("mode", ["sidecar", "embed"])
def test_a_preview_decides_exactly_as_undo_does(make_photo: MakePhoto, mode: Mode) -> None:
    seen: set[str] = set()
    for number in range(80):
        chance = random.Random(f"{mode} {number}")
        tags = {TITLE: {'lang="x-default"': "T"}} if chance.random() < 0.5 else {}
        walk = Walk(make_photo(f"IMG_{number}.jpg", tags=tags), mode, chance)
        walk.walk()
        newest_first = walk.entries[::-1]
        files = {path: path.read_bytes() for path in walk.photo.parent.iterdir()}
        previewed = [described(each) for each in preview(newest_first)]
        assert {path: path.read_bytes() for path in walk.photo.parent.iterdir()} == files
        done: list[object] = []
        for entry in newest_first:
            try:
                outcome = undo(entry)
            except MaclipError as error:
                done.append(described(error))
                break
            done.append(outcome)
            seen.add(outcome.status)
            if outcome.status == "changed":
                break
        assert previewed == done, number
        is_undone = all(isinstance(each, UndoOutcome) and each.status != "changed" for each in done)
        if newest_first and is_undone and walk.file.exists():
            assert ours_in(walk.file) == set(), number
        for path in list(walk.photo.parent.iterdir()):
            path.unlink()
    assert seen >= {"restored", "taken_out", "already", "changed"}
    if mode == "sidecar":
        assert seen >= {"removed", "gone"}
