"""The page in Firefox: every view, every key, the dialogs and the end. Runs with `--full`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.conftest import NAMES
from tests.web.desk import Desk, until
from tests.web.firefox import Firefox

pytestmark = pytest.mark.long_form
SELECTED = ".cell.selected .name"


@pytest.fixture
def firefox(tmp_path: Path) -> Iterator[Firefox]:
    firefox = Firefox(tmp_path / "profile")
    yield firefox
    firefox.close()


def test_every_view_and_key_works_in_firefox(filled: Desk, firefox: Firefox) -> None:
    filled.group([NAMES[4], NAMES[3], NAMES[5]])
    link = filled.serve()

    def shows(selector: str, text: str) -> None:
        until(
            lambda: text in firefox.text(selector), f"{text!r} in {selector}, not {firefox.text(selector)!r}"
        )

    def holds(expression: str) -> None:
        until(lambda: firefox.value(expression), expression)

    firefox.open(link)
    shows(SELECTED, NAMES[0])
    holds("document.activeElement.id === 'grid'")
    for key, place in [
        ("ArrowRight", 1),
        ("End", 11),
        ("ArrowLeft", 10),
        ("Home", 0),
        ("ArrowDown", 6),
        ("ArrowUp", 0),
    ]:
        firefox.press(key)
        shows(SELECTED, NAMES[place])
    for place, (key, rating) in enumerate([("1", 1), ("5", 5), ("0", 0), ("x", -1)]):
        firefox.press(key)
        filled.rated(NAMES[place], rating)
    firefox.press("p")
    shows("#photo-4 .mine", "⚑")
    for _ in range(5):
        firefox.press("u")
    until(lambda: filled.sql("select count(*) from decisions where state = 'undone'") == [(5,)], "undo")
    assert list(filled.photos.glob("*.xmp")) == []
    firefox.press("Home")
    firefox.press(" ")
    holds(f"document.querySelector('#loupe img')?.alt === '{NAMES[0]}'")
    firefox.click(640, 400, 2)
    holds("document.querySelector('#loupe .enlarged') !== null")
    for _ in range(6):  # the sample is smaller than the window at 100 %
        firefox.press("+")
    before = firefox.value("document.querySelector('#loupe img').style.transform")
    firefox.press("Shift", "ArrowRight")
    holds(f"document.querySelector('#loupe img').style.transform !== '{before}'")
    firefox.press("z")
    holds("document.querySelector('#loupe .enlarged') === null")
    firefox.press("h")
    shows("#loupe figcaption", "clipped:")
    firefox.press("s")
    shows("#loupe figcaption", "finest detail")
    firefox.press("c")
    holds("document.querySelectorAll('#compare .pane').length === 2")
    firefox.press("g")
    firefox.press("b")
    shows(SELECTED, NAMES[4])
    firefox.press("Enter")
    holds("document.querySelector('#question').open && document.activeElement.value === 'no'")
    firefox.press("Shift", "Tab")
    firefox.press("Enter")
    filled.rated(NAMES[5], -1)
    firefox.press("?")
    holds("document.querySelector('#help').open")
    firefox.press("Escape")
    holds("!document.querySelector('#help').open")
    firefox.press("f")
    holds("document.activeElement.name === 'order'")
    firefox.press("Escape")
    holds("document.activeElement.id === 'grid'")
    firefox.press("e")
    shows("#summary dl", "✕ rejected2")
    holds("document.querySelector('#moving input').value.endsWith(' rejected')")
    firefox.value("document.querySelector('#moving input').focus()")
    firefox.press("Enter")
    shows("#question h2", "Move 2 photos to")
    firefox.press("Shift", "Tab")
    firefox.press("Enter")
    shows("#moving .said", "4 files moved to")
    firefox.press("Enter")  # "Bring back" has the focus
    shows("#moving .said", "4 files brought back.")
    firefox.screenshot(filled.home / "end.png")
