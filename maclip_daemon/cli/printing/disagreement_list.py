"""What `maclip db check --sidecars` prints: one paragraph for each disagreement, then what was compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import printable
from maclip_daemon.pipeline.commands.check_files import CheckReport


def show(library: Path, report: CheckReport) -> None:
    """Print the report for a person."""
    for each in report.disagreements:
        output.say(printable(each.what))
        output.say(f"    {printable(each.mend)}")
    for reason in report.offline:
        output.say(f"not compared: {printable(reason)}", error=True)
    compared = [output.count(report.photos, "photo"), output.count(report.files, "rating file")]
    if report.pictures:
        compared.append(f"the pixels of {report.pictures}")
    found = len(report.disagreements)
    verdict = output.count(found, "disagreement") if found else "no problem found"
    output.say(f"{library}: {verdict}. Compared {_list(compared)}.")
    if report.edited:
        output.say(
            f"{output.count(report.edited, 'rating file')} of maclip's hold changes of other programs too; "
            "undo will take out only what is maclip's."
        )


def as_json(library: Path, report: CheckReport) -> dict[str, Any]:
    """Return the report for `--json`."""
    return {
        "database": str(library),
        "disagreements": [each.as_json() for each in report.disagreements],
        "compared": {"photos": report.photos, "files": report.files, "pictures": report.pictures},
        "edited_by_others": report.edited,
        "offline": report.offline,
    }


def _list(parts: list[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
