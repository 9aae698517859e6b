import time
from pathlib import Path

import pytest

from maclip_daemon.folders import debounce as settler_module
from maclip_daemon.folders.debounce import (
    Debouncer,
    Due,
    FileState,
    classify,
)
from maclip_daemon.folders.scanner import FoundFile, found_file

SETTLE_S = 2.0


def photo(path: str, size: int = 100, mtime_ns: int = 1) -> FoundFile:
    return FoundFile(path, size, mtime_ns, inode=1, device=1, ctime_ns=mtime_ns)


class Disk(dict[str, FoundFile]):
    def put(self, path: str, size: int = 100, mtime_ns: int = 1) -> None:
        self[path] = photo(path, size, mtime_ns)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def debouncer() -> Debouncer:
    return Debouncer(SETTLE_S, max_files_per_folder=5, max_files=20)


def paths(due: Due) -> list[str]:
    return [file.path for file in due.files]


def test_a_file_is_whole_after_two_equal_checks(debouncer: Debouncer, disk: Disk) -> None:
    disk.put("/p/a.jpg")
    debouncer.touch("/p/a.jpg", 0)
    assert debouncer.due(0, disk.get) == Due([], [], False)
    assert debouncer.due(1.9, disk.get) == Due([], [], False)
    assert debouncer.due(2.0, disk.get) == Due([disk["/p/a.jpg"]], [], False)
    assert debouncer.due(9.0, disk.get) == Due([], [], False)
    assert debouncer.pending == 0


def test_an_event_begins_the_quiet_period_again(debouncer: Debouncer, disk: Disk) -> None:
    disk.put("/p/a.jpg")
    for now in [0.0, 1.5, 3.0]:
        debouncer.touch("/p/a.jpg", now)
        assert paths(debouncer.due(now, disk.get)) == []
    assert paths(debouncer.due(4.9, disk.get)) == []
    assert paths(debouncer.due(5.0, disk.get)) == ["/p/a.jpg"]


def test_an_event_between_the_two_checks_voids_the_first(debouncer: Debouncer, disk: Disk) -> None:
    disk.put("/p/a.jpg")
    debouncer.touch("/p/a.jpg", 0)
    debouncer.due(0, disk.get)
    debouncer.touch("/p/a.jpg", 1.5)
    assert paths(debouncer.due(2.0, disk.get)) == []
    assert paths(debouncer.due(4.0, disk.get)) == ["/p/a.jpg"]


def test_a_slow_copy_without_events_is_left_alone_until_it_stops_growing(
    debouncer: Debouncer, disk: Disk
) -> None:
    debouncer.touch("/p/a.jpg", 0)
    for step in range(10):
        disk.put("/p/a.jpg", size=100 * step + 1)
        assert paths(debouncer.due(2.0 * step, disk.get)) == []
    assert paths(debouncer.due(20.0, disk.get)) == ["/p/a.jpg"]


def test_a_change_of_the_time_alone_counts(debouncer: Debouncer, disk: Disk) -> None:
    disk.put("/p/a.jpg")
    debouncer.touch("/p/a.jpg", 0)
    debouncer.due(0, disk.get)
    disk.put("/p/a.jpg", mtime_ns=2)
    assert paths(debouncer.due(2, disk.get)) == []
    assert paths(debouncer.due(4, disk.get)) == ["/p/a.jpg"]


def test_a_vanished_file_is_dropped(debouncer: Debouncer, disk: Disk) -> None:
    debouncer.touch("/p/never.jpg", 0)
    disk.put("/p/gone.jpg")
    debouncer.touch("/p/gone.jpg", 0)
    debouncer.due(0, disk.get)
    disk.clear()
    assert paths(debouncer.due(5, disk.get)) == []
    assert debouncer.pending == 0


def test_an_empty_file_is_not_whole_and_not_polled_for_ever(debouncer: Debouncer, disk: Disk) -> None:
    disk.put("/p/a.jpg", size=0)
    debouncer.touch("/p/a.jpg", 0)
    debouncer.due(0, disk.get)
    assert paths(debouncer.due(2, disk.get)) == []
    assert debouncer.wait_s(2) is None
    disk.put("/p/a.jpg")
    debouncer.touch("/p/a.jpg", 60)
    debouncer.due(60, disk.get)
    assert paths(debouncer.due(62, disk.get)) == ["/p/a.jpg"]


def test_forgotten_files_and_folders_never_settle(debouncer: Debouncer, disk: Disk) -> None:
    for path in ["/p/a.jpg", "/p/b/c.jpg", "/p/b/d/e.jpg", "/p/bb/f.jpg"]:
        disk.put(path)
        debouncer.touch(path, 0)
    debouncer.touch_folder("/p/b/x", 0)
    debouncer.due(0, disk.get)
    debouncer.forget("/p/a.jpg")
    debouncer.forget("/p/never.jpg")
    debouncer.forget_folder("/p/b")
    assert debouncer.due(9, disk.get) == Due([disk["/p/bb/f.jpg"]], [], False)
    assert debouncer.pending == 0


