"""Build the project's packages, and install them where this environment's libraries are found."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

PROJECT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
SOURCES = ("maclip_daemon", "service", "docs/man", "docs/licences")


def build_packages(folder: Path) -> tuple[Path, Path]:
    """Build the source archive, and the wheel out of it; return the paths of both. No network is needed."""
    source = folder / "source"
    for name in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(PROJECT / name, source / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    command = [UV, "build", "--quiet", "--offline", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*command, "--out-dir", folder / "dist", source], check=True)
    (wheel,) = folder.glob("dist/*.whl")
    (archive,) = folder.glob("dist/*.tar.gz")
    return archive, wheel


def install(wheel: Path, environment: Path) -> Path:
    """Install a wheel into a new virtual environment that sees this one's libraries; return its `maclip`."""
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, environment], check=True)
    packages = next(environment.glob("lib/python*/site-packages"))
    # A path without the .pth files in it: this project's own editable installation stays out.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", environment, wheel]
    subprocess.run(command, check=True)
    return environment / "bin" / "maclip"


def uninstall(environment: Path) -> None:
    """Uninstall what `install` installed."""
    command = [UV, "pip", "uninstall", "--quiet", "--python", environment, "maclip-daemon"]
    subprocess.run(command, check=True)
