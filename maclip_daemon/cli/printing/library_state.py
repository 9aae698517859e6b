"""What `maclip status` prints of the library: its photos, its work, its folders and its stars."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from maclip_daemon.cli.printing import output, passed_over_list, wait_list
from maclip_daemon.files.paths import printable

if TYPE_CHECKING:
    from maclip_daemon.library.queries.photo_failures import GivenUpPhoto
    from maclip_daemon.library.queries.status import Status
    from maclip_daemon.settings import Settings


def as_json(
    found: Status,
    failures: list[GivenUpPhoto],
    problems: list[tuple[str, str]],
    running: bool,
    settings: Settings,
) -> dict[str, Any]:
    """Return all of it as one object."""
    return {
        "running": running,
        "database": str(settings.database_path),
        "photos": {state: found.photos.get(state, 0) for state in ("waiting", "scored", "failed", "missing")},
        "jobs": _waiting(found),
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


def print_lines(
    found: Status,
    failures: list[GivenUpPhoto],
    running: bool,
    settings: Settings,
    limit: int | None,
) -> None:
    """Print it in lines; `limit`: of each list, at most so many."""
    from maclip_daemon.folders.passed_over import inside_library_warning

    note = found.notes.get("daemon") or {}
    if config := found.scoring_config:
        output.say(f"model      {config['model']} · {config['metric']} · {config['protocol']}")
    photos = found.photos
    states = [f"{photos.get(state, 0)} {state}" for state in ("scored", "waiting", "failed", "missing")]
    output.say(f"photos     {', '.join(states)}")
    waiting = _waiting(found)
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


def _waiting(found: Status) -> dict[str, int]:
    """Return how many photos wait for each kind of work, with those at work."""
    return {
        kind: sum(found.jobs.get(kind, {}).get(state, 0) for state in ("ready", "leased"))
        for kind in ("score", "rate")
    }


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
