"""What happens to eight photos between maclip and a real darktable, with one of its settings."""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.program_writes import Packet
from tests.homes import Home
from tests.photo_managers.applications import Installation, Screen
from tests.photo_managers.conftest import DESCRIBED, TAGS, TITLE, make_photo, sidecar_of
from tests.photo_managers.darktable_application import Darktable, find, quoted
from tests.photo_managers.test_darktable import TWO_STOPS

FIRST, SECOND = 3, 4
"""The stars of all photos, before and after darktable was at work."""
EDGES = {FIRST: "[-2, -1, 10, 11]", SECOND: "[-3, -2, -1, 10]"}
BARE = ("pressed", "cleared", "deleted")
"""No title, no tags: darktable 5 with *after edit* writes no sidecar for their stars, and deletes one."""
STYLE = f"""<?xml version="1.0" encoding="UTF-8"?>
<darktable_style version="1.0"><info><name>brighter</name><description></description></info><style><plugin>
<num>0</num><module>6</module><operation>exposure</operation><op_params>{TWO_STOPS}</op_params>
<enabled>1</enabled><blendop_params>gz11eJxjYGBgkGAAgRNODGiAEV0AJ2iwh+CRyscOAAdeGQQ=</blendop_params>
<blendop_version>11</blendop_version><multi_priority>0</multi_priority><multi_name></multi_name>
</plugin></style></darktable_style>
"""


