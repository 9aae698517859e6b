"""A bulk run with a stage that fails on purpose. A program: Ray takes classes of `__main__` to its workers.

`python -m tests.archive.special_run SOURCE OUT [ADDRESS]` with MACLIP_… settings; prints JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from concurrent.futures import Future
from typing import Any

from maclip_daemon import settings
from maclip_daemon.archive.archive_run import ArchiveRequest, run
from maclip_daemon.archive.rows import PhotoSource
from maclip_daemon.archive.stages.decode_stage import DecodeStage
from maclip_daemon.archive.stages.decoded_batch import Decoding
from maclip_daemon.archive.stages.fetching import LocalCopy
from maclip_daemon.archive.stages.score_stage import ScoreStage


class PoisonedDecode(DecodeStage):
    """Loses its whole worker at each photo called `poison`, whose decoder alone would be restarted else."""

    def _decoded(self, source: PhotoSource, fetched: Future[LocalCopy]) -> Decoding:
        if "poison" in source.address:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._decoded(source, fetched)


class Unwatched:
    """Tells nothing."""

    def planned(self, *_: Any) -> None:
        """Look away."""

    def started(self, *_: Any) -> None:
        """Look away."""

    def progressed(self, *_: Any) -> None:
        """Look away."""


if __name__ == "__main__":
    source, out, *address = sys.argv[1:]
    request = ArchiveRequest(source, out, settings.load(), cores=2, address=address[0] if address else None)
    result = run(request, Unwatched(), (PoisonedDecode, ScoreStage))
    told = {"scored": result.scored, "failed": result.failed, "restarts": result.counts.restarts}
    print(json.dumps({**told, "remarks": str(result.remarks)}))
