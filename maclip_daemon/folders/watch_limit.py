"""How many folders and events the system keeps an eye on (Linux), and what to say when that is too few."""

from __future__ import annotations

from pathlib import Path

# The machine's limit, and the one of a user namespace (a container).
_LIMITS = (Path("/proc/sys/fs/inotify/max_user_watches"), Path("/proc/sys/user/max_inotify_watches"))
_QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


def watch_limit() -> int | None:
    """How many inotify watches this user may have; None when the system does not say."""
    limits = []
    for file in _LIMITS:
        try:
            limits.append(int(file.read_text()))
        except (OSError, ValueError):
            continue
    return min(limits, default=None)


def cure_for_reached_limit() -> str:
    """Say in words that the watches are used up, and how to get more."""
    return (
        f"The system allows {watch_limit()} inotify watches and they are used up, so changes in some folders "
        "are only found by scans. Raise the limit: `sudo sysctl fs.inotify.max_user_watches=1048576`, and "
        "for good: copy service/99-maclip-inotify.conf to /etc/sysctl.d/."
    )


def cure_for_lost_events() -> str:
    """Say in words that more events came at once than the system keeps, and how to make it keep more."""
    try:
        kept = f"{int(_QUEUE.read_text())} events"
    except (OSError, ValueError):
        kept = "fewer events"
    return (
        f"more happened at once than the system keeps ({kept}). The folder was scanned instead, so nothing "
        "was missed. For more room: `sudo sysctl fs.inotify.max_queued_events=131072`."
    )
