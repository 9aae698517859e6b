from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maclip_daemon.metadata.writing.undo_delta import UndoDelta, between

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
