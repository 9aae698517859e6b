"""Ray that does not start, or is not there, is one sentence."""

from __future__ import annotations

import pytest

from maclip_daemon.archive import cluster
from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.settings import ArchiveSettings


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (
            None,
            "Ray does not start on this machine. Try again when it is less busy; Ray's own reasons are in",
        ),
        ("studio:6379", "There is no Ray cluster at studio:6379. Check the address and that `ray status`"),
    ],
)
@pytest.mark.parametrize("kind", [ConnectionError, RuntimeError, Exception])
def test_ray_that_does_not_answer_is_one_sentence(
    address: str | None, expected: str, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def begun(*_: object) -> None:
        tries.append(1)
        raise kind("The current node timed out during startup.")

    monkeypatch.setattr(cluster, "_begun", begun)
    with (
        pytest.raises(EnvironmentUnfit) as caught,
        cluster.joined(address, ArchiveSettings(), cores=1, decoders=0),
    ):
        pass
    assert str(caught.value).startswith(expected)
    assert len(tries) == (2 if address is None else 1)  # a busy machine has a second chance
    assert "timed out during startup" not in str(caught.value)
