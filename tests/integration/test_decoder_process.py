"""The decoder with real files, a real child process and real limits."""

import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maclip_daemon import errors
from maclip_daemon.photos import spool
from maclip_daemon.photos.decoder import DecodedPhoto, Decoder
from maclip_daemon.settings import DecodingSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "photos"))
from make_photos import STILL_FORMATS, exif_bytes, picture, still_bytes, write_dng

REAL_PHOTOS = Path(__file__).parents[2] / "../shared/data/photos"
MUTATIONS = 200  # of each format

NewDecoder = Callable[..., Decoder]


@pytest.fixture
def new_decoder(tmp_path: Path) -> Iterator[NewDecoder]:
    opened: list[Decoder] = []
    folder = tmp_path / "spool"
    spool.clean(folder)

    def make(protocol: str = "spaq448", module: str | None = None, **settings: float) -> Decoder:
        chosen = {"module": module} if module else {}
        opened.append(Decoder(DecodingSettings(**settings), protocol, folder, **chosen))
        return opened[-1]

    yield make
    for decoder in opened:
        decoder.close()
    assert list(folder.iterdir()) == [], "pixels were left in the spool"


def width_of(photo: DecodedPhoto) -> int:
    """Return the photo's own width and remove its pixels."""
    photo.discard()
    return photo.photo_width


def pixels_of(photo: DecodedPhoto) -> np.ndarray:
    data = photo.pixels if photo.spooled is None else photo.spooled.read_bytes()
    photo.discard()
    assert data is not None
    return np.frombuffer(data, np.uint8).reshape(photo.height, photo.width, 3)


def test_a_photo_is_decoded_with_its_pixels_and_its_properties(
    tmp_path: Path, new_decoder: NewDecoder
) -> None:
    path = tmp_path / "a.png"
    exif = exif_bytes(6, DateTimeOriginal="2026:05:01 10:11:12", OffsetTimeOriginal="+02:00")
    path.write_bytes(still_bytes(picture(600, 400), "png", exif=exif))
    photo = new_decoder().decode(path)
    assert (photo.width, photo.height, photo.photo_width, photo.photo_height) == (448, 448, 400, 600)
    assert photo.taken_at is not None
    assert photo.taken_at.isoformat() == "2026-05-01T10:11:12+02:00"
    assert len(photo.pixel_hash) == 64
    upright = picture(600, 400).rotate(-90, expand=True).resize((448, 448), Image.Resampling.BICUBIC)
    assert (pixels_of(photo) == np.asarray(upright)).all()


def test_large_blocks_go_through_the_spool(tmp_path: Path, new_decoder: NewDecoder) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(still_bytes(picture(1600, 1200), "png"))
    photo = new_decoder("native").decode(path)
    assert photo.pixels is None
    assert photo.spooled is not None
    assert (pixels_of(photo) == np.asarray(picture(1600, 1200))).all()
    assert not photo.spooled.exists()


def test_any_file_name_is_accepted_and_printed_on_one_line(tmp_path: Path, new_decoder: NewDecoder) -> None:
    decoder = new_decoder()
    data = still_bytes(picture(), "jpg")
    for name in (b"caf\xe9.jpg", b"two\nlines.jpg", b"-rf %s {0}.jpg", b"x" * 251 + b".jpg"):
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(data)
        assert width_of(decoder.decode(path)) == 320
        path.write_bytes(data[:500])
        with pytest.raises(errors.Poison, match="cut off") as caught:
            decoder.decode(path)
        assert str(caught.value).isprintable()
        str(caught.value).encode()


def test_a_link_a_pipe_and_a_folder_each_fail_as_one_photo(tmp_path: Path, new_decoder: NewDecoder) -> None:
    decoder = new_decoder(timeout_s=5)
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to("/dev/zero")
    for name, reason in (("pipe", "named pipe"), ("folder", "folder"), ("link", "symbolic link")):
        with pytest.raises(errors.Poison, match=rf"{name}\.jpg: it is not a file but .*{reason}"):
            decoder.decode(tmp_path / f"{name}.jpg")
    with pytest.raises(errors.FileChanged, match="it is gone"):
        decoder.decode(tmp_path / "gone.jpg")


