"""A person's decisions in real files, through the real metadata process."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from unittest.mock import MagicMock

import pytest
from sqlalchemy import text

from maclip_daemon import errors
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.photos import raw_jpeg_pairs, renames
from maclip_daemon.library.results.decisions import NewDecision
from maclip_daemon.metadata.content import exiv2_tags
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import Prepared, RatingRequest
from maclip_daemon.pipeline.commands import undo_decisions, undo_ratings
from maclip_daemon.pipeline.commands.decide import Decider, DecisionResult
from maclip_daemon.pipeline.commands.journalled_write import JournalledWrites, PhotoWrite
from maclip_daemon.pipeline.commands.undo_decisions import DecisionUndo
from maclip_daemon.pipeline.rating import moved_photos
from maclip_daemon.settings import RatingSettings, ReviewSettings, Settings
from maclip_daemon.web.review import Review
from tests.homes import until
from tests.rated_library import RatedLibrary
from tests.unit.metadata.metadata_samples import DARKTABLE_SIDECAR, QUALITY, pixels

RATING, DECISION, PICK_LABEL = "Xmp.xmp.Rating", "Xmp.maclip.Decision", "Xmp.digiKam.PickLabel"


class OneProcessWriter(MetadataWriter):
    """The real writer; `problems` are what the next commits run into, in place of doing their work."""

    problems: Sequence[errors.MaclipError | None] = ()

    def commit(self, prepared: Prepared) -> None:
        problem, *self.problems = self.problems or [None]
        if problem is not None:
            self.discard(prepared)
            raise problem
        super().commit(prepared)


@dataclass
class Desk:
    """A library of real photos, and a person who decides."""

    rated: RatedLibrary
    writer: OneProcessWriter
    settings: Settings

    def __post_init__(self) -> None:
        probe = FilesystemProbe(5)
        self.writes = JournalledWrites(self.rated.library, self.writer, probe, lambda: self.rated.now)
        self.decider = Decider(self.writes, self.settings)
        self.undo = DecisionUndo(self.writes, self.decider)

    def photo(self, name: str = "IMG_1.jpg") -> int:
        """Add a photo with a score, as the daemon found it."""
        source = self.rated.folder / "source.jpg"
        pixels(1).save(source, "JPEG")
        data = source.read_bytes()
        source.unlink()
        (self.rated.folder / name).write_bytes(data)
        original = Path.write_bytes
        Path.write_bytes = lambda *_: 0  # type: ignore[method-assign, assignment]  # `add` would empty it
        try:
            return self.rated.add(name)
        finally:
            Path.write_bytes = original  # type: ignore[method-assign]

    def sidecar(self, name: str = "IMG_1.jpg") -> Path:
        return self.rated.folder / f"{name}.xmp"

    def stars_by_maclip(self, photo_id: int, name: str = "IMG_1.jpg") -> bytes:
        """Rate a photo as the daemon does; return the bytes of its sidecar."""
        prepared = self.writer.prepare(RatingRequest(self.rated.folder / name, QUALITY))
        write = PhotoWrite(photo_id, str(self.rated.folder / name), prepared, QUALITY.stars)
        self.writes.commit(write, lambda session: None, lambda session: None)
        return self.sidecar(name).read_bytes()

    def decide(
        self, photo_id: int, rating: int | None, seen: int | None = None, pick: bool | None = None
    ) -> DecisionResult:
        (result,) = self.decider.decide([NewDecision(photo_id, rating, pick, seen)], "today")
        return result

    def values(self, name: str = "IMG_1.jpg") -> dict[str, object]:
        return exiv2_tags.read_sidecar(self.sidecar(name).read_bytes())

    def row(self, photo_id: int) -> tuple[object, ...]:
        columns = "rating_owner, rating_in_file, stars_written, is_picked"
        return self.rated.rows(f"select {columns} from photos where id = {photo_id}")[0]

    def states(self) -> list[str]:
        return [state for (state,) in self.rated.rows("select state from decisions order by id")]


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneProcessWriter]:
    with OneProcessWriter([tmp_path_factory.getbasetemp()]) as writer:
        yield writer


@pytest.fixture
def desk(rated: RatedLibrary, writer: OneProcessWriter, tmp_path: Path) -> Desk:
    settings = Settings(
        data_dir=tmp_path / "data", rating=RatingSettings(darktable_library="off", sidecar_name="full")
    )
    return Desk(rated, writer, settings)


def test_a_decision_is_a_persons_rating_in_a_new_sidecar(desk: Desk) -> None:
    photo = desk.photo()
    assert desk.decide(photo, 4) == DecisionResult(photo, "written", 4)
    assert desk.values()[RATING] == "4"
    found = desk.writer.inspect(desk.rated.folder / "IMG_1.jpg")
    assert (found.owner, found.rating) == ("person", 4)
    assert desk.row(photo) == ("person", 4, None, 0)
    assert desk.states() == ["written"]
    assert desk.rated.rows("select state, stars_written from rating_journal") == [("written", None)]


def test_a_decision_that_confirms_maclips_stars_is_a_persons(desk: Desk) -> None:
    photo = desk.photo()
    desk.stars_by_maclip(photo)
    desk.decide(photo, QUALITY.stars)
    found = desk.writer.inspect(desk.rated.folder / "IMG_1.jpg", QUALITY.stars)
    assert (found.owner, found.rating, found.stars) == ("person", 4, 4)
    left = desk.writer.prepare(RatingRequest(desk.rated.folder / "IMG_1.jpg", QUALITY, last_written=4))
    assert left.status == "person"


def test_no_stars_keeps_maclip_from_giving_some(desk: Desk) -> None:
    photo = desk.photo()
    desk.decide(photo, 0)
    left = desk.writer.prepare(RatingRequest(desk.rated.folder / "IMG_1.jpg", QUALITY))
    assert left.status == "person"
    assert desk.row(photo) == ("person", 0, None, 0)


def test_a_reject_and_a_pick_are_what_other_programs_read(desk: Desk) -> None:
    photo = desk.photo()
    desk.decide(photo, -1)
    values = desk.values()
    assert (values[RATING], values[PICK_LABEL], values["Xmp.xmpDM.pick"]) == ("-1", "1", "-1")
    desk.decide(photo, 5, seen=-1)
    values = desk.values()
    assert (values[RATING], values[PICK_LABEL], values["Xmp.xmpDM.pick"]) == ("5", "0", "0")
    desk.decide(photo, None, pick=True)
    values = desk.values()
    assert (values[RATING], values[PICK_LABEL], values["Xmp.xmpDM.pick"]) == ("5", "3", "1")
    assert desk.row(photo) == ("person", 5, None, 1)


@pytest.mark.parametrize(("marks", "label"), [("label", "Green"), ("library", None)])
def test_what_a_pick_is_written_as_is_a_setting(desk: Desk, marks: str, label: str | None) -> None:
    settings = desk.settings.model_copy(update={"review": ReviewSettings.model_validate({"pick": marks})})
    desk = Desk(desk.rated, desk.writer, settings)
    photo = desk.photo()
    desk.decide(photo, 3, pick=True)
    values = desk.values()
    assert values.get("Xmp.xmp.Label") == label
    assert PICK_LABEL not in values
    assert desk.row(photo) == ("person", 3, None, 1)


def test_a_pick_alone_leaves_the_stars_maclips(desk: Desk) -> None:
    photo = desk.photo()
    before = desk.stars_by_maclip(photo)
    desk.decide(photo, None, pick=True)
    found = desk.writer.inspect(desk.rated.folder / "IMG_1.jpg")
    assert (found.owner, found.rating) == ("maclip", 4)
    assert found.proof is not None
    assert desk.row(photo) == ("maclip", 4, 4, 1)
    desk.undo.undo_last("today")
    assert desk.sidecar().read_bytes() == before
    assert desk.row(photo) == ("maclip", 4, 4, 0)


def test_what_another_program_rated_meanwhile_is_shown_and_not_overwritten(desk: Desk) -> None:
    photo = desk.photo()
    theirs = DARKTABLE_SIDECAR.replace(b'xmp:Rating="0"', b'xmp:Rating="2"')
    desk.sidecar().write_bytes(theirs)
    result = desk.decide(photo, 5)
    assert (result.outcome, result.rating) == ("changed", 2)
    assert desk.sidecar().read_bytes() == theirs
    assert desk.row(photo) == ("person", 2, None, 0)
    assert desk.decide(photo, 5, seen=2).outcome == "written"  # the person has seen it now
    assert desk.values()[RATING] == "5"
    assert b"darktable:operation" in desk.sidecar().read_bytes()


def test_both_sidecars_and_both_files_of_a_shot_say_the_same(desk: Desk) -> None:
    jpeg, raw = desk.photo("IMG_1.jpg"), desk.photo("IMG_1.dng")
    desk.stars_by_maclip(jpeg)
    with desk.rated.library.writing() as session:
        raw_jpeg_pairs.link_all(session, lambda name: "raw" if name.endswith(".dng") else "developed")
    stem = desk.rated.folder / "IMG_1.xmp"
    assert desk.decide(raw, 2).outcome == "written"
    assert desk.values("IMG_1.jpg")[RATING] == desk.values("IMG_1.dng")[RATING] == "2"
    assert desk.row(jpeg) == desk.row(raw) == ("person", 2, None, 0)
    shutil.copy(desk.sidecar("IMG_1.dng"), stem)
    desk.decide(raw, 3, seen=2)
    assert exiv2_tags.read_sidecar(stem.read_bytes())[RATING] == "3"
    assert desk.values("IMG_1.dng")[RATING] == "3"


def test_undo_of_one_returns_to_the_very_bytes_of_before(desk: Desk) -> None:
    photo = desk.photo()
    before = desk.stars_by_maclip(photo)
    desk.decide(photo, 5)
    middle = desk.sidecar().read_bytes()
    desk.decide(photo, -1, seen=5)
    assert [each.is_done for each in desk.undo.undo_last("today")] == [True]
    assert desk.sidecar().read_bytes() == middle
    assert desk.row(photo) == ("person", 5, None, 0)
    desk.undo.undo_last("today")
    assert desk.sidecar().read_bytes() == before
    assert desk.row(photo) == ("maclip", 4, 4, 0)
    assert desk.undo.undo_last("today") == []
    assert desk.states() == ["undone", "undone"]


def test_undo_of_the_first_decision_removes_the_sidecar_that_it_made(desk: Desk) -> None:
    photo = desk.photo()
    desk.decide(photo, 5)
    desk.undo.undo_last("today")
    assert not desk.sidecar().exists()
    assert desk.row(photo) == ("none", None, None, 0)
    assert desk.rated.jobs() == [("IMG_1.jpg", "rate", "ready", 0)]  # maclip's stars may come


def test_undo_that_is_killed_after_it_removed_a_sidecar_does_not_hold_the_photo(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = desk.photo()
    desk.decide(photo, 4)
    with monkeypatch.context() as killed:
        killed.setattr(undo_decisions.decisions, "restore_photo", interrupt)
        with pytest.raises(KeyboardInterrupt):
            desk.undo.undo_last("today")
    assert not desk.sidecar().exists()
    assert desk.rated.rows("select rating_undone_at from photos") == [(None,)]
    assert [each.is_done for each in DecisionUndo(desk.writes, desk.decider).undo_last("today")] == [True]
    assert desk.row(photo) == ("none", None, None, 0)
    assert desk.rated.rows("select rating_undone_at from photos") == [(None,)]
    assert desk.states() == ["undone"]


def interrupt(*_arguments: object) -> NoReturn:
    raise KeyboardInterrupt


def test_undo_leaves_a_file_alone_that_another_program_wrote_since(desk: Desk) -> None:
    photo = desk.photo()
    desk.decide(photo, 5)
    theirs = desk.sidecar().read_bytes().replace(b'"5"', b'"1"')
    desk.sidecar().write_bytes(theirs)
    (left,) = desk.undo.undo_last("today")
    assert not left.is_done
    assert "changed by another program" in left.reason
    assert desk.sidecar().read_bytes() == theirs


def test_undo_of_a_review_undoes_all_its_key_presses_and_no_others(desk: Desk) -> None:
    first, second = desk.photo("a.jpg"), desk.photo("b.jpg")
    desk.decider.decide([NewDecision(first, 2)], "yesterday")
    desk.decider.decide([NewDecision(first, 3, seen=2), NewDecision(second, -1)], "today")
    desk.decider.decide([NewDecision(second, 4, seen=-1)], "today")
    assert [each.is_done for each in desk.undo.undo_review("today")] == [True, True, True]
    assert desk.values("a.jpg")[RATING] == "2"
    assert not desk.sidecar("b.jpg").exists()


def test_a_full_disk_keeps_the_decision_which_is_written_later(desk: Desk) -> None:
    photo = desk.photo()
    desk.writer.problems = [errors.NoSpace("The disk is full. Free some space.")]
    result = desk.decide(photo, 4)
    assert (result.outcome, desk.states()) == ("waiting", ["waiting"])
    assert "The disk is full" in result.reason
    assert not desk.sidecar().exists()
    assert desk.decider.retry() == [DecisionResult(photo, "written", 4)]
    assert desk.values()[RATING] == "4"
    assert desk.decider.retry() == []


def test_an_absent_drive_keeps_the_decision_and_says_so(desk: Desk) -> None:
    photo = desk.photo()
    away = desk.rated.folder.with_name("away")
    desk.rated.folder.rename(away)
    result = desk.decide(photo, 4)
    assert result.outcome == "waiting"
    assert str(desk.rated.folder) in result.reason
    away.rename(desk.rated.folder)
    assert desk.decider.retry() == [DecisionResult(photo, "written", 4)]


def test_a_decision_that_was_killed_before_its_end_is_finished_at_the_next_start(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = desk.photo()

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(JournalledWrites, "_confirm", die)
    with pytest.raises(Killed):
        desk.decide(photo, 4)
    monkeypatch.undo()
    assert desk.sidecar().exists()
    assert desk.states() == ["waiting"]
    assert desk.decider.retry() == [DecisionResult(photo, "written", 4)]
    assert desk.row(photo) == ("person", 4, None, 0)
    desk.undo.undo_last("today")
    assert not desk.sidecar().exists()


def test_a_newer_decision_replaces_one_that_waits(desk: Desk) -> None:
    photo = desk.photo()
    desk.writer.problems = [errors.NoSpace("full")]
    desk.decide(photo, 1)
    desk.decide(photo, 5)
    assert desk.states() == ["replaced", "written"]
    desk.undo.undo_last("today")
    assert desk.row(photo) == ("none", None, None, 0)


@dataclass
class OtherProcess:
    """Another page on the same library: it does not share the first one's lock."""

    decider: Decider
    undo: DecisionUndo


