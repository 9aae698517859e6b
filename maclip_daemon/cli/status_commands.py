"""`maclip show`, `maclip status` and `maclip stats`: one photo, the progress, the distribution of scores."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.filter_options import TypedFilter, takes_filter
from maclip_daemon.cli.printing import (
    burst_sentence,
    explanation,
    output,
    passed_over_list,
    rating_hints,
    wait_list,
)
from maclip_daemon.cli.printing.score_bars import print_score_bars
from maclip_daemon.files.paths import printable, with_path

if TYPE_CHECKING:
    from maclip_daemon.daemon.stop_reason import StopReason
    from maclip_daemon.library.queries.photo_failures import GivenUpPhoto
    from maclip_daemon.library.queries.status import Status
    from maclip_daemon.settings import Settings

LINES_SHOWN = 10  # in `maclip status`; --failed lists them all

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(show)
    app.command()(status)
    app.command()(stats)


def show(
    context: typer.Context,
    photo: Annotated[Path, typer.Argument(help="A photo of the library.")],
    as_json: AsJson = False,
    heatmap: Annotated[
        Path | None,
        typer.Option(
            help="Write a picture here (PNG or JPEG) that shows where the photo is sharp, with a legend.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Explain the score of a photo: why it is low, what was measured on its pixels, percentile, both cues,
    the weakest and the strongest part of the picture, its rating and whose it is, its place in a burst.
    """
    from maclip_daemon.errors import UsageError
    from maclip_daemon.library.queries import burst_list, photo_detail

    call = invocation.from_context(context)
    settings = call.settings()
    path = invocation.resolve_path(photo)
    with call.open_readonly(settings) as library, library.snapshot() as snapshot:
        detail = photo_detail.show(snapshot, path)
        burst = burst_list.burst_at(snapshot, path)
    if detail is None:
        raise UsageError(
            f"{photo} is not in the library. `maclip status` lists the watched folders; is it in one of them?"
        )
    if as_json:
        about_burst = dataclasses.asdict(burst) if burst else None
        output.print_json({**dataclasses.asdict(detail), "burst": about_burst})
    else:
        for line in explanation.lines(detail):
            output.say(line)
        if burst is not None:
            output.say(f"  moment     {burst_sentence.sentence(burst, path)}")
    if heatmap is not None:
        from maclip_daemon.cli.printing.heatmap import draw

        draw(Path(path), heatmap, settings)
        output.say(f"Wrote {heatmap}: blue is sharp, orange is blurred at 100 %.", error=as_json)


def status(
    context: typer.Context,
    as_json: AsJson = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="List every failed, unrated and empty photo.")
    ] = False,
) -> None:
    """Show progress, folder health and failures."""
    from maclip_daemon.errors import MaclipError
    from maclip_daemon.library.queries import photo_failures
    from maclip_daemon.library.queries.status import status as status_of_library
    from maclip_daemon.web.status import page_link

    call = invocation.from_context(context)
    settings = call.settings()
    running, stopped = _daemon_state(settings)
    try:
        opened = call.open_readonly(settings)
    except MaclipError:
        if stopped is not None:
            output.say(_daemon_line(running, stopped), error=True)
        raise
    with opened as library, library.snapshot() as snapshot:
        found = status_of_library(snapshot)
        failures = list(photo_failures.failures(snapshot, None if failed or as_json else LINES_SHOWN))
        problems = photo_failures.rating_problems(snapshot)
        first_stars = rating_hints.survey(snapshot)
    if as_json:
        about_ratings = {
            "first_stars": [dataclasses.asdict(each) for each in first_stars],
            "deleted_sidecars": found.notes.get("deleted_sidecars"),
            "stopped": dataclasses.asdict(stopped) if stopped else None,
        }
        output.print_json(_as_json(found, failures, problems, running, settings) | about_ratings)
        return
    limit = None if failed else LINES_SHOWN
    output.say(_daemon_line(running, stopped))
    if running and (link := page_link.read(settings.data_dir)):
        output.say(f"page       {link}")
    _print_status(found, failures, running, settings, limit)
    # The hint below names the number of first stars; ten equal lines tell nothing more.
    listed = problems if failed else rating_hints.without_first_stars(problems, first_stars)
    for line in passed_over_list.shortened([with_path(*problem) for problem in listed], limit):
        output.say(f"unrated    {printable(line)}")
    for word, line in passed_over_list.lines(passed_over_list.of_notes(found.notes), limit):
        output.say(f"{word:<10} {printable(line)}")
    for word, hint in rating_hints.lines(first_stars, found.notes):
        output.say(f"{word:<10} {printable(hint)}")


