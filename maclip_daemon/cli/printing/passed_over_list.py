"""What was passed over, in lines: kinds that are not read, other programs' libraries, empty files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maclip_daemon.folders.passed_over import PassedOver

ALL_OF_THEM = "`maclip status --failed`"


def of_notes(notes: Mapping[str, Any]) -> PassedOver:
    """Return what the last scans of all roots passed over."""
    from maclip_daemon.folders.passed_over import PassedOver
    from maclip_daemon.library.queries.status import PASSED_OVER_NOTE

    total = PassedOver()
    for key, note in notes.items():
        if key.startswith(PASSED_OVER_NOTE):
            total.add(PassedOver.of_json(note))
    return total


def kinds_sentence(found: PassedOver) -> str:
    """Return how many pictures of which kinds are not read; '' without any."""
    if not found.kinds:
        return ""
    ordered = sorted(found.kinds.items(), key=lambda item: (-item[1], item[0]))
    total = found.kinds.total()
    counts = ", ".join(f"{count} {kind}" for kind, count in ordered)
    return f"{counts} {'file' if total == 1 else 'files'}: kinds of pictures that maclip does not read"


def libraries_sentence(found: PassedOver, limit: int | None) -> str:
    """Return which folders of other programs are left alone; '' without any."""
    from maclip_daemon.folders.exclusion import library_program

    if not found.libraries:
        return ""
    named = (
        f"{path if limit is None else PurePath(path).name} ({library_program(PurePath(path).name)})"
        for path in sorted(found.libraries)
    )
    return "; ".join(shortened(list(named), limit))


def lines(found: PassedOver, limit: int | None) -> Iterator[tuple[str, str]]:
    """Yield (label, text) for `maclip status`; at most `limit` paths of each list, None: all."""
    if sentence := kinds_sentence(found):
        yield "not read", sentence
    if sentence := libraries_sentence(found, limit):
        yield "left alone", sentence
    for text in shortened([f"{path} is empty (0 bytes). {COPY_AGAIN}" for path in found.empty], limit):
        yield "empty", text


COPY_AGAIN = "Copy it again from the card or a backup."


def shortened(entries: Sequence[str], limit: int | None) -> list[str]:
    """Return the first entries; where some are left out, the last line says how many, and what has all."""
    if limit is None or len(entries) <= limit:
        return list(entries)
    return [*entries[:limit], f"and {len(entries) - limit} more ({ALL_OF_THEM})"]
