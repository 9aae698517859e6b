"""The end of a review: rejected photos are moved to a folder from the page, and brought back."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.faults.small_disk import small_disk
from tests.web.conftest import NAMES
from tests.web.desk import TIMEOUT_S, Desk, until


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
    expect(page.locator("#progress")).to_contain_text("3 of 12 decided")
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
    expect(page.locator("#progress")).to_contain_text("0 of 12 decided")
    until(lambda: {path.name: path.read_bytes() for path in filled.photos.iterdir()} == before, "the bytes")
    states = "select distinct state from photos where file_name like '%.jpg'"
    assert filled.sql(states) == [("scored",)]


SIDECAR = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="-1"/>'
    "</rdf:RDF></x:xmpmeta>"
)


def rejected_before(desk: Desk, count: int) -> dict[str, str]:
    """Record photos that darktable rejected, each with its sidecar; return all files."""
    found = [f"IMG_{number:04}.jpg" for number in range(count)]
    desk.fill(found)
    for name in found:
        desk.sidecar(name).write_text(SIDECAR)
    with sqlite3.connect(desk.data / "library.db") as connection:
        connection.execute("update photos set rating_owner = 'person', rating_in_file = -1")
    connection.close()
    return digests(desk.photos)


def digests(folder: Path) -> dict[str, str]:
    """Return what is in the files of a folder, by name."""
    if not folder.is_dir():
        return {}
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names(folder)}


def begin(page: Page, folder: Path) -> None:
    page.get_by_label("Move them to").fill(str(folder))
    page.get_by_role("button", name="Move…").click()
    agree(page)


@contextlib.contextmanager
def killed_with_files(desk: Desk, folder: Path, count: int) -> Iterator[None]:
    """Kill the server, as kill -9 does, at once when so many more files are in a folder."""

    def found() -> int:
        return len(names(folder)) if folder.is_dir() else 0

    def kill_when() -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while found() < enough:
            assert time.monotonic() < deadline
            time.sleep(0.001)  # one that never sleeps has to wait for its turn when it matters
        desk.kill()

    enough = found() + count
    with ThreadPoolExecutor() as beside:  # a click may return when all is over
        killing = beside.submit(kill_when)
        yield
        killing.result()


def is_whole(photos: Path, folder: Path, before: dict[str, str]) -> bool:
    """Return whether every file is there once, and each photo beside its sidecar."""
    here, there = digests(photos), digests(folder)
    is_apart = any((name in here) != (f"{name}.xmp" in here) for name in before if name.endswith(".jpg"))
    return not here.keys() & there.keys() and here | there == before and not is_apart


@pytest.mark.long_form("another disk")
@pytest.mark.parametrize("is_other_disk", [False, True], ids=["the same disk", "another disk"])
def test_a_killed_process_loses_and_doubles_nothing_and_the_move_goes_on(
    desk: Desk, request: pytest.FixtureRequest, is_other_disk: bool
) -> None:
    """kill -9 after so many files, the page stays open, the next start goes on; at last all come back."""
    is_full = request.config.getoption("--full")
    count = 24
    folder = desk.home / "rejected"
    with small_disk(desk.photos, 64) if is_other_disk else contextlib.nullcontext():
        before = rejected_before(desk, count)
        link = desk.serve()
        port = link.partition("127.0.0.1:")[2].partition("/")[0]
        page = desk.open(link)
        page.keyboard.press("e")
        for files in (1, 2, 3, 4, 1, 2) if is_full else (1, 4):
            with killed_with_files(desk, folder, files):
                begin(page, folder)
            assert before.items() <= digests(desk.photos).items() | digests(folder).items()
            expect(page.locator("#moving .problem")).to_contain_text("maclip review has ended")
            desk.serve("--port", port)
            expect(page.locator("#moving .said")).to_contain_text("The move was cut off.")
            until(lambda: is_whole(desk.photos, folder, before), "whole shots")
            expect(page.locator("#moving .kept")).to_contain_text(f"files in {folder}")
            here = sum(name.endswith(".jpg") for name in names(desk.photos))
            assert 0 < here < count
            expect(page.locator("#moving .where")).to_contain_text(f"{here} rejected photo")
        begin(page, folder)
        expect(page.locator("#moving .said")).to_contain_text(f"moved to {folder}.")
        assert (digests(folder), digests(desk.photos)) == (before, {})
        back = page.get_by_role("button", name="Bring back")
        with killed_with_files(desk, desk.photos, 3):
            back.click()
        desk.serve("--port", port)
        expect(page.locator("#moving .said")).to_contain_text("The move was cut off.")
        assert before.items() <= digests(desk.photos).items() | digests(folder).items()
        back.click()
        expect(page.locator("#moving .said")).to_contain_text("brought back.")
        assert (digests(desk.photos), digests(folder)) == (before, {})
        assert [path.name for path in folder.iterdir()] == ["maclip-cull.jsonl"]
        desk.close()
    assert desk.sql("select state, count(*) from photos group by state") == [("scored", count)]
