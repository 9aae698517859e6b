"""What happens to seven photos between maclip and a real digiKam, with one of its settings."""

from __future__ import annotations

from pathlib import Path

from tests.faults.program_writes import Packet
from tests.homes import Home
from tests.photo_managers.applications import Installation, Screen, Seen
from tests.photo_managers.conftest import DESCRIBED, TAGS, TITLE, make_photo
from tests.photo_managers.darktable_story import EDGES, FIRST, SECOND
from tests.photo_managers.digikam_application import DIGIKAM_OPTIONS, DigiKam, Window

WRITING = ("Save Rating=true", "Save EXIF Comments=true", "Use Lazy Sync=false")
# In the order of digiKam's window.
NAMES = ("a_pressed", "b_cleared", "c_edited", "d_titled", "e_deleted", "f_fresh", "g_moved")


class DigiKamStory:
    """The story, told once; each method of a situation returns in words what became of it."""

    def __init__(self, home: Home, screen: Screen, installation: Installation, setting: str) -> None:
        self.home = home
        words = setting.split()
        options = [*DIGIKAM_OPTIONS, *WRITING, f"Metadata Writing Mode={words[1]}"]
        options.append(f"Use Compatible File Name={'true' if 'compatible' in words else 'false'}")
        self.photos = {
            name: make_photo(home.photos / f"{name}.jpg", 400 + seed, DESCRIBED)
            for seed, name in enumerate(NAMES)
        }
        digikam = DigiKam(home.folder / "digikam", screen, installation, home.photos, options)
        home.environment["XDG_CONFIG_HOME"] = str(home.folder / "digikam" / "configuration")
        home.maclip("run", "--once", home.photos, MACLIP_RATING__EDGES=EDGES[FIRST])
        self.imported = digikam.scan(f"select count(*) = {len(NAMES)} from ImageInformation")
        self.before_edit = self.photos["c_edited"].read_bytes()
        with digikam.window() as window:
            self._work(digikam, window)
        self._work_beside()
        edges = EDGES[SECOND]
        home.maclip("run", "--once", home.photos, MACLIP_RATING__EDGES=edges)
        home.maclip("rate", MACLIP_RATING__EDGES=edges)
        self.rated = self._read()
        owners = home.sql("select file_name, rating_owner from photo_quality")
        self.owners = {Path(name).stem: owner for name, owner in owners}
        self.seen = digikam.scan(
            f"select count(*) = 1 from Images i join ImageInformation n on n.imageid = i.id"
            f" where i.name = 'f_fresh.jpg' and n.rating = {SECOND}"
        )
        home.maclip("undo")
        self.undone = self._read()

    def _work(self, digikam: DigiKam, window: Window) -> None:
        """Press, clear, turn and title in digiKam's window.

        A change is made when it is in the database or in a file: with mode 0, digiKam reads the sidecar again
        at once, and forgets what it has just written into the photo.
        """

        def holds(name: str, condition: str, key: str, text: str) -> bool:
            return any(packet.text(key) == text for packet in self._files(name).values()) or digikam.holds(
                "select count(*) from Images i left join ImageInformation n on n.imageid = i.id"
                " left join ImageComments c on c.imageid = i.id and c.type = 3"
                f" where i.name = '{name}.jpg' and {condition}"
            )

        rating = "xmp:Rating"
        window.rate_first(5, lambda: holds("a_pressed", "n.rating = 5", rating, "5"))
        window.press_on(1, "ctrl+0", lambda: holds("b_cleared", "n.rating < 1", rating, "0"))
        turned = self.photos["c_edited"]
        window.press_on(2, "ctrl+shift+Right", lambda: turned.read_bytes() != self.before_edit)
        window.title_next("New", lambda: holds("d_titled", "c.comment = 'New'", "dc:title", "New"))
        window.rest(
            lambda: any(packet.text("dc:title") == "New" for packet in self._files("d_titled").values())
        )

    def _work_beside(self) -> None:
        """Delete sidecars and move a photo with its sidecars, without digiKam."""
        for sidecar in self._sidecars("e_deleted"):
            sidecar.unlink(missing_ok=True)
        place = self.home.photos / "elsewhere"
        place.mkdir()
        for file in (*self._sidecars("g_moved"), self.photos["g_moved"]):
            if file.exists():
                file.rename(place / file.name)
        self.photos["g_moved"] = place / "g_moved.jpg"

    def _sidecars(self, name: str) -> list[Path]:
        photo = self.photos[name]
        return [photo.with_name(f"{photo.name}.xmp"), photo.with_suffix(".xmp")]

    def _files(self, name: str) -> dict[str, Packet]:
        """Return the metadata of a photo's files: of sidecars by their ending, of the photo as `photo`."""
        files = {file.name.removeprefix(name): file for file in self._sidecars(name)}
        files["photo"] = self.photos[name]
        return {kind: Packet.of(file) for kind, file in files.items() if file.exists()}

    def _read(self) -> dict[str, dict[str, Packet]]:
        return {name: self._files(name) for name in self.photos}

    def _is_maclips(self, name: str) -> bool:
        """Return whether maclip's present stars are in the sidecar, which decides."""
        packets = [packet for kind, packet in self.rated[name].items() if kind != "photo"]
        ratings = {(packet.rating, packet.stars) for packet in packets if packet.stars}
        return ratings == {(SECOND, SECOND)} and self.owners[name] == "maclip"

    def _places(self, name: str, key: str, text: str) -> str:
        """Return in which files a property has a value."""
        kinds = [kind for kind, packet in self.rated[name].items() if packet.text(key) == text]
        shown = ["the photo" if kind == "photo" else f"`IMG{kind}`" for kind in kinds]
        return " and ".join(shown) or "digiKam's database"

    def fresh_import(self) -> str:
        assert self.imported["f_fresh.jpg"] == Seen(FIRST, TITLE, TAGS)
        assert self.seen["f_fresh.jpg"] == Seen(SECOND, TITLE, TAGS), "later stars"
        assert self._is_maclips("f_fresh")
        return "maclip's stars, title, tags; later stars too"

    def star_pressed(self) -> str:
        assert self.owners["a_pressed"] == "person"
        assert self.seen["a_pressed.jpg"].rating == 5
        assert {packet.rating for packet in self.rated["a_pressed"].values()} <= {5, None}
        return f"yours, in {self._places('a_pressed', 'xmp:Rating', '5')}"

    def star_cleared(self) -> str:
        assert self.owners["b_cleared"] == "person", "maclip's stars came back"
        assert not self.seen["b_cleared.jpg"].rating
        assert {packet.rating or 0 for packet in self.rated["b_cleared"].values()} == {0}
        return "none, stays away"

    def edit(self) -> str:
        assert self.photos["c_edited"].read_bytes() != self.before_edit
        assert self._is_maclips("c_edited")
        assert self.seen["c_edited.jpg"] == Seen(SECOND, TITLE, TAGS)
        return "the turned photo keeps maclip's stars"

    def title_changed(self) -> str:
        assert self.seen["d_titled.jpg"].title == "New"
        assert self._is_maclips("d_titled")
        return f"yours, in {self._places('d_titled', 'dc:title', 'New')}"

    def sidecar_deleted(self) -> str:
        assert self._is_maclips("e_deleted")
        assert self.seen["e_deleted.jpg"] == Seen(SECOND, TITLE, TAGS)
        return "written again"

    def moved(self) -> str:
        assert self._is_maclips("g_moved")
        seen = self.seen["g_moved.jpg"]
        assert (seen.rating in (FIRST, SECOND), seen.title, seen.tags) == (True, TITLE, TAGS)
        return "stars follow in the files"  # digiKam takes the moved photo for the old one, and reads later

    def undo(self) -> str:
        copied = False
        for name, packets in self.undone.items():
            for kind, packet in packets.items():
                is_ours = any("maclip" in key for key in packet.values())
                assert not is_ours or kind == "photo", f"{name}{kind} has maclip's properties"
                copied = copied or is_ours
        pressed = {kind: packet.rating for kind, packet in self.undone["a_pressed"].items()}
        assert 5 in pressed.values(), f"the person's star is gone: {pressed}"
        titles = {kind: packet.text("dc:title") for kind, packet in self.undone["d_titled"].items()}
        assert "New" in titles.values(), f"the person's title is gone: {titles}"
        if copied:
            return "maclip's sidecars are as before; digiKam's copies in the photo stay; yours is left"
        return "nothing of maclip's is left; yours is"
