"""Two paths of one folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon.errors import NoAnswer
from maclip_daemon.pipeline.rating.same_folders import FORGOTTEN_AFTER_S, SameFolders


def test_links_lead_to_the_same_folder_and_a_change_is_noticed_after_a_while(tmp_path: Path) -> None:
    now = 0.0
    is_same = SameFolders(60.0, lambda: now)
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


def test_a_folder_that_does_not_respond_for_a_moment_may_be_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_folder: str, _operation: object) -> None:
        raise NoAnswer("It does not respond.")

    now = 0.0
    is_same = SameFolders(60.0, lambda: now)
    (tmp_path / "one").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "one")
    with monkeypatch.context() as patch:
        patch.setattr(is_same._probe, "call_with_timeout", silent)
        with pytest.raises(NoAnswer):
            is_same(str(link), str(tmp_path / "one"))
    assert is_same(str(link), str(tmp_path / "one"))
    now += FORGOTTEN_AFTER_S + 1
    monkeypatch.setattr(is_same._probe, "call_with_timeout", silent)
    with pytest.raises(NoAnswer):
        is_same(str(link), str(tmp_path / "one"))
    now += 61
    assert not is_same(str(link), str(tmp_path / "one")), "a server that is off must not hold all ratings"
