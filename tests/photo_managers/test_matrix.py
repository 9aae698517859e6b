"""The matrix of docs/photo-managers.md, cell by cell, with the real programs: not one cell loses anything.

Each row is one story of photos between maclip and a program, told once; a cell's test asks what became of the
photo in its situation, and compares it with what the page says.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.homes import Home
from tests.photo_managers.applications import OLDER, Installation, Screen
from tests.photo_managers.darktable_story import DarktableStory
from tests.photo_managers.digikam_story import DigiKamStory
from tests.photo_managers.matrix_table import DARKTABLE, DIGIKAM, LONG, SITUATIONS, Row, cells

Story = DarktableStory | DigiKamStory


@pytest.fixture(scope="session")
def tell(
    tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, screen: Screen
) -> Callable[[Row], Story]:
    """Return a function that tells a row's story, or returns it when it was told before."""
    told: dict[Row, Story | BaseException] = {}

    def tell(row: Row) -> Story:
        installation = Installation(is_today=row.version == "today")
        installation.require(row.program.lower())
        if row not in told:
            home = Home(tmp_path_factory.mktemp("matrix"), checkpoint)
            try:
                if row.program == "darktable":
                    told[row] = DarktableStory(home, screen, installation, row.setting)
                else:
                    told[row] = DigiKamStory(home, screen, installation, row.setting)
            except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  # each cell of the row fails with it
                told[row] = error
        story = told[row]
        if isinstance(story, BaseException):
            raise story
        return story

    return tell


# The installed darktable has one row where today's has all.
_RELATIVES = [row for row in DARKTABLE if row.version == OLDER and row.setting != "on import"]


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("row", [*DARKTABLE, *DIGIKAM, *LONG], ids=lambda row: row.name)
@pytest.mark.long_form(*(row.name for row in (*LONG, *_RELATIVES)))
def test_cell(row: Row, situation: str, tell: Callable[[Row], Story]) -> None:
    seen = getattr(tell(row), situation.replace(" ", "_"))()
    assert seen == cells().get((row.name, situation))
