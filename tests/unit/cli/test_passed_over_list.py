"""Lists in `maclip status` end with how many more there are."""

import json
from collections import Counter

from maclip_daemon.cli.printing import passed_over_list
from maclip_daemon.folders.passed_over import PassedOver

FOUND = PassedOver(
    Counter({"GIF": 12, "Photoshop": 3}),
    [f"/p/{number}.lrdata" for number in range(4)],
    [f"/p/{number:02}.jpg" for number in range(12)],
)


def test_kinds_are_counted_the_most_frequent_first() -> None:
    sentence = "12 GIF, 3 Photoshop files: kinds of pictures that maclip does not read"
    assert passed_over_list.kinds_sentence(FOUND) == sentence
    assert passed_over_list.kinds_sentence(PassedOver(Counter(BMP=1))).startswith("1 BMP file: ")
    assert passed_over_list.kinds_sentence(PassedOver()) == ""


def test_lists_end_with_how_many_more_there_are() -> None:
    shown = list(passed_over_list.lines(FOUND, 3))
    assert shown[1] == (
        "left alone",
        "0.lrdata (Lightroom); 1.lrdata (Lightroom); 2.lrdata (Lightroom); "
        "and 1 more (`maclip status --failed`)",
    )
    assert [label for label, _ in shown] == ["not read", "left alone"] + 4 * ["empty"]
    assert shown[-1] == ("empty", "and 9 more (`maclip status --failed`)")
    assert shown[2][1] == "/p/00.jpg is empty (0 bytes). Copy it again from the card or a backup."


def test_without_a_limit_everything_is_listed_with_its_whole_path() -> None:
    shown = list(passed_over_list.lines(FOUND, None))
    assert len(shown) == 2 + 12
    assert shown[1][1].startswith("/p/0.lrdata (Lightroom); /p/1.lrdata")


def test_notes_of_all_roots_are_added() -> None:
    notes = {"passed_over:1": FOUND.as_json(), "passed_over:2": FOUND.as_json(), "daemon": {"pid": 1}}
    total = passed_over_list.of_notes(notes)
    assert total.kinds == {"GIF": 24, "Photoshop": 6}
    assert len(total.empty) == 24
    assert json.loads(json.dumps(total.as_json()))["kinds"] == {"GIF": 24, "Photoshop": 6}
