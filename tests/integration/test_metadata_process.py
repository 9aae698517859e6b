"""The metadata child as a real process: killed, on a full disk, and checked by exiftool."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy
import pyexiv2
import pytest
from PIL import Image

from maclip_daemon.errors import ChildDied, FileChanged, MaclipError, NoSpace, Poison
from maclip_daemon.files import exchange, safe_writer, temporaries
from maclip_daemon.metadata.content import xmp_text
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import Mode, Prepared, QualityProperties, RatingRequest

PHOTOS = Path(__file__).parents[2] / "../shared/data/photos"
ROUNDS = 200 if os.environ.get("MACLIP_LONG") else 30  # the long form takes about a minute
QUALITY = QualityProperties(0.7, 55.5, 4, "maclip", "builtin", "spaq448", datetime(2026, 1, 2, tzinfo=UTC))
SIDECAR = b"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:darktable="http://darktable.sf.net/" darktable:history_end="1">
<darktable:history><rdf:Seq><rdf:li darktable:operation="exposure" darktable:params="00ff"/></rdf:Seq>
</darktable:history></rdf:Description></rdf:RDF></x:xmpmeta>
"""


@pytest.fixture
def writer() -> Iterator[MetadataWriter]:
    with MetadataWriter() as writer:
        yield writer


def make_photo(path: Path, seed: int = 1, kind: str = "JPEG", tags: dict[str, object] | None = None) -> Path:
    noise = numpy.random.default_rng(seed).integers(0, 256, (120, 160, 3), dtype=numpy.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind)
    with pyexiv2.ImageData(buffer.getvalue()) as image:
        image.modify_exif({"Exif.Image.Artist": "Anna", "Exif.Image.Rating": "0"})
        if tags:
            image.modify_xmp(tags)
        path.write_bytes(image.get_bytes())
    return path


def test_prepare_commit_inspect_and_undo_through_the_process(tmp_path: Path, writer: MetadataWriter) -> None:
    photo = make_photo(tmp_path / "näme\udcff.jpg")
    prepared = writer.prepare(RatingRequest(photo, QUALITY))
    assert prepared.status == "prepared"
    assert prepared.photo == photo
    assert writer.inspect(photo).owner == "none"
    writer.commit(prepared)
    found = writer.inspect(photo, last_written=prepared.rating)
    assert (found.owner, found.rating, found.stars, found.source) == ("maclip", 4, 4, prepared.target)
    assert found.source_hash == prepared.after_hash
    assert found.proof is not None
    assert found.proof.is_whole
    assert writer.inspect(photo, last_written=None).owner == "maclip"  # of any library
    assert writer.prepare(RatingRequest(photo, QUALITY, last_written=4)).status == "unchanged"
    assert writer.undo(prepared.undo_entry).status == "removed"
    assert list(tmp_path.iterdir()) == [photo]


def test_a_sidecar_that_a_program_has_open_for_writing_is_left_to_it(
    tmp_path: Path, writer: MetadataWriter
) -> None:
    """As a program that does not truncate it: nothing has changed yet, and the star is still to come."""
    photo = make_photo(tmp_path / "a.jpg")
    sidecar = tmp_path / "a.jpg.xmp"
    sidecar.write_bytes(SIDECAR)
    prepared = writer.prepare(RatingRequest(photo, QUALITY))
    assert prepared.target == sidecar
    with sidecar.open("r+b") as theirs:
        with pytest.raises(FileChanged):
            writer.commit(prepared)
        theirs.write(SIDECAR.replace(b"00ff", b"11ff"))
    assert sidecar.read_bytes() == SIDECAR.replace(b"00ff", b"11ff")


def test_after_a_crash_a_files_hash_shows_whether_it_was_written(
    tmp_path: Path, writer: MetadataWriter
) -> None:
    photo = make_photo(tmp_path / "a.jpg")
    for mode in ("sidecar", "embed"):
        prepared = writer.prepare(RatingRequest(photo, QUALITY, mode))  # type: ignore[arg-type]
        assert prepared.target is not None
        assert safe_writer.digest_of(prepared.target) == prepared.before_hash
        writer.commit(prepared)
        assert safe_writer.digest_of(prepared.target) == prepared.after_hash
        writer.undo(prepared.undo_entry)


