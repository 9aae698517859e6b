"""Finding photos on a terminal and in a pipe: filters, a person's own stars, links, a line a photo."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from pathlib import Path

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from maclip_daemon.cli.printing import terminal_pictures
from maclip_daemon.cli.program import assembled
from maclip_daemon.errors import UsageError
from maclip_daemon.folders.scanner import found_file
from maclip_daemon.library.photos import photo_records, raw_jpeg_pairs, root_records
from maclip_daemon.library.results import calibration, scores
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline import pairing
from tests.e2e.test_terminal import COLUMNS, on_terminal
from tests.homes import Home, make_photo

LINK = re.compile(r"\x1b\]8;[^;]*;(.*?)\x1b\\(.*?)\x1b\]8;;\x1b\\")
LONG = "2026/05 a journey to the far north of Norway, with rain/the first day"
NAMES = (
    *("SHOT.dng", "SHOT.jpg", "2026/mine.jpg", "2026/rejected.jpg", f"{LONG}/IMG_0001 with a long name.jpg"),
    *(
        "2025/old.jpg",
        f"2025/{'日本の写真です' * 5}.jpg",
        "2026/a b#c.jpg",
    ),
)


@pytest.fixture
def found(home: Home) -> Home:
    """A home with scored photos, the weakest first, some of them rated by a person."""
    with Library.open(home.data / "library.db") as library, library.writing() as session:
        root = root_records.root_for(session, str(home.photos), 1.0)
        config = scores.scoring_config_for(session, "maclip", "test", "native")
        scores.activate(session, config.id)
        for place, name in enumerate(NAMES):
            path = make_photo(home.photos / name.replace("dng", "jpg"), place, (64, 48))
            path = path.rename(home.photos / name)
            file = found_file(str(path))
            assert file is not None
            photo_id = photo_records.record_file(session, root, file, 1.0).photo_id
            scores.record(session, config.id, [(photo_id, scores.ScoreRow((place + 1) / 10))], 1.0)
        raw_jpeg_pairs.link_all(session, pairing.role_of)
        rule = calibration.StarRule((10, 20, 40, 20, 10), 2, absolute_edges=(0.2, 0.4, 0.6, 0.8))
        calibration.renew(session, config.id, rule, 1.0)
    connection = sqlite3.connect(home.data / "library.db")
    for name, rating in (("mine.jpg", 5), ("rejected.jpg", -1)):
        connection.execute(
            "update photos set rating_owner = 'person', rating_in_file = ? where file_name = ?",
            (rating, name),
        )
    connection.execute(
        "update photos set taken_at = '2025-08-09T10:00:00', camera = 'NIKON Z 6' where file_name = 'old.jpg'"
    )
    connection.commit()
    connection.close()
    return home


def test_a_terminal_shows_a_line_for_each_photo_with_a_link(found: Home) -> None:
    raw = on_terminal(found, "worst", "--rated-by", "anyone")
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in raw.splitlines()]
    shown = [LINK.sub(r"\2", line) for line in lines]
    assert max(map(cell_len, shown)) <= COLUMNS
    links = {match[2]: match[1] for line in lines for match in LINK.finditer(line)}
    assert links["SHOT.dng"] == (found.photos / "SHOT.dng").as_uri()
    assert links["2026/a b#c.jpg"] == (found.photos / "2026/a b#c.jpg").as_uri()
    (long,) = (text for text in links if text.endswith("IMG_0001 with a long name.jpg"))
    assert long.startswith("…")
    assert len(links) == len(NAMES) - 1, "a RAW and its JPEG are one row"
    (mine,) = (line for line in shown if line.endswith("2026/mine.jpg"))
    assert re.search(r"★{5} \(you\)", mine)
    assert any("rejected (you)" in line for line in shown)


def test_a_terminal_shows_a_picture_under_each_line(found: Home) -> None:
    (found.photos / "2025/old.jpg").write_bytes(b"no photo")
    raw = on_terminal(found, "best", "--preview", "--under", str(found.photos / "2025"), "--all")
    lines = re.sub(r"\x1b(\[[\d;?]*[a-zA-Z]|_G.*?\x1b\\)", "", raw).splitlines()
    shown = [LINK.sub(r"\2", line) for line in lines]
    assert max(map(cell_len, shown)) <= COLUMNS
    (first,) = (place for place, line in enumerate(shown) if "日本の写真" in line)
    blocks = [line for line in shown[first:] if set(line.strip()) == {"▀"}]
    assert len(blocks) == terminal_pictures.ROWS
    assert re.search(r"\x1b\[38;[25];", raw), "in the photo's colours"
    (place,) = (place for place, line in enumerate(shown) if line.endswith("old.jpg"))
    assert shown[place + 1].strip().startswith("No picture: it is not a photo: its content")


def test_a_pipe_has_whole_paths_and_no_links(found: Home) -> None:
    said = found.maclip("worst", "--preview").stdout
    assert "\x1b" not in said
    paths = [line[line.index("/") :] for line in said.splitlines()[1:]]
    assert paths[0] == str(found.photos / "SHOT.dng")
    assert [path for path in paths if not Path(path).exists()] == []
    names = {Path(path).name for path in paths}
    assert not names & {"mine.jpg", "rejected.jpg", "SHOT.jpg"}
    everything = found.maclip("worst", "--all", "--format", "json").stdout.splitlines()
    assert {Path(json.loads(line)["path"]).name for line in everything} == {Path(name).name for name in NAMES}


def test_options_choose_the_same_photos_everywhere(found: Home) -> None:
    def said(*arguments: str, expect: int = 0) -> str:
        result = CliRunner().invoke(assembled(), arguments, env={"MACLIP_DATA_DIR": str(found.data)})
        assert (2 if isinstance(result.exception, UsageError) else result.exit_code) == expect, result.output
        return result.output or str(result.exception)

    def names(*arguments: str) -> list[str]:
        rows = csv.DictReader(io.StringIO(said(*arguments, "--format", "csv")))
        return [row["file_name"] for row in rows]

    assert names("worst", "--since", "2025", "--until", "2025-08") == ["old.jpg"]
    assert names("best", "--camera", "nikon") == ["old.jpg"]
    assert names("worst", "--stars", "1") == ["SHOT.dng"]
    assert names("worst", "--rated-by", "me") == ["mine.jpg", "rejected.jpg"]
    assert names("worst", "--mine", "rejected") == ["rejected.jpg"]
    assert names("worst", "--under", str(found.photos / "2025"), "--name", "OLD") == ["old.jpg"]
    assert json.loads(said("stats", "--json", "--camera", "nikon"))["summary"]["photo_count"] == 1
    assert "No scored photo fits." in said("worst", "--kind", "panorama")
    for arguments, sentence in (
        (("--camera", "Fuji"), "no camera with 'Fuji' in its name. It has NIKON Z 6."),
        (("--lens", "50"), "No photo in it names its lens."),
        (("--reason", "ugly"), "reason: choose any, not sharp"),
        (("--rated-by", "you"), "--rated-by: choose me"),
        (("--rated-by", "me", "--mine", "5"), "Leave --rated-by out"),
        (("--since", "2026-02-30"), "that month has 28 days"),
    ):
        assert sentence in said("worst", *arguments, expect=2)
