"""Whatever a request holds: it becomes decisions and a filter, or a sentence that says what is wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maclip_daemon.errors import UsageError
from maclip_daemon.library.queries.finding import filter_words
from maclip_daemon.web import decision_body, filter_params
from maclip_daemon.web.access import Keys

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["id", "rating", "pick", "seen", "path"])
NAMES = st.sampled_from([*filter_words.WORDS, "offset", "count"])


@given(st.binary(max_size=60) | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_refused_with_a_sentence(body: bytes) -> None:
    with pytest.raises(UsageError, match=r"\w"):
        decision_body.parse(body)


@given(st.lists(st.dictionaries(KEYS, ANY_JSON, max_size=4), max_size=3))
def test_what_is_accepted_can_be_stored(items: list[dict[str, object]]) -> None:
    try:
        decided = decision_body.parse(json.dumps({"decisions": items}).encode())
    except UsageError:
        return
    for each in decided:
        assert 0 < each.photo_id < 1 << 62
        assert each.rating in (None, -1, 0, 1, 2, 3, 4, 5)
        assert each.pick in (None, True, False)
        assert (each.rating, each.pick) != (None, None)


@given(st.dictionaries(NAMES, st.text(max_size=12) | st.sampled_from(["worst", "1,2", "any", "2026-05-01"])))
def test_any_filter_is_one_or_is_refused(params: dict[str, str]) -> None:
    try:
        chosen = filter_params.parse(params, ("/photos",), 7)
        filter_params.whole(params, "offset", 10)
    except UsageError:
        return
    assert chosen.under == ("/photos",)
    assert set(chosen.stars) <= {1, 2, 3, 4, 5}


@given(st.text(), st.text())
def test_no_other_text_opens_the_page(token: str, cookies: str) -> None:
    keys = Keys("secret", 8737)
    assert not keys.opens(token)
    assert not keys.fits(cookies)


def test_a_token_for_one_use_is_spent_by_it() -> None:
    keys = Keys("secret", 8737)
    once = keys.for_one_use()
    assert [keys.opens(once), keys.opens(once)] == [True, False]
    assert [keys.opens(keys.token), keys.opens(keys.token)] == [True, True]
    assert keys.fits("a=b; maclip_review_8737=secret")
