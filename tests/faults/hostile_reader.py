"""A reader of photos that an attacker took over: a test double inside a real child process.

It stands in place of Pillow's JPEG XL reader in a decoder, and of exiv2 in the metadata process, for files
whose name begins with `hostile`. It tries everything below, and reports as the photo's fault what it got.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pillow_jxl  # noqa: F401 - registers JPEG XL
from PIL import Image

NAME = "hostile"
SECRET = "the key that opens every door"
REPORT = "it got"

ATTEMPTS = '''
import ctypes, fcntl, json, mmap, os, resource, signal, socket, subprocess, sys, tempfile, threading, time

HOME = os.path.expanduser("~")
KEY = os.path.join(HOME, ".ssh", "id_ed25519")
PARENT = os.getppid()
LIBC = ctypes.CDLL(None, use_errno=True)


def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def write(path):
    with open(path, "w") as file:
        file.write("owned")


def io_uring():
    called(LIBC.syscall(425, 4, ctypes.create_string_buffer(240)))


def signal_by_descriptor():
    """A pipe with new data sends SIGUSR1 to whom its owner names."""
    reading, writing = os.pipe()
    fcntl.fcntl(reading, 8, PARENT)
    fcntl.fcntl(reading, 10, int(signal.SIGUSR1))
    fcntl.fcntl(reading, fcntl.F_SETFL, fcntl.fcntl(reading, fcntl.F_GETFL) | os.O_ASYNC)
    os.write(writing, b"x")


def traced_parent():
    """Seize the parent; end at once if that works, for a traced parent stops at its next signal."""
    called(LIBC.ptrace(0x4206, PARENT, None, None))
    os._exit(99)


def key_by_descriptor():
    descriptor = os.open(KEY, os.O_PATH)
    with open(f"/proc/self/fd/{descriptor}") as file:
        return file.read()


def attempts(photo):
    folder = os.path.dirname(photo)
    configuration = json.loads(sys.argv[1]) if sys.argv[1:2] and sys.argv[1].startswith("{") else {}
    spool = configuration.get("spool")
    yield "an internet socket", lambda: socket.socket()
    yield "a UDP socket", lambda: socket.socket(type=socket.SOCK_DGRAM)
    yield "a local socket", lambda: socket.socket(socket.AF_UNIX)
    yield "a netlink socket", lambda: socket.socket(16, socket.SOCK_RAW)
    yield "a pair of sockets", lambda: socket.socketpair()
    yield "io_uring", io_uring
    yield "a file at home", lambda: write(os.path.join(HOME, "owned"))
    yield "a file for all", lambda: write(os.path.join("/tmp", f"maclip-owned-{os.getpid()}"))
    yield "a file in shared memory", lambda: write(f"/dev/shm/maclip-owned-{os.getpid()}")
    yield "the shell's start", lambda: write(os.path.join(HOME, ".bashrc"))
    yield "its own code", lambda: write(os.path.join(os.path.dirname(os.path.abspath(__file__)), "owned.py"))
    yield "a file in memory", lambda: os.memfd_create("x")
    yield "the key", lambda: open(KEY).read()
    yield "the key by a descriptor", key_by_descriptor
    yield "the names of keys", lambda: os.listdir(os.path.dirname(KEY))
    yield "a link to the key", lambda: os.link(KEY, os.path.join(folder, "IMG.jpg"))
    yield "the key, renamed", lambda: os.rename(KEY, os.path.join(folder, "IMG.jpg"))
    yield "the key, removed", lambda: os.unlink(KEY)
    yield "the key for all", lambda: os.chmod(KEY, 0o644)
    yield "the key, cut", lambda: os.truncate(KEY, 0)
    yield "the key's time", lambda: os.utime(KEY, (0, 0))
    yield "the key's attributes", lambda: os.setxattr(KEY, "user.owned", b"1")
    yield "a folder", lambda: os.mkdir(os.path.join(HOME, "owned-folder"))
    yield "the parent's end", lambda: os.kill(PARENT, signal.SIGUSR1)
    yield "a signal by a thread", lambda: called(LIBC.syscall(234, PARENT, PARENT, int(signal.SIGUSR1)))
    yield "a signal by number", lambda: signal.pidfd_send_signal(os.pidfd_open(PARENT), signal.SIGUSR1)
    yield "a signal by a pipe", signal_by_descriptor
    yield "a program", lambda: subprocess.run(["/bin/true"], check=True)
    yield "a spawned program", lambda: os.posix_spawn("/bin/true", ["true"], {})
    yield "a copy of itself", lambda: os.fork() or os._exit(0)
    yield "the parent's memory by ptrace", traced_parent
    yield "the parent's memory", lambda: open(f"/proc/{PARENT}/mem", "rb").read(1)
    yield "the parent's environment", lambda: open(f"/proc/{PARENT}/environ", "rb").read()
    yield "the parent's limits", lambda: resource.prlimit(PARENT, resource.RLIMIT_NOFILE, (64, 64))
    yield "the parent's priority", lambda: os.setpriority(os.PRIO_PROCESS, PARENT, 19)
    yield "the parent's processors", lambda: os.sched_setaffinity(PARENT, {0})
    yield "the first process's environment", lambda: open("/proc/1/environ", "rb").read()
    yield "another name space", lambda: called(LIBC.unshare(0x10000000))
    yield "the passwords", lambda: open("/etc/passwd").read()
    yield "a shell", lambda: subprocess.run(["/bin/sh", "-c", "true"], check=True)
    if spool is not None:
        yield "the photo", lambda: open(photo, "r+b")
        yield "a file beside the photo", lambda: write(os.path.join(folder, "owned.jpg"))
        yield "the photo, removed", lambda: os.unlink(photo)
        yield "a look into the spool", lambda: os.listdir(spool)


def of_no_use(photo):
    got = []
    is_child = "maclip_daemon" in " ".join(sys.orig_argv)
    if is_child and len(os.listdir("/proc/self/task")) > 2:  # the main one, and the one that reads requests
        got.append("a thread from before the sandbox")

    def attempt():
        for what, act in attempts(photo):
            try:
                act()
            except (OSError, ValueError, subprocess.SubprocessError):
                continue
            got.append(what)

    attempt()
    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return sorted(set(got))
'''

_SITE = '''
import importlib.abc, importlib.util, os, sys

TARGETS = {"pillow_jxl": "decoder_process", "pyexiv2": "metadata_process"}


class Taken(importlib.abc.MetaPathFinder):
    """Lets the real reader load, then puts the hostile one in its place."""

    def find_spec(self, name, path=None, target=None):
        if name not in TARGETS or TARGETS[name] not in " ".join(sys.orig_argv):
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            import hostile_attempts, hostile_takeover
            hostile_takeover.take(name, module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Taken())
'''

_TAKEOVER = """
import os
import hostile_attempts
from maclip_daemon.errors import Poison


