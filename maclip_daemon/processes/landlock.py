"""Landlock: the kernel limits which files this process may open, for good (landlock(7)).

Through its three system calls, which the kernel keeps stable; decision 0032 says why no package is used.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import os
import stat
import sys
from collections.abc import Mapping

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_OTHER_NUMBERS = ("alpha", "mips")  # machines where the calls have other numbers
_ASK_VERSION = 1
_RULE_PATH_BENEATH = 1
_ALL_THREADS = 1 << 3  # since version 8 of the interface
_SET_NO_NEW_PRIVILEGES = 38  # of prctl(2)
_NO_TCP = 0b11  # neither bind nor connect; since version 4
_NO_ABSTRACT_SOCKETS, _NO_SIGNALS = 0b01, 0b10  # to processes outside; since version 6


class Access(enum.IntFlag):
    """What may be done with a file, or below a folder (linux/landlock.h)."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


READ = Access.READ_FILE | Access.READ_DIR
CREATE = Access.MAKE_REG | Access.WRITE_FILE
REPLACE = READ | CREATE | Access.REMOVE_FILE | Access.TRUNCATE
_OF_FILES = Access.EXECUTE | Access.WRITE_FILE | Access.READ_FILE | Access.TRUNCATE | Access.IOCTL_DEV
_SINCE = {Access.REFER: 2, Access.TRUNCATE: 3, Access.IOCTL_DEV: 5}  # version of the interface


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scope", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("descriptor", ctypes.c_int32))


def version() -> int:
    """Return the version of the kernel's interface; 0 where there is no Landlock."""
    if sys.platform != "linux" or os.uname().machine.startswith(_OTHER_NUMBERS):
        return 0
    with contextlib.suppress(OSError, AttributeError):
        return _call(_CREATE_RULESET, None, 0, _ASK_VERSION)
    return 0


def restrict(allowed: Mapping[str, Access], *, may_signal: bool = False) -> None:
    """Allow this thread, and what it starts later, nothing with files but what is `allowed` below each path.

    TCP, signals to other processes and abstract sockets are denied too, as far as the kernel knows how. A
    path that is missing, or cannot be opened, is left out. `may_signal`: for a process with a child outside,
    which the kernel kills when this one ends, in its name. Raises `OSError` where there is no Landlock.
    """
    known = version()
    handled = Access(sum(each for each in Access if _SINCE.get(each, 1) <= known))
    scope = _NO_ABSTRACT_SOCKETS if may_signal else _NO_ABSTRACT_SOCKETS | _NO_SIGNALS
    ruleset = _Ruleset(handled, _NO_TCP if known >= 4 else 0, scope if known >= 6 else 0)
    descriptor = _call(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.sizeof(ruleset), 0)
    try:
        for path, access in allowed.items():
            with contextlib.suppress(OSError):  # a disk that died must not leave all others open
                _allow(descriptor, path, access & handled)
        _library().prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        _call(_RESTRICT_SELF, descriptor, _ALL_THREADS if known >= 8 else 0)
    finally:
        os.close(descriptor)


def _allow(ruleset: int, path: str, access: Access) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= _OF_FILES
        if access:
            rule = _PathBeneath(access, descriptor)
            _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    result = _library().syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return int(result)


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