def test_a_bomb_fails_within_the_memory_limit(tmp_path: Path, new_decoder: NewDecoder) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (30_000, 30_000)).save(path)
    decoder = new_decoder(memory_mb=1024, max_megapixels=300)
    with pytest.raises(errors.Poison, match="30000×30000 pixels are more than 300 megapixels"):
        decoder.decode(path)
    decoder = new_decoder(memory_mb=1024, max_megapixels=1000)
    with pytest.raises(errors.Poison, match="memory"):
        decoder.decode(path)
    (tmp_path / "a.png").write_bytes(still_bytes(picture(), "png"))
    assert width_of(decoder.decode(tmp_path / "a.png")) == 320, "the same process goes on"


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "heic", "avif"])
def test_24_megapixels_fit_into_the_default_limit(
    tmp_path: Path, new_decoder: NewDecoder, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    quick: dict[str, dict[str, object]] = {
        "avif": {"speed": 10},
        "heic": {"enc_params": {"preset": "ultrafast"}, "quality": 30},
        "png": {"compress_level": 1},
        "webp": {"method": 0, "lossless": False},
    }
    path.write_bytes(still_bytes(picture(6000, 4000), suffix, **quick.get(suffix, {})))
    assert width_of(new_decoder().decode(path)) == 6000


STAND_IN = """
import ctypes, os, time
from maclip_daemon.processes import child_server
from maclip_daemon.processes import limits

def handle(header, payload):
    name = os.path.basename(header["path"])
    with open(header["spool_path"], "wb") as file:
        file.write(b"half")
    limits.limit_memory(512)
    limits.limit_processor_time(1.0)
    if name == "crash.jpg":
        ctypes.string_at(0)
    if name == "hang.jpg":
        time.sleep(60)
    if name == "spin.jpg":
        while True:
            pass
    if name == "eat.jpg":
        eaten = []
        while True:
            eaten.append(bytearray(50_000_000))
    if name == "lie.jpg":
        return {"width": 1 << 30, "height": 9, "photo_width": 9, "photo_height": 9, "spooled": True,
                "pixel_hash": "", "taken_at": None}, b""
    os.unlink(header["spool_path"])
    return {"width": 1, "height": 1, "photo_width": 1, "photo_height": 1, "spooled": False,
            "pixel_hash": "00", "taken_at": None, "measures": None}, b"rgb"

child_server.serve(handle)
"""


def test_a_decoder_that_crashes_hangs_or_exhausts_memory_fails_one_photo(
    tmp_path: Path, new_decoder: NewDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    decoder = new_decoder(module="stand_in", timeout_s=60)
    assert decoder.decode(Path("good.jpg")).pixels == b"rgb"
    expected = {
        "crash.jpg": (errors.ChildDied, "crash.jpg: .*signal 11"),
        "spin.jpg": (errors.ChildDied, "spin.jpg: .*signal 24"),  # SIGXCPU
        "eat.jpg": (errors.Poison, "eat.jpg: it needs more memory than the limit"),
        "lie.jpg": (errors.Transient, "lie.jpg: the decoder.s reply is invalid"),
    }
    for name, (kind, reason) in expected.items():
        with pytest.raises(kind, match=reason):
            decoder.decode(Path(name))
        assert decoder.decode(Path("good.jpg")).pixels == b"rgb"
    impatient = new_decoder(module="stand_in", timeout_s=0.3)
    impatient.decode(Path("good.jpg"))
    with pytest.raises(errors.ChildTimedOut, match=r"hang\.jpg: decoding took longer than 0\.3 s"):
        impatient.decode(Path("hang.jpg"))
    assert impatient.decode(Path("good.jpg")).pixels == b"rgb"


def test_a_killed_decoder_is_started_again(tmp_path: Path, new_decoder: NewDecoder) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(still_bytes(picture(), "jpg"))
    decoder = new_decoder()
    decoder.decode(path).discard()
    assert decoder.pid is not None
    os.kill(decoder.pid, 9)
    with_luck = 0
    for _ in range(2):  # the first call may still meet the dying process
        try:
            with_luck += width_of(decoder.decode(path))
        except errors.ChildDied:
            continue
    assert with_luck >= 320


def _mutated(whole: bytes, chance: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(chance.choice((1, 3, 20))):
        position = chance.randrange(min(len(data), chance.choice((200, 2000, len(data)))))
        match chance.randrange(4):
            case 0:
                data[position] = chance.randrange(256)
            case 1:
                data[position : position + 4] = chance.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
            case 2:
                del data[position : position + chance.randrange(1, 50)]
            case _:
                data[position:position] = bytes(chance.randrange(256) for _ in range(8))
        if len(data) < 10:
            break
    return bytes(data)


@pytest.mark.parametrize("suffix", [*STILL_FORMATS, "dng"])
def test_mutated_photos_return_pixels_or_one_reason(
    tmp_path: Path, new_decoder: NewDecoder, suffix: str
) -> None:
    chance = random.Random(20260501)
    path = tmp_path / f"a.{suffix}"
    if suffix == "dng":
        whole = write_dng(path, 320, 240, preview=picture(160, 120), orientation=6).read_bytes()
    else:
        noted = {} if suffix == "tif" else {"exif": exif_bytes(6, DateTimeOriginal="2026:01:01 00:00:00")}
        whole = still_bytes(picture(160, 120), suffix, **noted)
    decoder = new_decoder(timeout_s=20, max_megapixels=50)
    outcomes = {"decoded": 0, "refused": 0}
    named_with_reason = 0
    for _ in range(MUTATIONS):
        path.write_bytes(_mutated(whole, chance))
        try:
            photo = decoder.decode(path)
            outcome = "decoded"
            assert len(pixels_of(photo)) == 448
        except errors.Poison as error:
            outcome = "refused"
            named_with_reason += str(path) in str(error)
        outcomes[outcome] += 1
    print(suffix, outcomes)
    assert named_with_reason == outcomes["refused"] > MUTATIONS // 4, "damage must be seen"


@pytest.mark.skipif(not REAL_PHOTOS.is_dir(), reason="the folder of real photos is not beside this checkout")
def test_every_good_real_photo_decodes(new_decoder: NewDecoder) -> None:
    decoder = new_decoder()
    files = [path for path in sorted(REAL_PHOTOS.resolve().rglob("*")) if path.is_file()]
    good = [path for path in files if path.parent.name != "broken"]
    assert good
    for path in good:
        assert len(pixels_of(decoder.decode(path))) == 448


@pytest.mark.skipif(not REAL_PHOTOS.is_dir(), reason="the folder of real photos is not beside this checkout")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("corrupted.jpg", "its picture data is corrupt"),
        ("invalid_image.png", "begins like a PNG file but its header is damaged"),
    ],
)
def test_real_broken_files_are_named_with_their_reason(
    new_decoder: NewDecoder, name: str, reason: str
) -> None:
    with pytest.raises(errors.Poison, match=reason):
        new_decoder().decode((REAL_PHOTOS / "broken" / name).resolve())


@pytest.mark.skipif(not REAL_PHOTOS.is_dir(), reason="the folder of real photos is not beside this checkout")
def test_a_real_jpeg_named_heic_is_decoded(new_decoder: NewDecoder) -> None:
    photo = new_decoder().decode((REAL_PHOTOS / "broken" / "wrong.heic").resolve())
    assert min(photo.take_pixels().shape[:2]) > 0
