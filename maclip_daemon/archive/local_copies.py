"""Where the photos of an archive lie on this machine."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.archive.results_folder import Rows

_LOCAL = "file://"
# The first and the last folder in the order of their names share the beginning that all share.
_ENDS = """
SELECT DISTINCT unnest([arg_min(folder, folder || '/'), arg_max(folder, folder || '/')]) AS folder
FROM photos
"""


@dataclass(frozen=True)
class LocalCopies:
    """The part of each address that stands for a folder of this machine."""

    source: str = ""
    """The beginning of the addresses, without a slash at its end; '' where they are paths already."""
    folder: Path | None = None
    """What stands for it here; None: addresses are paths of this machine."""

    def path_of(self, address: str) -> Path | None:
        """Return the path of a photo; None for one that is not on this machine, or outside the folder."""
        if self.folder is None:
            path = address.removeprefix(_LOCAL)
            return Path(path) if os.path.isabs(path) and ".." not in path.split("/") else None  # noqa: PTH117
        if not address.startswith(f"{self.source}/"):
            return None
        below = address[len(self.source) + 1 :]
        if not below or below.startswith("/") or ".." in below.split("/"):
            return None  # an address must not lead out of the folder
        return self.folder / below


def common_source(rows: Rows) -> str:
    """Return the folder that all addresses have in common; '' for none."""
    first, *others = [str(row["folder"]).split("/") for row in rows.ask(_ENDS)]
    shared = zip(first, *others, strict=False)
    return "/".join(names[0] for names in itertools.takewhile(lambda names: len(set(names)) == 1, shared))
