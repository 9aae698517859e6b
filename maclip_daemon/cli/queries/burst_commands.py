"""`maclip bursts`: photos of one moment, and the best of each."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output
from maclip_daemon.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maclip_daemon.library.queries.burst_list import Burst


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bursts)


def bursts(
    context: typer.Context,
    under: Annotated[
        Path | None,
        typer.Option(help="Only groups with a photo in this folder or below.", show_default=False),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Only this kind: `burst`, `bracket`, `panorama`, `focus stack`, `duplicate`, `time lapse`.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each group.")] = False,
    best: Annotated[
        bool, typer.Option("--best", help="Print the paths of the best frames, one a line.")
    ] = False,
    others: Annotated[
        bool,
        typer.Option(
            "--others",
            help="Print the paths of the other frames of bursts and duplicates. Brackets, panoramas, stacks"
            " and time lapses are never among them.",
        ),
    ] = False,
    null: Annotated[bool, typer.Option("--null", "-0", help="End paths with NUL, for `xargs -0`.")] = False,
) -> None:
    """List photos of one moment: bursts and duplicates with their best frame, and what is kept whole.

    A lead that is smaller than a slightly different framing would make is *too close to call*: look at both.
    maclip never rejects or deletes the others by itself.
    """
    from maclip_daemon.library.queries import burst_list
    from maclip_daemon.pipeline.bursts.kinds import BurstKind

    if as_json + best + others > 1:
        raise UsageError("Choose one of --json, --best and --others.")
    if kind is not None and kind not in set(BurstKind):
        raise UsageError(f"There is no kind {kind!r}. Choose {', '.join(BurstKind)}.")
    call = invocation.from_context(context)
    with call.open_readonly(call.settings()) as library, library.snapshot() as snapshot:
        folder = None if under is None else invocation.resolve_folder(under)
        found = [each for each in burst_list.bursts(snapshot, folder) if kind in (None, each.kind)]
    if as_json:
        for each in found:
            output.print_json(_as_json(each))
    elif best:
        _print_paths((each.best for each in found if each.best is not None), null=null)
    elif others:
        _print_paths((frame.path for each in found for frame in each.others), null=null)
    else:
        _print_table(found)


def _as_json(found: Burst) -> dict[str, Any]:
    return {**dataclasses.asdict(found), "others": [frame.path for frame in found.others]}


def _print_paths(paths: Iterable[str], *, null: bool) -> None:
    if not null:
        for path in paths:
            output.say(path)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(b"".join(os.fsencode(path) + b"\0" for path in paths))


def _print_table(found: list[Burst]) -> None:
    if not found:
        output.say("No photos of one moment here (`maclip status` shows whether all photos are scored).")
        return
    output.print_table(
        output.count(len(found), "group"),
        {"kind": "left", "photos": "right", "taken": "left", "lead": "right", "best or first": "left"},
        (
            (each.kind, each.members, each.first_at[:19].replace("T", " "), _lead(each), _shown(each))
            for each in found
        ),
    )


def _lead(found: Burst) -> str:
    if found.too_close_to_call:
        return "too close to call"
    return "" if found.margin is None else f"+{found.margin:.4f}"


def _shown(found: Burst) -> str:
    return found.best or found.frames[0].path
