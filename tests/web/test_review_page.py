"""The review page as a person meets it: keys, undo, two windows, bad days."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.web.desk import Desk


def test_a_key_writes_a_rating_and_undo_takes_it_back(filled: Desk) -> None:
    page = filled.open(filled.serve())
    page.keyboard.press("4")
    filled.rated("IMG_0001.jpg", 4)
    assert page.locator(".cell.selected .name").text_content() == "IMG_0002.jpg"
    assert page.locator("#photo-0 .mine").text_content() == "★★★★"
    expect(page.locator("#progress")).to_contain_text("1 of 12 decided")
    page.keyboard.press("u")
    filled.rated("IMG_0001.jpg", None)
    expect(page.locator(".cell.selected .name")).to_have_text("IMG_0001.jpg")
    expect(page.locator("#photo-0 .mine")).to_have_text("")
