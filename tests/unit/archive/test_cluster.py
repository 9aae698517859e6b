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


@pytest.mark.parametrize(
    ("machines", "asked", "models", "threads"),
    [
        ([(1, 0)], 0, 1, 1),
        ([(2, 0)], 0, 2, 1),
        ([(3, 0)], 0, 2, 1),
        ([(8, 0)], 0, 2, 4),
        ([(8, 0), (8, 0)], 0, 4, 4),
        ([(5, 0)], 0, 2, 2),
        ([(8, 0), (4, 0)], 0, 6, 2),
        ([(2, 0)], 2, 1, 2),
        ([(8, 0), (0, 0)], 3, 2, 3),
        ([(8, 2)], 0, 2, 0),
    ],
)
def test_two_models_share_a_machine_so_that_one_computes_while_the_other_waits(
    machines: list[tuple[int, int]], asked: int, models: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [{"Alive": True, "Resources": {"CPU": float(cpu), "GPU": float(gpu)}} for cpu, gpu in machines]
    nodes.append({"Alive": False, "Resources": {"CPU": 64.0}})
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    sized = cluster._sized(ArchiveSettings(cores_per_model=asked), decoders=0)
    assert (sized.models, sized.cores_per_model) == (models, threads)
    if threads:  # they find room in Ray's books, beside the decoders
        model, decoder = sized.model_resources["num_cpus"], sized.decoder_resources["num_cpus"]
        assert models * model + sized.decoders * decoder <= sized.cores
