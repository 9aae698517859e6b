"""Files that others change under maclip's hands: no edit is lost, and nothing private is shown."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyexiv2
import pytest
from PIL import Image

from maclip_daemon.errors import MaclipError
from maclip_daemon.files import linux_calls
from maclip_daemon.files.safe_writer import digest
from maclip_daemon.library.results import rating_journal
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import QualityProperties, RatingRequest
from maclip_daemon.pipeline import recovery
from tests.faults.conftest import Figures
from tests.homes import Home, make_photo
from tests.rated_library import RatedLibrary, sidecar_of

QUALITY = QualityProperties(0.1, 50.0, 3, "maclip", "m", "p", datetime(2026, 1, 1, tzinfo=UTC))
SIDECAR = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:darktable="http://darktable.sf.net/" darktable:n="{}"/>'
    "</rdf:RDF></x:xmpmeta>\n"
)
SECRET = b"a private title"
LATEST_S = 300.0
"""Seconds after which a race without a round counts as lost."""
OLD, NEW, EDIT = b"<old/>", b"<new/>", b"<a person's edit/>"
# A replacement that is killed before its n-th step; before the second one, a person's edit may come.
KILLED = """
import os, signal, sys
from pathlib import Path
from maclip_daemon.files import exchange
from maclip_daemon.files.open_folder import OpenFolder
operation, target, temporary, killed_at, edit = *sys.argv[1:4], int(sys.argv[4]), sys.argv[5]
expected, new = sys.argv[6:]
steps = 0
def counted(real):
    def call(*arguments):
        global steps
        steps += 1
        if steps == 2 and edit:
            Path(target).write_text(edit)
        if steps == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    return call
for name in ("rename", "exchange", "rename_new", "open", "unlink"):
    setattr(OpenFolder, name, counted(getattr(OpenFolder, name)))
with OpenFolder(Path(target).parent) as folder:
    try:
        if operation == "replace":
            former = exchange.replace(
                folder, Path(temporary).name, Path(target).name, expected=expected, new=new
            )
        else:
            former = exchange.remove(folder, Path(target).name, expected=expected)
        exchange.settle(folder, former)
    except Exception:
        pass
"""


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """Repeat the work in a thread until the block ends."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.is_set():
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_no_finished_edit_is_lost_while_an_editor_writes_the_same_sidecar(
    tmp_path: Path, full: bool, figures: Figures
) -> None:
    photo = tmp_path / "IMG.jpg"
    Image.new("RGB", (64, 48), (9, 99, 200)).save(photo)
    sidecar = sidecar_of(photo)
    sidecar.write_text(SIDECAR.format(0))
    finished = [0]

    def edit() -> None:  # in place, as darktable 4.2 does
        sidecar.write_text(SIDECAR.format(finished[-1] + 1))
        finished.append(finished[-1] + 1)
        time.sleep(random.uniform(0.001, 0.01))

    commits, wanted, deadline = 0, 400 if full else 12, time.monotonic() + LATEST_S
    with MetadataWriter() as writer, beside(edit):
        while commits < wanted:
            assert time.monotonic() < deadline
            stars = commits % 5 + 1
            request = RatingRequest(photo, replace(QUALITY, stars=stars), last_written=(stars - 2) % 5 + 1)
            result = writer.prepare_many([request])[0]
            if isinstance(result, MaclipError) or result.status != "prepared":
                continue
            if writer.commit_many([result]) == [None]:
                commits += 1
                done = finished[-1]
                found = re.search(rb'darktable:n="(\d+)"', sidecar.read_bytes())
                assert found is None or int(found[1]) >= done, "a finished edit is gone"
    left = {path for path in tmp_path.iterdir() if not path.name.startswith("IMG.jpg.xmp.kept-")}
    assert left == {photo, sidecar}, "but for the older one of two edits within one replacement"
    figures(rounds=commits, files=1, faults=len(finished), note="edits of a sidecar while it is replaced")


