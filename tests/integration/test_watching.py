"""The watcher with real folders and the real kernel; every wait has a condition and a deadline."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.folders import watcher as watcher_module
from maclip_daemon.folders.debounce import Debouncer
from maclip_daemon.folders.events import EventKind, FolderEvent
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.observer import ObserverWatcher
from maclip_daemon.folders.root_health import Root
from maclip_daemon.folders.scanner import found_file
from tests.watch_listener import Listener, is_photo, kernel_watches, put, until

SETTLE_S = 0.2
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these tests are about inotify")


def test_a_new_photo_is_reported(listener: Listener, root: Path) -> None:
    photo = put(root / "a.jpg")
    until(lambda: listener.reported(EventKind.FILE_CHANGED, photo))
    assert listener.watcher.alive


def test_files_that_are_no_photos_are_never_reported(listener: Listener, root: Path) -> None:
    put(root / "a.jpg.xmp")
    put(root / ".maclip-x.jpg")
    os.replace(root / "a.jpg.xmp", root / "b.xmp")  # noqa: PTH105
    (root / "b.xmp").unlink()
    listener.flush()
    assert all("marker" in event.path for event in listener.events)


def test_reading_a_photo_causes_no_event(root: Path) -> None:
    photo = put(root / "a.jpg")
    listener = Listener(root)
    photo.read_bytes()
    list(root.iterdir())
    listener.flush()
    assert not [event for event in listener.events if event.path == str(photo)]
    listener.watcher.close()


def test_a_photo_written_slowly_in_pieces_settles_once_when_complete(listener: Listener, root: Path) -> None:
    debouncer, whole, seen = Debouncer(SETTLE_S), [], 0

    def turn() -> list[object]:
        nonlocal seen
        for event in listener.events[seen:]:
            debouncer.touch(event.path, time.monotonic())
            seen += 1
        whole.extend(debouncer.due(time.monotonic(), found_file).files)
        return whole

    with (root / "slow.jpg").open("wb") as file:
        for _ in range(10):
            file.write(b"x" * 1000)
            file.flush()
            end = time.monotonic() + SETTLE_S / 2
            until(lambda end=end: time.monotonic() > end or turn())
            assert whole == []
    until(turn)
    assert [(file.name, file.size) for file in whole] == [("slow.jpg", 10_000)]
    until(lambda: turn() and debouncer.pending == 0)
    assert len(whole) == 1


def test_a_copy_to_a_temporary_name_and_rename_is_one_new_photo(listener: Listener, root: Path) -> None:
    put(root / "a.jpg.part").rename(root / "a.jpg")
    until(lambda: listener.events)
    listener.flush()
    events = [event for event in listener.events if "marker" not in event.path]
    assert events == [FolderEvent(EventKind.FILE_CHANGED, str(root / "a.jpg"))]


def test_a_photo_replaced_by_rename_is_reported_as_changed(listener: Listener, root: Path) -> None:
    photo = put(root / "a.jpg")
    listener.flush()
    listener.events.clear()
    put(root / ".a.jpg.tmp", b"new").replace(photo)
    until(lambda: listener.reported(EventKind.FILE_CHANGED, photo))


def test_renames_inside_the_root_are_reported_with_both_names(listener: Listener, root: Path) -> None:
    put(root / "a.jpg")
    (root / "sub").mkdir()
    listener.flush()
    (root / "a.jpg").rename(root / "A.jpg")  # only the case
    (root / "A.jpg").rename(root / "sub/b.jpg")
    until(lambda: listener.reported(EventKind.FILE_MOVED, root / "A.jpg", root / "sub/b.jpg"))
    assert listener.reported(EventKind.FILE_MOVED, root / "a.jpg", root / "A.jpg")


def test_deletions_and_moves_out_of_the_root_are_reported(
    listener: Listener, root: Path, tmp_path: Path
) -> None:
    for name in "abc":
        put(root / f"{name}.jpg")
    listener.flush()
    (root / "a.jpg").unlink()
    (root / "b.jpg").rename(tmp_path / "b.jpg")
    (root / "c.jpg").rename(root / "c.jpg.bak")
    for name in "abc":
        until(lambda name=name: listener.reported(EventKind.FILE_GONE, root / f"{name}.jpg"), name)


def test_unusual_names_are_reported_unchanged(listener: Listener, root: Path) -> None:
    for name in [b"new\nline.jpg", b"\xff\xfe.jpg", b"%s{0}.jpg", b"n" * 251 + b".jpg"]:
        photo = put(root / os.fsdecode(name))
        until(lambda photo=photo: listener.reported(EventKind.FILE_CHANGED, photo))
    photo = put(root / os.fsdecode(b"broken\xff\nfolder") / "a.jpg")
    until(lambda: str(photo) in listener.found())


def test_all_photos_of_a_folder_moved_in_are_found(listener: Listener, root: Path, tmp_path: Path) -> None:
    photos = {put(tmp_path / f"outside/{n % 7}/{n % 3}/{n}.jpg") for n in range(60)}
    (tmp_path / "outside").rename(root / "inside")
    moved = {str(root / "inside" / photo.relative_to(tmp_path / "outside")) for photo in photos}
    until(lambda: listener.found() >= moved)
    later = put(root / "inside/1/1/later.jpg")
    until(lambda: listener.reported(EventKind.FILE_CHANGED, later))


def test_a_folder_moved_out_is_reported_and_no_longer_watched(
    listener: Listener, root: Path, tmp_path: Path
) -> None:
    put(root / "a/b/1.jpg")
    until(lambda: listener.watches == 3)
    (root / "a").rename(tmp_path / "a")
    until(lambda: listener.reported(EventKind.FOLDER_GONE, root / "a"))
    until(lambda: listener.watches == 1)
    listener.events.clear()
    put(tmp_path / "a/b/2.jpg")
    listener.flush()
    assert all("marker" in event.path for event in listener.events)


def test_a_folder_renamed_inside_keeps_its_watches(listener: Listener, root: Path) -> None:
    put(root / "a/b/1.jpg")
    (root / "x").mkdir()
    until(lambda: listener.watches == 4)
    (root / "a").rename(root / "x/c")
    until(lambda: listener.reported(EventKind.FOLDER_MOVED, root / "a", root / "x/c"))
    assert listener.watches == 4
    assert not listener.reported(EventKind.FOLDER_GONE, root / "a")
    later = put(root / "x/c/b/2.jpg")
    until(lambda: listener.reported(EventKind.FILE_CHANGED, later))


def test_a_folder_renamed_over_an_empty_one_stays_watched(listener: Listener, root: Path) -> None:
    put(root / "a/1.jpg")
    (root / "empty").mkdir()
    until(lambda: listener.watches == 3)
    (root / "a").rename(root / "empty")
    until(lambda: listener.reported(EventKind.FOLDER_MOVED, root / "a", root / "empty"))
    later = put(root / "empty/2.jpg")
    until(lambda: listener.reported(EventKind.FILE_CHANGED, later))
    coverage = listener.watcher.coverage()
    assert (coverage.folders, coverage.watched, listener.watches) == (2, 2, 2)


def test_a_folder_renamed_into_a_new_folder_stays_watched(listener: Listener, root: Path) -> None:
    put(root / "a/1.jpg")
    until(lambda: listener.watches == 2)
    listener.gate.clear()
    put(root / "first.jpg")  # its event blocks the reader
    (root / "made").mkdir()
    (root / "a").rename(root / "made/a")  # the new folder has no watch yet
    listener.gate.set()
    until(lambda: listener.reported(EventKind.FOLDER_GONE, root / "a"))
    assert str(root / "made/a/1.jpg") in listener.found()
    assert listener.watches == 3
    later = put(root / "made/a/later.jpg")
    until(lambda: listener.reported(EventKind.FILE_CHANGED, later))


def test_a_deleted_tree_is_reported(listener: Listener, root: Path) -> None:
    photos = [put(root / f"a/{n}/{n}.jpg") for n in range(5)]
    until(lambda: listener.watches == 7)
    listener.flush()
    shutil.rmtree(root / "a")
    until(lambda: listener.reported(EventKind.FOLDER_GONE, root / "a"))
    assert all(listener.reported(EventKind.FILE_GONE, photo) for photo in photos)
    until(lambda: listener.watches == 1)
    assert listener.watcher.alive


def test_a_folder_created_filled_and_created_again_at_once_is_found(listener: Listener, root: Path) -> None:
    for round_number in range(30):
        photo = put(root / f"r{round_number}/a/b/c/1.jpg")
        shutil.rmtree(root / f"r{round_number}/a")
        put(photo)
    wanted = {str(root / f"r{n}/a/b/c/1.jpg") for n in range(30)}
    until(lambda: listener.found() >= wanted)
    listener.flush()
    coverage = listener.watcher.coverage()
    assert coverage.is_complete
    assert coverage.watched == listener.watches == 1 + 30 * 4


def test_a_tree_unpacked_at_once_is_found_completely(listener: Listener, root: Path) -> None:
    photos = {str(put(root / f"t{n % 5}/{n % 11}/{n % 3}/{n}.jpg")) for n in range(300)}
    until(lambda: listener.found() >= photos)
    listener.flush()
    folders = {path.parent for path in map(Path, photos)}
    for folder in sorted(folders):
        later = put(folder / "later.jpg")
        until(lambda later=later: listener.reported(EventKind.FILE_CHANGED, later))
    assert listener.watcher.coverage().watched == listener.watches


def test_excluded_folders_are_never_watched(root: Path) -> None:
    for folder in ["2026", ".git/x", "@eaDir/y", "exports/z", "2026/exports/1", "2026/.cache"]:
        (root / folder).mkdir(parents=True)
    listener = Listener(root, Exclusion(["exports/"]))
    assert listener.watches == 2
    put(root / "exports/a.jpg")
    put(root / ".new/b.jpg")
    put(root / "2026/exports2/c.jpg")
    until(lambda: listener.watches == 3)
    (root / "2026/exports2").rename(root / "2026/.away")
    until(lambda: listener.reported(EventKind.FOLDER_GONE, root / "2026/exports2"))
    until(lambda: listener.watches == 2)
    (root / "2026/.away").rename(root / "2026/back")
    until(lambda: listener.reported(EventKind.RESCAN, root / "2026/back"))
    assert not [event for event in listener.events if "exports/" in event.path or ".new" in event.path]
    listener.watcher.close()
    assert listener.watches == 0


def test_link_loops_and_fifos_are_not_followed(root: Path) -> None:
    (root / "a").mkdir()
    (root / "a/up").symlink_to("..")
    listener = Listener(root)
    (root / "b").symlink_to("a")
    os.mkfifo(root / "fifo.jpg")
    listener.flush()
    assert listener.watches == 2
    assert str(root / "fifo.jpg") not in listener.found()
    listener.watcher.close()


def test_a_removed_or_renamed_root_is_an_error_and_ends_the_watcher(tmp_path: Path) -> None:
    for name, lose in [("removed", shutil.rmtree), ("renamed", lambda path: path.rename(tmp_path / "other"))]:
        put(tmp_path / name / "sub/a.jpg")
        listener = Listener(tmp_path / name)
        lose(tmp_path / name)
        until(lambda listener=listener: not listener.watcher.alive)
        until(lambda listener=listener: listener.events and listener.events[-1].kind is EventKind.ERROR)
        assert name in listener.events[-1].reason
        assert not listener.watcher.coverage().is_complete
        listener.watcher.close()
        assert listener.watches == 0


def test_a_root_that_does_not_exist_cannot_be_watched(tmp_path: Path) -> None:
    before = kernel_watches()
    with pytest.raises(EnvironmentUnfit, match="cannot be watched"):
        Listener(tmp_path / "gone")
    assert kernel_watches() == before


def test_lost_events_are_reported_and_all_watches_renewed(listener: Listener, root: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 100_000:
        pytest.skip(f"this machine queues {limit} events: too many to overflow in a quick test")
    (root / "old").mkdir()
    noise = [put(root / "a.txt"), put(root / "b.txt")]
    listener.flush()
    listener.gate.clear()
    put(root / "first.jpg")  # its event blocks the reader
    for number in range(limit + limit // 4):  # events already read do not count
        os.close(os.open(noise[number % 2], os.O_WRONLY))  # the kernel merges equal events in a row
    (root / "old").rename(root / "new")
    photo = put(root / "lost/deep/a.jpg")
    listener.gate.set()
    until(lambda: listener.reported(EventKind.OVERFLOW, root))
    until(lambda: str(photo) in listener.found())
    assert listener.watches == 4
    for folder in ["new", "lost/deep"]:
        later = put(root / folder / "later.jpg")
        until(lambda later=later: listener.reported(EventKind.FILE_CHANGED, later))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watcher_whose_thread_died_is_not_alive(root: Path) -> None:
    def fail(event: FolderEvent) -> None:
        raise ZeroDivisionError

    watcher = watcher_module.watch(Root(str(root)), Exclusion(), is_photo, fail)
    assert watcher.alive
    put(root / "a.jpg")
    until(lambda: not watcher.alive)
    watcher.close()
    watcher.close()


def test_no_event_is_reported_after_closing_and_no_thread_is_left(root: Path) -> None:
    threads = threading.active_count()
    listener = Listener(root)
    put(root / "a.jpg").rename(root / "../a.jpg")
    listener.watcher.close()
    count = len(listener.events)
    put(root / "b.jpg")
    assert threading.active_count() == threads
    assert len(listener.events) == count
    assert not listener.watcher.alive


def test_an_unwatchable_folder_is_watched_after_the_next_audit(listener: Listener, root: Path) -> None:
    (root / "locked").mkdir(mode=0)
    if os.access(root / "locked", os.R_OK):
        pytest.skip("this user may read everything")
    (root / "free").mkdir()
    until(lambda: listener.watches == 2)
    coverage = listener.watcher.coverage()
    assert (coverage.folders, coverage.watched) == (3, 2)
    assert coverage.unwatched == (str(root / "locked"),)
    assert "may read it" in coverage.cure
    (root / "locked").chmod(0o700)
    coverage = listener.watcher.coverage()
    assert coverage.is_complete
    assert coverage.cure == ""


EXHAUSTION = """
import json, sys, time
from pathlib import Path
from maclip_daemon.folders import watcher
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.root_health import Root
from maclip_daemon.errors import EnvironmentUnfit

