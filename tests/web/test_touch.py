"""The page on a tablet and a phone, with fingers alone."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import NAMES
from tests.web.desk import Desk

Point = tuple[float, float]
_TARGETS = """() => [...document.querySelectorAll('button, select, input')].filter(each => each.offsetParent)
  .map(each => [each.textContent.trim(), each.getBoundingClientRect()])
  .filter(([, box]) => box.width < 44 || box.height < 44).map(([text]) => text)"""


class Fingers:
    """Moves fingers over the page in small steps."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)

    def move(self, *ways: tuple[Point, Point], steps: int = 6) -> None:
        """Put a finger on the start of each way, and lift them one by one at the ends."""
        for count in range(1, len(ways) + 1):
            self._send("touchStart", [start for start, _ in ways[:count]])
        for step in range(1, steps + 1):
            part = step / steps
            self._send(
                "touchMove", [(x + part * (to_x - x), y + part * (to_y - y)) for (x, y), (to_x, to_y) in ways]
            )
        for count in range(len(ways) - 1, -1, -1):
            self._send("touchEnd", [end for _, end in ways[:count]])

    def tap_twice(self, point: Point) -> None:
        """Tap a tenth of a second apart, however long the test takes in between."""
        now = time.time()
        for moment in (now, now + 0.1):
            self._send("touchStart", [point], timestamp=moment)
            self._send("touchEnd", [], timestamp=moment + 0.02)

    def _send(self, kind: str, points: Sequence[Point], **moment: float) -> None:
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches, **moment})


@pytest.mark.long_form("820")  # the narrow screen is the harder one
@pytest.mark.parametrize(("width", "height"), [(820, 1180), (390, 844)])
def test_a_review_with_fingers_alone(filled: Desk, width: int, height: int) -> None:
    filled.group([NAMES[4], NAMES[3], NAMES[5]])
    page = filled.open(filled.serve(), width, height, has_touch=True, is_mobile=True)
    assert page.evaluate(_TARGETS) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    fingers, middle = Fingers(page), height * 0.4
    image = page.locator("#loupe img")
    page.locator("#photo-2").tap()
    expect(page.locator("#about strong")).to_have_text(NAMES[2])
    page.locator("#photo-2").tap()
    expect(image).to_have_attribute("alt", NAMES[2])
    left, right = (width * 0.2, middle), (width * 0.8, middle)
    fingers.move((right, left))
    expect(image).to_have_attribute("alt", NAMES[3])
    fingers.move((left, right))
    expect(image).to_have_attribute("alt", NAMES[2])
    half = width / 2
    fingers.move(((half - 30, middle), (half - 180, middle)), ((half + 30, middle), (half + 180, middle)))
    expect(page.locator("#loupe .frame.enlarged")).to_have_count(1)
    before = image.get_attribute("style")
    fingers.move((right, left))  # moves within the photo, and not to the next one
    expect(image).not_to_have_attribute("style", before or "")
    expect(image).to_have_attribute("alt", NAMES[2])
    fingers.move(((half - 180, middle), (half - 10, middle)), ((half + 180, middle), (half + 10, middle)))
    expect(page.locator("#loupe .frame.enlarged")).to_have_count(0)
    for count in (1, 0):
        fingers.tap_twice((half, middle))
        expect(page.locator("#loupe .frame.enlarged")).to_have_count(count)
    page.get_by_role("button", name="★★★", exact=True).tap()
    filled.rated(NAMES[2], 3)
    page.get_by_role("button", name="reject", exact=True).tap()
    filled.rated(NAMES[3], -1)
    page.get_by_role("button", name="undo", exact=True).tap()
    expect(image).to_have_attribute("alt", NAMES[3])
    filled.rated(NAMES[3], None)
    page.get_by_role("button", name="best of burst").tap()
    page.get_by_role("button", name="Yes", exact=True).tap()
    filled.rated(NAMES[5], -1)
    page.get_by_role("button", name="Decided").tap()
    page.get_by_role("button", name="Undo all of this review").tap()
    page.get_by_role("button", name="Yes", exact=True).tap()
    for name in (NAMES[2], NAMES[4], NAMES[5]):
        filled.rated(name, None)
