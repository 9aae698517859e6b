"""Two paths of one folder."""

from __future__ import annotations

from pathlib import Path

from maclip_daemon.pipeline.rating.same_folders import FORGOTTEN_AFTER_S, SameFolders


def test_links_lead_to_the_same_folder_and_a_change_is_noticed_after_a_while(tmp_path: Path) -> None:
    now = 0.0
    is_same = SameFolders(lambda: now)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "one")
    assert is_same(str(link), str(tmp_path / "one"))
    assert not is_same(str(link), str(tmp_path / "other"))
    assert not is_same(str(tmp_path / "gone"), str(tmp_path / "gone too"))
    link.unlink()
    link.symlink_to(tmp_path / "other")
    now += FORGOTTEN_AFTER_S + 1
    assert is_same(str(link), str(tmp_path / "other"))
