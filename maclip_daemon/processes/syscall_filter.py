"""A filter of system calls for a process that reads strangers' files (seccomp(2), by libseccomp).

Calls that are not listed fail as if the kernel did not know them (ENOSYS), so that the C library takes the
older way where it has one. Decision 0032 says why libseccomp is called directly.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable
from typing import NamedTuple

LIBRARY = "libseccomp.so.2"
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000  # with the error's number
_EVERY_THREAD = 4  # SCMP_FLTATR_CTL_TSYNC
_EQUAL, _MASKED_EQUAL = 4, 7
_NEW_THREAD = 0x00010000  # CLONE_THREAD: no new process

_MEMORY = "brk mmap mmap2 munmap mremap mprotect madvise mincore membarrier msync"
_THREADS = (
    "futex futex_time64 futex_waitv set_robust_list get_robust_list rseq set_tid_address exit exit_group "
    "gettid getpid getppid sched_yield sched_getaffinity sched_getparam sched_getscheduler "
    "sched_get_priority_max sched_get_priority_min getcpu restart_syscall arch_prctl set_thread_area"
)
_SIGNALS = (
    "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait sigaltstack sigreturn setitimer "
    "getitimer alarm pause"
)
_TIME = (
    "clock_gettime clock_gettime64 clock_getres clock_nanosleep clock_nanosleep_time64 nanosleep "
    "gettimeofday time times getrusage sysinfo uname"
)
_DESCRIPTORS = (
    "read write readv writev pread64 pwrite64 preadv pwritev lseek _llseek close close_range dup dup2 dup3 "
    "pipe pipe2 poll ppoll ppoll_time64 select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait "
    "eventfd2 flock fadvise64 readahead"
)
_FILES = (
    "open openat openat2 stat stat64 lstat lstat64 fstat fstat64 newfstatat fstatat64 statx statfs statfs64 "
    "fstatfs fstatfs64 access faccessat faccessat2 readlink readlinkat getdents getdents64 getcwd"
)
_IDENTITY = (
    "getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresgid getgroups "
    "getgroups32 getpgrp getpgid getsid getrandom getrlimit ugetrlimit"
)
_REPLACING = (
    "rename renameat renameat2 link linkat unlink unlinkat fchmod fchown fchown32 fsetxattr fremovexattr "
    "fsync fdatasync ftruncate ftruncate64 fallocate copy_file_range sendfile sendfile64 getxattr lgetxattr "
    "fgetxattr listxattr llistxattr flistxattr"
)
_STARTING_A_PROGRAM = (
    "clone fork vfork execve wait4 waitid waitpid kill chdir fchdir mkdir mkdirat rmdir unlink unlinkat "
    "symlink symlinkat rename renameat fchmod umask setsid"
)
# Refused as "not permitted", which tells a person more than "not implemented".
_NOT_PERMITTED = (
    "socket socketpair connect bind listen accept accept4 execve execveat fork vfork tkill ptrace "
    "process_vm_readv process_vm_writev pidfd_open pidfd_send_signal rt_sigqueueinfo rt_tgsigqueueinfo "
    "chmod fchmodat chown lchown fchownat utime utimes futimesat setxattr lsetxattr truncate mkdir mkdirat "
    "mknod mknodat symlink symlinkat mount umount2 unshare setns keyctl bpf perf_event_open"
)


def _words(*texts: str) -> frozenset[str]:
    return frozenset(word for text in texts for word in text.split())


READING = _words(_MEMORY, _THREADS, _SIGNALS, _TIME, _DESCRIPTORS, _FILES, _IDENTITY)
# Changes of owner, permissions and time by descriptor only: Landlock does not limit those by path.
REPLACING_FILES = _words(_REPLACING)
# Whoever may start a program may signal it; Landlock keeps signals from others, since Linux 6.12.
READING_BY_A_PROGRAM = _words(_STARTING_A_PROGRAM)
# Of fcntl(2): copies, flags, locks and the size of a pipe; not F_SETOWN, by which a pipe sends signals.
_DESCRIPTOR_COMMANDS = (*range(8), *range(36, 39), *range(1030, 1033))
_LEASES = (10, 1024, 1025)  # F_SETSIG, F_SETLEASE, F_GETLEASE: `files/exchange` asks who has a file open
# Of ioctl(2): is it a terminal, its size, bytes that wait, close on exec or not, clone a file.
_DEVICE_COMMANDS = (0x5401, 0x5413, 0x541B, 0x5450, 0x5451, 0x40049409)
_NAMES_OF_THREADS = (15, 16, 0x53564D41)  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA


class _Condition(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("comparison", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class _Rule(NamedTuple):
    call: str
    argument: int
    value: int
    mask: int | None = None


def is_available() -> bool:
    """Return whether libseccomp is installed. The kernel has had filters since 3.5."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True


