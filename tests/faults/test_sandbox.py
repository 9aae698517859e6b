"""The sandbox of the child processes: a reader that an attacker took over gets nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from PIL import Image

from maclip_daemon.errors import Poison
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import QualityProperties, RatingRequest
from maclip_daemon.photos import spool
from maclip_daemon.photos.decoder import Decoder
from maclip_daemon.processes import sandbox
from maclip_daemon.settings import DecodingSettings
from tests.faults import hostile_reader
from tests.faults.conftest import Figures
from tests.faults.logged_daemon import running
from tests.homes import Home, make_photos, until

pytestmark = pytest.mark.skipif(
    bool(sandbox.missing()), reason=f"this machine has no whole sandbox: {sandbox.missing()}"
)

QUALITY = QualityProperties(0.7, 55.5, 4, "maclip", "builtin", "spaq448", datetime(2026, 1, 2, tzinfo=UTC))


@pytest.fixture
def bait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder with a key, photos and a hostile reader that its children will load."""
    home = tmp_path / "home"
    (home / "Pictures").mkdir(parents=True)
    photo = home / "Pictures" / "hostile.jxl"
    photo.write_bytes(hostile_reader.jxl())
    Image.effect_noise((64, 48), 60).convert("RGB").save(home / "Pictures" / "a.jpg")
    for name, value in hostile_reader.prepare(tmp_path / "double", home, photo).items():
        monkeypatch.setenv(name, value)
    return home


@pytest.fixture
def received() -> Iterator[list[int]]:
    """Return the signals that this process, the parent of the children, receives."""
    numbers: list[int] = []
    former = signal.signal(signal.SIGUSR1, lambda number, _frame: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGUSR1, former)


