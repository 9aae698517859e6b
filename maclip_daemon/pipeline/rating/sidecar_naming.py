"""The name of new sidecars, as the user's programs look for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from maclip_daemon.metadata.managers import digikamrc
from maclip_daemon.metadata.managers.digikamrc import DigikamSettings
from maclip_daemon.metadata.records import NameKind


def asked_name(
    setting: Literal["auto", "full", "stem"], digikams: Sequence[DigikamSettings] | None = None
) -> NameKind | None:
    """Return how new sidecars are called, by `rating.sidecar_name`; None: as most in the folder are.

    digiKam reads exactly one of the two names, darktable both. So a digiKam that reads sidecars decides.
    `digikams`: None reads their files.
    """
    if setting != "auto":
        return setting
    found = digikamrc.find() if digikams is None else digikams
    readers = [each for each in found if each.reads_sidecars]
    if not readers:
        return None
    return "stem" if any(each.compatible_file_name for each in readers) else "full"