def meanwhile(desk: Desk, photo_id: int, act: Callable[[OtherProcess], object]) -> DecisionResult:
    """Decide for one star, and let the other process act before that is carried out."""
    decider = Decider(desk.writes, desk.settings)
    results: list[DecisionResult] = []
    late = threading.Thread(target=lambda: results.append(desk.decide(photo_id, 1)))
    with desk.decider.lock:
        late.start()
        until(lambda: "waiting" in desk.states(), "the decision")
        act(OtherProcess(decider, DecisionUndo(desk.writes, decider)))
    late.join(60)
    return results[0]


def test_the_last_decision_stands_whichever_is_carried_out_first(desk: Desk) -> None:
    photo = desk.photo()
    result = meanwhile(desk, photo, lambda other: other.decider.decide([NewDecision(photo, 5)], "tomorrow"))
    assert result.outcome == "replaced"
    assert desk.values()[RATING] == "5"
    assert desk.states() == ["replaced", "written"]
    assert desk.row(photo) == ("person", 5, None, 0)


def test_a_decision_that_was_undone_before_it_was_carried_out_stays_undone(desk: Desk) -> None:
    photo = desk.photo()
    result = meanwhile(desk, photo, lambda other: other.undo.undo_last("today"))
    assert result.outcome == "replaced"
    assert not desk.sidecar().exists()
    assert desk.states() == ["undone"]


