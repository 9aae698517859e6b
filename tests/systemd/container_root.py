"""The root folder of a container: this machine's /usr, and an /etc that knows one user."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

USER, UID = "alice", 1000
# What programs of /usr need of /etc.
COPIED = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "login.defs", "security")
ACCOUNTS = f"""\
root:x:0:0:root:/root:/bin/sh
messagebus:x:100:100::/nonexistent:/usr/sbin/nologin
{USER}:x:{UID}:{UID}:Alice:/home/{USER}:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
GROUPS = "".join(
    f"{name}:x:{number}:\n"
    for name, number in {
        **{"root": 0, "adm": 4, "tty": 5, "disk": 6, "lp": 7, "kmem": 15, "dialout": 20, "cdrom": 24},
        **{"audio": 29, "utmp": 43, "video": 44, "users": 100, "messagebus": 101, "systemd-journal": 102},
        **{"input": 103, "kvm": 104, "render": 105, "sgx": 106, "tape": 26, USER: UID, "nogroup": 65534},
    }.items()
)
# A log-in without a password: the tests open sessions with `systemd-run --property=PAMName=test-login`.
LOGIN = "account required pam_permit.so\nsession required pam_systemd.so\n"
USER_MANAGER = (
    "account required pam_permit.so\nsession required pam_permit.so\nsession optional pam_systemd.so\n"
)
# Nothing that changes the kernel's settings, which are the machine's, too; nothing that only costs time.
MASKED = (
    "systemd-sysctl.service",
    "systemd-modules-load.service",
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-binfmt.service",
    "console-getty.service",
    "getty.target",
    "timers.target",
    "dev-hugepages.mount",
)


def make(root: Path) -> None:
    """Write everything but /usr, which is mounted there."""
    for name in ("dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr", "var/lib/systemd/linger"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if Path("/", name).is_symlink():
            (root / name).symlink_to(Path("/", name).readlink())
    etc = root / "etc"
    for name in COPIED:
        source = Path("/etc", name)
        if source.is_dir():
            shutil.copytree(source, etc / name, symlinks=True)
        elif source.exists():
            shutil.copy(source, etc / name)
    texts = {
        "passwd": ACCOUNTS,
        "group": GROUPS,
        "shadow": "".join(f"{line.split(':')[0]}:*:20000::::::\n" for line in ACCOUNTS.splitlines()),
        "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\n",
        "machine-id": f"{uuid.uuid4().hex}\n",
        "hostname": "container\n",
        "pam.d/test-login": LOGIN,
        "pam.d/systemd-user": USER_MANAGER,
        "pam.d/other": "auth required pam_deny.so\naccount required pam_deny.so\n",
        "systemd/logind.conf": "[Login]\nUserStopDelaySec=0\n",
        "systemd/journald.conf": "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nSplitMode=none\n",
    }
    for name, text in texts.items():
        (etc / name).parent.mkdir(parents=True, exist_ok=True)
        (etc / name).write_text(text, "utf-8")
    shutil.copy("/usr/lib/os-release", etc / "os-release")
    (etc / "systemd" / "system").mkdir()
    for unit in MASKED:
        (etc / "systemd" / "system" / unit).symlink_to("/dev/null")
    (etc / "systemd" / "system" / "default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
    home = root / "home" / USER
    home.mkdir(mode=0o750)
    os.chown(home, UID, UID)
