"""Can other users write what this program trusts, its configuration and its data folder?

Whoever can change them decides which folders are read, where stars go, and what `maclip undo` writes back.
The rules are those of sshd's StrictModes and of PostgreSQL's data folder (docs/decisions/0012).
"""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from maclip_daemon.errors import EnvironmentUnfit


def require_private(path: Path) -> None:
    """Raise `EnvironmentUnfit`, with the command that helps, when others than its owner may write `path`.

    A file of this user or of root passes when nobody else may write it, or only the owner's private group
    (Debian's default). A missing file passes, and any file on systems without such permissions (Windows).
    """
    if not hasattr(os, "geteuid"):
        return
    try:
        found = path.stat()
    except OSError:
        return  # missing or out of reach: opening it raises the error
    if found.st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
        raise EnvironmentUnfit(
            f"{path} belongs to another user ({_name(found.st_uid)}) and is not trusted. "
            "Use one of your own (--config, --data-dir)."
        )
    if found.st_mode & stat.S_IWOTH:
        _refuse(path, "everybody")
    if found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid, found.st_uid):
        _refuse(path, f"the group {_group_name(found.st_gid)}")


def _refuse(path: Path, others: str) -> None:
    raise EnvironmentUnfit(
        f"{path} may be changed by {others}, so it is not trusted. "
        f"Run `chmod go-w {shlex.quote(str(path))}`; on a disk without permissions, choose another place "
        "(--config, --data-dir)."
    )


def _is_private(group: int, owner: int) -> bool:
    """Return whether the owner is alone in a group, as in the groups that Debian makes for each user."""
    import grp
    import pwd

    try:
        account = pwd.getpwuid(owner)
        members = set(grp.getgrgid(group).gr_mem)
    except KeyError:
        return False
    return (
        account.pw_gid == group
        and members <= {account.pw_name}
        and all(other.pw_uid == owner for other in pwd.getpwall() if other.pw_gid == group)
    )


def _name(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _group_name(group: int) -> str:
    import grp

    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)
