"""The Lua plugin in a real darktable with the real program."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from maclip_daemon.metadata.metadata_writer import MetadataWriter
from tests.homes import Home, contents, make_photos
from tests.moments import take
from tests.photo_managers.applications import OLDER, Installation, Screen, until
from tests.photo_managers.conftest import sidecar_of
from tests.photo_managers.darktable_application import Darktable, quoted

HOSTILE = "it's $(touch pwned) `touch pwned` \"& ; 写真"


class Panel:
    """The plugin's panel in a running darktable."""

    def __init__(self, darktable: Darktable) -> None:
        self.darktable = darktable
        self._log = darktable.home / "darktable.log"

    @property
    def text(self) -> str:
        return str(self.darktable.lua("return require('maclip').text.label"))

    def select(self, *photos: Path) -> None:
        wanted = ",".join(f"[{quoted(photo)}]=true" for photo in photos)
        self.darktable.lua(
            f"local wanted, chosen = {{{wanted}}}, {{}}"
            " for _, image in ipairs(darktable.database) do"
            " if wanted[image.path .. '/' .. image.filename] then chosen[#chosen + 1] = image end end"
            " darktable.gui.selection(chosen)"
        )

    def selection(self) -> set[str]:
        return set(
            self.darktable.lua(
                "local names = {} for _, image in ipairs(darktable.gui.selection()) do"
                " names[#names + 1] = image.filename end return names"
            )
        )

    def press(self, button: str, answer: str) -> str:
        """Press a button and wait for its answer in the panel."""
        self.darktable.lua(
            "local maclip = require 'maclip' maclip.text.label = ''"
            f" maclip.buttons.{button}.clicked_callback(maclip.buttons.{button})"
        )
        return self.wait_for(answer)

    def wait_for(self, answer: str) -> str:
        return str(until(lambda: (text := self.text) and answer in text and text, answer, self._log))


@pytest.fixture(scope="module", params=["installed", "today"])
def installation(request: pytest.FixtureRequest) -> Installation:
    """Return both darktables: their interfaces for scripts differ."""
    return Installation(is_today=request.param == "today")


@pytest.fixture
def folder(home: Home) -> Path:
    return home.photos / HOSTILE


@pytest.fixture
def panel(home: Home, screen: Screen, installation: Installation) -> Iterator[Panel]:
    installation.require("darktable")
    output = home.maclip("service", "install", "--darktable").stdout
    assert 'require "maclip"' in output
    assert not (home.folder / ".config/darktable/luarc").exists()
    variables = {key: value for key, value in home.environment.items() if key.startswith("MACLIP_")}
    # Today's darktable keeps a star in a sidecar only with this option, and 1★ of its own with it.
    options = ("write_sidecar_files=on import", "ui_last/import_initial_rating=0")
    darktable = Darktable(
        home.folder,
        screen,
        *(options if installation.is_today else ()),
        installation=installation,
        luarc='require "maclip"\n',
        **variables,
    )
    yield Panel(darktable)
    darktable.close()


