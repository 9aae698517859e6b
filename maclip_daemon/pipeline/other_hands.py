"""Files that somebody else changed after our last write: is the rating in them still ours?"""

from __future__ import annotations

import os

from maclip_daemon.errors import NoAnswer
from maclip_daemon.folders.patience import Patience
from maclip_daemon.library import jobs, ratings
from maclip_daemon.library.database import Library
from maclip_daemon.pipeline.run_state import RunState

FILES_IN_ONE_LOOK = 2000  # between two signs of life; a look is one stat
SLACK_S = 1.0  # a file's time may be taken a moment after the journal's
BEAT_S = 300.0  # a sleeping network disk takes its time


def queue_changed_files(library: Library, state: RunState) -> int:
    """Queue a look at every file that is newer than our last write to it; how many.

    Once a run: it costs one stat a rated photo. What a person did is never overwritten in any case; this is
    for `status`, `show` and the database to say whose rating it is.
    """
    changed = 0
    after = 0
    while not state.stopping.is_set():
        state.pulse.beat("rating", BEAT_S)
        with library.reading() as session:
            writes = ratings.last_writes(session, after, FILES_IN_ONE_LOOK)
        if not writes:
            break
        after = writes[-1].photo_id
        newer = [write.photo_id for write in writes if _is_newer(write, state.patience)]
        if newer:
            with library.writing() as session:
                jobs.enqueue_all(session, newer, "rate", state.clock())
        changed += len(newer)
    return changed


def _is_newer(write: ratings.WrittenFile, patience: Patience) -> bool:
    try:
        changed_at = patience.ask(write.path, lambda: os.lstat(write.path).st_mtime)
    except (OSError, NoAnswer):
        return False
    return changed_at > write.written_at + SLACK_S
