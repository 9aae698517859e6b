"""Where the object storage of a test is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ObjectStorage:
    """A server that speaks S3, with one bucket."""

    endpoint: str
    bucket: str
