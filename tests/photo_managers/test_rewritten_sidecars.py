"""Sidecars of ours that a real darktable or digiKam wrote again: the proof, undo, and exported photos."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyexiv2
import pytest
from PIL import Image, ImageChops

from maclip_daemon.metadata.metadata_writer import MetadataWriter
from tests.photo_managers.applications import TIMEOUT_S, Installation, Screen, until
from tests.photo_managers.conftest import DESCRIBED, Rate, make_photo, sidecar_of
from tests.photo_managers.darktable_application import Darktable, develop, find
from tests.photo_managers.digikam_application import DIGIKAM_OPTIONS, DigiKam
from tests.photo_managers.test_darktable import HISTORY
from tests.photo_managers.test_digikam import WRITING, known


@pytest.fixture
def own_darktable(tmp_path: Path, screen: Screen, installation: Installation) -> Iterator[Darktable]:
    installation.require("darktable")
    on_import = "write_sidecar_files=on import"
    darktable = Darktable(tmp_path / "darktable", screen, on_import, installation=installation)
    yield darktable
    darktable.close()


def xmp_of(file: Path) -> dict[str, object]:
    with pyexiv2.ImageData(file.read_bytes()) as image:
        return dict(image.read_xmp())


def ours_in(file: Path) -> list[str]:
    return [key for key in xmp_of(file) if key.startswith("Xmp.maclip.")]


def test_darktable_keeps_the_proof_and_undo_leaves_darktables_work(
    tmp_path: Path, own_darktable: Darktable, rate: Rate, writer: MetadataWriter
) -> None:
    photo = make_photo(tmp_path / "album" / "a.jpg", 80, DESCRIBED)
    sidecar = sidecar_of(photo)
    entry = rate(photo, 4).undo_entry
    assert own_darktable.add(photo.parent, 1)["a.jpg"].rating == 4
    own_darktable.lua(f"local image = {find(photo)} image.red = true image.title = 'Mine'")
    log = own_darktable.home / "darktable.log"
    until(lambda: b"darktable:xmp_version" in sidecar.read_bytes(), "darktable's write", log, TIMEOUT_S)
    own_darktable.written(sidecar)
    found = writer.inspect(photo)
    assert (found.owner, found.rating) == ("maclip", 4)  # of any library: no last write is given
    assert found.proof is not None
    assert not found.proof.is_whole
    assert writer.undo(entry, dry_run=True).status == "taken_out"
    assert writer.undo(entry).status == "taken_out"
    assert ours_in(sidecar) == []
    values = xmp_of(sidecar)
    assert "Xmp.xmp.Rating" not in values
    assert values["Xmp.dc.title"] == {'lang="x-default"': "Mine"}
    assert values["Xmp.darktable.colorlabels"] == ["0"]
    own_darktable.lua("while #darktable.database > 0 do darktable.database[1]:delete() end")
    again = own_darktable.add(photo.parent, 1)["a.jpg"]
    assert again.title == "Mine"
    assert again.tags == ("Hafen", "Kräne")
    own_darktable.press_stars(photo, 5)
    until(lambda: b'xmp:Rating="5"' in sidecar.read_bytes(), "the pressed star", log, TIMEOUT_S)
    assert rate(photo, 1).status == "person"


@pytest.mark.long_form
def test_digikam_keeps_the_proof_and_undo_leaves_a_persons_star(
    tmp_path: Path, open_digikam: Callable[..., DigiKam], rate: Rate, writer: MetadataWriter
) -> None:
    photo = make_photo(tmp_path / "album" / "a.jpg", 81, DESCRIBED)
    sidecar = sidecar_of(photo)
    entry = rate(photo, 2).undo_entry
    digikam = open_digikam(photo.parent, *DIGIKAM_OPTIONS, *WRITING, "Metadata Writing Mode=1")
    digikam.scan(known(1))
    digikam.press_stars(5, lambda: b'xmp:Rating="5"' in sidecar.read_bytes())
    assert writer.inspect(photo).owner == "person"
    shutil.copy(sidecar, tmp_path / "theirs.xmp")
    assert writer.undo(entry, dry_run=True).persons_rating == 5
    digikam.press_stars(2, lambda: b'xmp:Rating="2"' in sidecar.read_bytes())
    found = writer.inspect(photo)
    assert (found.owner, found.rating) == ("maclip", 2)
    assert writer.undo(entry).status == "removed"  # digiKam's copies of our rating are all that it added
    assert not sidecar.exists()
    shutil.copy(tmp_path / "theirs.xmp", sidecar)
    assert writer.undo(entry).persons_rating == 5
    assert ours_in(sidecar) == []
    assert xmp_of(sidecar)["Xmp.xmp.Rating"] == "5"


def test_an_exported_photo_with_its_history_inside_looks_the_same_with_our_sidecar(
    tmp_path: Path, installation: Installation, rate: Rate
) -> None:
    installation.require("darktable-cli")
    # As an export of darktable 4 does, it carries the history that made it.
    export = make_photo(tmp_path / "exports" / "export.jpg", 82)
    with pyexiv2.ImageData(export.read_bytes()) as image:
        image.modify_raw_xmp(HISTORY)
        export.write_bytes(image.get_bytes())
    assert any("darktable.history" in key for key in xmp_of(export))

    def developed(name: str, *sidecar: Path) -> Image.Image:
        develop(installation, tmp_path / "cli", export, tmp_path / name, *sidecar)
        with Image.open(tmp_path / name) as image:
            return image.convert("RGB")

    before = developed("before.png")
    assert rate(export, 3).status == "prepared"
    after = developed("after.png", sidecar_of(export))
    assert ImageChops.difference(before, after).getbbox() is None
    assert not [key for key in xmp_of(sidecar_of(export)) if "darktable" in key]
    history = tmp_path / "history.xmp"
    history.write_text(HISTORY, "utf-8")
    twice = developed("twice.png", history)
    assert ImageChops.difference(before, twice).getbbox(), "the history changes nothing: nothing is proved"
