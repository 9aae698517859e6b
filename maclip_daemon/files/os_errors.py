"""What error numbers of the operating system mean for the work: is the disk full, or the device lost?"""

from __future__ import annotations

import errno

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""No space, or the user's quota is used up."""


def shortage(number: int | None, folder: object) -> str:
    """Return which room has run out, as the beginning of a sentence: the disk's, or a quota's."""
    what = f"The quota of {folder} is used up"
    return what if number == errno.EDQUOT else f"The disk of {folder} is full"


# Not ENOENT or EACCES: they concern one file. Some systems lack some of these names.
# fmt: off
DEVICE_LOST = frozenset(
    getattr(errno, name)
    for name in (
        "EIO", "ESTALE", "ENOTCONN", "ENODEV", "ENXIO", "ENOMEDIUM", "EREMOTEIO", "ETIMEDOUT",
        "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ECONNREFUSED", "ECONNRESET",
    )
    if hasattr(errno, name)
)
"""A disk or a server is in trouble as a whole."""
# fmt: on
