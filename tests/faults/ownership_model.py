"""Whose rating is it? A model that knows only who did what, and in which file.

A person's rating is whatever another program wrote that maclip did not write before it, also when it takes
maclip's stars away. Pressing the star that maclip gave, or copied, changes nothing; another one over a copy
is the person's, be it the one that maclip gave first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

By = Literal["nobody", "maclip", "person"]


@dataclass
class Slot:
    """The rating in one file."""

    rating: int | None = None
    by: By = "nobody"
    stars: int | None = None
    """maclip:Stars, which tells that maclip rated this photo here."""
    holds_copy: bool = False
    """maclip:Followed, which tells that maclip put a person's rating from elsewhere here."""
    is_last_written_by_maclip: bool = False

    def press(self, rating: int | None, *others: str | None) -> None:
        """Record what another program wrote.

        `others`: the texts of single fields; an empty one was taken away, None means no such field.
        """
        is_as_before = rating == self.rating and self.by == "maclip"
        self.rating = rating
        is_maclips_own = rating == self.stars and not self.holds_copy
        if rating and (is_as_before or is_maclips_own) and {*others} <= {None, str(rating)}:
            self.by = "maclip"
        else:
            self.by = "person" if rating or self.stars else "nobody"


@dataclass
class OwnershipModel:
    """What is known of one photo: `slots` by file name, in the order in which darktable looks."""

    slots: dict[str, Slot] = field(default_factory=dict)
    is_undone: bool = False
    """After `maclip undo` nothing is written until `maclip rate`."""
    is_last_entry_undone: bool = False
    """What the journal tells a new library: `maclip rate` that finds a person's star writes no entry."""

    def persons(self) -> dict[str, int]:
        """Return the ratings that persons gave, by file: 0 where they took maclip's stars away."""
        return {name: slot.rating or 0 for name, slot in self.slots.items() if slot.by == "person"}

    def forget_what_only_the_library_knew(self) -> None:
        """Forget "no stars" in files from which `maclip undo` took the stars that a person had taken away."""
        for slot in self.slots.values():
            if slot.by == "person" and not slot.rating and slot.stars is None:
                slot.by = "nobody"