def sidecars(desk: Desk) -> tuple[Path, Path]:
    return desk.sidecar("IMG_1.dng"), desk.rated.folder / "IMG_1.xmp"


CONTENTS = (DARKTABLE_SIDECAR, DARKTABLE_SIDECAR.replace(b"Am Kai", b"Am Quai"))


@pytest.fixture
def both(desk: Desk) -> int:
    """Return a photo with two sidecars."""
    photo = desk.photo("IMG_1.dng")
    for sidecar, content in zip(sidecars(desk), CONTENTS, strict=True):
        sidecar.write_bytes(content)
    return photo


@pytest.fixture
def half(desk: Desk, both: int) -> int:
    """Decide for five stars; the disk is full after the first of two sidecars. Return the photo."""
    desk.writer.problems = [None, errors.NoSpace("The disk is full.")]
    assert desk.decide(both, 5).outcome == "waiting"
    assert [changed for changed in is_changed(desk) if changed] == [True]
    return both


def is_changed(desk: Desk) -> list[bool]:
    pairs = zip(sidecars(desk), CONTENTS, strict=True)
    return [sidecar.read_bytes() != content for sidecar, content in pairs]


def ratings(desk: Desk) -> list[object]:
    return [exiv2_tags.read_sidecar(sidecar.read_bytes())[RATING] for sidecar in sidecars(desk)]


