"""A RAW and its JPEG as one shot: which file stands for it, and what the person decided about either."""

from __future__ import annotations

from typing import Any

from maclip_daemon.library.queries.finding.photo_filter import Mine
from maclip_daemon.library.storage.sql_views import ACTIVE_CONFIG

STANDS_FOR_SHOT = (
    "NOT EXISTS (SELECT 1 FROM photo_pairs follows JOIN photos lead ON lead.id = follows.raw_id"
    " JOIN scores led ON led.photo_id = lead.id"
    f" AND led.scoring_config_id = {ACTIVE_CONFIG}"
    " WHERE follows.photo_id = p.id AND lead.state = 'scored')"
)
"""Of a RAW with its JPEG the RAW stands for both; where it has no score, the JPEG does."""

# The first part is what the partial index asks for, word by word.
_PERSONS = "{0}.rating_owner <> 'none' AND {0}.rating_owner = 'person'"
_DECISIONS = {
    "unrated": _PERSONS,
    "undecided": f"(({_PERSONS}) OR {{0}}.is_picked = 1)",
    "maclip": _PERSONS,
    "nobody": _PERSONS,
    "rated": _PERSONS,
    "picked": "{0}.is_picked = 1",
    "rejected": f"{_PERSONS} AND {{0}}.rating_in_file = -1",
}
_WITHOUT = {
    "unrated": "",
    "undecided": "",
    "maclip": " AND p.rating_owner = 'maclip'",
    "nobody": " AND p.rating_owner = 'none'",
}


def decided(mine: Mine) -> tuple[str, list[Any], str]:
    """Return the condition that a person decided so about a shot, its values, and the query for its ids.

    Without an index that knows them the query is empty.
    """
    decision = _DECISIONS.get(mine, f"{_PERSONS} AND {{0}}.rating_in_file = {mine if mine.isdigit() else 0}")
    of_either = f"({decision.format('p')}{''.join(_of_other(decision, *pair) for pair in _PAIR)})"
    if mine in _WITHOUT:
        return f"NOT {of_either}{_WITHOUT[mine]}", [], ""
    if mine == "picked":
        return of_either, [], ""
    ids = f"SELECT o.id FROM photos o WHERE {decision.format('o')}" + "".join(
        f" UNION SELECT x.{mine_id} FROM photos o CROSS JOIN photo_pairs x ON x.{other_id} = o.id"
        f" WHERE {decision.format('o')}"
        for mine_id, other_id in _PAIR
    )
    return of_either, [], ids


_PAIR = (("raw_id", "photo_id"), ("photo_id", "raw_id"))


def _of_other(decision: str, mine_id: str, other_id: str) -> str:
    return (
        f" OR EXISTS (SELECT 1 FROM photo_pairs x JOIN photos o ON o.id = x.{other_id}"
        f" WHERE x.{mine_id} = p.id AND {decision.format('o')})"
    )