@pytest.mark.parametrize("operation", ["replace", "remove"])
@pytest.mark.parametrize("edit", ["", EDIT.decode()], ids=["unedited", "edited"])
def test_after_a_kill_at_any_step_of_a_replacement_a_persons_edit_is_back_at_the_next_start(
    tmp_path: Path, operation: str, edit: str, figures: Figures
) -> None:
    kills = 0
    with Library.open(tmp_path / "data" / "library.db") as library:
        rated = RatedLibrary(tmp_path / "photos", library)
        for step in range(1, 9):
            target = sidecar_of(rated.folder / f"{step}.jpg")
            photo_id = rated.add(f"{step}.jpg")
            target.write_bytes(OLD)
            temporary = rated.folder / f".maclip-{step:016x}.tmp"
            before, after = digest(OLD), digest(NEW)
            with library.writing() as session:
                added = rating_journal.intend(
                    session,
                    photo_id,
                    str(target),
                    "sidecar",
                    before_hash=before,
                    after_hash=after,
                    restore=b"",
                    stars_before=None,
                    stars_written=3,
                    now=rated.now,
                )
            if operation == "replace":
                temporary.write_bytes(NEW)
            else:  # an undo of a write that was confirmed
                target.write_bytes(NEW)
                with library.writing() as session:
                    rating_journal.confirm(session, added, rated.now)
            hashes = (before, after) if operation == "replace" else (after, before)
            ended = subprocess.run(
                [sys.executable, "-c", KILLED, operation, target, temporary, str(step), edit, *hashes],
                check=False,
            )
            kills += ended.returncode == -signal.SIGKILL
            if operation == "replace":
                recovery.recover(library, rated.state.probe, tmp_path / "spool", time.time())
            recovery.put_back_edits(library, rated.state.probe, str(rated.folder), time.time() + 61)
            if edit and not (operation == "remove" and step == 1):
                expected = {EDIT} if step > 1 or ended.returncode == 0 else {OLD, NEW}
                assert target.read_bytes() in expected, f"the edit is gone after a kill at step {step}"
            assert not list(rated.folder.glob(".maclip-*.swap")), step
    assert kills >= 3
    figures(rounds=kills, files=kills, faults=kills, note="kills at each step of a replacement")


def test_a_photo_that_turns_into_a_link_while_it_is_read_shows_nothing_of_a_private_one(
    tmp_path: Path, full: bool, figures: Figures
) -> None:
    shared, private = tmp_path / "shared", tmp_path / "private"
    shared.mkdir()
    private.mkdir(mode=0o700)
    photo, link, secret = shared / "x.jpg", shared / ".link", private / "p.jpg"
    for path in (photo, secret):
        Image.new("RGB", (64, 48), (9, 99, 200)).save(path)
    with pyexiv2.Image(str(secret)) as image:
        image.modify_xmp({"Xmp.dc.title": {'lang="x-default"': SECRET.decode()}})
    link.symlink_to(secret)

    def swap() -> None:
        linux_calls.renameat2(linux_calls.AT_FDCWD, str(photo), str(link), linux_calls.EXCHANGE)
        time.sleep(random.uniform(0.0002, 3 * duration))

    written, wanted, deadline = 0, 400 if full else 12, time.monotonic() + LATEST_S
    with MetadataWriter() as writer:
        writer.inspect(secret)
        began = time.monotonic()
        writer.commit_many([writer.prepare(RatingRequest(photo, QUALITY))])
        duration = time.monotonic() - began  # of a write: on any machine some are to succeed
        sidecar_of(photo).unlink()
        with beside(swap):
            while written < wanted:
                assert time.monotonic() < deadline
                result = writer.prepare_many([RatingRequest(photo, QUALITY)])[0]
                if isinstance(result, MaclipError) or result.status != "prepared":
                    continue
                assert result.temporary is not None
                assert SECRET not in result.temporary.read_bytes()
                writer.commit_many([result])
                if sidecar_of(photo).exists():
                    written += 1
                    assert sidecar_of(photo).stat().st_mode & 0o777 == 0o644, (
                        "the permissions of a link are 0777"
                    )
                    sidecar_of(photo).unlink()
    figures(rounds=written, files=2, faults=written, note="a photo swapped with a link while it is read")


def test_touched_files_of_the_same_size_and_time_are_looked_at_again(home: Home, figures: Figures) -> None:
    photos = [make_photo(home.photos / f"{number}.tif", number) for number in range(5)]
    for path in photos:
        Image.open(path).save(path, "TIFF")
        os.utime(path, (10**9, 10**9))
    home.maclip("run", "--once", home.photos)
    before = home.scored()
    edited = sidecar_of(photos[3])
    rating = re.search(rb'xmp:Rating="(\d)"', edited.read_bytes())
    assert rating is not None
    pressed = b"1" if rating[1] != b"1" else b"4"
    edited.write_bytes(edited.read_bytes().replace(rating[0], b'xmp:Rating="%s"' % pressed))
    os.utime(edited, (10**9, 10**9))
    photos[0].rename(home.photos / "t")
    photos[1].rename(photos[0])
    (home.photos / "t").rename(photos[1])
    shutil.copy2(photos[3], photos[2])
    home.maclip("run", "--once", home.photos)
    now = home.scored()
    names = [path.name for path in photos]
    assert [now[name] for name in names] == [before[names[each]] for each in (1, 0, 3, 3, 4)]
    assert home.sql("select rating_owner from photos where file_name = ?", names[3]) == [("person",)]
    assert b'xmp:Rating="%s"' % pressed in edited.read_bytes()
    figures(rounds=1, files=5, faults=4, note="photos and sidecars changed with their size and time kept")
