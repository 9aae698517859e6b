"""Frames: the messages between a parent and its child process on a pipe.

A frame is twelve bytes of lengths, a JSON header, and a payload of raw bytes (pixels). JSON, not pickle: a
hostile image that took over a decoder must not run code in the parent.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import IO, Any

Header = dict[str, Any]

_LENGTHS = struct.Struct(">IQ")
# Bytes that a child under a hostile image's control can make the parent allocate.
_HEADER_LIMIT = 1 << 26
_PAYLOAD_LIMIT = 1 << 31


@dataclass(frozen=True)
class Reply:
    """One frame: a JSON object and, for pixels, raw bytes."""

    header: Header
    payload: bytes


def write_frame(stream: IO[bytes], header: Header, payload: bytes | memoryview = b"") -> None:
    """Write one frame and flush it."""
    text = json.dumps(header).encode("ascii")
    stream.write(_LENGTHS.pack(len(text), len(payload)))
    stream.write(text)
    if payload:
        stream.write(payload)
    stream.flush()


def read_frame(stream: IO[bytes]) -> Reply | None:
    """Return one frame; None at the end of the stream and for an invalid frame."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    header_length, payload_length = _LENGTHS.unpack(lengths)
    if header_length > _HEADER_LIMIT or payload_length > _PAYLOAD_LIMIT:
        return None
    text = stream.read(header_length)
    payload = stream.read(payload_length) if payload_length else b""
    if len(text) < header_length or len(payload) < payload_length:
        return None
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return Reply(header, payload) if isinstance(header, dict) else None
