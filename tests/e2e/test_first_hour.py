"""A person's first hour, from installing to uninstalling; docs/a-first-hour.md is its transcript."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from tests import packages
from tests.e2e.first_hour import COLUMNS, CONSOLE, PROMPT, Person, commands, comparable
from tests.homes import contents

DOCUMENT = packages.PROJECT / "docs" / "a-first-hour.md"
HOME_IN_DOCUMENT = "/home/margaret"  # as long as the test's own, so that tables have the same widths

pytestmark = pytest.mark.skipif(not packages.UV.exists(), reason="uv is not installed beside this Python")


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="h", dir="/tmp"))
    assert len(str(folder)) == len(HOME_IN_DOCUMENT)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packages.build_packages(tmp_path_factory.mktemp("packages"))[1]


def environment_of(home: Path, programs: Path) -> dict[str, str]:
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("MACLIP_", "XDG_", "PYTHON"))
    }
    return {
        **kept,
        "HOME": str(home),
        "PATH": f"{programs}:/usr/bin:/bin",
        "MACLIP_FOLDERS__SETTLE_S": "0.5",
        "MACLIP_BACKGROUND__NICE": "0",
        "MACLIP_BACKGROUND__PAUSE_ON_BATTERY": "false",
    }


def put_photos(home: Path) -> None:
    """Put three photos and spoilt copies of two into Pictures, and one more onto a card."""
    import skimage

    samples = Path(skimage.__file__).parent / "data"
    day = home / "Pictures" / "2026-11-28"
    day.mkdir(parents=True)
    for name in ("coffee.png", "chelsea.png", "rocket.jpg"):
        Image.open(samples / name).convert("RGB").save(day / f"{Path(name).stem}.jpg", quality=92)
    for name, radius in (("coffee", 4), ("rocket", 6)):
        blurred = Image.open(day / f"{name}.jpg").filter(ImageFilter.GaussianBlur(radius))
        blurred.save(day / f"{name}-blurred.jpg", quality=92)
    card = home / "card"
    card.mkdir()
    Image.open(samples / "astronaut.png").convert("RGB").save(card / "astronaut.jpg", quality=92)


def live_through(person: Person, home: Path, document: str) -> str:
    """Type every command of the document, and return the document with what the terminal showed."""

    def insert_card() -> None:
        shutil.copy(home / "card" / "astronaut.jpg", home / "Pictures" / "2026-11-28")

    def shown(match: re.Match[str]) -> str:
        said = [
            person.types(command, insert_card if command.endswith("run Pictures") else None)
            for command in commands(match[0])
        ]
        return "\n".join(said).replace(str(home), HOME_IN_DOCUMENT)

    return CONSOLE.sub(shown, document)


def test_a_persons_first_hour_is_as_the_documentation_tells_it(
    home: Path, wheel: Path, request: pytest.FixtureRequest
) -> None:
    put_photos(home)
    before = contents(home)
    environment = home / ".local/share/pipx/venvs/maclip-daemon"  # where pipx has it
    programs = packages.install(wheel, environment).parent
    person = Person(home, environment_of(home, programs))
    document = DOCUMENT.read_text("utf-8")
    lived = live_through(person, home, document)
    packages.uninstall(environment)
    left = [path for path in environment.rglob("*maclip*")]
    shutil.rmtree(home / ".local/share/pipx")
    if request.config.getoption("--renew"):
        DOCUMENT.write_text(lived, "utf-8")
        document = lived
    transcript = "".join(CONSOLE.findall(lived))
    assert comparable(transcript) == comparable("".join(CONSOLE.findall(document))), (
        "run `scripts/test tests/e2e/test_first_hour.py --renew`, and read what has changed"
    )
    assert max(len(line) for line in transcript.splitlines() if not line.startswith(PROMPT)) <= COLUMNS
    assert not re.search(r"Traceback|\[Errno|Error:", transcript)
    assert set(person.codes.values()) == {0}, person.codes
    added = home / "Pictures" / "2026-11-28" / "astronaut.jpg"
    assert contents(home) == before | {added: (home / "card" / "astronaut.jpg").read_bytes()}
    assert left == [], "uninstalling left something behind"


def test_a_pipe_gets_no_control_characters(home: Path, wheel: Path, tmp_path: Path) -> None:
    maclip = packages.install(wheel, tmp_path / "maclip")
    environment = environment_of(home, maclip.parent)
    for arguments in (
        ["--version"],
        ["--help"],
        ["config", "show"],
        ["config", "path"],
        ["completion", "bash"],
    ):
        done = subprocess.run([maclip, *arguments], env=environment, capture_output=True, check=True)
        assert done.stdout
        assert not re.search(rb"[\x00-\x08\x0b-\x1f]", done.stdout + done.stderr), arguments
    assert (maclip.parents[1] / "share" / "man" / "man1" / "maclip.1").read_text() == (
        packages.PROJECT / "docs" / "man" / "maclip.1"
    ).read_text()