def test_the_panel_explains_scores_imports_stars_and_finds_the_worst(
    home: Home, folder: Path, panel: Panel
) -> None:
    photos = make_photos(folder, 6)
    darktable = panel.darktable
    first = 0 if darktable.installation.is_today else 1
    assert {seen.rating for seen in darktable.add(folder, 6).values()} == {first}, "its own first rating"
    panel.select(photos[1])
    panel.wait_for("There is no library")
    darktable.press_stars(photos[0], 2)
    starred = sidecar_of(photos[0])
    until(
        lambda: starred.exists() and 'xmp:Rating="2"' in starred.read_text("utf-8"),
        "the star in the sidecar",
        home.folder / "darktable.log",
    )
    theirs = darktable.written(starred)
    assert "1 left alone with your own rating" in home.maclip("run", "--once", home.photos).stdout
    rows = {
        name: (score, stars)
        for name, score, stars in home.sql("select file_name, score, stars from photo_quality")
    }
    originals = {path: data for path, data in contents(folder).items() if path.suffix == ".jpg"}

    panel.select()
    panel.select(photos[1])
    score, stars = rows[photos[1].name]
    output = panel.wait_for(f"{score:.4f}")
    assert "better than" in output
    assert "★" * stars in output
    assert "noisy" in output or "clean" in output
    assert "maclip · spaq448" in output

    # darktable was running and has not read our sidecars: one click imports the stars.
    panel.select(*photos)
    output = panel.press("take_over", "taken over")
    assert "1 rated by you and left alone" in output
    expected = {name: stars for name, (_, stars) in rows.items()} | {photos[0].name: 2}
    assert {name: seen.rating for name, seen in darktable.seen(folder).items()} == expected
    assert sidecar_of(photos[0]).read_bytes() == theirs
    with MetadataWriter() as writer:
        for photo in photos[1:]:
            until(lambda: sidecar_of(photo).exists(), "a sidecar", home.folder / "darktable.log")  # noqa: B023
            assert writer.inspect(photo, expected[photo.name]).owner == "maclip"

    # A rating given in darktable later is a person's for the plugin too.
    pressed = expected[photos[2].name] % 5 + 1
    darktable.press_stars(photos[2], pressed)
    until(
        lambda: f'xmp:Rating="{pressed}"' in sidecar_of(photos[2]).read_text("utf-8"),
        "the second star",
        home.folder / "darktable.log",
    )
    panel.select(*photos)
    assert "2 rated by you and left alone" in panel.press("take_over", "taken over")
    assert darktable.seen(folder)[photos[2].name].rating == pressed

    assert darktable.lua("return require('maclip').count.value") == 50
    darktable.lua("require('maclip').count.value = 2")
    panel.press("select_worst", "The worst 2")
    panel.darktable.lua("darktable.control.sleep(500)")
    assert "The worst 2" in panel.text, "the selection that the panel made takes nothing from its words"
    assert panel.selection() == set(sorted(rows, key=lambda name: rows[name][0])[:2])

    panel.select(photos[3])
    assert f"{rows[photos[3].name][0]:.4f}" in panel.press("score", f"{photos[3].name}: ")

    assert {path: data for path, data in contents(folder).items() if path.suffix == ".jpg"} == originals
    assert not list(home.folder.rglob("pwned"))


@pytest.mark.long_form(OLDER, "True")
@pytest.mark.parametrize("maclip_sees_the_library", [True, False])
def test_stars_that_no_sidecar_holds_are_never_taken_over(
    home: Home, folder: Path, panel: Panel, maclip_sees_the_library: bool
) -> None:
    """darktable 5 writes no sidecar for stars on photos without edits; the library may be anywhere."""
    photos = make_photos(folder, 6)
    darktable = panel.darktable
    home.maclip("run", "--once", home.photos)
    stars = dict(home.sql("select file_name, stars from photo_quality"))
    assert {name: seen.rating for name, seen in darktable.add(folder, 6).items()} == stars
    if maclip_sees_the_library:
        os.link(darktable.library, darktable.configuration / "library.db")
    # Neither darktable's first star, nor what maclip writes before or after.
    pressed = {photo.name: 5 if stars[photo.name] != 5 else 4 for photo in photos[:2]}
    for photo in photos[:2]:
        darktable.press_stars(photo, pressed[photo.name])
    darktable.lua("darktable.control.sleep(2000)")
    home.maclip("rate", MACLIP_RATING__SHARES="[0, 0, 100, 0, 0]")
    panel.select(*photos)
    output = panel.press("take_over", "taken over")
    assert "2 rated by you and left alone" in output
    expected = {photo.name: 3 for photo in photos} | pressed
    assert {name: seen.rating for name, seen in darktable.seen(folder).items()} == expected


