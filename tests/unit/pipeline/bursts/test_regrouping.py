"""The stored groups stay those of all present frames, while photos come, move, leave and change."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from scenes import black, descriptor

from maclip_daemon.files.signature import HasSignature
from maclip_daemon.library.photos import missing_photos, photo_info, photo_records, root_records
from maclip_daemon.library.results import scores
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.photos.shots.shot_info import ShotInfo
from maclip_daemon.pipeline import pairing
from maclip_daemon.pipeline.bursts import regrouping, shot_records
from maclip_daemon.pipeline.bursts.best_frame import rank
from maclip_daemon.pipeline.bursts.burst_frame import NO_EXPOSURE, BurstFrame
from maclip_daemon.pipeline.bursts.grouping import FrameGroup, group

NOW = 1_780_000_000.0
SPREAD = 0.016
FOLDERS = ("/photos/a", "/photos/b")
CAMERAS = (ShotInfo("Canon", "R6", "1"), ShotInfo("Canon", "R6", "2"), ShotInfo())


@dataclass(frozen=True)
class Found:
    path: str
    inode: int
    mtime_ns: int
    device: int = 3
    size: int = 1000
    ctime_ns: int = 10**18


@dataclass(frozen=True)
class Photo:
    """A photo of the model."""

    photo_id: int
    file: HasSignature
    path: str
    camera: ShotInfo
    taken: datetime | None
    packed: bytes
    pixel_hash: str
    score: float
    is_present: bool = True

    @property
    def series(self) -> object:
        """Return what keeps photos apart: the camera, or the folder where there is no date."""
        return self.camera if self.taken else self.path.rpartition("/")[0]


@cache
def empty_library() -> Path:
    path = Path(tempfile.mkdtemp()) / "data" / "library.db"
    Library.open(path).close()
    return path


@contextmanager
def a_library() -> Iterator[Library]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(empty_library().parent, Path(folder, "data"))
        with Library.open(Path(folder, "data", "library.db")) as library:
            yield library


def expected(photos: list[Photo]) -> list[FrameGroup]:
    """Return the groups of the model: all present frames of each series, grouped at once."""
    series: dict[object, list[BurstFrame]] = defaultdict(list)
    for photo in photos:
        if not photo.is_present:
            continue
        folder, _, name = photo.path.rpartition("/")
        taken = photo.taken
        moment = round(taken.timestamp() * 1e6) if taken else photo.file.mtime_ns // 1000
        series[photo.series].append(
            BurstFrame(
                photo.photo_id,
                moment,
                taken is not None,
                FOLDERS.index(folder),
                name,
                pairing.role_of(name),
                600,
                400,
                photo.pixel_hash,
                NO_EXPOSURE,
                photo.packed,
                photo.score,
            )
        )
    return [found for frames in series.values() for found in group(frames)]


class GroupsOfALibrary(RuleBasedStateMachine):
    """Photos come and go; the groups are compared with the model after each step."""

    @initialize()
    def open_library(self) -> None:
        self.context = a_library()
        self.library = self.context.__enter__()
        self.numbers = count(1)
        self.photos: dict[int, Photo] = {}
        with self.library.writing() as session:
            self.root = root_records.root_for(session, "/photos", NOW)
            self.config = scores.scoring_config_for(session, "maclip", "m", "p").id
            scores.activate(session, self.config)

    def teardown(self) -> None:
        if hasattr(self, "context"):
            self.context.__exit__(None, None, None)

    def store(self, session: Session, photo: Photo) -> None:
        decoded = DecodedPhoto(
            None, None, 1, 1, 600, 400, photo.pixel_hash, None, photo.taken, photo.camera, photo.packed
        )
        info = photo_info.PhotoInfo(600, 400, photo.taken, photo.pixel_hash)
        photo_info.set_photo_info(session, {photo.photo_id: info})
        row = scores.ScoreRow(photo.score)
        scores.record(session, self.config, [(photo.photo_id, row)], NOW)
        shot_records.record(session, {photo.photo_id: decoded})
        self.photos[photo.photo_id] = photo

    def picture(self, scene: int, take: int) -> bytes:
        return black() if scene == 3 else descriptor(scene, take)

    @rule(
        scenes=st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 60)), min_size=1, max_size=5
        ),
        camera=st.sampled_from(CAMERAS),
        is_dated=st.sampled_from((True, True, True, False)),
        folder=st.sampled_from(FOLDERS),
        copied=st.booleans(),
    )
    def arrive(
        self,
        scenes: list[tuple[int, int, int]],
        camera: ShotInfo,
        is_dated: bool,
        folder: str,
        copied: bool,
    ) -> None:
        with self.library.writing() as session:
            for scene, take, tenths in scenes:
                self.add(session, scene, take, tenths, camera, folder, is_dated=is_dated, copied=copied)

    @rule(scene=st.integers(0, 2), number=st.integers(2, 4), folder=st.sampled_from(FOLDERS))
    def arrive_without_date(self, scene: int, number: int, folder: str) -> None:
        """Photos of one moment without EXIF: only their folder keeps them from others."""
        with self.library.writing() as session:
            for take in range(number):
                self.add(session, scene, take, take, CAMERAS[2], folder, is_dated=False, copied=False)

    def add(
        self,
        session: Session,
        scene: int,
        take: int,
        tenths: int,
        camera: ShotInfo,
        folder: str,
        *,
        is_dated: bool,
        copied: bool,
    ) -> None:
        number = next(self.numbers)
        taken = datetime.fromtimestamp(1_777_000_000 + tenths / 2, UTC) if is_dated else None
        found = Found(f"{folder}/IMG_{number}.jpg", number, 10**18 + tenths * 10**9)
        photo_id = photo_records.record_file(session, self.root, found, NOW).photo_id
        pixels = f"{scene} {take}" if copied else f"{number}"
        score = (number * 37 % 100) / 100
        packed = self.picture(scene, take)
        self.store(session, Photo(photo_id, found, found.path, camera, taken, packed, pixels, score))

    def wanted_groups(self) -> list[FrameGroup]:
        return expected(list(self.photos.values()))

    def some(self, index: int, *, present: bool) -> Photo | None:
        chosen = [photo for photo in self.photos.values() if photo.is_present == present]
        return chosen[index % len(chosen)] if chosen else None

    @rule(index=st.integers(0, 50), number=st.integers(1, 4))
    def vanish(self, index: int, number: int) -> None:
        for step in range(number):
            photo = self.some(index + step, present=True)
            if photo is not None:
                with self.library.writing() as session:
                    missing_photos.mark_missing(session, [photo.photo_id], NOW)
                self.photos[photo.photo_id] = replace(photo, is_present=False)

    @rule(index=st.integers(0, 50))
    def come_back(self, index: int) -> None:
        photo = self.some(index, present=False)
        if photo is not None:
            with self.library.writing() as session:
                found = photo_records.record_file(session, self.root, photo.file, NOW)  # type: ignore[arg-type]
            assert found.photo_id == photo.photo_id
            self.photos[photo.photo_id] = replace(photo, is_present=True)

    @rule(index=st.integers(0, 50), folder=st.sampled_from(FOLDERS), is_renamed=st.booleans())
    def move(self, index: int, folder: str, is_renamed: bool) -> None:
        photo = self.some(index, present=True)
        if photo is not None:
            self.move_to(photo, folder, is_renamed=is_renamed)

    @rule(index=st.integers(0, 50), is_renamed=st.booleans())
    def move_out_of_its_group(self, index: int, is_renamed: bool) -> None:
        numbers = sorted({each.photo_id for found in self.wanted_groups() for each in found.frames})
        if numbers:
            photo = self.photos[numbers[index % len(numbers)]]
            here = FOLDERS.index(photo.path.rpartition("/")[0])
            self.move_to(photo, FOLDERS[1 - here], is_renamed=is_renamed)

    def move_to(self, photo: Photo, folder: str, *, is_renamed: bool) -> None:
        name = f"Z{next(self.numbers)}.jpg" if is_renamed else photo.path.rpartition("/")[2]
        path = f"{folder}/{name}"
        if path == photo.path:
            return
        found = replace(photo.file, path=path)  # type: ignore[type-var]
        with self.library.writing() as session:
            moved = photo_records.record_file(session, self.root, found, NOW, photo.path.__eq__)
        assert moved.photo_id == photo.photo_id
        self.photos[photo.photo_id] = replace(photo, path=path, file=found)

    @rule(
        index=st.integers(0, 50), scene=st.integers(0, 3), take=st.integers(0, 3), tenths=st.integers(0, 60)
    )
    def change(self, index: int, scene: int, take: int, tenths: int) -> None:
        photo = self.some(index, present=True)
        if photo is None:
            return
        number = next(self.numbers)
        found = replace(photo.file, mtime_ns=10**18 + tenths * 10**9)  # type: ignore[type-var]
        taken = photo.taken and datetime.fromtimestamp(1_777_000_000 + tenths / 2, UTC)
        with self.library.writing() as session:
            photo_records.record_file(session, self.root, found, NOW)
            self.store(
                session,
                replace(
                    photo, file=found, taken=taken, packed=self.picture(scene, take), pixel_hash=f"c{number}"
                ),
            )

    @rule(index=st.integers(0, 50), score=st.floats(0, 1))
    def score_again(self, index: int, score: float) -> None:
        photo = self.some(index, present=True)
        if photo is not None:
            with self.library.writing() as session:
                self.store(session, replace(photo, score=score))

    @rule()
    def purge(self) -> None:
        with self.library.writing() as session:
            missing_photos.purge_missing(session, NOW)
        self.photos = {number: photo for number, photo in self.photos.items() if photo.is_present}

    @rule(limit=st.integers(1, 3))
    def group_a_few(self, limit: int) -> None:
        with self.library.writing() as session:
            regrouping.regroup(session, SPREAD, limit)

    @precondition(lambda self: hasattr(self, "library"))
    @invariant()
    def groups_are_those_of_all_frames(self) -> None:
        regrouping.regroup_all(self.library, SPREAD, lambda _session, _changed: None)
        wanted = set()
        for found in self.wanted_groups():
            ranks = rank(found, SPREAD).ranks
            members = frozenset((each.photo_id, ranks.get(each.photo_id)) for each in found.frames)
            wanted.add((found.kind.value, members))
        with self.library.snapshot() as snapshot:
            rows = snapshot.execute(
                "SELECT b.id, b.kind, m.photo_id, m.burst_rank FROM bursts b"
                " LEFT JOIN burst_frames m ON m.burst_id = b.id"
            ).fetchall()
        stored: dict[tuple[int, str], set[tuple[int, int | None]]] = defaultdict(set)
        for burst_id, kind, photo_id, burst_rank in rows:
            stored[burst_id, kind].add((photo_id, burst_rank))
        assert {(kind, frozenset(members)) for (_, kind), members in stored.items()} == wanted
        assert len(stored) == len(wanted)


def test_the_groups_of_a_library_stay_those_of_all_its_frames() -> None:
    run_state_machine_as_test(
        GroupsOfALibrary,
        settings=settings(
            max_examples=15,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
