"""The whole installation by pipx, uv and dpkg, with `--full`: each fetches PyTorch, which is gigabytes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import packages

pytestmark = pytest.mark.long_form


def run(home: Path, *command: str | Path) -> str:
    path = f"{home}/.local/bin:{packages.UV.parent}:/usr/bin:/bin"
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("MACLIP_", "XDG_", "PYTHON"))
    }
    environment = {**kept, "HOME": str(home), "PATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def require_work(home: Path, maclip: str | Path) -> None:
    import skimage

    assert run(home, maclip, "--version").startswith("maclip ")
    assert "ok   torch" in run(home, maclip, "doctor")
    photo = Path(skimage.__file__).parent / "data" / "coffee.png"
    assert "coffee.png" in run(home, maclip, "score", photo)


@pytest.mark.parametrize(
    ("install", "uninstall"),
    [
        (("uv", "tool", "install"), ("uv", "tool", "uninstall")),
        (("pipx", "install"), ("pipx", "uninstall")),
    ],
    ids=lambda words: words[0],
)
def test_the_wheel_installs_as_a_program_and_goes_again(
    tmp_path: Path, install: tuple[str, ...], uninstall: tuple[str, ...]
) -> None:
    if not shutil.which(install[0], path=f"{packages.UV.parent}:{os.environ['PATH']}"):
        pytest.skip(f"{install[0]} is not installed")
    home = tmp_path / "home"
    home.mkdir()
    _, wheel = packages.build_packages(tmp_path)
    run(home, *install, wheel)
    require_work(home, "maclip")
    run(home, *uninstall, "maclip-daemon")
    assert not (home / ".local" / "bin" / "maclip").exists()


def test_the_debian_package_has_a_launcher_that_makes_its_environment(tmp_path: Path) -> None:
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg is not installed")
    subprocess.run([packages.PROJECT / "scripts" / "debian_package"], check=True)
    (package,) = packages.PROJECT.glob("dist/*.deb")
    root, home = tmp_path / "root", tmp_path / "home"
    home.mkdir()
    subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
    require_work(home, root / "usr/bin/maclip")
    assert (root / "usr/share/man/man1/maclip.1.gz").exists()
    assert (home / ".local/share/maclip-environment/stamp").exists()
