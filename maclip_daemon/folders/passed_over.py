"""What a scan passes over: kinds of pictures that are not read, other programs' libraries, empty files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from maclip_daemon.folders.exclusion import library_around

_MOST_PATHS = 10_000  # kept of each list; the rest is only counted


@dataclass
class PassedOver:
    """What scans found and left out. Files that the user excludes do not count."""

    kinds: Counter[str] = field(default_factory=Counter)
    """Pictures by their kind, such as `GIF`."""
    libraries: list[str] = field(default_factory=list)
    """Folders that belong to other programs; nothing in them is read."""
    empty: list[str] = field(default_factory=list)
    """Photos of 0 bytes."""

    def add(self, other: PassedOver) -> None:
        """Add what another scan passed over."""
        self.kinds.update(other.kinds)
        self.libraries += other.libraries
        self.empty += other.empty

    def as_json(self) -> dict[str, Any]:
        """Return what is stored for `maclip status`."""
        return {
            "kinds": dict(sorted(self.kinds.items())),
            "libraries": sorted(self.libraries)[:_MOST_PATHS],
            "empty": sorted(self.empty)[:_MOST_PATHS],
        }

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> PassedOver:
        """Return what `as_json` stored."""
        return cls(Counter(stored["kinds"]), list(stored["libraries"]), list(stored["empty"]))


def inside_library_warning(root: str) -> str | None:
    """Return what happens in a watched root that lies inside another program's library; None elsewhere."""
    around = library_around(root)
    if around is None:
        return None
    folder, program = around
    return (
        f"{folder} belongs to {program}. Its photos are scored, because you named a folder in it. But "
        f"{program} may remove the sidecars, or miss files that change. `maclip run --mode off` writes none."
    )
