"""The review page as a person meets it: every key, undo, two windows, bad days."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.faults.small_disk import small_disk
from tests.web.conftest import NAMES
from tests.web.desk import Desk, until

SELECTED = ".cell.selected .name"


def decided(page: Page, count: int, total: int = 12) -> None:
    expect(page.locator("#progress")).to_contain_text(f"{count} of {total} decided")


def test_every_key_of_a_decision_is_written_and_undone(filled: Desk) -> None:
    page = filled.open(filled.serve())
    for key, rating, signs in [
        ("1", 1, "★"),
        ("2", 2, "★★"),
        ("3", 3, "★★★"),
        ("4", 4, "★★★★"),
        ("5", 5, "★★★★★"),
        ("0", 0, "–"),
        ("x", -1, "✕"),
    ]:
        place = int(page.locator(".cell.selected").get_attribute("data-index") or 0)
        page.keyboard.press(key)
        filled.rated(NAMES[place], rating)
        expect(page.locator(f"#photo-{place} .mine")).to_have_text(signs)
    expect(page.locator(SELECTED)).to_have_text(NAMES[7])
    page.keyboard.press("p")  # a pick stays
    expect(page.locator("#photo-7 .mine")).to_have_text("⚑")
    until(lambda: filled.sql("select file_name from photos where is_picked") == [(NAMES[7],)], "a pick")
    decided(page, 7)
    for left in range(7, 0, -1):
        page.keyboard.press("u")
        expect(page.locator(SELECTED)).to_have_text(NAMES[left])
    page.keyboard.press("u")
    filled.rated(NAMES[0], None)
    decided(page, 0)
    page.keyboard.press("u")
    expect(page.locator("#notice")).to_contain_text("Nothing is left to undo")
    assert [path.name for path in filled.photos.glob("*.xmp")] == []
    assert filled.sql("select distinct state from decisions") == [("undone",)]


def test_keys_lead_through_grid_loupe_and_comparison(filled: Desk) -> None:
    page = filled.open(filled.serve())
    for key, name in [("ArrowRight", NAMES[1]), ("End", NAMES[11]), ("ArrowLeft", NAMES[10])]:
        page.keyboard.press(key)
        expect(page.locator(SELECTED)).to_have_text(name)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    columns = page.evaluate_handle("1").evaluate(
        "() => document.querySelectorAll('.cell[style*=\", 0px)\"]').length"
    )
    expect(page.locator(SELECTED)).to_have_text(NAMES[columns])
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    image = page.locator("#loupe img")
    expect(image).to_have_attribute("alt", NAMES[0])
    page.keyboard.press("z")
    expect(page.locator("#loupe .frame")).to_have_class("frame enlarged")
    until(lambda: "/full" in (image.get_attribute("src") or ""), "all pixels")
    wide = image.bounding_box()
    assert wide is not None
    assert round(wide["width"]) == 512  # the photo's own pixels
    page.keyboard.press("+")
    until(lambda: round((image.bounding_box() or {"width": 0})["width"]) == 640, "an enlarged photo")
    page.keyboard.press("z")
    page.keyboard.press("h")
    expect(page.locator("#loupe .histogram")).to_contain_text(re.compile(r"clipped: [\d.]+ % highlights"))
    page.keyboard.press("s")
    expect(page.locator("#loupe .histogram")).to_contain_text("finest detail")
    page.keyboard.press("s")
    expect(page.locator("#loupe .histogram")).to_be_hidden()
    page.keyboard.press("c")
    expect(page.locator("#compare .pane")).to_have_count(2)
    page.keyboard.press("c")
    page.keyboard.press("c")
    expect(page.locator("#compare .pane")).to_have_count(4)
    page.keyboard.press("Shift+C")
    expect(page.locator("#compare .pane")).to_have_count(3)
    page.keyboard.press("x")
    filled.rated(NAMES[0], -1)
    expect(page.locator("#compare .pane.active .caption")).to_contain_text(NAMES[1])
    page.keyboard.press("z")
    expect(page.locator("#compare .frame.enlarged")).to_have_count(3)
    page.keyboard.press("Shift+ArrowRight")
    places = page.locator("#compare img").evaluate_all("all => all.map(each => each.style.transform)")
    assert len(places) == 3
    page.keyboard.press("g")
    expect(page.locator("#grid")).to_be_visible()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_contain_text("undo the last decision")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("0012")
    expect(page.locator(SELECTED)).to_have_text(NAMES[11])
    decided(page, 0, 1)


def boxes(page: Page, selector: str) -> list[list[int]]:
    found = [each.bounding_box() for each in page.locator(selector).all()]
    return [[round(box[side]) for side in ("x", "y", "width", "height")] for box in found if box]


def test_the_first_photos_come_with_the_page_and_the_place_with_the_link(desk: Desk) -> None:
    """Drawn by the server where the scripts then have them; End and a reload lead beyond them."""
    names = [f"IMG_{number:04}.jpg" for number in range(1, 131)]
    desk.fill(names)
    link = desk.serve()
    for size in ((1280, 800), (390, 800)):
        context = desk.browser.new_context(
            viewport={"width": size[0], "height": size[1]}, java_script_enabled=False
        )
        desk.contexts.append(context)
        bare = context.new_page()
        bare.goto(link)
        expect(bare.locator("#photo-0 .name")).to_have_text(names[0])
        expect(bare.locator("noscript")).to_be_visible()
        page = desk.open(link, *size)
        for drawn, placed in zip(boxes(bare, ".cell")[:10], boxes(page, ".cell")[:10], strict=True):
            assert all(abs(one - other) <= 6 for one, other in zip(drawn[::2], placed[::2], strict=True))
            assert abs(drawn[3] - placed[3]) <= 8
    assert "token" not in page.url
    until(lambda: page.locator("#photo-0 img").evaluate("each => each.naturalWidth"), "a picture")
    again = desk.open(link, 1280, 800)
    in_page = again.locator("#photo-0 img")
    assert str(in_page.get_attribute("src")).startswith("data:image/jpeg;base64,"), "made already: no request"
    assert in_page.evaluate("each => each.naturalWidth") > 0
    asked = again.evaluate("performance.getEntriesByType('resource').map(each => each.name).join()")
    assert str(in_page.get_attribute("data-address")) not in asked
    again.close()  # it would tell its own place
    page.keyboard.press("End")
    expect(page.locator(SELECTED)).to_have_text(names[-1])
    page.reload()
    expect(page.locator(SELECTED)).to_have_text(names[-1])
    decided(page, 0, 130)
    until(
        lambda: "at=129" in str(desk.sql("select value from notes where key = 'review place'")), "the place"
    )
    again = desk.open(link)
    expect(again.locator(SELECTED)).to_have_text(names[-1])
    again.keyboard.press("ArrowLeft")
    again.keyboard.press("Home")
    expect(again.locator(SELECTED)).to_have_text(names[0])


def test_the_loupe_goes_on_after_a_decision_and_stays_when_it_is_told_to(filled: Desk) -> None:
    page = filled.open(filled.serve())
    page.keyboard.press("Space")
    image = page.locator("#loupe img")
    expect(image).to_have_attribute("alt", NAMES[0])
    page.keyboard.press("3")
    expect(image).to_have_attribute("alt", NAMES[1])
    page.get_by_role("button", name="none", exact=True).click()
    filled.rated(NAMES[1], 0)
    page.keyboard.press("Space")  # not the button once more
    expect(page.locator("#grid")).to_be_visible()
    expect(page.locator(SELECTED)).to_have_text(NAMES[2])
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    page.keyboard.press("a")
    page.keyboard.press("4")
    filled.rated(NAMES[1], 4)
    expect(image).to_have_attribute("alt", NAMES[1])
    assert filled.rating(NAMES[2]) is None
    page.reload()  # and back to the same place
    expect(page.locator(SELECTED)).to_have_text(NAMES[1])


def test_two_windows_see_each_others_decisions(filled: Desk) -> None:
    link = filled.serve()
    first, second = filled.open(link), filled.open(link)
    first.keyboard.press("5")
    expect(second.locator("#photo-0 .mine")).to_have_text("★★★★★")
    decided(second, 1)
    second.keyboard.press("1")  # it was seen: it counts
    filled.rated(NAMES[0], 1)
    expect(first.locator("#photo-0 .mine")).to_have_text("★")


def test_a_rating_that_another_program_gave_meanwhile_is_shown_and_kept(filled: Desk) -> None:
    page = filled.open(filled.serve())
    page.keyboard.press("4")
    filled.rated(NAMES[0], 4)
    content = filled.sidecar(NAMES[0]).read_text("utf-8")
    filled.sidecar(NAMES[0]).write_text(content.replace('xmp:Rating="4"', 'xmp:Rating="2"'), "utf-8")
    assert filled.rating(NAMES[0]) == 2
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("5")
    expect(page.locator("#notice")).to_contain_text("Another program gave this photo ★★ meanwhile")
    expect(page.locator("#photo-0 .mine")).to_have_text("★★")
    expect(page.locator(SELECTED)).to_have_text(NAMES[0])
    assert filled.rating(NAMES[0]) == 2
    page.keyboard.press("5")
    filled.rated(NAMES[0], 5)


def test_an_absent_drive_is_said_and_the_decision_written_when_it_is_back(filled: Desk) -> None:
    page = filled.open(filled.serve())
    away = filled.photos.with_name("away")
    filled.photos.rename(away)
    page.keyboard.press("4")
    expect(page.locator("#notice")).to_contain_text("kept and tried again")
    expect(page.locator("#photo-0 .mine")).to_have_text("★★★★")
    away.rename(filled.photos)
    filled.rated(NAMES[0], 4)
    expect(page.locator("#notice")).to_contain_text("All decisions are written")


def test_a_full_disk_is_said_and_the_decision_written_when_there_is_space(desk: Desk) -> None:
    with small_disk(desk.photos, 16) as disk:
        desk.fill(NAMES[:3])
        page = desk.open(desk.serve())
        page.keyboard.press("2")
        desk.rated(NAMES[0], 2)
        disk.fill()
        page.keyboard.press("4")
        expect(page.locator("#notice")).to_contain_text("kept and tried again")
        expect(page.locator("#photo-1 .mine")).to_have_text("★★★★")
        assert desk.rating(NAMES[1]) is None
        assert desk.rating(NAMES[0]) == 2
        disk.empty()
        desk.rated(NAMES[1], 4)
        expect(page.locator("#notice")).to_contain_text("All decisions are written")
        assert not list(desk.photos.glob(".maclip-*"))
        desk.close()


def test_many_decisions_and_the_undo_of_all_leave_memory_flat(
    desk: Desk, request: pytest.FixtureRequest
) -> None:
    count = 1000 if request.config.getoption("--full") else 24
    desk.fill([f"IMG_{number:04}.jpg" for number in range(count + 1)])
    page = desk.open(desk.serve())
    before = psutil.Process(desk.servers[-1].pid).memory_info().rss
    for place in range(count):
        if place % 100 == 0:  # a photo that is not read yet cannot be decided
            expect(page.locator(f"#photo-{place} .name")).to_have_text(f"IMG_{place:04}.jpg")
        page.keyboard.press("12345x"[place % 6])
    expect(page.locator("#progress")).to_contain_text(f"{count:,} of {count + 1:,}", timeout=900_000)
    until(lambda: len(list(desk.photos.glob("*.xmp"))) == count, "all sidecars")
    assert desk.sql("select count(*) from decisions where state <> 'written'") == [(0,)]
    status, answer = page.evaluate_handle("document").evaluate(
        """() => fetch('/api/undo/all', {method: 'POST', body: '{}'}).then(
          async answer => [answer.status, (await answer.json()).results.filter(each => each.done).length])"""
    )
    assert (status, answer) == (200, count)
    assert list(desk.photos.glob("*.xmp")) == []
    expect(page.locator("#progress")).to_contain_text(f"0 of {count + 1:,}", timeout=60_000)
    grown = psutil.Process(desk.servers[-1].pid).memory_info().rss - before
    print(f"{count} decisions and their undo: server {before >> 20} MB, grown by {grown >> 20} MB")
    assert grown < 64 << 20


def test_a_killed_server_loses_no_decision(filled: Desk) -> None:
    link = filled.serve()
    port = link.partition("127.0.0.1:")[2].partition("/")[0]
    page = filled.open(link)
    page.keyboard.press("2")
    filled.rated(NAMES[0], 2)
    filled.kill()
    page.keyboard.press("5")
    page.keyboard.press("x")
    expect(page.locator("#notice")).to_contain_text("maclip review has ended")
    expect(page.locator("#notice")).to_contain_text("kept in this window")
    filled.serve("--port", port)
    filled.rated(NAMES[1], 5)
    filled.rated(NAMES[2], -1)
    page.reload()
    expect(page.locator("#photo-2 .mine")).to_have_text("✕")
    assert filled.rating(NAMES[0]) == 2


def test_a_hostile_file_name_is_text(desk: Desk) -> None:
    names = ["<img src=x onerror=alert(1)>.jpg", "\"'><script>alert(2)<!--.jpg", "a\nb\u202e.jpg"]
    raw = os.fsdecode(b"not-utf8-\xff.jpg")
    desk.fill([*names, raw])
    page = desk.open(desk.serve())
    alarms: list[str] = []
    page.on("dialog", lambda dialog: alarms.append(dialog.message))
    page.on("pageerror", lambda error: alarms.append(str(error)))
    expect(page.locator("#photo-0 .name")).to_have_text(names[0])
    expect(page.locator("#photo-1 .name")).to_have_text(names[1])
    expect(page.locator("#photo-2 .name")).to_have_text("a\\nb\\u202e.jpg")
    expect(page.locator("#photo-3 .name")).to_have_text("not-utf8-\\udcff.jpg")
    assert page.locator("script").count() == 1
    for key in ("1", "2", "3", "4"):
        page.keyboard.press(key)
    for name, rating in zip([*names, raw], (1, 2, 3, 4), strict=True):
        desk.rated(name, rating)
    page.keyboard.press("Space")
    expect(page.locator("#about strong")).to_have_text("not-utf8-\\udcff.jpg")
    assert alarms == []


def test_a_damaged_photo_is_named_and_can_be_decided(filled: Desk) -> None:
    (filled.photos / NAMES[0]).write_bytes(b"no photo at all")
    found = (filled.photos / NAMES[0]).stat()  # as discovery would record it
    with sqlite3.connect(filled.data / "library.db") as connection:
        connection.execute(
            "update photos set size = ?, mtime_ns = ? where file_name = ?",
            (found.st_size, found.st_mtime_ns, NAMES[0]),
        )
    connection.close()
    page = filled.open(filled.serve())
    page.keyboard.press("Space")
    expect(page.locator("#loupe .note")).to_contain_text("cannot be shown")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#loupe img")).to_have_attribute("alt", NAMES[1])


def test_filters_show_what_they_say(filled: Desk) -> None:
    page = filled.open(filled.serve())
    page.keyboard.press("x")
    filled.rated(NAMES[0], -1)
    decided(page, 1)
    page.select_option("[name=mine]", "rejected")
    decided(page, 1, 1)
    expect(page.locator("#photo-0 .name")).to_have_text(NAMES[0])
    page.select_option("[name=mine]", "unrated")
    decided(page, 0, 11)
    page.select_option("[name=stars]", "5")
    expect(page.locator("#progress")).to_contain_text("0 of 2 decided")
    page.select_option("[name=order]", "best")
    expect(page.locator("#photo-0 .name")).to_have_text(NAMES[11])
    page.fill("[name=name]", "no such photo")
    expect(page.locator("#nothing")).to_be_visible()
    page.fill("[name=name]", "")
    expect(page.locator("#photo-0 .name")).to_have_text(NAMES[11])
    names = page.locator("[id]").evaluate_all("all => all.map(each => each.id)")
    assert len(names) == len(set(names)), "each element that a screen reader may be told of has its own name"


def test_folder_and_reason_are_chosen_by_keyboard_and_come_back(desk: Desk) -> None:
    desk.fill(["2025/a.jpg", "2026/rain/b.jpg", "2026/rain/c.jpg", "2026/sun/d.jpg"])
    with sqlite3.connect(desk.data / "library.db") as connection:
        connection.executemany(
            "insert into measures (photo_id, reasons) values (?, ?)",
            [(2, "highlights clipped: 12 %"), (3, "noise: 14 of 255 grey levels at 100 %")],
        )
    connection.close()
    page = desk.open(desk.serve())
    folder = page.locator("[name=folder]")
    expect(folder).to_be_visible()
    names = ["all", "Pictures", *(f"Pictures/{name}" for name in ("2025", "2026", "2026/rain", "2026/sun"))]
    assert folder.locator("option").all_inner_texts() == names
    page.keyboard.press("f")
    for _ in range(20):
        if page.evaluate("document.activeElement.name") == "reason":
            break
        page.keyboard.press("Tab")
    page.keyboard.type("clipped")
    decided(page, 0, 1)
    expect(page.locator("#photo-0 .name")).to_have_text("b.jpg")
    page.locator("[name=reason]").select_option("any reason")
    decided(page, 0, 2)
    folder.select_option("Pictures/2026/rain")
    page.locator("[name=reason]").select_option("all")
    expect(page).to_have_url(re.compile(r"#(?!.*reason=).*folder=.*at=0$"))
    decided(page, 0, 2)
    page.keyboard.press("Escape")
    page.keyboard.press("End")
    expect(page).to_have_url(re.compile("at=1$"))
    page.reload()
    expect(page.locator(SELECTED)).to_have_text("c.jpg")
    expect(folder).to_have_value(str(desk.photos / "2026" / "rain"))
    decided(page, 0, 2)


def test_the_page_begins_with_what_no_choice_names(desk: Desk) -> None:
    desk.fill(["a.jpg", "b.jpg", "c.jpg"])
    with sqlite3.connect(desk.data / "library.db") as connection:
        connection.execute(
            "update photos set camera = 'NIKON Z 6', taken_at = '2025-08-09T10:00:00' where id = 2"
        )
    connection.close()
    typed = ("--camera", "nikon", "--since", "2025", "--stars", "2,3", "--rated-by", "nobody")
    page = desk.open(desk.serve(*typed))
    decided(page, 0, 1)
    expect(page.locator("#photo-0 .name")).to_have_text("b.jpg")
    expect(page.locator("[name=since]")).to_have_value("2025-01-01")


def test_a_raw_and_its_jpeg_are_one_photo_and_get_one_decision(desk: Desk) -> None:
    desk.fill(["IMG_1.jpg", "IMG_1.dng", "IMG_2.jpg"])
    page = desk.open(desk.serve())
    decided(page, 0, 2)
    page.keyboard.press("5")
    desk.rated("IMG_1.dng", 5)
    desk.rated("IMG_1.jpg", 5)
    page.keyboard.press("u")
    desk.rated("IMG_1.jpg", None)
    desk.rated("IMG_1.dng", None)


def test_a_burst_is_decided_with_one_key_and_undone_with_one(filled: Desk) -> None:
    filled.group([NAMES[4], NAMES[3], NAMES[5]], is_close=True)
    filled.group([NAMES[7], NAMES[8]], "bracket")
    page = filled.open(filled.serve("--bursts"))
    decided(page, 0, 5)
    expect(page.locator(SELECTED)).to_have_text(NAMES[4])
    expect(page.locator("#about .burst")).to_have_text("suggested of its burst, but too close to call")
    page.keyboard.press("Enter")
    expect(page.locator("#question")).to_contain_text("reject the other 2?")
    page.get_by_role("button", name="No", exact=True).click()
    assert filled.sql("select * from decisions") == []
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Yes", exact=True).click()
    filled.rated(NAMES[3], -1)
    filled.rated(NAMES[5], -1)
    picked = "select file_name from photos where is_picked"
    until(lambda: filled.sql(picked) == [(NAMES[4],)], "a pick")
    expect(page.locator(SELECTED)).to_have_text(NAMES[7])
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("part of a bracket: its frames belong together")
    page.keyboard.press("u")
    filled.rated(NAMES[3], None)
    filled.rated(NAMES[5], None)
    until(lambda: filled.sql("select file_name from photos where is_picked") == [], "no pick")
    page.keyboard.press("Home")
    page.keyboard.press("c")
    expect(page.locator("#compare .pane")).to_have_count(3)
    page.keyboard.press("b")
    page.keyboard.press("g")
    expect(page.locator(SELECTED)).to_have_text(NAMES[7])


def test_only_the_folders_that_were_named_are_shown(desk: Desk, tmp_path: Path) -> None:
    desk.fill(["one/a.jpg", "two/b.jpg", "two/c.jpg"])
    page = desk.open(desk.serve(str(desk.photos / "two")))
    decided(page, 0, 2)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing_serious_in_any_view(filled: Desk, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    filled.group([NAMES[2], NAMES[3]])
    size = (1280, 800) if scheme == "dark" else (640, 400)  # the same window at 200 %
    page = filled.open(filled.serve(), *size, color_scheme=scheme, bypass_csp=True)
    page.keyboard.press("4")
    page.keyboard.press("x")
    filled.rated(NAMES[1], -1)
    views: dict[str, str] = {
        "": "#grid",
        "Space": "#loupe img",
        "h": "#loupe .histogram",
        "s": "#loupe .histogram",
        "z": "#loupe .enlarged",
        "c": "#compare .pane",
        "g": "#grid",
        "?": "#help[open]",
        "e": "#summary[open]",
        "Enter": "#question[open]",
    }
    for key, shown in views.items():
        if key:
            page.keyboard.press("Escape")  # out of a dialog; out of the loupe it leads to the grid
            if key in ("h", "s", "z", "c"):
                page.keyboard.press("Space")
            page.keyboard.press(key)
        expect(page.locator(shown).first).to_be_visible()
        page.wait_for_load_state("networkidle")
        found = Axe().run(page)
        serious = [
            (each["id"], each["nodes"][0]["html"][:200])
            for each in found.response["violations"]
            if each["impact"] in ("serious", "critical")
        ]
        assert serious == [], key


def test_the_page_is_usable_by_keyboard_alone_and_at_twice_its_size(filled: Desk) -> None:
    page = filled.open(filled.serve(), 640, 400)  # 1280 × 800 at 200 %
    assert page.evaluate_handle("document.activeElement").evaluate("each => each.id") == "grid"
    grid = page.locator("#grid")
    box = grid.bounding_box()
    assert box is not None
    assert box["height"] > 100
    assert grid.get_attribute("aria-activedescendant") == "photo-0"
    expect(page.locator("#photo-0")).to_have_attribute("aria-selected", "true")
    label = page.locator("#photo-0").get_attribute("aria-label")
    assert label is not None
    assert label.startswith(f"{NAMES[0]}, not decided, maclip: 1 star")
    page.keyboard.press("4")
    after = label.replace("not decided", "4 stars from you")
    expect(page.locator("#photo-0")).to_have_attribute("aria-label", after)