@pytest.mark.long_form(OLDER)
def test_a_missing_program_is_explained_and_uninstall_removes_only_the_plugin(
    home: Home, folder: Path, panel: Panel
) -> None:
    photos = make_photos(folder, 1)
    plugin = home.folder / ".config/darktable/lua/maclip.lua"
    others = plugin.with_name("other.lua")
    others.write_text("-- somebody else's\n")
    luarc = home.folder / ".config/darktable/luarc"
    panel.darktable.close()
    written = plugin.read_text()
    plugin.write_text(written.replace("local COMMAND = {", 'local COMMAND = { "/gone/maclip",', 1))
    left = home.maclip("service", "uninstall", "--darktable", expect=3)
    assert "changed by hand" in left.stderr
    assert "changed by hand" in home.maclip("service", "install", "--darktable", expect=3).stderr
    panel.darktable.restart()
    panel.darktable.add(folder, 1)
    panel.select(photos[0])
    assert "maclip service install --darktable" in panel.wait_for("maclip was not found (/gone/maclip)")
    plugin.write_text(written)
    assert str(luarc) in home.maclip("service", "uninstall", "--darktable").stdout
    assert not plugin.exists()
    assert others.exists()
    assert luarc.read_text() == 'require "maclip"\n'
    assert "not installed" in home.maclip("service", "uninstall", "--darktable").stdout


def groups_in(darktable: Darktable, folder: Path) -> dict[str, list[str]]:
    """Return the groups of more than one image of a folder, by their leaders' names."""
    rows = darktable.lua(
        f"""
        local rows = {{}}
        for _, image in ipairs(darktable.database) do
          if image.path == {quoted(folder)} then
            rows[#rows + 1] = {{ name = image.filename, leader = image.group_leader.filename }}
          end
        end
        return rows
        """
    )
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(row["leader"], []).append(row["name"])
    return {leader: sorted(names) for leader, names in groups.items() if len(names) > 1}


@pytest.mark.long_form(OLDER)
def test_bursts_are_grouped_with_the_best_in_front_and_a_persons_groups_stay(
    home: Home, folder: Path, panel: Panel
) -> None:
    first, second, third = (
        [take(folder / f"IMG_{scene}{n}.jpg", scene, 60 * scene + n * 0.3, shift=3 * n) for n in range(3)]
        for scene in (1, 2, 3)
    )
    home.maclip("run", "--once", home.photos)
    best = {Path(path).name for path in home.maclip("bursts", "--best").stdout.splitlines()}
    assert len(best) == 3
    darktable = panel.darktable
    darktable.lua("darktable.preferences.write('maclip', 'group_at_import', 'bool', false)")
    darktable.add(folder, 9)
    assert groups_in(darktable, folder) == {}
    find = (
        "local function find(name) for _, image in ipairs(darktable.database) do"
        " if image.filename == name then return image end end end "
    )
    darktable.lua(f"{find} find('{second[0].name}'):group_with(find('{third[0].name}'))")
    theirs = groups_in(darktable, folder)
    panel.press("group_bursts", "1 burst grouped")
    assert "2 left alone" in panel.text
    groups = groups_in(darktable, folder)
    (leader,) = best & {path.name for path in first}
    assert groups.pop(leader) == sorted(path.name for path in first)
    assert groups == theirs

    # Later frames join a group that the panel made; one that a person changed stays as it is.
    late = take(folder / "IMG_19.jpg", 1, 61.1, shift=10)
    home.maclip("run", "--once", home.photos)
    darktable.lua("darktable.preferences.write('maclip', 'group_at_import', 'bool', true)")
    darktable.add(folder, 10)
    (leader,) = {Path(row).name for row in home.maclip("bursts", "--best").stdout.splitlines()} & {
        path.name for path in [*first, late]
    }
    expected = sorted(path.name for path in [*first, late])
    until(
        lambda: groups_in(darktable, folder).get(leader) == expected,
        "the group with its late frame",
        home.folder / "darktable.log",
    )
    darktable.lua(f"{find} find('{first[1].name}'):group_with()")
    changed = groups_in(darktable, folder)
    panel.press("group_bursts", "bursts grouped")
    assert "3 left alone" in panel.text
    assert groups_in(darktable, folder) == changed