def contents(folder: Path) -> dict[Path, tuple[bytes, int, int]]:
    return {
        path: (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def locks_of(process_id: int) -> list[tuple[str, str]]:
    """Return for each thread of a process whether new privileges are off, and its mode of seccomp."""
    found = []
    for thread in Path(f"/proc/{process_id}/task").iterdir():
        lines = dict(
            line.split(":\t", 1) for line in (thread / "status").read_text().splitlines() if ":\t" in line
        )
        found.append((lines["NoNewPrivs"], lines["Seccomp"]))
    return found


def test_a_hostile_decoder_gets_nothing_and_fails_one_photo(
    bait: Path, received: list[int], figures: Figures
) -> None:
    pixels = bait / "spool"
    spool.clean(pixels)
    before = contents(bait)
    decoder = Decoder(DecodingSettings(), "native", pixels, roots=[bait / "Pictures"])
    try:
        with pytest.raises(Poison, match=r"hostile\.jxl: it got nothing\."):
            decoder.decode(bait / "Pictures" / "hostile.jxl")
        process_id = decoder.pid
        decoder.decode(bait / "Pictures" / "a.jpg").discard()
        assert decoder.pid == process_id, "the same process goes on"
        assert process_id is not None
        assert set(locks_of(process_id)) == {("1", "2")}
    finally:
        decoder.close()
    assert received == []
    assert contents(bait) == before
    assert not Path(f"/tmp/maclip-owned-{process_id}").exists()
    figures(rounds=1, files=2, faults=40, note="a decoder taken over by a photo")


def test_a_daemon_goes_on_when_a_photo_takes_its_decoder_over(home: Home, figures: Figures) -> None:
    make_photos(home.photos, 3)
    photo = home.photos / "hostile.jxl"
    photo.write_bytes(hostile_reader.jxl())
    environment = hostile_reader.prepare(home.folder / "double", home.folder, photo)
    with running(home, **environment) as daemon:
        until(lambda: len(home.scored()) == 3, "the other photos scored")
        until(lambda: home.sql("select 1 from photos where state = 'failed'"), "the hostile photo to fail")
        assert daemon.process.poll() is None
        daemon.stop()
    assert daemon.process.returncode == 0
    ((reason,),) = home.sql("select reason from photo_failures")
    assert "it got nothing." in reason
    assert (home.folder / ".ssh" / "id_ed25519").read_text() == hostile_reader.SECRET
    assert list(home.folder.rglob("owned*")) == []
    figures(rounds=1, files=4, faults=40, note="a daemon whose decoder was taken over")


def test_a_hostile_metadata_process_gets_nothing_and_fails_one_photo(
    bait: Path, received: list[int], figures: Figures
) -> None:
    before = contents(bait)
    with MetadataWriter([bait / "Pictures"]) as writer:
        with pytest.raises(Poison, match=r"it got nothing\."):
            writer.prepare(RatingRequest(bait / "Pictures" / "hostile.jxl", QUALITY))
        process_id = writer.pid
        prepared = writer.prepare(RatingRequest(bait / "Pictures" / "a.jpg", QUALITY))
        writer.commit(prepared)
        assert writer.undo(prepared.undo_entry).status == "removed"
        assert writer.pid == process_id, "the same process goes on"
        assert process_id is not None
        assert set(locks_of(process_id)) == {("1", "2")}
        (reader,) = psutil.Process(process_id).children()
        assert set(locks_of(reader.pid)) == {("1", "2")}
    assert received == []
    assert contents(bait) == before
    figures(rounds=1, files=2, faults=36, note="a metadata process taken over by a photo")


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
def test_exiftool_reads_what_exiv2_does_not_in_a_process_of_its_own(
    bait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    scratch = tmp_path / "scratch"  # of this test alone: other tests read with exiftool meanwhile
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    photo = bait / "Pictures" / "unreadable.jpg"
    photo.write_bytes((bait / "Pictures" / "a.jpg").read_bytes())
    arguments = ["-XMP-dc:Title=A title of a person", "-EXIF:Artist=Anna", "-overwrite_original"]
    subprocess.run(["exiftool", *arguments, str(photo)], check=True, capture_output=True)
    with MetadataWriter([bait / "Pictures"]) as writer:
        prepared = writer.prepare(RatingRequest(photo, QUALITY))
        writer.commit(prepared)
    assert prepared.target is not None
    written = prepared.target.read_text()
    assert "A title of a person" in written
    assert "Anna" in written
    assert list(scratch.glob("maclip-exiftool-*/maclip-exiftool-*")) == []
    figures(rounds=1, files=1, faults=1, note="metadata that exiv2 does not read")


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
def test_a_program_in_exiftools_place_gets_nothing(
    bait: Path, tmp_path: Path, received: list[int], monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    photo = bait / "Pictures" / "unreadable.jpg"
    photo.write_bytes((bait / "Pictures" / "a.jpg").read_bytes())
    subprocess.run(["exiftool", "-EXIF:Artist=Anna", "-overwrite_original", str(photo)], check=True)
    program = tmp_path / "bin" / "exiftool"
    program.parent.mkdir()
    program.write_text(hostile_reader.program(photo, tmp_path / "double"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    before = contents(bait)
    with MetadataWriter([bait / "Pictures"]) as writer:
        prepared = writer.prepare(RatingRequest(photo, QUALITY))
    assert prepared.status == "skipped"
    assert "it got nothing." in prepared.reason
    assert received == []
    assert contents(bait) == before
    figures(rounds=1, files=1, faults=36, note="a program in exiftool's place")


def test_a_photo_of_another_folder_or_a_remounted_disk_starts_another_decoder(
    bait: Path, tmp_path: Path
) -> None:
    pixels = bait / "spool"
    spool.clean(pixels)
    photo = bait / "Pictures" / "a.jpg"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "b.jpg").write_bytes(photo.read_bytes())
    decoder = Decoder(DecodingSettings(), "native", pixels, roots=[bait / "Pictures"])
    try:
        decoder.decode(photo).discard()
        first = decoder.pid
        decoder.decode(elsewhere / "b.jpg").discard()
        second = decoder.pid
        assert second != first
        for path in (photo, elsewhere / "b.jpg"):
            decoder.decode(path).discard()
        assert decoder.pid == second, "both folders are allowed now"
        (bait / "Pictures").rename(bait / "former")
        (bait / "Pictures").mkdir()
        photo.write_bytes((bait / "former" / "a.jpg").read_bytes())
        decoder.decode(photo).discard()
        assert decoder.pid != second
    finally:
        decoder.close()


def test_a_folder_that_may_not_be_read_fails_its_photos_without_another_decoder(bait: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    pixels = bait / "spool"
    spool.clean(pixels)
    decoder = Decoder(DecodingSettings(), "native", pixels, roots=[bait / "Pictures"])
    try:
        decoder.decode(bait / "Pictures" / "a.jpg").discard()
        process_id = decoder.pid
        (bait / "Pictures").chmod(0)
        with pytest.raises(Exception, match="may not be read"):
            decoder.decode(bait / "Pictures" / "a.jpg")
        assert decoder.pid == process_id
    finally:
        (bait / "Pictures").chmod(0o755)
        decoder.close()
