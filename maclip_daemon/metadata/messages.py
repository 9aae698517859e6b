"""Dataclasses as messages between the parent and the metadata process: JSON, and a payload for their bytes.

A path travels as its text, a time in ISO format, bytes as their length: they follow in the payload, in order.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import types
import typing
from collections.abc import Hashable
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

from maclip_daemon import errors
from maclip_daemon.files.signature import ExactSignature
from maclip_daemon.processes.frames import Header

Record = TypeVar("Record")


def pack(value: Any, payload: list[bytes]) -> Any:
    """Return a record, an error or a list of these as JSON; append its bytes to `payload`."""
    if dataclasses.is_dataclass(value):
        return {field.name: pack(getattr(value, field.name), payload) for field in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [pack(item, payload) for item in value]
    if isinstance(value, Path):
        return os.fspath(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        payload.append(value)
        return len(value)
    if isinstance(value, errors.MaclipError):
        return {"error": type(value).__name__, "text": str(value)}
    return value


def unpack(kind: type[Record], message: Header, payload: BytesIO) -> Record:
    """Return the record of this kind that `pack` made into `message`."""
    hints = _field_types(typing.cast(Hashable, kind))
    return kind(**{name: _field(hints[name], value, payload) for name, value in message.items()})


def unpack_error(message: Header) -> errors.MaclipError | None:
    """Return the error that `pack` made into `message`; None when it is none."""
    if "error" not in message:
        return None
    kind: type[errors.MaclipError] = getattr(errors, message["error"], errors.Transient)
    return kind(message["text"])


@functools.cache
def _field_types(record: Hashable) -> dict[str, Any]:
    return typing.get_type_hints(record)


def _field(kind: Any, value: Any, payload: BytesIO) -> Any:
    if isinstance(kind, types.UnionType):  # all of ours are optional
        kind = typing.get_args(kind)[0]
    if value is None:
        return None
    if kind is bytes:
        return payload.read(value)
    if dataclasses.is_dataclass(kind):
        return unpack(typing.cast("type[Any]", kind), value, payload)
    if kind is datetime:
        return datetime.fromisoformat(value)
    if kind is ExactSignature:
        return ExactSignature(*value)
    if typing.get_origin(kind) is tuple:
        return tuple(_field(typing.get_args(kind)[0], item, payload) for item in value)
    return Path(value) if kind is Path else value
