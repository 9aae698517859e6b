"""What an archive may hold on purpose or by accident, through the real Ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from maclip_daemon.iqa.models import seeded_checkpoint
from tests.archive.archive_process import TIMEOUT_S, ArchiveProcess
from tests.archive.result_rows import rows_of
from tests.faults import bombs
from tests.homes import Home, contents, make_photos, until

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.long_form]
HOSTILE = (b"new\nline.jpg", b"caf\xe9.jpg", b"-rf.jpg", b'it\'s "quoted".jpg', b"%2e%2e.jpg", b" space .jpg")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Run one Ray for all tests of this module."""
    os.environ.update(RAY_worker_niceness="0", RAY_USAGE_STATS_ENABLED="0")
    head = {"num_cpus": 2, "object_store_memory": 200 << 20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    yield made
    made.shutdown()


def test_hostile_names_and_a_photo_that_kills_its_worker(home: Home, cluster: Cluster) -> None:
    make_photos(home.photos, len(HOSTILE) + 5)
    for number, name in enumerate(HOSTILE):
        (home.photos / f"IMG_{number:04d}.jpg").rename(home.photos / os.fsdecode(name))
    (home.photos / "IMG_0006.jpg").rename(home.photos / "poison.jpg")
    (home.photos / "bomb.png").write_bytes(bombs._constant_png(30_000))
    (home.photos / "cut.jpg").write_bytes((home.photos / "IMG_0007.jpg").read_bytes()[:9000])
    out = home.folder / "results"
    command = ["-m", "tests.archive.special_run", str(home.photos), str(out), cluster.address]
    done = subprocess.run(
        [sys.executable, *command], env=home.environment, capture_output=True, check=True, timeout=TIMEOUT_S
    )
    told = json.loads(done.stdout)  # and nothing else, however much Ray had to say
    assert (told["scored"], told["failed"]) == (len(HOSTILE) + 4, 3)
    assert told["restarts"] in (2, 3)  # the first worker may die before it has told at which photo
    assert "died" in Path(told["remarks"]).read_text()
    assert b"raylet" not in done.stderr

    rows = rows_of(out)
    shown = {name.decode("utf-8", "backslashreplace") for name in HOSTILE}
    assert shown | {"poison.jpg", "bomb.png", "cut.jpg"} <= set(rows)
    assert rows["caf\\xe9.jpg"]["address_bytes"].endswith(b"/caf\xe9.jpg")
    failed = {name: row["failure"] for name, row in rows.items() if row["state"] == "failed"}
    damaged = "damaged, or no photo"
    assert failed == {"poison.jpg": "crashes its reader", "bomb.png": damaged, "cut.jpg": damaged}
    assert rows["poison.jpg"]["attempts"] == 2

    report = home.maclip("archive", "report", out)
    assert "new\\nline.jpg" in report.stdout


def test_a_changed_model_or_protocol_makes_a_generation_beside_and_a_second_run_is_refused(
    home: Home, cluster: Cluster, tmp_path: Path
) -> None:
    make_photos(home.photos, 6)
    out = home.folder / "results"
    command = ("archive", home.photos, "--out", out, "--address", cluster.address)
    home.maclip(*command, timeout_s=TIMEOUT_S)
    kept = contents(out / "generation=1")

    changed = tmp_path / "changed.safetensors"
    seeded_checkpoint.write_seeded_checkpoint(changed, seed=2)
    changes = (("--model", f"file:{changed}"), ("--protocol", "native"))
    for number, change in enumerate(changes, 2):
        with ArchiveProcess(home, *command[1:], *change) as run:
            until(lambda: (out / "_running.json").exists(), "the mark of the run", TIMEOUT_S)
            refused = home.maclip(*command, expect=3)
            assert refused.stderr.startswith(f"maclip: Another run writes into {out} (process ")
            assert run.end() == 0, run.output
        assert contents(out / "generation=1") == kept
        newer, older = rows_of_generation(out, number), rows_of_generation(out, 1)
        assert set(newer) == set(older)
        assert {row["generation"] for row in newer.values()} == {number}
        assert all(newer[name]["score"] != older[name]["score"] for name in older)
    models = {row["model"] for row in rows_of_generation(out, 2).values()}
    assert [name.partition("@")[0] for name in models] == ["file:changed.safetensors"]
    assert {row["protocol"] for row in rows_of_generation(out, 3).values()} == {"native"}

    idle = home.maclip(*command)  # results of other models beside do not make it forget its own
    assert "all 6 photos have a row" in idle.stdout
    back = home.maclip(*command, "--model", f"file:{changed}")
    assert f"all 6 photos have a row in {out}/generation=2" in back.stdout
    assert home.json("archive", "report", out, "--json")["generation"] == 3


def rows_of_generation(out: Path, number: int) -> dict[str, dict[str, object]]:
    """Return one generation's rows by file name."""
    alone = out.parent / f"generation {number} alone"
    alone.mkdir(exist_ok=True)
    link = alone / f"generation={number}"
    if not link.is_symlink():
        link.symlink_to(out / f"generation={number}")
    return rows_of(alone)
