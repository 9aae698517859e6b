"""The result of one check of `maclip doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    what: str
    state: Literal["good", "note", "bad"]
    says: str