root, limit = Path(sys.argv[1]), Path("/proc/sys/user/max_inotify_watches")
limit.write_text("6")
events = []
listener = watcher.watch(Root(str(root)), Exclusion(), lambda name: name.endswith(".jpg"), events.append)
first = listener.coverage()
(root / "new/deep").mkdir(parents=True)
(root / "new/deep/a.jpg").write_bytes(b"x")
deadline = time.monotonic() + 60
while not any(event.kind == "rescan" for event in events) and time.monotonic() < deadline:
    time.sleep(0.01)
limit.write_text("100")
last = listener.coverage()
listener.close()
limit.write_text("0")
try:
    watcher.watch(Root(str(root)), Exclusion(), bool, events.append)
    refused = ""
except EnvironmentUnfit as error:
    refused = str(error)
print(json.dumps({
    "first": [first.folders, first.watched, first.limit, len(first.unwatched), first.cure],
    "last": [last.folders, last.watched, last.is_complete, last.cure],
    "events": [[event.kind, event.path, event.reason] for event in events],
    "refused": refused,
}))
"""


def test_exhausted_watches_are_reported_with_a_working_remedy(root: Path, tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    namespace = [unshare or "unshare", "--user", "--map-root-user"]
    probe = "echo 6 > /proc/sys/user/max_inotify_watches"
    if unshare is None or subprocess.run([*namespace, "sh", "-c", probe], capture_output=True).returncode:
        pytest.skip("user namespaces (unshare --user) are not permitted here")
    for number in range(12):
        (root / f"{number}").mkdir()
    script = tmp_path / "exhaustion.py"
    script.write_text(textwrap.dedent(EXHAUSTION))
    result = subprocess.run(
        [*namespace, sys.executable, str(script), str(root)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout)
    folders, watched, limit, unwatched, cure = seen["first"]
    assert (folders, watched, limit, unwatched) == (13, 6, 6, 7)
    assert re.search(r"fs\.inotify\.max_user_watches.*99-maclip-inotify\.conf", cure)
    assert seen["events"][0] == ["error", str(root), cure]
    assert ["rescan", str(root / "new"), ""] in seen["events"]
    assert seen["last"] == [15, 15, True, ""]
    assert "cannot be watched" in seen["refused"]


def test_the_watchdog_observer_replaces_a_missing_inotify(root: Path, tmp_path: Path) -> None:
    (root / ".hidden").mkdir()
    (root / "sub").mkdir()
    events: list[FolderEvent] = []
    watcher = ObserverWatcher(str(root), Exclusion(["exports/"]), is_photo, events.append)
    assert watcher.alive
    assert watcher.coverage().is_complete
    put(root / "exports/a.jpg")
    put(root / ".hidden/a.jpg")
    put(root / "a.jpg.xmp")
    photo = put(root / "a.jpg.part").rename(root / "a.jpg")
    until(lambda: FolderEvent(EventKind.FILE_CHANGED, str(photo)) in events)
    photo.rename(root / "b.jpg")
    until(lambda: FolderEvent(EventKind.FILE_MOVED, str(photo), str(root / "b.jpg")) in events)
    (root / "b.jpg").unlink()
    until(lambda: FolderEvent(EventKind.FILE_GONE, str(root / "b.jpg")) in events)
    (root / "sub").rename(root / "sub2")
    until(lambda: FolderEvent(EventKind.FOLDER_MOVED, str(root / "sub"), str(root / "sub2")) in events)
    (root / "sub2").rename(tmp_path / "out")
    until(lambda: FolderEvent(EventKind.FOLDER_GONE, str(root / "sub2")) in events)
    put(tmp_path / "outside/c.jpg")
    (tmp_path / "outside").rename(root / "in")
    until(lambda: FolderEvent(EventKind.RESCAN, str(root / "in")) in events)
    watcher.close()
    assert not watcher.alive
    assert not [event for event in events if re.search(r"exports|hidden|xmp", event.path)]
