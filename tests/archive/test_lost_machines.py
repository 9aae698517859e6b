"""Bulk runs whose workers, machines and driver are lost in the middle: every photo once, and right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs
from ray.cluster_utils import Cluster

from tests.archive.archive_process import TIMEOUT_S, ArchiveProcess, workers_of
from tests.archive.failing_storage import FailingStorage
from tests.archive.result_rows import PRECISION, rows_of
from tests.faults import bombs
from tests.faults.small_disk import small_disk
from tests.homes import Home, make_photos, until

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.long_form]
SMALL = {"MACLIP_ARCHIVE__ROWS_PER_FILE": "8", "MACLIP_ARCHIVE__CHUNK_PHOTOS": "4"}


@pytest.fixture
def cluster(storage: FailingStorage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Run a head without cores; tests add machines of one core each."""
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    head = {"num_cpus": 0, "object_store_memory": 200 << 20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    yield made
    made.shutdown()


def test_a_killed_worker_a_lost_machine_and_a_storm_cost_no_photo(
    home: Home, storage: FailingStorage, cluster: Cluster, tmp_path: Path
) -> None:
    make_photos(home.photos, 40)
    (home.photos / "cut.jpg").write_bytes((home.photos / "IMG_0000.jpg").read_bytes()[:9000])
    (home.photos / "bomb.png").write_bytes(bombs._constant_png(30_000))
    files = s3fs.S3FileSystem()
    files.put(f"{home.photos}/", "studio/in/", recursive=True)
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=200 << 20) for _ in range(3)]

    target = ("s3://studio/in", "--out", "s3://studio/out", "--address", cluster.address)
    with ArchiveProcess(home, *target, **SMALL) as run:
        until(lambda: workers_of("DecodeStage"), "a decoder", TIMEOUT_S)[0].kill()
        storage.storm(20)
        run.wait_for(4)
        until(lambda: workers_of("ScoreStage"), "a model")[0].kill()
        run.wait_for(14)
        cluster.remove_node(nodes[2], allow_graceful=False)
        assert run.end() == 1, run.output
        assert "40 photos scored, 2 failed" in run.output

    local = tmp_path / "results"
    files.invalidate_cache()
    files.get("studio/out/", f"{local}/", recursive=True)
    rows = rows_of(local)
    failed = {name: row["failure"] for name, row in rows.items() if row["state"] == "failed"}
    assert failed == dict.fromkeys(("cut.jpg", "bomb.png"), "damaged, or no photo")
    lines = home.maclip("score", "--json", home.photos, expect=1).stdout.splitlines()
    for line in lines:
        expected = json.loads(line)
        row = rows[Path(expected["path"]).name]
        if expected["error"] is None:
            found = [row[name] for name in ("score", "overall_score", "q_sim", "q_mag")]
            assert found == pytest.approx(
                [expected[name] for name in ("score", "overall", "q_sim", "q_mag")], abs=PRECISION
            )
            assert (row["views"], row["model"]) == (expected["views"], expected["model"])
    assert len(lines) == len(rows) == 42


def test_a_killed_driver_leaves_no_process_and_the_next_run_goes_on(home: Home) -> None:
    make_photos(home.photos, 40)
    out = home.folder / "results"
    with ArchiveProcess(home, home.photos, "--out", out, **SMALL) as run:
        until(lambda: any(out.glob("generation=1/scored-*")), "the first results", TIMEOUT_S)
        run.kill()
    kept = rows_of(out)
    assert 0 < len(kept) < 40
    with ArchiveProcess(home, home.photos, "--out", out, **SMALL) as again:
        assert again.end() == 0, again.output
    rows = rows_of(out)
    assert len(rows) == 40
    assert {name: row["run"] for name, row in rows.items() if name in kept} == {
        name: row["run"] for name, row in kept.items()
    }
    assert f"{40 - len(kept)} photos scored" in again.output
    assert not (out / "_running.json").exists()


def test_a_full_disk_ends_the_run_with_a_sentence_and_the_next_one_goes_on(home: Home) -> None:
    make_photos(home.photos, 24)
    with small_disk(home.folder / "disk", 8) as disk:
        out = disk.folder / "results"
        with ArchiveProcess(home, home.photos, "--out", out, **SMALL) as run:
            until(lambda: any(out.glob("generation=1/scored-*")), "the first results", TIMEOUT_S)
            disk.fill()
            assert run.end() == 3, run.output
            assert "is full. Free some space." in run.output.splitlines()[-1]
        kept = rows_of(out)
        disk.empty()
        with ArchiveProcess(home, home.photos, "--out", out, **SMALL) as again:
            assert again.end() == 0, again.output
        assert len(rows_of(out)) == 24
        assert f"{24 - len(kept)} photos scored" in again.output
