"""What Ray prints is kept from the screen, and in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon.archive import ray_remarks


def test_rays_remarks_are_in_a_file_and_not_on_the_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").mkdir()
    with ray_remarks.kept_back(str(tmp_path)) as remarks:
        assert remarks.is_empty
        print("(raylet) a worker died: \udcff")
    print("1 photo scored")
    assert capsys.readouterr().out == "1 photo scored\n"
    assert remarks.path.parent == tmp_path / "logs"
    assert remarks.path.read_text() == "(raylet) a worker died: \\udcff\n"


def test_remarks_without_end_fill_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_remarks, "_LONGEST", 20)
    (tmp_path / "logs").mkdir()
    with ray_remarks.kept_back(str(tmp_path)) as remarks:
        for _ in range(5):
            remarks.add("a worker died")
    assert remarks.path.stat().st_size == 20
