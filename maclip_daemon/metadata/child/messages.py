"""How requests and results travel between the parent and the metadata child: JSON, and bytes behind it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from maclip_daemon import errors
from maclip_daemon.files.signature import FileSignature
from maclip_daemon.metadata.records import (
    FoundRating,
    Prepared,
    QualityProperties,
    RatingRequest,
    UndoEntry,
    UndoOutcome,
)

# The child, by name: the parent must not import it.
MODULE = "maclip_daemon.metadata.child.metadata_process"
Message = dict[str, Any]


def request_to_message(request: RatingRequest) -> Message:
    """A request as JSON."""
    message = dataclasses.asdict(request)
    message["photo"] = os.path.abspath(request.photo)
    message["quality"]["scored_at"] = request.quality.scored_at.isoformat()
    return message


def request_from_message(message: Message) -> RatingRequest:
    """The inverse of `request_to_message`."""
    quality = message["quality"] | {"scored_at": datetime.fromisoformat(message["quality"]["scored_at"])}
    return RatingRequest(
        **message | {"photo": Path(message["photo"]), "quality": QualityProperties(**quality)}
    )


def found_to_message(found: FoundRating) -> Message:
    """What was found as JSON."""
    return dataclasses.asdict(found) | {"source": os.fspath(found.source)}


def found_from_message(message: Message) -> FoundRating:
    """The inverse of `found_to_message`."""
    return FoundRating(**message | {"source": Path(message["source"])})


def prepared_to_message(prepared: Prepared) -> tuple[Message, bytes]:
    """A result as JSON, and its restore data, whose length the JSON holds."""
    message = dataclasses.asdict(prepared)
    message["found"] = prepared.found and found_to_message(prepared.found)
    for name in ("photo", "target", "temporary"):
        message[name] = message[name] and os.fspath(message[name])
    message["restore"] = len(prepared.restore)
    return message, prepared.restore


def prepared_from_message(message: Message, restore: bytes) -> Prepared:
    """The inverse of `prepared_to_message`."""
    fields = message | {
        "photo": Path(message["photo"]),
        "found": message["found"] and found_from_message(message["found"]),
        "notes": tuple(message["notes"]),
        "photo_signature": message["photo_signature"] and FileSignature(*message["photo_signature"]),
        "restore": restore,
    }
    for name in ("target", "temporary"):
        fields[name] = message[name] and Path(message[name])
    return Prepared(**fields)


def results_to_frame(results: Sequence[Prepared | errors.MaclipError]) -> tuple[Message, bytes]:
    """Many results as one frame."""
    messages, payload = [], []
    for result in results:
        if isinstance(result, Prepared):
            message, restore = prepared_to_message(result)
            payload.append(restore)
        else:
            message = error_to_message(result)
        messages.append(message)
    return {"results": messages}, b"".join(payload)


def results_from_frame(header: Message, payload: bytes) -> list[Prepared | errors.MaclipError]:
    """The inverse of `results_to_frame`."""
    results: list[Prepared | errors.MaclipError] = []
    taken = 0
    for message in header["results"]:
        if "error" in message:
            results.append(error_from_message(message))
        else:
            results.append(prepared_from_message(message, payload[taken : taken + message["restore"]]))
            taken += message["restore"]
    return results


def error_to_message(error: errors.MaclipError) -> Message:
    """An error as JSON."""
    return {"error": type(error).__name__, "text": str(error)}


def error_from_message(message: Message) -> errors.MaclipError:
    """The inverse of `error_to_message`."""
    kind: type[errors.MaclipError] = getattr(errors, message["error"], errors.Transient)
    return kind(message["text"])


def entry_to_message(entry: UndoEntry) -> Message:
    """An undo entry as JSON, without its restore data."""
    return {
        "target": os.fspath(entry.target),
        "before_hash": entry.before_hash,
        "after_hash": entry.after_hash,
    }


def entry_from_message(message: Message, restore: bytes) -> UndoEntry:
    """The inverse of `entry_to_message`."""
    return UndoEntry(Path(message["target"]), message["before_hash"], message["after_hash"], restore)


def outcome_from_message(message: Message) -> UndoOutcome:
    """What undo did, from JSON."""
    return UndoOutcome(message["status"], message["reason"])
