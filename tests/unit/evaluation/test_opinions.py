import json
from pathlib import Path

import pytest

from maclip_daemon.errors import UsageError
from maclip_daemon.evaluation import opinions


def _file(folder: Path, text: str, name: str = "mos.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "image,mos\na.jpg,1.5\nb.jpg,2\n",
        "\ufeffImage Name,MOS\r\na.jpg,1.5\r\nb.jpg,2\r\n",
        "img_path;gt_score\na.jpg;1.5\n\nb.jpg;2\n",
        "mos\tstd\tfilename\n1.5\t0.1\ta.jpg\n2\t0.1\tb.jpg\n",
        'image,mos\n"a.jpg"," 1.5"\nb.jpg,2e0\n',
    ],
)
def test_the_usual_headers_and_delimiters_are_understood(tmp_path: Path, text: str) -> None:
    read = opinions.read(_file(tmp_path, text))
    assert [(row.image, row.mos) for row in read] == [("a.jpg", 1.5), ("b.jpg", 2.0)]


def test_the_line_of_a_row_is_that_of_the_editor(tmp_path: Path) -> None:
    read = opinions.read(_file(tmp_path, "image,mos\n\na.jpg,1\n"))
    assert read[0].place == "line 3"


@pytest.mark.parametrize(
    "content",
    [
        [{"img_path": "a.jpg", "gt_score": 1.5}, {"img_path": "b.jpg", "gt_score": 2}],
        {"files": [{"img_path": "a.jpg", "gt_score": 1.5}, {"img_path": "b.jpg", "gt_score": 2}]},
        {"a.jpg": 1.5, "b.jpg": 2},
    ],
)
def test_the_authors_json_is_read_in_each_of_its_shapes(tmp_path: Path, content: object) -> None:
    read = opinions.read(_file(tmp_path, json.dumps(content), "koniq.json"))
    assert [(row.image, row.mos, row.place) for row in read] == [
        ("a.jpg", 1.5, "entry 1"),
        ("b.jpg", 2.0, "entry 2"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("a.jpg,0.5\nb.jpg,0.6\n", "line 1 is not a header: it holds a score"),
        (
            "photo,quality_of_it\na.jpg,1\n",
            "line 1 has the columns photo, quality_of_it, but no image column",
        ),
        ("image,stars\na.jpg,1\n", "but no mos column"),
        ("image,dmos\na.jpg,1\n", "has a DMOS column"),
        ("image,mos\na.jpg,1\nb.jpg,good\n", "(line 3: 'good' for 'b.jpg')"),
        ("image,mos\na.jpg,nan\n", "(line 2: 'nan' for 'a.jpg')"),
        ('image,mos\na.jpg,"3,7"\n', "'3,7'"),
        ("image,mos\na.jpg\n", "line 2: 1 columns where the header has 2"),
        ("image,mos\n,3\n", "line 2: no image name"),
    ],
)
def test_a_bad_table_is_one_sentence_with_its_file_and_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(UsageError, match=r"mos\.csv") as error:
        opinions.read(_file(tmp_path, text))
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is not valid JSON"),
        ("[1, 2]", "must hold a list of objects"),
        ('[{"img_path": "a.jpg"}]', "entry 1 has the keys img_path, but no gt_score"),
        ('[{"img_path": "a.jpg", "gt_score": null}]', "entry 1: 'None' for 'a.jpg'"),
    ],
)
def test_a_bad_json_is_one_sentence_with_its_file_and_entry(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(UsageError, match=r"mos\.json") as error:
        opinions.read(_file(tmp_path, text, "mos.json"))
    assert expected in str(error.value)


def test_a_file_that_is_missing_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        opinions.read(tmp_path / "none.csv")
    (tmp_path / "mos.csv").write_bytes(b"\xff\xd8\xff\xe0\x00")
    with pytest.raises(UsageError, match="not a text file"):
        opinions.read(tmp_path / "mos.csv")
