"""The name of new sidecars, as the user's programs look for them."""

from __future__ import annotations

from typing import Literal

from maclip_daemon.metadata.records import NameKind


def asked_name(setting: Literal["auto", "full", "stem"]) -> NameKind | None:
    """Return how new sidecars are called, by `rating.sidecar_name`; None: as most in the folder are."""
    return None if setting == "auto" else setting
