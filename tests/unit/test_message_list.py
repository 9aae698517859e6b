"""What the program says: every message is listed, and none speaks of its own inner life."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit import program_messages
from tests.unit.program_messages import Message, all_messages

LIST = Path(__file__).with_name("messages.txt")
MESSAGES = all_messages()

# Words that only those who wrote the program know, and texts that libraries print for them.
FORBIDDEN = re.compile(
    r"\[Errno|Value error|source=|in hand|given back|\bsomebody\b|\bsomeone\b|\bexception\b|\bstderr\b"
    r"|\bkwargs\b|\bcallback\b|\bsubprocess\b|\bmutex\b|\bNone\b|\bnull\b|\brepr\b|\btuple\b|\bTrue\b|\bFalse\b"
    r"|\bassert\w*\b|\b[Cc]alibrat\w+\b|\bto_rate\b|\bto_score\b|\bthread\b|\brollback\b|\b[Tt]raceback\b",
)
# Texts of other exceptions that are meant to be read.
ALLOWED = {
    "maclip_daemon/settings/load_settings.py": "a mistake in the person's own file, with its line and column",
    "maclip_daemon/iqa/models/architecture.py": "the name of the weight that the file lacks",
    "maclip_daemon/iqa/models/torchscript.py": "the reasons are written there",
    "maclip_daemon/photos/decoder.py": "the reasons are written there; for a report of a fault",
    "maclip_daemon/photos/previews/previewer.py": "the reasons are written there; for a report of a fault",
    "maclip_daemon/scoring/scoring_server.py": "nobody knows what it will be; for a report of a fault",
}


def where(message: Message) -> str:
    return f"{message.file}:{message.line}: {message.text}"


def test_every_message_is_listed(request: pytest.FixtureRequest) -> None:
    now = program_messages.listed(MESSAGES)
    if request.config.getoption("--renew"):
        LIST.write_text(now, "utf-8")
    assert now == LIST.read_text("utf-8"), (
        "messages have changed: run `scripts/test tests/unit/test_message_list.py --renew`, and read how"
    )


def test_no_message_speaks_of_the_programs_inner_life() -> None:
    assert [where(message) for message in MESSAGES if FORBIDDEN.search(message.text)] == []


def test_no_message_is_another_librarys_exception() -> None:
    foreign = [message for message in MESSAGES if message.foreign]
    assert [where(message) for message in foreign if message.file not in ALLOWED] == []
    assert {message.file for message in foreign} == set(ALLOWED), "a reason that is not needed any more"


def test_no_message_names_the_same_thing_twice() -> None:
    """A command to type, and the name of an option, may say it again."""
    twice = []
    for message in MESSAGES:
        between = message.text.split("{…}")[:-1]  # what stands before each value
        spoken = [
            value
            for index, value in enumerate(message.values)
            if "".join(between[: index + 1]).count("`") % 2 == 0 and not between[index].endswith("--")
        ]
        twice += [where(message)] if len(set(spoken)) < len(spoken) else []
    assert twice == []


def test_an_error_is_a_sentence_or_a_reason_within_one() -> None:
    errors = [each for each in MESSAGES if each.shown_by[0].isupper()]
    sentences = [each for each in errors if re.match(r"[A-Z{]", each.text)]
    assert [where(each) for each in sentences if not re.search(r"[.?!…)}`]$", each.text)] == []
    reasons = [each for each in errors if re.match(r"[a-z]", each.text)]
    assert len(sentences) + len(reasons) >= 0.95 * len(errors)