def undo_last(desk: Desk) -> None:
    undone = desk.undo.undo_last("today")
    assert undone
    assert all(each.is_done for each in undone), undone


def test_undo_of_a_decision_that_is_half_written_returns_to_the_bytes_of_before(
    desk: Desk, half: int
) -> None:
    undo_last(desk)
    assert is_changed(desk) == [False, False]
    assert desk.states() == ["undone"]


def test_undo_of_a_decision_that_replaced_a_half_written_one_returns_to_before_both(
    desk: Desk, half: int
) -> None:
    assert desk.decide(half, 3).outcome == "written"
    assert ratings(desk) == ["3", "3"]
    undo_last(desk)
    assert is_changed(desk) == [False, False]


@pytest.mark.parametrize("is_retried", [False, True])
def test_a_decision_that_fails_where_a_half_written_one_had_failed_can_be_written_and_undone(
    desk: Desk, half: int, is_retried: bool
) -> None:
    desk.writer.problems = [errors.NoSpace("The disk is still full.")]
    assert desk.decide(half, 3).outcome == "waiting"
    if is_retried:
        assert [each.outcome for each in desk.decider.retry()] == ["written"]
        assert ratings(desk) == ["3", "3"]
    undo_last(desk)
    assert is_changed(desk) == [False, False]
    assert desk.decider.retry() == []


