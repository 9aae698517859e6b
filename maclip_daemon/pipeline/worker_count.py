"""The number of decoders that suits this machine's processor.

Decoders wait when the scorer is behind (`look_ahead`), and the encoder's threads wait when no photo is ready.
So both may have all cores: whichever is behind gets them. Fewer decoders would leave cores idle beside a
graphics card or a small model, fewer threads beside a large one (docs/performance.md has both measured).
"""

from __future__ import annotations

import os

from maclip_daemon.settings import DecodingSettings

MOST_DECODERS = 16  # some 60 MB each; together they feed the fastest graphics card of today


def cores() -> int:
    """Return how many processor cores this process may use; a container or `taskset` may withhold some."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def decoders(settings: DecodingSettings, available: int) -> int:
    """Return how many decoder processes to use on `available` cores: `decoding.workers`, else one a core."""
    return settings.workers or max(1, min(MOST_DECODERS, available))
