"""`scripts/environment`: which PyTorch it takes, with which tool, and what it says meanwhile."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")

# The project's own build, as small as one can be: no tool has to be downloaded for it.
BACKEND = """
import zipfile
from pathlib import Path

FILES = {
    "maclip_daemon.py": "",
    "maclip_daemon-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: maclip-daemon\\nVersion: 1\\n",
    "maclip_daemon-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    "maclip_daemon-1.dist-info/RECORD": "",
}

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "maclip_daemon-1-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory, name), "w") as wheel:
        for file, text in FILES.items():
            wheel.writestr(file, text)
    return name
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "maclip-daemon"
version = "1"
"""
# A uv for which the server of PyTorch's small builds is a folder.
UV_IN_FRONT = """#!/bin/bash
arguments=()
for argument in "$@"; do
    if [ "$argument" = --torch-backend=auto ]; then
        arguments+=(--find-links "$SMALL_BUILDS")
        unset UV_FIND_LINKS
    else
        arguments+=("$argument")
    fi
done
exec "$REAL_UV" "${arguments[@]}"
"""


def make_wheel(folder: Path, name: str, version: str) -> str:
    """Write a wheel with nothing in it; return the line of a lock file."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    files = {
        f"{name.replace('-', '_')}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{file},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text)}\n"
        for file, text in files.items()
    )
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
        wheel.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


class Checkout:
    """A clone with the real scripts and a lock file of five small packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(PROJECT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("bench"))
        (folder / "pyproject.toml").write_text(PYPROJECT)
        (folder / "backend.py").write_text(BACKEND)
        names = ("torch", "torchvision", "triton", "nvidia-cublas", "pillow")
        locked = [make_wheel(folder / "pypi", name, "1.0") for name in names]
        (folder / "requirements.txt").write_text("".join(locked))
        (folder / "small").mkdir()
        self.programs = folder / "programs"
        self.programs.mkdir()

    def use_uv(self) -> None:
        """Put uv on the path, and make the virtual environment with it: pip's way takes ten times as long."""
        (self.programs / "uv").write_text(UV_IN_FRONT)
        (self.programs / "uv").chmod(0o755)
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, self.folder / ".venv"], check=True)

    def build(self) -> str:
        """Build the environment as the first use of a script does; return what was said."""
        done = subprocess.run(
            ["bash", "-c", f"source {self.folder}/scripts/environment"],
            env={key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_"))}
            | {
                "PATH": f"{self.programs}:/usr/bin:/bin",
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(self.folder / "pypi"),
                "UV_OFFLINE": "1",
                "UV_FIND_LINKS": str(self.folder / "pypi"),
                "UV_CACHE_DIR": str(self.folder / "cache"),
                "PIP_CONFIG_FILE": os.devnull,
                "REAL_UV": str(UV),
                "SMALL_BUILDS": str(self.folder / "small"),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert not done.stdout
        return done.stderr

    def installed(self) -> set[str]:
        """Return the installed releases, without those of the tools themselves."""
        found = (self.folder / ".venv").glob("lib/python*/site-packages/*.dist-info")
        names = {path.name.removesuffix(".dist-info") for path in found}
        return {name for name in names if not re.match("pip|setuptools|wheel", name) or "pillow" in name}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    checkout = Checkout(tmp_path)
    (checkout.programs / "python3.11").symlink_to(sys.executable)
    return checkout


LARGE = {"torch-1.0", "torchvision-1.0", "triton-1.0", "nvidia_cublas-1.0", "pillow-1.0", "maclip_daemon-1"}
SMALL = {"torch-1.0+cpu", "torchvision-1.0+cpu", "pillow-1.0", "maclip_daemon-1"}
needs_uv = pytest.mark.skipif(not UV.exists(), reason="uv is not installed beside this Python")
needs_no_card = pytest.mark.skipif(
    Path("/proc/driver/nvidia/version").exists(), reason="this machine has an NVIDIA driver"
)


def test_without_uv_pip_installs_what_is_locked_and_says_how_large_it_is(checkout: Checkout) -> None:
    said = checkout.build()
    assert "first use: building the environment" in said.splitlines()[0]
    assert re.search(r"installing with pip: .* about \d GB of disk, .* minutes", said)
    assert "the environment is ready, after" in said
    assert checkout.installed() == LARGE
    assert checkout.build() == "", "a second use says nothing"


@needs_uv
@needs_no_card
def test_where_the_server_of_small_builds_does_not_answer_the_large_one_is_installed(
    checkout: Checkout,
) -> None:
    checkout.use_uv()
    said = checkout.build()
    assert "does not answer: taking the large build" in said
    assert re.search(r"installing with uv: PyTorch with NVIDIA's libraries", said)
    assert checkout.installed() == LARGE


@needs_uv
@needs_no_card
def test_with_uv_a_machine_without_a_card_gets_the_small_build_and_no_nvidia_libraries(
    checkout: Checkout,
) -> None:
    checkout.use_uv()
    for name in ("torch", "torchvision"):
        make_wheel(checkout.folder / "small", name, "1.0+cpu")
    said = checkout.build()
    assert re.search(r"installing with uv: PyTorch without NVIDIA's libraries.* about 2 GB", said)
    assert checkout.installed() == SMALL
    with (checkout.folder / "requirements.txt").open("a") as lock:
        lock.write(make_wheel(checkout.folder / "pypi", "rich", "1.0"))
    said = checkout.build()
    assert f"bringing the environment in {checkout.folder}/.venv up to date" in said
    assert "installing what is new, with uv" in said
    assert checkout.installed() == SMALL | {"rich-1.0"}, "a small build stays one"


@needs_uv
@needs_no_card
def test_a_hash_that_is_not_the_locked_one_stops_the_installation(checkout: Checkout) -> None:
    checkout.use_uv()
    with zipfile.ZipFile(checkout.folder / "pypi" / "pillow-1.0-py3-none-any.whl", "a") as tampered:
        tampered.writestr("more.py", "")
    with pytest.raises(AssertionError, match=r"(?i)hash"):
        checkout.build()
