"""One thing in which the library and the files do not agree, in words, with the command that mends it."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from maclip_daemon.library.storage.recovery_hints import maclip_command

Kind = Literal[
    "gone",
    "changed",
    "pixels",
    "unreadable",
    "rating",
    "score",
    "another picture",
    "undo",
    "unconfirmed",
    "orphan",
    "temporary",
]


@dataclass(frozen=True)
class FileDisagreement:
    """A file about which the library says something else than the disk."""

    path: str
    kind: Kind
    what: str
    """A sentence that names the file."""
    mend: str
    """What to type or do."""

    def as_json(self) -> dict[str, str]:
        """Return it for `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class Cures:
    """The commands that mend disagreements, for one library."""

    library: Path
    is_running: bool
    """Whether a daemon runs: it must end before another process may write."""

    def run(self, root: str | None) -> str:
        """Return the command that scans a folder and finishes its work."""
        command = maclip_command(self.library, "run", "--once", *([] if root is None else [root]))
        return (
            f"Stop the daemon, run {command}, and start it again." if self.is_running else f"Run {command}."
        )

    def rescore(self, photo: str, root: str | None) -> str:
        """Return the commands that have a photo scored again."""
        return f"Run `{shlex.join(['touch', photo])}`. {self.run(root)}"

    def rewrite(self, photo: str) -> str:
        """Return the commands that take maclip's stars out of a photo's files and write them again."""
        undo, rate = maclip_command(self.library, "undo", photo), maclip_command(self.library, "rate")
        return f"Run {undo}, then {rate}."

    def adopt(self, photo: str) -> str:
        """Return the command that takes over stars of maclip's that the library does not know."""
        return f"Run {maclip_command(self.library, 'adopt', photo)}."

    def purge(self) -> str:
        """Return the command that forgets deleted photos and removes their sidecars."""
        return f"If the photo was deleted, run {maclip_command(self.library, 'purge')}."

    @staticmethod
    def remove(file: str) -> str:
        """Return the command that removes a file of maclip's."""
        return f"Nobody needs it: `{shlex.join(['rm', file])}` removes it."
