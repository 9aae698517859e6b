"""The end of a review: rejected photos are moved to a folder from the page, and brought back."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.web.conftest import NAMES
from tests.web.desk import Desk, until


def reject(desk: Desk, page: Page, *places: int) -> None:
    for place in places:
        page.locator(f"#photo-{place}").click()
        page.keyboard.press("x")
        desk.rated(NAMES[place], -1)


def agree(page: Page) -> None:
    page.get_by_role("button", name="Yes", exact=True).click()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("maclip-cull"))


def test_rejected_photos_leave_by_keyboard_and_come_back(filled: Desk) -> None:
    (filled.photos / "IMG_0002.dng").write_bytes(b"a RAW that maclip does not know yet")
    before = {path.name: path.read_bytes() for path in filled.photos.iterdir()}
    link = filled.serve()
    page, other = filled.open(link), filled.open(link)
    reject(filled, page, 0, 2)
    page.keyboard.press("5")
    page.keyboard.press("e")
    expect(page.locator("#summary dl")).to_have_text("★★★★★1✕ rejected2")
    expect(page.locator("#summary textarea")).to_have_value(
        f"{filled.photos / NAMES[0]}\n{filled.photos / NAMES[2]}"
    )
    expect(page.locator("#moving .where")).to_contain_text(
        "2 rejected photos: 4 files with sidecars and RAWs, "
    )
    field = page.get_by_label("Move them to")
    folder = filled.home / "Pictures rejected"
    expect(field).to_have_value(str(folder))
    for typed, said in [
        ("Desktop", "Type the whole path"),
        (str(filled.photos / "away"), "is inside the watched folder"),
        (str(filled.home / ".hidden"), "is hidden"),
        (str(filled.data / "x"), "belongs to maclip itself"),
        (str(filled.home / "not" / "there"), "is not there. Connect its drive"),
        ("/etc/x", "belongs to the system"),
    ]:
        field.fill(typed)
        field.press("Enter")
        expect(page.locator("#moving .problem")).to_contain_text(said)
    field.fill(str(folder))
    field.press("Enter")
    expect(page.locator("#question")).to_contain_text(f"Move 2 photos to {folder}?")
    expect(page.locator("#question")).to_contain_text("4 files with sidecars and RAWs")
    page.keyboard.press("Enter")  # No has the focus
    assert not folder.exists()
    field.press("Enter")
    agree(page)
    expect(page.locator("#moving .said")).to_have_text(f"4 files moved to {folder}.")
    assert names(folder) == sorted(f"{NAMES[place]}{end}" for place in (0, 2) for end in ("", ".xmp"))
    expect(other.locator("#photo-0.away")).to_have_count(1)
    expect(page.locator("#summary dl")).to_have_text("★★★★★1")
    page.keyboard.press("Escape")
    expect(page.locator("#progress")).to_contain_text("1 of 10 decided")
    other.keyboard.press("u")  # the star first, then the reject of a photo that is away
    until(lambda: filled.rating(NAMES[3]) is None, "the star's undo")
    other.keyboard.press("u")
    expect(other.locator("#notice")).to_contain_text("If it was moved away, bring it back first")
    page.keyboard.press("e")
    expect(page.locator("#moving .kept")).to_contain_text(f"4 files in {folder}")
    page.get_by_role("button", name="Bring back").press("Enter")
    expect(page.locator("#moving .said")).to_have_text("4 files brought back.")
    expect(page.locator("#moving .kept")).to_be_empty()
    assert names(folder) == []
    page.keyboard.press("Escape")
    expect(page.locator("#progress")).to_contain_text("2 of 12 decided")
    page.keyboard.press("u")
    filled.rated(NAMES[2], None)
    page.keyboard.press("u")
    filled.rated(NAMES[0], None)
    until(lambda: {path.name: path.read_bytes() for path in filled.photos.iterdir()} == before, "the bytes")
    states = "select distinct state from photos where file_name like '%.jpg'"
    assert filled.sql(states) == [("scored",)]