def test_a_decision_that_wrote_nothing_is_undone_whatever_another_program_writes_meanwhile(
    desk: Desk, both: int
) -> None:
    desk.writer.problems = [errors.NoSpace("The disk is full.")]
    desk.decide(both, 5)
    for sidecar in sidecars(desk):
        sidecar.write_bytes(DARKTABLE_SIDECAR.replace(b"Am Kai", b"Am Fluss"))
    undo_last(desk)
    assert desk.decider.retry() == []
    assert ratings(desk) == ["0", "0"]


def test_a_photo_of_which_one_sidecar_is_read_only_keeps_both(desk: Desk, both: int) -> None:
    (desk.rated.folder / "IMG_1.xmp").chmod(0o444)
    result = desk.decide(both, 5)
    assert (result.outcome, "IMG_1.xmp is read-only" in result.reason) == ("refused", True)
    assert is_changed(desk) == [False, False]


def test_what_was_written_before_a_refusal_can_be_undone(desk: Desk, half: int) -> None:
    for sidecar, changed in zip(sidecars(desk), is_changed(desk), strict=True):
        if not changed:
            sidecar.chmod(0o444)
    assert [each.outcome for each in desk.decider.retry()] == ["refused"]
    undo_last(desk)
    assert is_changed(desk) == [False, False]