def report(path):
    raise Poison("it got " + (", ".join(hostile_attempts.of_no_use(path)) or "nothing") + ".")


def take(name, module):
    if name == "pillow_jxl":
        from PIL import Image
        Image.register_open("JXL", lambda file, _name: report(os.environ["HOSTILE_PHOTO"]))
        return
    works = module.Image.__init__

    def opened(self, filename, *arguments, **options):
        path = os.path.realpath(filename)  # of a descriptor
        if os.path.basename(path).startswith("hostile"):
            report(path)
        if os.path.basename(path).startswith("unreadable"):
            raise RuntimeError("exiv2 does not know it")
        return works(self, filename, *arguments, **options)

    module.Image.__init__ = opened
"""


def prepare(folder: Path, home: Path, photo: Path) -> dict[str, str]:
    """Write the double into `folder` and a key into `home`; return the environment of the program."""
    folder.mkdir()
    (folder / "hostile_attempts.py").write_text(ATTEMPTS)
    (folder / "hostile_takeover.py").write_text(_TAKEOVER)
    (folder / "sitecustomize.py").write_text(_SITE)
    (home / ".ssh").mkdir(mode=0o700)
    (home / ".ssh" / "id_ed25519").write_text(SECRET)
    (home / ".bashrc").write_text("# of a person\n")
    found = [str(folder), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return {
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(filter(None, found)),
        "HOSTILE_PHOTO": str(photo),
    }


_PROGRAM = """#!{python}
import json, os, sys
sys.path.insert(0, {folder!r})
import hostile_attempts
hostile_attempts.PARENT = {parent}
of_programs = {{"a copy of itself"}}
got = [what for what in hostile_attempts.of_no_use({photo!r}) if what not in of_programs]
warning = "XMP: it got " + (", ".join(got) or "nothing") + "."
print(json.dumps([{{"SourceFile": "0.jpg", "X:Warning": warning}}]))
"""


def program(photo: Path, folder: Path) -> str:
    """Return a program in exiftool's place, for a parent that is this process."""
    return _PROGRAM.format(python=sys.executable, folder=str(folder), parent=os.getpid(), photo=str(photo))


def jxl() -> bytes:
    """Return a small JPEG XL picture, which the double is called for."""
    buffer = io.BytesIO()
    Image.effect_noise((64, 48), 60).convert("RGB").save(buffer, "JXL")
    return buffer.getvalue()
