"""A histogram of scores as bars of text."""

from __future__ import annotations

from collections.abc import Sequence

from maclip_daemon.cli.printing import output

BAR_WIDTH = 40  # characters


def print_score_bars(bars: Sequence[tuple[float, float, int]]) -> None:
    """Print bars: from which score, up to which, how many photos."""
    tallest = max(count for _, _, count in bars)
    output.print_table(
        "Scores",
        {"from": "right", "to": "right", "photos": "right", "": "left"},
        (
            (f"{low:.4f}", f"{high:.4f}", count, "█" * round(BAR_WIDTH * count / tallest))
            for low, high, count in bars
        ),
    )