@pytest.mark.parametrize("is_pick_first", [False, True])
def test_a_rating_and_a_pick_that_both_wait_are_both_written(desk: Desk, is_pick_first: bool) -> None:
    photo = desk.photo()
    desk.writer.problems = [errors.NoSpace("The disk is full.")]
    presses: list[tuple[int | None, bool | None]] = [(5, None), (None, True)]
    for rating, pick in reversed(presses) if is_pick_first else presses:
        desk.decide(photo, rating, pick=pick)
    desk.decider.retry()
    assert desk.values()[RATING] == "5"
    assert desk.row(photo) == ("person", 5, None, 1)


def test_a_pick_that_waits_is_no_pick_of_a_photo_that_is_rejected_then(desk: Desk) -> None:
    photo = desk.photo()
    desk.writer.problems = [errors.NoSpace("The disk is full.")]
    desk.decide(photo, None, pick=True)
    desk.decide(photo, -1)
    assert desk.row(photo) == ("person", -1, None, 0)


def test_that_a_files_partner_was_not_written_is_told(desk: Desk) -> None:
    jpeg, raw = desk.photo("IMG_1.jpg"), desk.photo("IMG_1.dng")
    desk.stars_by_maclip(jpeg)
    with desk.rated.library.writing() as session:
        raw_jpeg_pairs.link_all(session, lambda name: "raw" if name.endswith(".dng") else "developed")
    desk.sidecar("IMG_1.jpg").chmod(0o444)
    written, left = desk.decider.decide([NewDecision(raw, 2)], "today")
    assert (written.photo_id, written.outcome) == (raw, "written")
    assert (left.photo_id, left.outcome) == (jpeg, "refused")
    assert "IMG_1.jpg.xmp is read-only" in left.reason


def moved_to_a_larger_disk(desk: Desk, photo: int) -> int:
    """Move a photo with its sidecar as to another disk: it is found as a new file; return its number."""
    desk.rated.write("update photos set pixel_hash = 'same'")
    folder = desk.rated.folder / "larger"
    folder.mkdir()
    if desk.sidecar().exists():
        desk.sidecar().rename(folder / "IMG_1.jpg.xmp")
    successor = desk.photo("larger/IMG_1.jpg")
    (desk.rated.folder / "IMG_1.jpg").unlink()
    desk.rated.write(f"update photos set state = 'missing' where id = {photo}")
    desk.rated.write("update photos set pixel_hash = 'same'")
    moved_photos.follow(desk.rated.library, FilesystemProbe(5), [successor])
    return successor


def test_a_decision_that_waits_follows_its_photo_to_a_larger_disk(desk: Desk) -> None:
    photo = desk.photo()
    desk.writer.problems = [errors.NoSpace("The disk is full.")]
    desk.decide(photo, 5, pick=True)
    successor = moved_to_a_larger_disk(desk, photo)
    assert [(each.photo_id, each.outcome) for each in desk.decider.retry()] == [(successor, "written")]
    assert desk.values("larger/IMG_1.jpg")[RATING] == "5"
    assert desk.row(successor) == ("person", 5, None, 1)


def test_a_decision_can_be_undone_where_its_photo_is_now(desk: Desk) -> None:
    photo = desk.photo()
    desk.decide(photo, 5, pick=True)
    successor = moved_to_a_larger_disk(desk, photo)
    assert desk.row(successor) == ("person", 5, None, 1)
    undo_last(desk)
    assert not (desk.rated.folder / "larger/IMG_1.jpg.xmp").exists()
    assert desk.row(successor) == ("none", None, None, 0)