def test_a_storm_in_one_folder_becomes_one_scan_of_it(debouncer: Debouncer, disk: Disk) -> None:
    for number in range(100):
        debouncer.touch(f"/p/storm/{number}.jpg", 0.01 * number)
    disk.put("/p/calm.jpg")
    debouncer.touch("/p/calm.jpg", 1)
    assert debouncer.pending == 2
    debouncer.due(1, disk.get)
    assert debouncer.due(2.9, disk.get).folders == []
    assert debouncer.due(3.0, disk.get) == Due([disk["/p/calm.jpg"]], ["/p/storm"], False)
    assert debouncer.due(9.0, disk.get) == Due([], [], False)


def test_an_endless_storm_is_scanned_now_and_then(debouncer: Debouncer, disk: Disk) -> None:
    scans = 0
    for tenth in range(1000):
        disk.put(f"/p/storm/{tenth}.jpg")
        debouncer.touch(f"/p/storm/{tenth}.jpg", tenth / 10)
        scans += len(debouncer.due(tenth / 10, disk.get).folders)
    assert 2 <= scans <= 4


def test_storms_everywhere_become_one_scan_of_the_root(debouncer: Debouncer, disk: Disk) -> None:
    for number in range(100):
        debouncer.touch(f"/p/{number}/a.jpg", 0)
    assert debouncer.pending == 1
    debouncer.touch_folder("/p/x", 1)
    assert debouncer.due(2, disk.get) == Due([], [], False)
    assert debouncer.due(3, disk.get) == Due([], [], True)
    assert debouncer.pending == 0


def test_too_many_folders_become_one_scan_of_the_root(
    debouncer: Debouncer, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settler_module, "MAX_FOLDERS", 10)
    for number in range(11):
        debouncer.touch_folder(f"/p/{number}", 0)
    assert debouncer.due(2, disk.get) == Due([], [], True)


def test_lost_events_mean_a_scan_of_the_root(debouncer: Debouncer, disk: Disk) -> None:
    debouncer.touch_everything(0)
    debouncer.touch_everything(1)
    assert debouncer.due(2, disk.get) == Due([], [], False)
    assert debouncer.due(3, disk.get) == Due([], [], True)


def test_folders_inside_folders_are_scanned_once(debouncer: Debouncer, disk: Disk) -> None:
    for folder in ["/p/a/b", "/p/a b", "/p/a", "/p/a/b/c", "/p/ab"]:
        debouncer.touch_folder(folder, 0)
    assert sorted(debouncer.due(2, disk.get).folders) == ["/p/a", "/p/a b", "/p/ab"]


def test_waiting_takes_no_longer_than_needed_and_for_ever_without_work(
    debouncer: Debouncer, disk: Disk
) -> None:
    assert debouncer.wait_s(0) is None
    disk.put("/p/a.jpg")
    debouncer.touch("/p/a.jpg", 1)
    assert debouncer.wait_s(1) == 0
    debouncer.due(1, disk.get)
    assert debouncer.wait_s(1.5) == 1.5
    debouncer.touch_folder("/p/b", 1.5)
    assert debouncer.wait_s(2.0) == 1.0
    assert debouncer.wait_s(9.0) == 0


def test_a_clock_that_steps_back_does_not_stall(debouncer: Debouncer, disk: Disk) -> None:
    disk.put("/p/a.jpg")
    debouncer.touch("/p/a.jpg", 1_000_000)
    debouncer.due(1_000_000, disk.get)
    debouncer.touch_folder("/p/b", 1_000_001)
    assert debouncer.due(5, disk.get) == Due([], [], False)
    assert debouncer.due(8, disk.get) == Due([disk["/p/a.jpg"]], ["/p/b"], False)


def test_a_real_file_written_in_pieces_is_whole_at_its_full_size(
    debouncer: Debouncer, tmp_path: Path
) -> None:
    file = tmp_path / "a.jpg"
    with file.open("wb") as stream:
        for step in range(3):
            stream.write(b"x" * 1000)
            stream.flush()
            debouncer.touch(str(file), step)
            assert paths(debouncer.due(step, found_file)) == []
    (whole,) = debouncer.due(4, found_file).files
    assert whole.size == 3000


@pytest.mark.parametrize(
    ("age_s", "size", "state"),
    [
        (60, 10, FileState.WHOLE),
        (1, 10, FileState.SETTLING),
        (-1, 10, FileState.SETTLING),
        (-86400, 10, FileState.WHOLE),  # the clock was set back
        (60, 0, FileState.EMPTY),
        (1, 0, FileState.SETTLING),
    ],
)
def test_a_scanned_file_is_classified_by_its_times(age_s: int, size: int, state: FileState) -> None:
    wall_ns = time.time_ns()
    assert classify(photo("/p/a.jpg", size, wall_ns - age_s * 10**9), wall_ns, SETTLE_S) is state


def test_a_copy_with_an_old_time_is_classified_by_its_arrival() -> None:
    wall_ns = time.time_ns()
    file = photo("/p/a.jpg", mtime_ns=wall_ns - 10**18)._replace(ctime_ns=wall_ns - 10**9)
    assert classify(file, wall_ns, SETTLE_S) is FileState.SETTLING
