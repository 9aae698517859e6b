"""What `maclip run` shows on a terminal: a line for each rated photo, and a live line below them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import printable

if TYPE_CHECKING:  # it must show something before all that is loaded
    from maclip_daemon.daemon.work_spells import WorkSpell
    from maclip_daemon.pipeline.run import Pipeline
    from maclip_daemon.pipeline.run_state import WrittenStars

LINES_AT_ONCE = 5  # of rated photos; the others are counted
COUNT_S = 2.0  # between two looks into the queue
SURE_AFTER_S = 5.0  # of scoring; before, a time left would jump
SPEED_OVER_S = 60.0  # the time left is reckoned from the work of this last while


class LiveView:
    """The live view of a running daemon. A context manager; log lines appear above its last line."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._clock = clock
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._counted_at = -COUNT_S
        self._waiting = {"score": 0, "rate": 0}
        self._scored_then = 0  # when the queue was looked into
        self._scored: deque[tuple[float, int]] = deque()

    def __enter__(self) -> Self:
        self._live.start()
        self._show("starting")
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, pipeline: Pipeline) -> None:
        """Show the present state of a run."""
        self._print_rated(pipeline.state.take_rated(), [Path(root.path) for root in pipeline.discovery.roots])
        now, tally = self._clock(), pipeline.state.tally
        if now - self._counted_at >= COUNT_S:
            self._counted_at, self._scored_then, self._waiting = now, tally.scored, pipeline.waiting()
        if tally.scored:  # the time in which the model was loaded tells nothing
            self._scored.append((now, tally.scored))
        while self._scored and self._scored[0][0] < now - SPEED_OVER_S:
            self._scored.popleft()
        if reasons := list(pipeline.state.waits.reasons().values()):
            self._show(f"paused: {reasons[0]}")
        elif self._waiting["score"]:
            self._show(self._scoring(tally.scored, len(tally.failed)))
        elif self._waiting["rate"]:
            self._show(f"writing stars: {output.count(self._waiting['rate'], 'photo')} left")
        elif not pipeline.discovery.is_idle:
            self._show("looking for photos")
        else:
            self._show(f"waiting for photos in {_folders(pipeline)} · Ctrl-C ends")

    def finished(self, spell: WorkSpell) -> None:
        """Print what a spell of work did, and what to type next."""
        failed = f", {output.count(spell.failed, 'photo')} failed (`maclip status` says why)"
        kept = f", {spell.kept} left alone with your own rating" if spell.kept else ""
        self._print(
            f"Done: {spell.scored} scored, {spell.rated} rated{kept}{failed if spell.failed else ''}. "
            "Waiting for photos. In another terminal, `maclip worst` lists the shots to cull."
        )

    def _scoring(self, scored: int, failed: int) -> str:
        left = max(0, self._waiting["score"] - scored + self._scored_then)
        if not scored:
            return f"loading the model · {output.count(left, 'photo')} to score"
        parts = [f"scoring: {scored} done, {left} left"]
        (began, before), (now, _) = self._scored[0], self._scored[-1]
        if scored > before and now > began + SURE_AFTER_S:
            parts.append(f"about {_duration(left * (now - began) / (scored - before))}")
        return " · ".join([*parts, *([f"{failed} failed"] if failed else [])])

    def _print_rated(self, rated: list[WrittenStars], roots: list[Path]) -> None:
        for photo in rated[:LINES_AT_ONCE]:
            self._print(f"{output.stars(photo.stars):<5} {_relative(photo.path, roots)}")
        if (more := len(rated) - LINES_AT_ONCE) > 0:
            self._print(f"      and {more} more")

    def _show(self, text: str) -> None:
        self._live.update(Spinner("dots", Text(printable(text), no_wrap=True, overflow="ellipsis")))

    def _print(self, text: str) -> None:
        self._console.print(Text(printable(text)))


def _relative(path: str, roots: list[Path]) -> str:
    for root in roots:
        if Path(path).is_relative_to(root):
            return str(Path(path).relative_to(root))
    return path


def _folders(pipeline: Pipeline) -> str:
    roots = pipeline.discovery.roots
    return roots[0].path if len(roots) == 1 else f"{len(roots)} folders"


def _duration(seconds: float) -> str:
    """Return a time left in words: nobody needs its seconds."""
    if seconds < 90:
        return "a minute"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{round(seconds / 3600)} hours"
