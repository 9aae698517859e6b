"""Everybody but maclip who writes metadata: darktable, digiKam, exiftool, and a person with files."""

from __future__ import annotations

import atexit
import functools
from pathlib import Path
from xml.etree import ElementTree

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.faults.one_photo import OnePhoto
from tests.faults.ownership_model import OwnershipModel, Slot
from tests.faults.program_writes import Exiftool, Packet, embed, name_of
from tests.faults.random_walks import walked

RATING = st.integers(-1, 5)
TITLE = st.sampled_from(["Am Kai", "Früh & <spät>", "写真"])
_EDIT = {"darktable:num": "0", "darktable:operation": "exposure", "darktable:params": "00"}


@functools.cache
def exiftool() -> Exiftool:
    started = Exiftool()
    atexit.register(started.close)
    return started


class WritersMachine(RuleBasedStateMachine):
    """One photo, those who write its metadata, and the model of whose rating it is."""

    def __init__(self) -> None:
        super().__init__()
        self.world = OnePhoto()
        self.model = OwnershipModel()
        self.seeded: dict[str, dict[str, str]] = {}
        """What a sidecar that maclip made has from the photo, by file name."""
        self.pristine: dict[str, bytes | None] = {}
        """The bytes before maclip's first write, of files that nobody else wrote to since."""
        self.library: tuple[int, str | None] | None = None
        """Rating and title in darktable's library, once it has imported the photo."""
        self.has_moved = False
        """Whether no scan has seen the photo at its present path: undo would not find its sidecar."""
        walked["rounds"] += 1

    def teardown(self) -> None:
        self.world.close()

    # files

    @property
    def long(self) -> Path:
        """The sidecar of darktable and today's digiKam, IMG.jpg.xmp."""
        return self.world.photo.with_name(self.world.photo.name + ".xmp")

    @property
    def short(self) -> Path:
        """The sidecar of Lightroom and compatible file names, IMG.xmp."""
        return self.world.photo.with_suffix(".xmp")

    def files(self) -> list[Path]:
        return [self.long, self.short, self.world.photo]

    def kind(self, file: Path) -> str:
        return ["long", "short", "photo"][self.files().index(file)]

    def slot(self, file: Path) -> Slot:
        return self.model.slots.setdefault(self.kind(file), Slot())

    def source(self) -> Path:
        """Return the file whose metadata darktable reads."""
        return next(file for file in self.files() if file.exists())

    def visible(self) -> Packet:
        return Packet.of(self.source())

    def wrote(self, file: Path, data: bytes | None = None) -> None:
        """Let another program write a file, or end a write of exiftool."""
        if data is not None:
            file.write_bytes(data)
        walked["files"] += 1
        self.world.time_passes()
        self.world.touch(file)
        slot, packet = self.slot(file), Packet.of(file)
        slot.stars = packet.stars
        slot.is_last_written_by_maclip = False
        slot.press(packet.rating, packet.text("xmp:Rating") or "", packet.text("acdsee:rating"))
        self.pristine.pop(self.kind(file), None)

    # darktable

    def _import(self) -> tuple[int, str | None]:
        if self.library is None:
            seen = self.visible()
            self.library = (1 if seen.rating is None else seen.rating, seen.text("dc:title"))
        return self.library

    @rule()
    def darktable_imports(self) -> None:
        self.library = None
        self._import()

    @rule(rating=RATING)
    def darktable_rates(self, rating: int) -> None:
        _, title = self._import()
        self.library = (rating, title)
        self._darktable_writes(is_edit=False)

    @rule()
    def darktable_edits(self) -> None:
        self._import()
        self._darktable_writes(is_edit=True)

    @rule(title=TITLE)
    def darktable_titles(self, title: str) -> None:
        rating, _ = self._import()
        self.library = (rating, title)
        self._darktable_writes(is_edit=False)

    def _darktable_writes(self, *, is_edit: bool) -> None:
        """Put darktable's library into IMG.jpg.xmp; what darktable does not know stays there."""
        rating, title = self._import()
        packet = Packet.of(self.long)
        packet.put("xmp:Rating", str(rating))
        packet.put("darktable:xmp_version", "5")
        packet.put("darktable:history_end", "1" if is_edit else packet.text("darktable:history_end") or "0")
        if title is None:
            packet.put("dc:title", None)
        else:
            packet.put_title(title)
        if is_edit:
            history = ElementTree.Element(name_of("darktable:history"))
            steps = ElementTree.SubElement(history, "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Seq")
            ElementTree.SubElement(
                steps,
                "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li",
                {name_of(key): value for key, value in _EDIT.items()},
            )
            packet.properties[history.tag] = history
        self.wrote(self.long, packet.as_attributes())

    # digiKam

    @rule(rating=st.integers(0, 5), into=st.sampled_from(["long", "short", "photo", "photo and long"]))
    def digikam_rates(self, rating: int, into: str) -> None:
        for file in self.files():
            if self.kind(file) in into.split(" and "):
                packet = Packet.of(file if file.exists() else self.world.photo)
                packet.put("xmp:Rating", str(rating))
                # Not MicrosoftPhoto:Rating: exiftool spells its namespace as exiv2 cannot read it.
                packet.put("acdsee:rating", str(rating))
                packet.put_list("digiKam:TagsList", "Seq", "Orte/Kai")
                written = packet.as_elements()
                if file == self.world.photo:
                    written = embed(file.read_bytes(), written)
                self.wrote(file, written)

    # exiftool

    @rule(rating=RATING, index=st.integers(0, 2))
    def exiftool_rates(self, rating: int, index: int) -> None:
        file = self.files()[index]
        if file.exists():
            exiftool().run(f"-XMP-xmp:Rating={rating}", str(file))
            self.wrote(file)

    @rule(index=st.integers(0, 2))
    def exiftool_removes_the_rating(self, index: int) -> None:
        file = self.files()[index]
        if file.exists():
            exiftool().run("-XMP-xmp:Rating=", str(file))
            self.wrote(file)

    @rule(title=TITLE, index=st.integers(0, 2))
    def exiftool_titles(self, title: str, index: int) -> None:
        file = self.files()[index]
        if file.exists():
            exiftool().run(f"-XMP-dc:Title={title}", str(file))
            self.wrote(file)

    # a person with files

    @rule(index=st.integers(0, 1))
    def sidecar_is_deleted(self, index: int) -> None:
        file = self.files()[index]
        if file.exists():
            file.unlink()
            self.model.slots.pop(self.kind(file), None)
            self.seeded.pop(self.kind(file), None)
            self.pristine.pop(self.kind(file), None)
            self.world.time_passes()

    @rule()
    def photo_and_sidecars_are_renamed(self) -> None:
        before = self.files()
        self.world.photo = self.world.photo.with_stem(self.world.photo.stem + "x")
        for old, new in zip(before, self.files(), strict=True):
            if old.exists():
                old.rename(new)
        self.library = None
        self.has_moved = True
        self.world.time_passes()