def test_one_bad_photo_in_a_batch_fails_no_other(tmp_path: Path, writer: MetadataWriter) -> None:
    good = make_photo(tmp_path / "a.jpg")
    results = writer.prepare_many(
        [RatingRequest(tmp_path / "gone.jpg", QUALITY), RatingRequest(good, QUALITY)]
    )
    assert isinstance(results[0], MaclipError)
    assert isinstance(results[1], Prepared)
    stale = replace(results[1], temporary=results[1].temporary and results[1].temporary.with_name("gone"))
    errors = writer.commit_many([stale, results[1]])
    assert errors[0] is not None
    assert errors[1] is None


def test_a_photo_with_foreign_prefixes_is_skipped_and_fails_no_other_photo(
    tmp_path: Path, writer: MetadataWriter
) -> None:
    hostile = make_photo(tmp_path / "a.jpg", tags={"Xmp.xmp.Label": "x", "Xmp.dc.subject": ["a"]})
    data = hostile.read_bytes().replace(
        b"http://purl.org/dc/elements/1.1/", b"http://example.org/subverted_by/"
    )
    hostile.write_bytes(data)
    good = [
        make_photo(tmp_path / f"{name}.jpg", seed, tags={"Xmp.dc.title": "T"})
        for seed, name in enumerate("bc")
    ]
    results = writer.prepare_many([RatingRequest(photo, QUALITY) for photo in (hostile, *good)])
    assert [result.status for result in results if isinstance(result, Prepared)] == [
        "skipped",
        "prepared",
        "prepared",
    ]
    assert isinstance(results[0], Prepared)
    assert "binds the prefix dc" in results[0].reason
    with pytest.raises(Poison, match="binds the prefix dc"):
        writer.inspect(hostile)
    for photo in good:
        writer.commit(writer.prepare(RatingRequest(photo, QUALITY)))
        leaves = xmp_text.read(photo.with_name(photo.name + ".xmp").read_bytes())
        assert leaves["/http://purl.org/dc/elements/1.1/ creator[1]"] == "Anna"


def test_damage_to_one_photo_does_not_fail_the_next(tmp_path: Path, writer: MetadataWriter) -> None:
    bad = tmp_path / "a.png"
    Image.new("RGB", (64, 48)).save(bad)
    whole = bad.read_bytes()
    at = whole.index(b"IDAT") - 4
    # exiv2 logs an error for the first and throws for the second.
    damage = _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta broken") + _chunk(b"iTXt", b"abc\0")
    bad.write_bytes(whole[:at] + damage + whole[at:])
    good = make_photo(tmp_path / "b.jpg", tags={"Xmp.xmp.Rating": "5"})
    results = writer.prepare_many([RatingRequest(bad, QUALITY), RatingRequest(good, QUALITY)])
    assert [result.status for result in results if isinstance(result, Prepared)] == ["skipped", "person"]


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def test_a_photo_that_hangs_exiv2_fails_and_is_named(tmp_path: Path) -> None:
    endless = tmp_path / "a.png"
    Image.new("RGB", (64, 48)).save(endless)
    whole = endless.read_bytes()
    at = whole.index(b"IDAT") - 4
    properties = b"".join(b"<a:p%d>x</a:p%d>" % (number, number) for number in range(20_000))
    packet = (
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        b"<rdf:Description xmlns:a='http://a/'>" + properties + b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    endless.write_bytes(whole[:at] + _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet) + whole[at:])
    good = make_photo(tmp_path / "b.jpg")
    with MetadataWriter(processor_s=1.0) as writer:
        with pytest.raises(ChildDied, match=r"a\.png: exiv2 crashes or hangs .* ended by signal 27"):
            writer.prepare(RatingRequest(endless, QUALITY))
        assert writer.prepare(RatingRequest(good, QUALITY)).status == "prepared"


def test_a_broken_sidecar_is_named_by_inspect(tmp_path: Path, writer: MetadataWriter) -> None:
    photo = make_photo(tmp_path / "a.jpg")
    (tmp_path / "a.jpg.xmp").write_bytes(b"<broken")
    with pytest.raises(Poison, match="not well-formed"):
        writer.inspect(photo)