@takes_filter()
def stats(
    context: typer.Context,
    typed: TypedFilter,
    as_json: AsJson = False,
    by: Annotated[str, typer.Option(help="Rows of the second table: `folder` or `month`.")] = "folder",
) -> None:
    """Show the distribution of the scores, of all photos or of some, and the weakest folders or months."""
    from maclip_daemon.errors import UsageError
    from maclip_daemon.library.queries import distribution

    if by not in ("folder", "month"):
        raise UsageError(f"--by takes folder or month, not {by!r}.")
    call = invocation.from_context(context)
    with call.open_readonly(call.settings()) as library, library.snapshot() as snapshot:
        chosen = typed.chosen(snapshot)
        summary = distribution.score_summary(snapshot, chosen)
        bins = distribution.histogram(snapshot, chosen=chosen)
        groups = (distribution.by_folder if by == "folder" else distribution.by_month)(snapshot, chosen)
    if as_json:
        output.print_json(
            {
                "summary": dataclasses.asdict(summary) if summary else None,
                "histogram": [dataclasses.asdict(each) for each in bins],
                by: [dataclasses.asdict(group) for group in groups],
            }
        )
        return
    if summary is None:
        output.say("No scored photos are here.")
        return
    output.say(
        "  ".join(
            f"{name.replace('_', ' ')} {_rounded(value)}"
            for name, value in dataclasses.asdict(summary).items()
        )
    )
    print_score_bars([(each.low, each.high, each.photo_count) for each in bins])
    output.print_table(
        f"By {by}",
        {"photos": "right", "mean": "right", "lowest": "right", "highest": "right", by: "left"},
        (
            (
                group.photo_count,
                f"{group.mean:.4f}",
                f"{group.lowest:.4f}",
                f"{group.highest:.4f}",
                group.name,
            )
            for group in groups
        ),
    )


def _daemon_state(settings: Settings) -> tuple[bool, StopReason | None]:
    """Return whether a daemon runs; where none does, why the last one ended without being asked to."""
    from maclip_daemon.daemon import stop_reason
    from maclip_daemon.daemon.lock import is_running

    running = is_running(settings.data_dir)
    return running, None if running else stop_reason.read(settings.data_dir)


def _daemon_line(running: bool, stopped: StopReason | None) -> str:
    why = f": {printable(stopped.sentence())}" if stopped else ""
    return f"daemon     {'running' if running else 'not running'}{why}"


def _as_json(
    found: Status,
    failures: list[GivenUpPhoto],
    problems: list[tuple[str, str]],
    running: bool,
    settings: Settings,
) -> dict[str, Any]:
    return {
        "running": running,
        "database": str(settings.database_path),
        "photos": {state: found.photos.get(state, 0) for state in ("waiting", "scored", "failed", "missing")},
        "jobs": {
            kind: sum(found.jobs.get(kind, {}).get(state, 0) for state in ("ready", "leased"))
            for kind in ("score", "rate")
        },
        "folders": found.roots,
        "scale": found.scoring_config,
        "scored_again": found.scored_again,
        "calibration": found.calibration,
        "minimum_photos": settings.rating.minimum_photos,
        "ratings": found.ratings,
        "daemon": found.notes.get("daemon"),
        "paused": _pauses(found, settings) if running else {},
        "waits": wait_list.of_status(found, settings.data_dir, is_running=running),
        "failures": [dataclasses.asdict(failure) for failure in failures],
        "shared_folders": [dataclasses.asdict(shared) for shared in found.shared_folders],
        "rating_problems": [{"path": path, "reason": reason} for path, reason in problems],
        "passed_over": passed_over_list.of_notes(found.notes).as_json(),
    }


