from __future__ import annotations

import json
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from maclip_daemon.errors import NoSpace
from maclip_daemon.files.signature import ExactSignature
from maclip_daemon.metadata.messages import pack, unpack, unpack_error
from maclip_daemon.metadata.records import (
    FoundRating,
    Prepared,
    QualityProperties,
    RatingRequest,
    UndoEntry,
)

PHOTO = Path("/photos/caf\udce9.jpg")  # a byte that is not UTF-8
FOUND = FoundRating("person", 3, None, PHOTO, None)
PREPARED = Prepared(
    PHOTO,
    "prepared",
    4,
    found=FOUND,
    notes=("a note",),
    target=PHOTO.with_suffix(".xmp"),
    photo_signature=ExactSignature(1, 2, 3, 4, 5),
    restore=b"\0old",
)


def test_records_arrive_as_they_were_sent_with_their_bytes_in_order() -> None:
    quality = QualityProperties(0.5, None, 4, "maclip", "m", "p", datetime(2026, 1, 2, 3, tzinfo=UTC))
    request, entry = RatingRequest(PHOTO, quality, "embed", 2), UndoEntry(PHOTO, None, "aa", b"\1\2\3\4\5")
    sent = {Prepared: PREPARED, RatingRequest: request, UndoEntry: entry}
    parts: list[bytes] = []
    messages = json.loads(json.dumps([pack(record, parts) for record in sent.values()]))
    payload = BytesIO(b"".join(parts))
    received = [unpack(kind, message, payload) for kind, message in zip(sent, messages, strict=True)]
    assert received == list(sent.values())


def test_an_error_takes_the_place_of_a_result() -> None:
    error, result = pack([NoSpace("full"), PREPARED], [])
    received = unpack_error(error)
    assert isinstance(received, NoSpace)
    assert str(received) == "full"
    assert unpack_error(result) is None
