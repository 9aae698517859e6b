"""A container with a real systemd as PID 1, made from this machine's own /usr, which it may only read."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.homes import until
from tests.systemd import container_root
from tests.systemd.container_root import UID, USER

BOOT_S = 60.0
SHUTDOWN_S = 10.0
INSTALLATION = Path("/opt/maclip")
PYTHON = INSTALLATION / "bin" / "python"
# Control groups of its own, below one that is removed at the end. Version 2 alone, whatever the machine has.
CONTROL_GROUPS = """
set -e
umount --lazy /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
group=/sys/fs/cgroup/$1
"""
START = (
    CONTROL_GROUPS
    + """
mkdir -p "$group"
for controller in memory pids cpu io; do
    echo +$controller >/sys/fs/cgroup/cgroup.subtree_control || true
done 2>/dev/null
echo $$ >"$group/cgroup.procs"
shift
exec setpriv --pdeathsig KILL systemd-nspawn "$@" # so that no container outlives killed tests
"""
)
REMOVE = CONTROL_GROUPS + '[ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} ";"'


class Container:
    """A booted container: its files, seen from outside, and programs run inside."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.name = f"maclip-test-{uuid.uuid4().hex[:8]}"
        self._console = folder / "console"
        container_root.make(self.root)
        install(self.root)
        # A landlock sandbox is the program's own; nspawn's list of system calls is older than it.
        calls = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"
        options = ["--quiet", f"--directory={self.root}", f"--machine={self.name}", "--boot", "--register=no"]
        options += ["--keep-unit", "--private-network", "--resolv-conf=off", "--timezone=off"]
        options += [f"--system-call-filter={calls}", "--link-journal=no", "--bind-ro=/usr"]
        outside = {Path(os.path.realpath(sys.base_prefix)), libraries()}
        options += [f"--bind-ro={path}" for path in sorted(outside) if not path.is_relative_to("/usr")]
        with self._console.open("wb") as console:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--propagation=private", "sh", "-c", START, "sh", self.name, *options],
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        self._init = 0

    def wait_until_booted(self) -> None:
        """Wait for the end of the boot. Raise `RuntimeError` with the reason when there is none."""
        until(lambda: self._find_init() or self._process.poll() is not None, "PID 1", BOOT_S)
        if self._process.poll() is not None:
            raise RuntimeError(self._console.read_text("utf-8", "replace").strip() or "no reason given")
        until(
            lambda: self.attempt("systemctl", "is-active", "multi-user.target").returncode == 0,
            "the boot",
            BOOT_S,
        )

    def run(
        self, *command: str | Path, user: str = "root", expect: int | None = 0, **environment: str
    ) -> str:
        """Run a program inside and return its output; `expect`: its exit code, None for any."""
        done = self.attempt(*command, user=user, **environment)
        if expect is not None:
            assert done.returncode == expect, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def attempt(
        self, *command: str | Path, user: str = "root", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside and return what it did."""
        home, uid = (f"/home/{user}", UID) if user == USER else ("/root", 0)
        variables = {"HOME": home, "USER": user, "XDG_RUNTIME_DIR": f"/run/user/{uid}", "LANG": "C.UTF-8"}
        variables |= {"PATH": "/usr/bin:/usr/sbin", "PYTHONSAFEPATH": "1", **environment}
        enter = [
            "nsenter",
            f"--target={self._init}",
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            "--net",
            "--cgroup",
        ]
        enter += ["--root"]
        become = [] if uid == 0 else ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        settings = [f"{name}={value}" for name, value in variables.items()]
        return subprocess.run(
            [*enter, *become, "env", f"--chdir={home}", "-i", *settings, *map(str, command)],
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=180,
            check=False,
        )

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Be logged in as the user."""
        pam = ("--property=PAMName=test-login", f"--property=User={USER}")
        self.run("systemd-run", "--quiet", "--unit=log-in", *pam, "sleep", "infinity")
        try:
            until(lambda: USER in self.run("loginctl", "list-sessions"), "a session")
            yield
        finally:
            self.run("systemctl", "stop", "log-in")

    def outside(self, path: str | Path) -> Path:
        """Return where a file of the container is on this machine."""
        return self.root / str(path).lstrip("/")

    def pid_outside(self, pid: int) -> int:
        """Return this machine's number of a process of the container."""
        for process in psutil.Process(self._init).children(recursive=True):
            with contextlib.suppress(OSError):
                if _numbers(process.pid)[1:] == [pid]:
                    return process.pid
        raise AssertionError(f"no process {pid} in the container")

    def close(self) -> None:
        """End all that runs inside, and remove its control groups."""
        if self._init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init, 9)  # the kernel ends a container whose PID 1 has ended
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(SHUTDOWN_S)
        self._process.kill()
        self._process.wait()
        remove = ["unshare", "--mount", "--propagation=private", "sh", "-c", REMOVE, "sh", self.name]
        subprocess.run(remove, capture_output=True, check=False)

    def _find_init(self) -> int:
        with contextlib.suppress(psutil.Error, OSError):
            for process in psutil.Process(self._process.pid).children(recursive=True):
                if _numbers(process.pid)[1:] == [1]:
                    self._init = process.pid
        return self._init


@contextlib.contextmanager
def booted(folder: Path) -> Iterator[Container]:
    """Boot a container and end it. Raise `RuntimeError` where none can run."""
    container = Container(folder)
    try:
        container.wait_until_booted()
        yield container
    finally:
        container.close()


def install(root: Path, *, version: str | None = None) -> None:
    """Install this program into a container, or replace it there; its libraries are this machine's."""
    import maclip_daemon

    library = (
        root
        / str(INSTALLATION).lstrip("/")
        / "lib"
        / f"python{sysconfig.get_python_version()}"
        / "site-packages"
    )
    package = library / "maclip_daemon"
    shutil.rmtree(package, ignore_errors=True)
    library.mkdir(parents=True, exist_ok=True)
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(maclip_daemon.__file__).parent, package, ignore=skip)
    if version is not None:
        start = package / "__init__.py"
        start.write_text(start.read_text("utf-8").replace(maclip_daemon.__version__, version), "utf-8")
    (library / "others.pth").write_text(f"{libraries()}\n", "utf-8")
    python = Path(os.path.realpath(sys.executable))
    programs = library.parents[2] / "bin"
    if not programs.exists():
        programs.mkdir()
        (programs / "python").symlink_to(python)
        (programs.parent / "pyvenv.cfg").write_text(f"home = {python.parent}\n", "utf-8")


def unavailable_reason() -> str:
    """Return why no container can run here; empty when one may."""
    for program, package in {
        "systemd-nspawn": "systemd-container",
        "nsenter": "util-linux",
        "unshare": "util-linux",
        "setpriv": "util-linux",
        "dbus-daemon": "dbus",
    }.items():
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: {package})"
    if not list(Path("/usr/lib").glob("**/security/pam_systemd.so")):
        return "pam_systemd is not installed (Debian: libpam-systemd)"
    if os.geteuid() != 0:
        return "only root may boot a container"
    if "cgroup2" not in Path("/proc/filesystems").read_text("ascii"):
        return "this kernel has no control groups of version 2"
    if not Path("/bin").is_symlink():
        return "the container needs a merged /usr"
    return ""


def libraries() -> Path:
    """Return the folder of this Python environment's packages."""
    return Path(os.path.realpath(sysconfig.get_path("purelib")))


def _numbers(pid: int) -> list[int]:
    """Return a process's numbers, from the outermost namespace to its own."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines():
        if line.startswith("NSpid:"):
            return [int(number) for number in line.split()[1:]]
    return []