@pytest.mark.parametrize("has_sidecar", [False, True])
@pytest.mark.parametrize("is_folder", [False, True])
def test_a_decision_about_a_photo_that_was_renamed_since_is_undone_in_its_sidecar(
    desk: Desk, has_sidecar: bool, is_folder: bool
) -> None:
    (desk.rated.folder / "trip").mkdir()
    old, new = ("trip", "tour") if is_folder else ("trip/IMG_1.jpg", "trip/IMG_2.jpg")
    photo = desk.photo("trip/IMG_1.jpg")
    sidecar = desk.sidecar("trip/IMG_1.jpg")
    if has_sidecar:
        sidecar.write_bytes(DARKTABLE_SIDECAR)
    desk.decide(photo, 5)
    if not is_folder:
        sidecar.rename(desk.sidecar("trip/IMG_2.jpg"))
    (desk.rated.folder / old).rename(desk.rated.folder / new)
    with desk.rated.library.writing() as session:
        root = session.execute(
            text("select root_id from folders join photos on folder_id = folders.id")
        ).scalar_one()
        if is_folder:
            renames.move_folder(session, str(desk.rated.folder / old), str(desk.rated.folder / new), root)
        else:
            renames.move_photo(session, photo, str(desk.rated.folder / new), root)
    undo_last(desk)
    now = desk.rated.folder / ("tour/IMG_1.jpg.xmp" if is_folder else "trip/IMG_2.jpg.xmp")
    assert (now.read_bytes() == DARKTABLE_SIDECAR) if has_sidecar else not now.exists()


@pytest.mark.parametrize("has_sidecar", [False, True])
def test_undo_finds_a_sidecar_that_stayed_behind_when_its_photo_was_renamed(
    desk: Desk, has_sidecar: bool
) -> None:
    photo, renamed = desk.photo(), desk.rated.folder / "IMG_2.jpg"
    if has_sidecar:
        desk.sidecar().write_bytes(DARKTABLE_SIDECAR)
    desk.decide(photo, 5)
    (desk.rated.folder / "IMG_1.jpg").rename(renamed)
    with desk.rated.library.writing() as session:
        root = session.execute(text("select root_id from folders")).scalar_one()
        renames.move_photo(session, photo, str(renamed), root)
    (undone,) = desk.undo.undo_last("today")
    if not has_sidecar:
        assert undone.is_done
        assert not desk.sidecar().exists()
        return
    assert (
        "IMG_1.jpg.xmp stayed behind when its photo was renamed. Rename it to IMG_2.jpg.xmp" in undone.reason
    )
    desk.sidecar().rename(desk.sidecar("IMG_2.jpg"))
    undo_last(desk)
    assert desk.sidecar("IMG_2.jpg").read_bytes() == DARKTABLE_SIDECAR


def test_of_two_decisions_that_wait_for_what_becomes_one_photo_the_last_one_stands(desk: Desk) -> None:
    photo = desk.photo()
    desk.writer.problems = [errors.NoSpace("full"), errors.NoSpace("full")]
    desk.decide(photo, 2, pick=True)
    (desk.rated.folder / "larger").mkdir()
    copy = desk.photo("larger/IMG_1.jpg")
    desk.decide(copy, 5)
    desk.rated.write("update photos set pixel_hash = 'same'")
    (desk.rated.folder / "IMG_1.jpg").unlink()
    desk.rated.write(f"update photos set state = 'missing' where id = {photo}")
    moved_photos.follow(desk.rated.library, FilesystemProbe(5), [copy])
    assert [(each.photo_id, each.rating) for each in desk.decider.retry()] == [(copy, 5)]
    assert desk.row(copy) == ("person", 5, None, 1)
    assert desk.states() == ["replaced", "written"]


def test_a_decision_whose_photo_becomes_another_one_while_it_is_carried_out_is_written(desk: Desk) -> None:
    photo = desk.photo()
    successors: list[int] = []
    result = meanwhile(desk, photo, lambda _: successors.append(moved_to_a_larger_disk(desk, photo)))
    assert (result.photo_id, result.outcome) == (successors[0], "written")
    assert desk.values("larger/IMG_1.jpg")[RATING] == "1"