def _print_status(
    found: Status,
    failures: list[GivenUpPhoto],
    running: bool,
    settings: Settings,
    limit: int | None,
) -> None:
    from maclip_daemon.folders.passed_over import inside_library_warning

    note = found.notes.get("daemon") or {}
    if config := found.scoring_config:
        output.say(f"model      {config['model']} · {config['metric']} · {config['protocol']}")
    photos, jobs = found.photos, found.jobs
    states = [f"{photos.get(state, 0)} {state}" for state in ("scored", "waiting", "failed", "missing")]
    output.say(f"photos     {', '.join(states)}")
    waiting = {
        kind: sum(jobs.get(kind, {}).get(state, 0) for state in ("ready", "leased"))
        for kind in ("score", "rate")
    }
    output.say(f"waiting    {waiting['score']} to score, {waiting['rate']} to rate")
    if again := found.scored_again:
        output.say(
            f"again      {again['done']} of {again['done'] + again['left']} photos are scored with the model "
            "above, newest first; their stars follow once, at the end"
        )
    output.say(f"stars      {_stars_sentence(found, settings)}")
    ratings = found.ratings
    output.say(f"ratings    {ratings.get('maclip', 0)} by maclip, {ratings.get('person', 0)} of your own")
    described = {folder["path"]: folder for folder in note.get("folders", [])} if running else {}
    for root in found.roots:
        now = described.get(root["path"], {})
        events = "" if not now else (", events" if now["events"] else ", scans only")
        output.say(f"folder     {printable(root['path'])} ({root['state']}{events})")
        about = [inside_library_warning(root["path"]), root["reason"], *now.get("warnings", [])]
        for warning in filter(None, about):
            output.say(f"           ! {printable(warning)}")
    for shared in found.shared_folders:
        output.say(f"shared     {printable(shared.sentence())}")
    waits = wait_list.of_status(found, settings.data_dir, is_running=running)
    for line in passed_over_list.shortened([wait_list.line(wait) for wait in waits], limit):
        output.say(printable(line))
    if running:
        for part in note.get("stalled", []):
            output.say(f"stalled    {part} does not respond")
    for failure in failures:
        output.say(f"failed     {printable(failure.reason)}")
    more = photos.get("failed", 0) - len(failures)
    if more > 0:
        output.say(f"           and {more} more (`maclip status --failed`)")
    if failures:
        output.say("           `maclip retry` queues them again.")


def _pauses(found: Status, settings: Settings) -> dict[str, str]:
    """Return the reason of each pause by its subject; a problem with the database comes first."""
    from maclip_daemon.daemon import database_notice

    notice = database_notice.read(settings.data_dir)
    pauses: dict[str, str] = (found.notes.get("daemon") or {}).get("pauses", {})
    return ({"library": notice} if notice else {}) | pauses


def _stars_sentence(found: Status, settings: Settings) -> str:
    calibration = found.calibration
    if calibration is not None:
        scale = {"absolute": "the scores in rating.edges", "reference": "the model's own scale"}.get(
            calibration["source"],
            f"rank among {output.count(calibration['photo_count'], 'photo')} of your library",
        )
        return f"by {scale}"
    scored = found.photos.get("scored", 0)
    least = settings.rating.minimum_photos
    if scored < least:
        return f"none yet: {scored} of {least} scored photos that are needed (rating.minimum_photos)"
    return "none yet: the daemon writes them when the present photos are scored"


def _rounded(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