class DarktableStory:
    """The story, told once; each method of a situation returns in words what became of it."""

    def __init__(self, home: Home, screen: Screen, installation: Installation, setting: str) -> None:
        self.home = home
        # darktable 5.4 with *never* shows no title of some imports, of photos without a sidecar either.
        self.titles = {TITLE, ""} if installation.is_today and setting == "never" else {TITLE}
        names = ("fresh", "pressed", "cleared", "edited", "titled", "deleted", "moved")
        self.photos = {
            name: make_photo(home.photos / f"{name}.jpg", 300 + seed, None if name in BARE else DESCRIBED)
            for seed, name in enumerate(names)
        }
        home.maclip("run", "--once", home.photos, MACLIP_RATING__EDGES=EDGES[FIRST])
        configuration = home.folder / ".config" / "darktable"
        configuration.mkdir(parents=True)
        (configuration / "darktablerc").write_text(f"write_sidecar_files={setting}\n")
        option = f"write_sidecar_files={setting}"
        darktable = Darktable(home.folder, screen, option, installation=installation)
        try:
            self.imported = darktable.add(home.photos, len(names))
            os.link(darktable.library, configuration / "library.db")  # its usual place
            darktable.lua("darktable.control.sleep(1000)")
            self.has_deleted = not sidecar_of(self.photos["deleted"]).exists()
            self._work(darktable)
            self._rate()
            self.seen = darktable.seen(home.photos) | darktable.seen(self.photos["moved"].parent)
            self.is_altered = bool(
                darktable.lua(f"local image = {find(self.photos['edited'])} return image.is_altered")
            )
            self.rated = self._sidecars()
            self.owners = dict(home.sql("select file_name, rating_owner from photo_quality"))
            home.maclip("undo")
            self.undone = self._sidecars()
        finally:
            darktable.close()

    def _work(self, darktable: Darktable) -> None:
        """Press, clear, edit, title and move in darktable; delete a sidecar beside it."""
        darktable.press_stars(self.photos["pressed"], 5)
        darktable.press_stars(self.photos["cleared"], 0)
        style = self.home.folder / "brighter.dtstyle"
        style.write_text(STYLE)
        darktable.lua(
            f"darktable.styles.import({quoted(style)})"
            " for _, style in ipairs(darktable.styles) do if style.name == 'brighter' then"
            f" darktable.styles.apply(style, {find(self.photos['edited'])}) end end"
        )
        darktable.lua(f"local image = {find(self.photos['titled'])} image.title = 'New'")
        place = self.home.photos / "elsewhere"
        place.mkdir()
        film = f"darktable.films.new({quoted(place)})"
        darktable.lua(f"darktable.database.move_image({find(self.photos['moved'])}, {film})")
        self.photos["moved"] = place / "moved.jpg"
        darktable.lua("darktable.control.sleep(2500)")
        sidecar_of(self.photos["deleted"]).unlink(missing_ok=True)

    def _rate(self) -> None:
        edges = EDGES[SECOND]
        self.home.maclip("run", "--once", self.home.photos, MACLIP_RATING__EDGES=edges)
        self.home.maclip("rate", MACLIP_RATING__EDGES=edges)

    def _sidecars(self) -> dict[str, Packet | None]:
        found = {name: sidecar_of(photo) for name, photo in self.photos.items()}
        return {name: Packet.of(path) if path.exists() else None for name, path in found.items()}

    def _is_maclips(self, name: str) -> bool:
        packet = self.rated[name]
        owner = self.owners[Path(self.photos[name]).name]
        return packet is not None and (packet.rating, packet.stars, owner) == (SECOND, SECOND, "maclip")

    def fresh_import(self) -> str:
        seen = self.imported["fresh.jpg"]
        assert (seen.rating, seen.tags) == (FIRST, TAGS)
        assert seen.title in self.titles
        assert self._is_maclips("fresh")
        return "maclip's stars, title, tags" if self.titles == {TITLE} else "maclip's stars, tags"

    def star_pressed(self) -> str:
        assert self.seen["pressed.jpg"].rating == 5
        assert self.owners["pressed.jpg"] == "person"
        packet = self.rated["pressed"]
        if packet is not None and packet.rating == 5:
            return "yours, in the sidecar"
        assert packet is None or packet.rating == FIRST, "maclip wrote over it"
        return "yours, in darktable's library"

    def star_cleared(self) -> str:
        assert self.seen["cleared.jpg"].rating == 0
        packet = self.rated["cleared"]
        if packet is not None and not packet.rating:
            assert self.owners["cleared.jpg"] == "person"
            return "none, in the sidecar"
        return "none, in darktable's library" + ("" if packet is None else "; the sidecar has maclip's")

    def edit(self) -> str:
        assert self.is_altered, "the edit is lost"
        packet = self.rated["edited"]
        if packet is not None and "exposure" in (packet.text("darktable:history") or ""):
            assert self._is_maclips("edited")
            return "kept in the sidecar, beside maclip's stars"
        return "kept in darktable's library"

    def title_changed(self) -> str:
        assert self.seen["titled.jpg"].title == "New"
        packet = self.rated["titled"]
        if packet is not None and packet.text("dc:title") == "New":
            assert self._is_maclips("titled")
            return "kept in the sidecar, beside maclip's stars"
        return "kept in darktable's library"

    def sidecar_deleted(self) -> str:
        assert self._is_maclips("deleted")
        return "by darktable itself; written again" if self.has_deleted else "written again"

    def moved(self) -> str:
        assert self._is_maclips("moved")
        assert self.rated["moved"].text("dc:title") == TITLE  # type: ignore[union-attr]
        return "stars follow"

    def undo(self) -> str:
        left = {name for name, packet in self.undone.items() if packet is not None}
        for name in left:
            packet = self.undone[name]
            assert packet is not None
            assert not [key for key in packet.values() if "maclip" in key], f"{name} has maclip's properties"
        for name, key, text in (
            ("pressed", "xmp:Rating", "5"),
            ("edited", "darktable:history", "exposure"),
            ("titled", "dc:title", "New"),
        ):
            before, after = self.rated[name], self.undone[name]
            if before is not None and text in (before.text(key) or ""):
                assert after is not None, f"undo removed the sidecar with the person's {key}"
                assert text in (after.text(key) or ""), f"undo lost the person's {key}"
        assert "deleted" not in left
        return "nothing of maclip's is left; yours is" if left else "no sidecar is left"