def test_the_page_forgets_what_another_process_has_settled(desk: Desk) -> None:
    photo = desk.photo()
    desk.writer.problems = [errors.NoSpace("The disk is full.")]
    review = Review(desk.rated.library, desk.decider, desk.undo, MagicMock(), MagicMock())
    review.decide([NewDecision(photo, 5)])
    assert list(review.waiting) == [photo]
    undo_ratings.hold(desk.rated.library, [], desk.rated.now, with_decisions=True)
    review.start()
    until(lambda: not review.waiting, "the end of the notice")
    review.stop()


def test_a_second_key_press_replaces_what_another_program_gave_to_the_other_file_of_a_shot(
    desk: Desk,
) -> None:
    raw, jpeg = desk.photo("IMG_1.dng"), desk.photo("IMG_1.jpg")
    with desk.rated.library.writing() as session:
        raw_jpeg_pairs.link_all(session, lambda name: "raw" if name.endswith(".dng") else "developed")
    desk.sidecar("IMG_1.jpg").write_bytes(DARKTABLE_SIDECAR.replace(b'xmp:Rating="0"', b'xmp:Rating="3"'))
    first = desk.decider.decide([NewDecision(raw, 5)], "today")
    assert [(each.photo_id, each.outcome, each.rating) for each in first] == [
        (raw, "written", 5),
        (jpeg, "changed", 3),
    ]
    second = desk.decider.decide([NewDecision(raw, 5, seen=5)], "today")
    assert [each.outcome for each in second] == ["written"]
    assert desk.values("IMG_1.jpg")[RATING] == "5"


def test_undo_with_decisions_ends_those_that_wait(desk: Desk, half: int) -> None:
    undo_ratings.hold(desk.rated.library, [], desk.rated.now, with_decisions=True)
    targets = undo_ratings.targets(desk.rated.library)
    undone = undo_ratings.undo(
        desk.rated.library, desk.writer, FilesystemProbe(5), targets, desk.rated.now, with_decisions=True
    )
    assert [each.is_done for each in undone] == [True]
    assert is_changed(desk) == [False, False]
    assert desk.decider.retry() == []
    assert desk.states() == ["undone"]


def test_undo_without_decisions_keeps_one_that_is_half_written(desk: Desk, half: int) -> None:
    undo_ratings.hold(desk.rated.library, [], desk.rated.now)
    targets = undo_ratings.targets(desk.rated.library)
    list(undo_ratings.undo(desk.rated.library, desk.writer, FilesystemProbe(5), targets, desk.rated.now))
    assert sorted(ratings(desk), key=str) == ["0", "5"]
    desk.decider.retry()
    assert ratings(desk) == ["5", "5"]


def test_a_photo_that_left_the_library_takes_its_decisions_along(desk: Desk) -> None:
    photo = desk.photo()
    desk.decide(photo, 4)
    with desk.rated.library.writing() as session:
        session.execute(text("delete from photos"))
    assert desk.states() == []


@pytest.mark.parametrize("with_decisions", [False, True])
def test_undo_of_everything_keeps_decisions_unless_it_is_asked_for_them(
    desk: Desk, with_decisions: bool
) -> None:
    confirmed, new = desk.photo("a.jpg"), desk.photo("b.jpg")
    desk.stars_by_maclip(confirmed, "a.jpg")
    desk.decide(confirmed, QUALITY.stars)
    desk.decide(new, -1)
    library, probe = desk.rated.library, FilesystemProbe(5)
    paths = undo_ratings.targets(library)
    for dry_run in (True, False):
        results = undo_ratings.undo(
            library,
            desk.writer,
            probe,
            paths,
            desk.rated.now,
            dry_run=dry_run,
            with_decisions=with_decisions,
        )
        expected = "removed" if with_decisions else "decided"
        assert [each.outcome for each in results] == [expected, expected]
    if with_decisions:
        assert not desk.sidecar("a.jpg").exists()
        assert not desk.sidecar("b.jpg").exists()
    else:
        assert (desk.values("a.jpg")[RATING], desk.values("b.jpg")[RATING]) == ("4", "-1")
        assert not any(key.startswith("Xmp.maclip") for key in desk.values("a.jpg"))
        assert desk.row(confirmed)[:2] == ("person", 4)
        assert undo_ratings.targets(library) == []
