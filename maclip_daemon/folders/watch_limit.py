"""The system's limits for inotify (Linux): watched folders, queued events; and hints to raise them."""

from __future__ import annotations

from pathlib import Path

# The machine's limit, and the one of a user namespace (a container).
_LIMITS = (Path("/proc/sys/fs/inotify/max_user_watches"), Path("/proc/sys/user/max_inotify_watches"))
_QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


def watch_limit() -> int | None:
    """Return how many inotify watches this user may have; None where the system does not tell."""
    limits = []
    for file in _LIMITS:
        try:
            limits.append(int(file.read_text()))
        except (OSError, ValueError):
            continue
    return min(limits, default=None)


def watch_limit_hint() -> str:
    """Return a message that all watches are used up, with the command for more."""
    return (
        f"The system allows {watch_limit()} inotify watches and they are used up, so changes in some folders "
        "are only found by scans. Raise the limit: `sudo sysctl fs.inotify.max_user_watches=1048576`, and "
        "for good: copy service/99-maclip-inotify.conf to /etc/sysctl.d/."
    )


def lost_events_hint() -> str:
    """Return a message that the event queue overflowed, with the command for a longer one."""
    try:
        kept = f"{int(_QUEUE.read_text())} events"
    except (OSError, ValueError):
        kept = "fewer events"
    return (
        f"more happened at once than the system keeps ({kept}). The folder was scanned instead, so nothing "
        "was missed. For more room: `sudo sysctl fs.inotify.max_queued_events=131072`."
    )
