"""What a run has done, in words whose numbers add up."""

from __future__ import annotations

from maclip_daemon.cli.printing import output
from maclip_daemon.pipeline.run_state import Tally


def sentence(tally: Tally) -> str:
    """Return what was done, such as "243 scored, 266 rated (23 of them again, …)."."""
    parts = [f"{tally.scored} scored"] if tally.scored else []
    parts += [f"{tally.copied} of them copies of scored photos"] if tally.copied else []
    parts += [f"{tally.imported} of them from the archive"] if tally.imported else []
    parts += [f"{tally.rated} rated{_again(tally)}"] if tally.rated else []
    parts += [f"{tally.kept} left alone with your own rating"] if tally.kept else []
    parts += [f"{tally.adopted} rated by another maclip library and taken over"] if tally.adopted else []
    parts += [f"{tally.contested} left to another maclip library"] if tally.contested else []
    parts += [f"{tally.skipped} could not be rated (`maclip status` says why)"] if tally.skipped else []
    parts += [f"{output.count(len(tally.failed), 'photo')} failed"] if tally.failed else []
    return f"{', '.join(parts)}." if parts else "Nothing to do."


def _again(tally: Tally) -> str:
    """Return why more files were rated than photos scored."""
    again = tally.rated - tally.scored
    if again <= 0 or not tally.scored:
        return ""
    return f" ({again} of them again: a RAW and its JPEG share their stars, and stars follow all scores)"