def test_relative_paths_are_relative_to_the_parents_folder(
    tmp_path: Path, writer: MetadataWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_photo(tmp_path / "a.jpg")
    monkeypatch.chdir(tmp_path)
    writer.commit(writer.prepare(RatingRequest(Path("a.jpg"), QUALITY)))
    assert (tmp_path / "a.jpg.xmp").exists()


def test_a_prepared_write_outlives_its_process(tmp_path: Path, writer: MetadataWriter) -> None:
    photo = make_photo(tmp_path / "a.jpg")
    prepared = writer.prepare(RatingRequest(photo, QUALITY))
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    with contextlib.suppress(ChildDied):
        writer.commit(prepared)
    writer.commit(prepared)
    assert writer.inspect(photo, 4).owner == "maclip"


def attempt(writer: MetadataWriter, photo: Path, mode: Mode, stars: int, last: int | None) -> None:
    prepared = writer.prepare(RatingRequest(photo, replace(QUALITY, stars=stars), mode, last_written=last))
    if prepared.status == "prepared":
        writer.commit(prepared)


def test_killed_at_random_moments_no_photo_and_no_sidecar_is_ever_damaged(tmp_path: Path) -> None:
    chance = random.Random(7)
    updated = make_photo(tmp_path / "updated.jpg", 1)
    created = make_photo(tmp_path / "created.jpg", 2)
    embedded = make_photo(tmp_path / "embedded.jpg", 3)
    old_sidecar = tmp_path / "updated.jpg.xmp"
    old_sidecar.write_bytes(SIDECAR)
    with Image.open(embedded) as image:
        pixels = image.tobytes()
    originals = {path: path.read_bytes() for path in (updated, created)}
    history = xmp_text.read(SIDECAR)
    writer = MetadataWriter()
    strays = kills = 0

    def rate_all(stars: int) -> None:
        for photo, mode in ((updated, "sidecar"), (created, "sidecar"), (embedded, "embed")):
            attempt(writer, photo, mode, stars, writer.inspect(photo).stars)  # type: ignore[arg-type]

    writer.inspect(created)
    began = time.monotonic()
    rate_all(5)
    duration = time.monotonic() - began
    for round_number in range(ROUNDS):
        writer.inspect(created)  # starts the process
        pid = writer.pid
        assert pid is not None
        killer = threading.Timer(chance.uniform(0, duration), os.kill, (pid, signal.SIGKILL))
        killer.start()
        stars = round_number % 5 + 1
        try:
            rate_all(stars)
        except ChildDied:
            kills += 1
        killer.join()
        deadline = time.monotonic() + 5
        while writer.pid == pid and time.monotonic() < deadline:
            time.sleep(0.002)

        assert {path: path.read_bytes() for path in originals} == originals
        assert xmp_text.lost(history, xmp_text.read(old_sidecar.read_bytes()), frozenset()) == []
        for path in tmp_path.iterdir():
            if path.suffix == ".xmp":
                xmp_text.read(path.read_bytes())
            elif path.name.startswith("."):
                assert temporaries.is_temporary(path.name) or temporaries.is_aside(path.name)
                strays += 1
        with Image.open(embedded) as image:
            assert image.tobytes() == pixels
        temporaries.remove_strays(tmp_path, older_than=1e12, now=1e12)
        asides = [path for path in tmp_path.iterdir() if temporaries.is_aside(path.name)]
        known = {digest for path in asides if (digest := safe_writer.digest_of(path)) is not None}
        for target in {*originals, embedded, old_sidecar, *tmp_path.glob("*.xmp")} if asides else ():
            exchange.recover(target, known, time.time(), is_dead=True)
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    for photo, mode in ((updated, "sidecar"), (created, "sidecar"), (embedded, "embed")):
        attempt(writer, photo, mode, 5, writer.inspect(photo).stars)  # type: ignore[arg-type]
        assert writer.inspect(photo, 5).owner == "maclip"
    writer.close()
    assert kills > ROUNDS // 3, f"only {kills} kills hit a write: the test proves nothing"
    print(f"{ROUNDS} rounds, {kills} kills hit a write, {strays} temporary files left and cleared, 0 damaged")
    assert strays, "no kill fell between prepare and commit: the test proves nothing"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "maclip-test", str(disk)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("mode", ["sidecar", "embed"])
def test_on_a_full_disk_no_file_is_half_written_and_work_resumes_later(
    small_disk: Path, tmp_path: Path, writer: MetadataWriter, mode: Mode
) -> None:
    photo = make_photo(tmp_path / "a.jpg").rename(tmp_path / "b.jpg")
    shutil.copy(photo, small_disk / "b.jpg")
    photo = small_disk / "b.jpg"
    if mode == "sidecar":
        (small_disk / "b.jpg.xmp").write_bytes(SIDECAR)
    before = {path.name: path.read_bytes() for path in small_disk.iterdir()}
    with (small_disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(b"x" * 512):
            pass
    with pytest.raises(NoSpace, match="full"):
        writer.prepare(RatingRequest(photo, QUALITY, mode))
    (small_disk / "filler").unlink()
    assert {path.name: path.read_bytes() for path in small_disk.iterdir()} == before
    writer.commit(writer.prepare(RatingRequest(photo, QUALITY, mode)))
    assert writer.inspect(photo, 4).owner == "maclip"


@pytest.mark.parametrize("mode", ["sidecar", "embed"])
@pytest.mark.parametrize("update", [False, True], ids=["new", "update"])
def test_at_any_amount_of_free_space_a_file_is_the_old_or_the_new_one(
    small_disk: Path, tmp_path: Path, writer: MetadataWriter, mode: Mode, update: bool
) -> None:
    shutil.copy(make_photo(tmp_path / "a.jpg"), small_disk / "a.jpg")
    photo, sidecar = small_disk / "a.jpg", small_disk / "a.jpg.xmp"
    if update:
        attempt(writer, photo, mode, 2, None)
    before = {path: path.read_bytes() for path in small_disk.iterdir()}
    written = full = 0
    for free in range(0, 48 << 10, 2 << 10):
        filler = small_disk / "filler"
        room = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        filler.write_bytes(b"x" * max(room - free, 0))
        prepared = None
        try:
            prepared = writer.prepare(
                RatingRequest(photo, replace(QUALITY, stars=5), mode, last_written=2 if update else None)
            )
            writer.commit(prepared)
        except NoSpace:
            full += 1
            assert {path: path.read_bytes() for path in before} == before
        else:
            written += 1
            assert writer.inspect(photo, 5).owner == "maclip"
        filler.unlink()
        if prepared is not None:
            writer.undo(prepared.undo_entry)
        assert {path: path.read_bytes() for path in small_disk.iterdir()} == before
    assert written, "there was never enough space: the test proves nothing"
    assert full, "there was always enough space: the test proves nothing"
    assert sidecar.exists() == (update and mode == "sidecar")


def validated(paths: list[Path]) -> dict[str, set[str]]:
    """Return exiftool's warnings and errors, by file name."""
    command = ["exiftool", "-validate", "-warning", "-error", "-a", "-j", *map(str, paths)]
    output = subprocess.run(command, capture_output=True, check=False).stdout
    return {
        Path(entry["SourceFile"]).name: {
            text
            for key, value in entry.items()
            if key in {"Warning", "Error"}
            for text in (value if isinstance(value, list) else [value])
        }
        for entry in json.loads(output)
    }


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
def test_exiftool_reports_no_new_warning_in_written_files(tmp_path: Path, writer: MetadataWriter) -> None:
    title = {"Xmp.dc.title": {'lang="x-default"': "T"}}
    photos = [
        make_photo(tmp_path / f"{kind}.{suffix}", number, kind, title)
        for number, (kind, suffix) in enumerate([("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")])
    ]
    old = tmp_path / "updated.xmp"
    old.write_bytes(SIDECAR)
    updated = make_photo(tmp_path / "updated.jpg", 9)
    before = validated([*photos, old])
    sidecars = [old]
    for photo in photos:
        writer.commit(writer.prepare(RatingRequest(photo, QUALITY, "embed", bucket_tags=True)))
    for photo in (updated, *(make_photo(tmp_path / f"s{n}.jpg", n, "JPEG", title) for n in range(2))):
        prepared = writer.prepare(RatingRequest(photo, QUALITY, bucket_tags=True))
        writer.commit(prepared)
        assert prepared.target is not None
        sidecars.append(prepared.target)
    after = validated([*photos, *sidecars])
    assert {name: texts - before.get(name, set()) for name, texts in after.items() if texts} == {
        name: set() for name, texts in after.items() if texts
    }


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the shared real photos are not on this machine")
@pytest.mark.parametrize("mode", ["sidecar", "embed"])
def test_undo_restores_real_photos_byte_for_byte(tmp_path: Path, writer: MetadataWriter, mode: Mode) -> None:
    originals = {}
    for path in sorted(PHOTOS.rglob("*")):
        if path.is_file():
            copy = tmp_path / path.name
            shutil.copyfile(path, copy)
            originals[copy] = copy.read_bytes()
    entries = []
    for photo in originals:
        first = writer.prepare(RatingRequest(photo, QUALITY, mode))
        if "makernote_rating" in str(next(PHOTOS.rglob(photo.name))):
            assert first.status == "person"
            continue
        assert first.status == "prepared", first.reason
        writer.commit(first)
        second = writer.prepare(RatingRequest(photo, replace(QUALITY, stars=1), mode, last_written=4))
        assert second.status == "prepared", second.reason
        writer.commit(second)
        entries += [first.undo_entry, second.undo_entry]
    assert {writer.undo(entry).status for entry in reversed(entries)} <= {"restored", "removed"}
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == originals