def load(allowed: frozenset[str]) -> None:
    """Allow all threads of this process the calls in `allowed`, and a few that only concern itself.

    Raises `OSError` where there is no libseccomp, or where the kernel refuses the filter.
    """
    library = ctypes.CDLL(LIBRARY)
    library.seccomp_init.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_REFUSE | errno.ENOSYS)))
    try:
        _check(library.seccomp_attr_set(handle, _EVERY_THREAD, ctypes.c_uint32(1)))
        for call in sorted(allowed):
            _add(library, handle, _ALLOW, call)
        for rule in _about_itself(replaces=allowed >= REPLACING_FILES):
            if rule.call not in allowed:
                _add(library, handle, _ALLOW, rule.call, rule)
        for call in sorted(_words(_NOT_PERMITTED) - allowed):
            _add(library, handle, _REFUSE | errno.EPERM, call)
        _check(library.seccomp_load(handle))
    finally:
        library.seccomp_release(handle)


def _about_itself(*, replaces: bool) -> Iterable[_Rule]:
    """Yield the calls that are allowed with some arguments: to this process, to no other."""
    own = os.getpid()
    flags = 1 if os.uname().machine == "s390x" else 0
    yield _Rule("clone", flags, _NEW_THREAD, _NEW_THREAD)
    yield _Rule("kill", 0, own)
    yield _Rule("tgkill", 0, own)
    yield _Rule("prlimit64", 0, 0)
    yield _Rule("prlimit64", 0, own)
    if replaces:
        yield _Rule("utimensat", 1, 0)  # no path: an open file
    for command in (*_DESCRIPTOR_COMMANDS, *(_LEASES if replaces else ())):
        yield _Rule("fcntl", 1, command, 0xFFFFFFFF)
        yield _Rule("fcntl64", 1, command, 0xFFFFFFFF)
    for command in _DEVICE_COMMANDS:
        yield _Rule("ioctl", 1, command, 0xFFFFFFFF)
    for option in _NAMES_OF_THREADS:
        yield _Rule("prctl", 0, option, 0xFFFFFFFF)


def _add(
    library: ctypes.CDLL, handle: ctypes.c_void_p, action: int, call: str, rule: _Rule | None = None
) -> None:
    number = library.seccomp_syscall_resolve_name(call.encode("ascii"))
    if number < 0:
        return  # this machine, or this libseccomp, does not know it
    conditions = (_Condition * 1)()
    if rule is not None and rule.mask is None:
        conditions[0] = _Condition(rule.argument, _EQUAL, rule.value, 0)
    elif rule is not None:
        conditions[0] = _Condition(rule.argument, _MASKED_EQUAL, rule.mask, rule.value)
    count = 0 if rule is None else 1
    _check(
        library.seccomp_rule_add_array(
            handle, ctypes.c_uint32(action), ctypes.c_int(number), ctypes.c_uint(count), conditions
        )
    )


def _check(result: int) -> None:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
