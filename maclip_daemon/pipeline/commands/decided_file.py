"""What a decision changed in one file, over all its writes to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from maclip_daemon.library.results.decisions import DecidedFile
from maclip_daemon.metadata.writing import undo_delta
from maclip_daemon.metadata.writing.undo_delta import UndoDelta


def since_first(earlier: Sequence[DecidedFile], latest: DecidedFile) -> DecidedFile:
    """Return a write with the bytes of before the first of the successive writes that ends with it.

    `earlier`: what the decision, or one that it replaced, has changed so far. Where another program wrote
    between, or nothing was written after all, `latest` stands alone.
    """
    first = next((each for each in earlier if each.target_path == latest.target_path), None)
    if first is None or first.after_hash != latest.before_hash:
        return latest
    restore = undo_delta.joined(UndoDelta.decode(first.restore), UndoDelta.decode(latest.restore))
    return replace(latest, before_hash=first.before_hash, restore=restore.encode())
