"""A scoring stage without processes: a fake decoder and scorer, and one thread that does the work of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maclip_daemon.errors import MaclipError
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.library.queue import jobs
from maclip_daemon.photos.decoder import DecodedPhoto, Decoder
from maclip_daemon.pipeline.run_state import RunState, StageContext
from maclip_daemon.pipeline.scoring.score_jobs import ScoreJobs
from maclip_daemon.pipeline.scoring.scoring_stage import ScoringStage
from maclip_daemon.pipeline.waits import Waits
from maclip_daemon.scoring.scorer_client import PixelBlock, ScorerClient
from maclip_daemon.settings import JobSettings, Settings
from tests.rated_library import FakeRoots, RatedLibrary

SIDE = 2  # pixels of a decoded photo


def photo_score(score: float) -> PhotoScore:
    return PhotoScore(score, None, None, {"sharpness": 0.25}, 1, (score,), 0.0, None)


def decoded(pixel_hash: str, spooled: Path | None = None, former_hash: str | None = None) -> DecodedPhoto:
    pixels = bytes(SIDE * SIDE * 3) if spooled is None else None
    return DecodedPhoto(pixels, spooled, SIDE, SIDE, 40, 30, pixel_hash, former_hash, None)


def score_jobs_of(
    rated: RatedLibrary,
    is_offline: Callable[[str], bool] = lambda path: False,
    *,
    worker: str = "test",
    look_ahead: int = 4,
) -> tuple[ScoreJobs, FakeRoots]:
    settings = Settings(data_dir=rated.folder.parent / "data", jobs=JobSettings(max_attempts=2))
    roots = FakeRoots(is_offline)
    context = StageContext(rated.library, rated.state, settings, rated.scoring_config_id, worker)
    return ScoreJobs(context, roots, look_ahead), roots


def queue_scores(rated: RatedLibrary, *names: str) -> list[int]:
    """Add photos with score jobs that are due; return their ids."""
    ids = [rated.add(name, score=None) for name in names]
    with rated.library.writing() as session:
        jobs.enqueue(session, ids, "score", rated.now)
    return ids


class FakeDecoder(Decoder):
    """Spools pixels whose hash is the file's name; `problems` make it fail, `during` runs meanwhile."""

    def __init__(self, spool: Path) -> None:
        spool.mkdir()
        self.spool = spool
        self.problems: dict[str, MaclipError] = {}
        self.during: Callable[[Path], object] = lambda path: None
        self.paths: list[str] = []
        self.closed = 0

    def decode(self, path: Path, known_hash: str | None = None, *, follow_link: bool = False) -> DecodedPhoto:
        self.paths.append(path.name)
        if path.name in self.problems:
            raise self.problems[path.name]
        spooled = self.spool / f"{len(self.paths)}.rgb"
        spooled.write_bytes(bytes(SIDE * SIDE * 3))
        self.during(path)
        return decoded(path.read_text(), spooled)

    def close(self) -> None:
        self.closed += 1


class FakeClient(ScorerClient):
    """Scores each photo 0.75; a batch with a photo of `problems` raises, one of `answers` is answered so."""

    def __init__(self, state: RunState) -> None:
        self.state = state
        self.problems: dict[str, MaclipError] = {}
        self.answers: dict[str, MaclipError] = {}
        self.batches: list[list[str]] = []
        self.closed = 0

    def score(self, blocks: Sequence[PixelBlock]) -> list[PhotoScore | MaclipError]:
        names = [Path(block.name).name for block in blocks]
        self.batches.append(names)
        for block in blocks:
            block.check()
        for name in names:
            if name in self.problems:
                raise self.problems[name]
        return [self.answers.get(name, photo_score(0.75)) for name in names]

    def close_if_idle(self, now: float) -> None:
        self.state.stop()  # all that was decoded is scored

    def close(self) -> None:
        self.closed += 1


@dataclass
class SimulatedScoring:
    """A scoring stage of a `rated` library. `run` decodes what is due, then scores it."""

    rated: RatedLibrary
    decoder: FakeDecoder = field(init=False)
    client: FakeClient = field(init=False)
    stage: ScoringStage = field(init=False)

    def __post_init__(self) -> None:
        rated, state = self.rated, self.rated.state
        state.waits = Waits(30, clock=lambda: rated.now, wall_clock=lambda: rated.now)
        self.decoder = FakeDecoder(rated.folder.parent / "spool")
        self.client = FakeClient(state)
        score_jobs, _ = score_jobs_of(rated)
        settings = Settings(data_dir=rated.folder.parent / "data")
        self.stage = ScoringStage(score_jobs, state, settings, self.client, [self.decoder])

    def run(self) -> None:
        """Run both loops to their end: an idle decoder lets the scorer work, an idle scorer stops both."""
        self.rated.state.stopping.clear()
        self.stage.decode_loop(0)

    def add(self, *names: str) -> None:
        """Add photos with score jobs."""
        queue_scores(self.rated, *names)

    @property
    def spooled(self) -> list[Path]:
        return list(self.decoder.spool.iterdir())

    def scores(self) -> list[tuple[object, ...]]:
        return self.rated.rows(
            "select file_name, score from scores join photos on photos.id = photo_id order by file_name"
        )
