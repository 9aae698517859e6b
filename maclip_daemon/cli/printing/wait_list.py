"""What waits, for `maclip status`: the daemon's waits, those of the queue, and the daemon's own pause."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maclip_daemon.library.queries.status import Status


WRITTEN_BY = "`maclip review` writes them as soon as it can while the page is open."


def of_status(found: Status, data_dir: Path, *, is_running: bool) -> list[dict[str, Any]]:
    """Return all waits as `Wait.as_json` has them; without a daemon those of the queue, and a pause."""
    from maclip_daemon.daemon import database_notice
    from maclip_daemon.library.queue import pause_order
    from maclip_daemon.pipeline import wanted_waits
    from maclip_daemon.pipeline.waits import DATABASE, PAUSE, TIMED_PAUSE, Resource, Wait

    ordered = wanted_waits.of_order(pause_order.of_note(found.notes.get("pause")), time.time())
    waits: list[dict[str, Any]] = [wait.as_json() for wait in ordered]
    if is_running:
        # What keeps the daemon from storing its waits comes first.
        if notice := database_notice.read(data_dir):
            waits.append(Wait.of(DATABASE, notice, since=None, until=None).as_json())
        known = (found.notes.get("daemon") or {}).get("waits", [])
        # The order in the library is newer than the daemon's note.
        waits += [each for each in known if each["resource"] not in (str(PAUSE), str(TIMED_PAUSE))]
    for retry in found.retries:
        resource = Resource("retry", f"{retry.job_count} {retry.kind} job{'s' * (retry.job_count != 1)}")
        waits.append(Wait.of(resource, retry.reason, since=None, until=retry.next_try).as_json())
    for each in found.decisions:
        count = f"{each.decision_count} decision{'s' * (each.decision_count != 1)}"
        reason = f"{each.reason or 'They were not written before the page ended.'} {WRITTEN_BY}"
        waits.append(Wait.of(Resource("decisions", count), reason, since=each.since, until=None).as_json())
    if failed := found.photos.get("failed", 0):
        reason = "Scoring failed. `maclip status --failed` names each photo, `maclip retry` tries again."
        waits.append(
            Wait.of(
                Resource("failed", f"{failed} photo{'s' * (failed != 1)}"), reason, since=None, until=None
            ).as_json()
        )
    return waits


def line(wait: dict[str, Any]) -> str:
    """Return one line: what waits, why, until when, and who ends it."""
    label = "paused" if wait["is_pause"] else "waits"
    return f"{label:<11}{wait['what']}: {wait['reason']} ({_end(wait)})"


def _end(wait: dict[str, Any]) -> str:
    if wait["ended_by"] == "person":
        return "waits for you"
    if wait["ended_by"] == "event":
        return "goes on when it answers"
    if wait["until"] is None:
        return "checked every few seconds"
    moment = datetime.fromtimestamp(wait["until"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{'checked again' if wait['ended_by'] == 'check' else 'goes on'} at {moment}"
