from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from maclip_daemon.iqa.view_grid import view_boxes, view_count
from maclip_daemon.iqa.views import global_view, make_views, normalise, squashed_view
from tests.synthetic_photos import synthetic_photo

SIDES = st.integers(min_value=224, max_value=700)


def pixels(width: int, height: int) -> torch.Tensor:
    return torch.from_numpy(synthetic_photo(1, width, height))


@pytest.mark.parametrize(
    ("size", "views"),
    [((224, 224), 2), ((448, 448), 5), ((512, 384), 7), ((1024, 768), 36), ((6000, 4000), 1381)],
)
def test_the_number_of_views_is_the_authors(size: tuple[int, int], views: int) -> None:
    assert view_count(*size) == views
    assert len(view_boxes(*size)) == views
    assert view_count(*size, "whole") == len(view_boxes(*size, "whole")) == 1


@settings(max_examples=10, deadline=None)
@given(SIDES, SIDES)
def test_views_are_unfold_and_interpolate_of_the_normalised_photo(width: int, height: int) -> None:
    photo = pixels(width, height)
    tensor = normalise(photo)[None]
    unfolded = functional.unfold(tensor, 224, stride=128)[0].T.reshape(-1, 3, 224, 224)
    whole = functional.interpolate(tensor, size=(224, 224), mode="bilinear", align_corners=False)
    made = make_views(photo, "crops")
    assert torch.equal(made[:-1], unfolded)
    # A processor without fused multiply-add rounds torch's sampling positions otherwise: up to 2e-4.
    assert torch.allclose(made[-1:], whole, atol=2e-4)


def test_each_box_holds_the_pixels_of_its_view() -> None:
    photo = pixels(520, 400)
    made = make_views(photo, "crops")
    for box, view in zip(view_boxes(520, 400)[:-1], made[:-1], strict=True):
        part = photo[box.y : box.y + box.height, box.x : box.x + box.width]
        assert torch.equal(normalise(part), view)
    assert view_boxes(520, 400)[-1].width == 520


def test_views_made_in_pieces_are_the_same_views() -> None:
    photo = pixels(600, 500)
    every = make_views(photo, "crops")
    pieces = [
        make_views(photo, "crops", start, min(start + 3, len(every))) for start in range(0, len(every), 3)
    ]
    assert torch.equal(torch.cat(pieces), every)


def test_a_large_photo_needs_memory_only_for_the_views_that_are_made() -> None:
    photo = torch.zeros(4000, 6000, 3, dtype=torch.uint8)
    assert make_views(photo, "crops", 700, 704).shape == (4, 3, 224, 224)
    assert global_view(photo).shape == (3, 224, 224)


def test_the_whole_photo_keeps_its_size_unless_the_tower_takes_one_size() -> None:
    photo = pixels(300, 250)
    assert make_views(photo, "whole").shape == (1, 3, 250, 300)
    assert squashed_view(photo).shape == (1, 3, 224, 224)


@settings(max_examples=4, deadline=None)
@given(SIDES, SIDES)
def test_a_photo_and_its_mirror_image_have_the_same_centred_views(width: int, height: int) -> None:
    photo = pixels(width, height)
    views, mirrored = (make_views(shown, "crops", centred=True) for shown in (photo, photo.flip(1)))
    assert {view.numpy().tobytes() for view in views[:-1]} == {
        view.numpy().tobytes() for view in mirrored[:-1]
    }
    assert torch.equal(views[-1], mirrored[-1])


def test_published_protocols_judge_views_as_they_are() -> None:
    photo = pixels(480, 352)  # one column of crops is left over, so that both grids are the same
    published, facing = (make_views(photo, "crops", centred=centred) for centred in (False, True))
    assert torch.equal(published[0], facing[0])
    assert torch.equal(published[2], facing[2].flip(-1))
