"""The client of the scoring process, with a real child process that answers without torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from maclip_daemon.errors import ChildDied, ModelUnavailable, Poison, Transient, UsageError
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.scoring.scorer_client import PixelBlock, ScorerClient
from maclip_daemon.settings import ScoringSettings

CHILD = """
import os
from maclip_daemon.processes import child_server

def handle(header, payload):
    photos = header["photos"]
    inline = sum(p["width"] * p["height"] * 3 for p in photos if p["path"] is None)
    assert inline == len(payload)
    if any(p["width"] == 666 for p in photos):
        os._exit(70)
    scores = []
    for photo in photos:
        if photo["width"] == 13:
            scores.append({"error": {"kind": "Poison", "message": "not finite"}})
        else:
            scores.append({"score": float(photo["width"]), "q_sim": 0.5, "q_mag": None, "attributes": {},
                           "views": len(photos), "view_scores": [1.0], "view_spread": 0.0,
                           "weight_sim": None})
    return {"scores": scores}, b""

child_server.serve(handle)
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def client(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScorerClient]:
    (tmp_path / "a_scorer.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    settings = ScoringSettings(model=f"file:{model}", batch_photos=3)
    client = ScorerClient(settings, tmp_path, module="a_scorer")
    yield client
    client.close()


def block(width: int, height: int = 2, name: str = "") -> PixelBlock:
    return PixelBlock(bytes(width * height * 3), None, width, height, name)


def test_the_model_is_identified_by_its_content(client: ScorerClient) -> None:
    identity = client.identity()
    assert (identity.metric, identity.protocol) == ("maclip", "spaq448")
    assert identity.model.startswith("file:model.pt@")
    assert client.pid is None  # no process has started


def test_answers_come_in_the_order_of_the_photos(client: ScorerClient, tmp_path: Path) -> None:
    spooled = tmp_path / "pixels"
    spooled.write_bytes(bytes(50 * 2 * 3))
    answers = client.score(
        [
            block(10),
            block(13, name="/photos/a.jpg"),
            PixelBlock(b"short", None, 9, 9, "/photos/b.jpg"),
            PixelBlock(None, spooled, 50, 2),
            PixelBlock(None, tmp_path / "gone", 50, 2),
            PixelBlock(None, None, 50, 2),
            block(20),
        ]
    )
    assert [type(answer) for answer in answers] == [
        PhotoScore,
        Poison,
        Poison,
        PhotoScore,
        Transient,
        Poison,
        PhotoScore,
    ]
    assert [answer.score for answer in answers if isinstance(answer, PhotoScore)] == [10, 50, 20]
    assert str(answers[1]) == "/photos/a.jpg: not finite"
    assert "/photos/b.jpg" in str(answers[2])


def test_a_long_list_is_split_into_batches(client: ScorerClient) -> None:
    views = [answer.views for answer in client.score([block(10)] * 7) if isinstance(answer, PhotoScore)]
    assert views == [3, 3, 3, 3, 3, 3, 1]
    assert client.score([]) == []


def test_a_lost_process_is_reported_and_the_next_request_starts_another(client: ScorerClient) -> None:
    with pytest.raises(ChildDied, match="exit code 70"):
        client.score([block(666)])
    assert isinstance(client.score([block(10)])[0], PhotoScore)


def test_an_idle_process_ends_after_its_timeout(client: ScorerClient) -> None:
    client.score([block(10)])
    client.close_if_idle(1000.0)
    client.close_if_idle(1059.0)
    assert client.pid is not None
    client.score([block(10)])
    client.close_if_idle(1061.0)
    client.close_if_idle(1120.0)
    assert client.pid is not None
    client.close_if_idle(1121.0)
    assert client.pid is None
    assert isinstance(client.score([block(10)])[0], PhotoScore)


def test_changed_or_deleted_weights_are_noticed(client: ScorerClient, model: Path) -> None:
    before = client.identity()
    client.score([block(10)])
    model.write_bytes(b"other weights")
    with pytest.raises(ModelUnavailable, match="replaced by another"):
        client.score([block(10)])
    assert client.pid is None
    times = model.stat()
    model.write_bytes(b"weights")
    assert isinstance(client.score([block(10)])[0], PhotoScore)
    model.write_bytes(b"WEIGHTS")
    os.utime(model, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(ModelUnavailable, match="replaced by another"):
        client.score([block(10)])
    model.unlink()
    with pytest.raises(ModelUnavailable, match="is gone"):
        client.score([block(10)])
    model.write_bytes(b"weights")
    assert isinstance(client.score([block(10)])[0], PhotoScore)
    assert client.identity() == before


def test_weights_that_change_while_photos_are_scored_are_noticed(
    client: ScorerClient, model: Path, tmp_path: Path
) -> None:
    client.identity()
    process = tmp_path / "a_scorer.py"
    process.write_text(
        process.read_text().replace(
            "    scores = []", f"    open({str(model)!r}, 'w').write('other')\n    scores = []"
        )
    )
    with pytest.raises(ModelUnavailable, match="replaced by another"):
        client.score([block(10)])


def test_wrong_names_are_refused_before_a_process_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no metric"):
        ScorerClient(ScoringSettings(metric="brisque"), tmp_path).identity()
    with pytest.raises(ModelUnavailable, match="does not exist"):
        ScorerClient(ScoringSettings(model=f"file:{tmp_path}/absent.pt"), tmp_path).score([block(10)])


@pytest.mark.parametrize("wrong", [{"metric": "brisque"}, {"protocol": "foo"}, {"model": "RN50/yped"}])
def test_a_wrong_name_is_refused_wherever_the_weights_are(wrong: dict[str, str], tmp_path: Path) -> None:
    settings = ScoringSettings(**{"model": "rn50-openai", **wrong})
    with pytest.raises(UsageError, match=next(iter(wrong.values())).rpartition("/")[2]):
        ScorerClient(settings, tmp_path).identity()
