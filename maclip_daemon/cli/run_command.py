"""`maclip run`: the daemon in the foreground, or one pass over all photos."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import printable

if TYPE_CHECKING:
    from maclip_daemon.cli.printing.live_view import LiveView
    from maclip_daemon.daemon.run_observer import RunObserver
    from maclip_daemon.pipeline.run import Pipeline
    from maclip_daemon.pipeline.run_state import Tally
    from maclip_daemon.pipeline.scoring.score_jobs import ScoreSource

Model = Annotated[
    str | None,
    typer.Option(
        help="`auto`, a name from `maclip models`, `file:PATH`, or an open_clip `ARCH/TAG`.",
        show_default="auto",
    ),
]
Metric = Annotated[
    str | None, typer.Option(help="`maclip`, `clipiqa`, `qualiclip` or `magnitude`.", show_default="maclip")
]
Protocol = Annotated[
    str | None,
    typer.Option(
        help="The size at which photos are scored: `spaq448`, `native`, `agiqa224`, `long-edge-N`.",
        show_default="the model's own",
    ),
]
GpuMemory = Annotated[
    int | None,
    typer.Option(
        metavar="MIB", help="Memory of a CUDA device that scoring may take, in MiB.", show_default="all"
    ),
]

LIBRARIES_NAMED, EMPTY_NAMED = 3, 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    context: typer.Context,
    folders: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH]…", help="Folders to watch. Default: those of the configuration."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Score and rate all new photos, then end.")] = False,
    model: Model = None,
    metric: Metric = None,
    protocol: Protocol = None,
    mode: Annotated[
        str | None,
        typer.Option(help="Where stars go: `sidecar`, `embed` or `off`.", show_default="sidecar"),
    ] = None,
    gpu_memory: GpuMemory = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT",
            help="Serve a status page, /health and /metrics (Prometheus). No HOST: for this machine alone.",
            show_default="nowhere",
        ),
    ] = None,
) -> None:
    """Watch folders: score each new photo, store the score, and write its stars.

    Runs until Ctrl-C or SIGTERM, then finishes the photos it has begun. SIGHUP reloads the configuration.
    With `--once` it makes one pass and ends; with exit code 1 when photos failed, and each is named.

    Stars go into XMP sidecars beside the photos. The photos themselves stay untouched, your own ratings are
    never changed, and `maclip undo` restores every file.
    """
    flags = {
        "scoring": invocation.typed_flags(
            model=model, metric=metric, protocol=protocol, gpu_memory_mib=gpu_memory
        ),
        "rating": invocation.typed_flags(mode=mode),
        "listen": invocation.typed_flags(address=listen),
    }
    call = invocation.from_context(context)
    chosen = [_folder(folder) for folder in folders or []]
    if once:
        # Failed photos are named at the end; log lines would break the progress bar.
        if not call.verbosity:
            flags["log"] = {"level": "error"}
        run_once_told(call, flags, chosen)
        return
    if not _shows_progress(call):
        _run_daemon(call, flags, chosen)
        return
    from maclip_daemon.cli.printing.live_view import LiveView

    flags["log"] = {"level": "warning"}  # the view tells the rest
    with LiveView() as view:
        _run_daemon(call, flags, chosen, view)


def _run_daemon(
    call: invocation.Invocation, flags: dict[str, Any], folders: list[Path], view: LiveView | None = None
) -> None:
    from maclip_daemon.daemon.notify.notifier import Notifier
    from maclip_daemon.daemon.run_observer import RunObservers, ViewObserver
    from maclip_daemon.daemon.supervisor import Daemon
    from maclip_daemon.web.status.status_server import StatusServer

    observers: list[RunObserver] = [Notifier(), StatusServer()]
    if view is not None:
        observers.append(ViewObserver(view))
    Daemon(lambda: call.settings(flags), folders, observer=RunObservers(observers)).run()


def _shows_progress(call: invocation.Invocation) -> bool:
    """Return whether a person looks on, who has not asked for log lines or for silence."""
    return sys.stderr.isatty() and not call.verbosity


def _folder(typed: str) -> Path:
    """Return the folder. Raise `UsageError` for an empty name, which is an unset shell variable."""
    from maclip_daemon.errors import UsageError

    if not typed:
        raise UsageError("One of the folder names is empty. Check the shell variable in the command.")
    return Path(typed)


def run_once_told(
    call: invocation.Invocation,
    flags: dict[str, Any],
    folders: list[Path],
    elsewhere: ScoreSource | None = None,
) -> None:
    """Make one pass over the folders and tell what was done; exit with 1 or 3 after failures."""
    from maclip_daemon.cli.printing import tally_sentence
    from maclip_daemon.daemon.notify.notifier import Notifier
    from maclip_daemon.daemon.single_run import run_once

    began_at = time.time()
    progress = TerminalProgress() if sys.stderr.isatty() and call.verbosity >= 0 else None
    try:
        tally = run_once(call.settings(flags), folders, progress or _silent, Notifier(), elsewhere)
    except KeyboardInterrupt:
        output.say("maclip: interrupted. Run the same command again to continue.", error=True)
        raise
    finally:
        if progress is not None:
            progress.close()
    if call.verbosity >= 0:
        output.say(tally_sentence.sentence(tally))
        _report_passed_over(tally)
        if tally.scored:
            output.say("`maclip worst` lists the shots to cull.")
        _print_hints(call, flags, began_at)
    for failed in tally.failed:
        output.say(f"failed: {printable(failed.reason)}", error=True)
    for reason in tally.offline:
        output.say(f"paused: {printable(reason)}", error=True)
    for shared in tally.shared:
        output.say(f"shared: {printable(shared)}", error=True)
    if tally.failed:
        raise typer.Exit(1)
    if tally.offline:
        raise typer.Exit(3)


def _report_passed_over(tally: Tally) -> None:
    from maclip_daemon.cli.printing import passed_over_list

    found = tally.passed_over
    if sentence := passed_over_list.kinds_sentence(found):
        output.say(f"Passed over: {sentence}.")
    if sentence := passed_over_list.libraries_sentence(found, LIBRARIES_NAMED):
        output.say(f"Left alone: {printable(sentence)}. Their programs manage the photos in them.")
    if found.empty:
        paths = passed_over_list.shortened(found.empty, EMPTY_NAMED)
        output.say(f"Empty (0 bytes): {printable('; '.join(paths))}. {passed_over_list.COPY_AGAIN}")


def _print_hints(call: invocation.Invocation, flags: dict[str, Any], began_at: float) -> None:
    from maclip_daemon.cli.printing import rating_hints
    from maclip_daemon.library.queries.status import notes

    with call.open_readonly(call.settings(flags)) as library, library.snapshot() as snapshot:
        for _, hint in rating_hints.lines(rating_hints.survey(snapshot), notes(snapshot), began_at):
            output.say(printable(hint))


def _silent(pipeline: Pipeline) -> None:
    pass


class TerminalProgress:
    """Progress bar for `--once`: scored of found photos, then ratings."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._scoring = self._progress.add_task("scoring", total=None, note="looking for photos")
        self._rating = self._progress.add_task("rating", total=None, note="", visible=False)
        self._progress.start()

    def __call__(self, pipeline: Pipeline) -> None:
        """Show the progress of the run."""
        tally = pipeline.state.tally
        waiting = pipeline.waiting()
        done = tally.scored + len(tally.failed)
        note = f"{len(tally.failed)} failed" if tally.failed else ""
        self._progress.update(self._scoring, completed=done, total=done + waiting["score"] or None, note=note)
        rated = tally.rated + tally.kept + tally.skipped + tally.contested
        if rated or waiting["rate"]:
            self._progress.update(
                self._rating, completed=rated, total=rated + waiting["rate"], visible=True, note=""
            )

    def close(self) -> None:
        """Remove the bar."""
        self._progress.stop()
