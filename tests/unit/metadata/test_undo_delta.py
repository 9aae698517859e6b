from __future__ import annotations

import itertools

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maclip_daemon.metadata.writing.undo_delta import UndoDelta, between, joined

pieces = st.lists(st.binary(max_size=300), max_size=6)


@given(
    st.binary(max_size=2000), st.binary(max_size=2000), st.integers(0, 0o7777), st.integers(-(10**12), 10**19)
)
def test_a_delta_restores_any_old_bytes_from_any_new(
    old: bytes, new: bytes, mode: int, mtime_ns: int
) -> None:
    record = between(old, new, mode=mode, mtime_ns=mtime_ns)
    assert record.apply(new) == old
    assert UndoDelta.decode(record.encode()) == record


@given(pieces, pieces, st.binary(max_size=500))
def test_a_delta_restores_old_bytes_that_share_pieces_with_the_new(
    first: list[bytes], second: list[bytes], shared: bytes
) -> None:
    old = shared.join(first)
    new = shared.join(second)
    assert between(old, new, mode=0, mtime_ns=0).apply(new) == old


def test_a_small_change_in_a_large_file_needs_little_room() -> None:
    image = numpy.random.default_rng(5).bytes(3_000_000)
    old = b"RIFF1234WEBPVP8X" + image + b"EXIF...."
    for new in (
        old[:8] + b"inserted" * 300 + old[8:],
        b"RIFF5678WEBPVP8Y" + image + b"XMP " * 500 + b"EXIF....",
        b"RIFF5678WEBP" + b"VP8X......" + image[:1_000_000] + b"??" + image[1_000_000:],
    ):
        assert len(between(old, new, mode=0o644, mtime_ns=1).encode()) < 1000


def test_cut_off_or_foreign_restore_data_is_refused() -> None:
    data = between(b"old", b"new", mode=0, mtime_ns=0).encode()
    for bad in (b"", data[:3], data[:20], data.replace(b'"version": 1', b'"version": 7')):
        with pytest.raises(ValueError, match=r"."):
            UndoDelta.decode(bad)


@given(pieces, pieces, pieces, st.binary(max_size=500), st.integers(0, 0o7777))
def test_joined_deltas_restore_the_oldest_bytes_from_the_newest(
    first: list[bytes], second: list[bytes], third: list[bytes], shared: bytes, mode: int
) -> None:
    states = [shared.join(parts) for parts in (first, second, third)]
    older = between(states[0], states[1], mode=mode, mtime_ns=7)
    newer = between(states[1], states[2], mode=0o600, mtime_ns=9)
    over_both = joined(older, newer)
    assert over_both.apply(states[2]) == states[0]
    assert (over_both.mode, over_both.mtime_ns) == (mode, 7)
    assert all(length for _, length in over_both.pieces) or not over_both.apply(states[2])


def test_a_joined_chain_needs_no_more_room_than_its_first_bytes() -> None:
    states = [b"<x>" + b"title " * 40 + b"stars=%d score=%d</x>" % (n % 5, 7 * n) for n in range(60)]
    states[0] = b"<x>" + b"title " * 40 + b"</x>"
    deltas = [between(old, new, mode=0, mtime_ns=0) for old, new in itertools.pairwise(states)]
    chain = deltas[0]
    for delta in deltas[1:]:
        chain = joined(chain, delta)
    assert chain.apply(states[-1]) == states[0]
    assert len(chain.encode()) < 2 * len(states[0])


def test_deltas_that_do_not_belong_together_are_not_joined() -> None:
    older = between(b"a" * 200 + b"old", b"a" * 200 + b"new", mode=0, mtime_ns=0)
    with pytest.raises(ValueError, match="does not make"):
        joined(older, between(b"short", b"other", mode=0, mtime_ns=0))
    for pair in (
        (older, UndoDelta.taking_out()),
        (UndoDelta.taking_out(), older),
        (older, UndoDelta(created=True)),
    ):
        with pytest.raises(ValueError, match="can be joined"):
            joined(*pair)
    created = UndoDelta(created=True)
    assert joined(created, older) == created
