"""Each fault is measured in its own unit, and leaves the other measures alone."""

import numpy as np
import pytest
from faulty_photos import Pixels, at_half_size, blurred, compressed, enlarged, exposed, grain, moved, sharp
from PIL import Image
from scipy.ndimage import gaussian_filter

from maclip_daemon.photos.measures.measurement import measure
from maclip_daemon.photos.measures.photo_measures import PhotoMeasures
from maclip_daemon.photos.measures.reasons import reasons_of


def measured(pixels: Pixels, scale: float = 1.0) -> PhotoMeasures:
    found = measure(Image.fromarray(pixels), scale)
    assert found is not None
    return found


def reasons(pixels: Pixels) -> tuple[str, ...]:
    return reasons_of(measured(pixels), pixels.shape[1], pixels.shape[0])


@pytest.fixture(scope="module")
def photo() -> Pixels:
    return sharp()


def test_a_sharp_photo_has_no_fault(photo: Pixels) -> None:
    found = measured(photo)
    assert found.focus.value < 0.8
    assert found.motion.value == 0
    assert found.enlargement.value == 1
    assert found.jpeg_damage.value < 10
    assert reasons(photo) == ()


def test_blur_is_measured_in_pixels(photo: Pixels) -> None:
    ladder = [measured(blurred(photo, deviation)) for deviation in (0.8, 1.5, 2.5, 4)]
    focus = [each.focus.value for each in ladder]
    assert focus == sorted(focus)
    assert focus == pytest.approx([0.8, 1.5, 2.5, 4], rel=0.35)
    assert all(each.motion.value < 3 for each in ladder)
    assert all(each.enlargement.value == 1 for each in ladder)
    assert "not sharp anywhere at 100 %" in reasons(blurred(photo, 4))[0]


def test_strong_blur_is_measured_as_strong(photo: Pixels) -> None:
    ladder = [measured(blurred(photo, deviation)) for deviation in (6, 9, 14)]
    assert [each.focus.value for each in ladder] == pytest.approx([6, 9, 14], rel=0.3)
    assert all(reasons(blurred(photo, deviation))[0].startswith("not sharp") for deviation in (6, 9, 14))


def test_a_long_movement_is_measured_as_long(photo: Pixels) -> None:
    ladder = [measured(moved(photo, length, 1)) for length in (20, 30, 50)]
    assert [each.motion.value for each in ladder] == pytest.approx([20, 30, 50], rel=0.3)
    assert all(each.focus.value < 2 for each in ladder)


def test_blur_that_differs_by_direction_is_hardly_called_a_movement(photo: Pixels) -> None:
    slanted = gaussian_filter(photo.astype(np.float32), (2, 5, 0)).round().astype(np.uint8)
    found = measured(slanted)
    assert found.motion.value > 8
    assert found.motion.confidence < 0.9
    assert measured(moved(photo, 20, 1)).motion.confidence == 1


def test_strong_blur_of_a_small_photo_is_measured_as_strong() -> None:
    small = sharp(size=(512, 512))
    ladder = [measured(blurred(small, deviation)).focus.value for deviation in (3, 5, 8)]
    assert ladder == sorted(ladder)
    assert ladder == pytest.approx([3, 5, 8], rel=0.35)


@pytest.mark.parametrize(("axis", "direction", "words"), [(1, 0, "sideways"), (0, 90, "up and down")])
def test_a_movement_has_a_length_and_a_direction_and_is_no_missed_focus(
    photo: Pixels, axis: int, direction: float, words: str
) -> None:
    ladder = [measured(moved(photo, length, axis)) for length in (6, 12, 20)]
    lengths = [each.motion.value for each in ladder]
    assert lengths == sorted(lengths)
    assert lengths == pytest.approx([6, 12, 20], rel=0.5)
    assert abs((ladder[-1].motion_direction - direction + 90) % 180 - 90) < 10
    assert all(each.focus.value < 2 for each in ladder)
    (reason,) = reasons(moved(photo, 20, axis))
    assert reason.startswith("moved ")
    assert words in reason


def test_noise_is_measured_in_grey_levels_and_leaves_the_focus(photo: Pixels) -> None:
    ladder = [measured(grain(photo, deviation)) for deviation in (4, 8, 16)]
    assert [each.noise.value for each in ladder] == pytest.approx([4, 8, 16], rel=0.25)
    assert all(abs(each.focus.value - measured(photo).focus.value) < 0.3 for each in ladder)
    (reason,) = reasons(grain(photo, 20))
    assert reason.startswith("noise: ")


def test_noise_of_a_raw_without_noise_reduction_is_no_reason(photo: Pixels) -> None:
    found = measure(Image.fromarray(grain(photo, 20)), 1.0, is_developed=True)
    assert found is not None
    assert found.noise.value > 12
    assert reasons_of(found, 1280, 960) == ()


def test_clipped_light_is_measured_in_per_cent(photo: Pixels) -> None:
    blown = photo.copy()
    blown[: len(blown) // 4] = 255
    assert measured(blown).clipped_highlights.value == pytest.approx(25, abs=1)
    assert reasons(blown) == ("highlights clipped: 25 %",)
    dark = (photo.astype(np.float32) * 0.012).astype(np.uint8)
    assert measured(dark).clipped_shadows.value > 90
    assert reasons(dark)[0].startswith("underexposed: ")


def test_light_that_is_clipped_in_two_channels_is_lost_and_in_one_is_a_strong_colour(photo: Pixels) -> None:
    yellow, red = photo.copy(), photo.copy()
    yellow[: len(photo) // 4] = (255, 255, 90)
    red[: len(photo) // 4] = (255, 40, 30)
    assert measured(yellow).clipped_highlights.value == pytest.approx(25, abs=1)
    assert measured(red).clipped_highlights.value < 1


def test_less_and_less_light_leaves_more_and_more_that_is_black(photo: Pixels) -> None:
    bright = np.maximum(photo, 75)
    ladder = [measured(exposed(bright, stops)) for stops in (0, -3, -4.5, -6)]
    shadows = [each.clipped_shadows.value for each in ladder]
    assert shadows[0] == 0
    assert shadows[1] < shadows[2] < shadows[3]
    (reason,) = reasons(exposed(bright, -5.5))
    assert reason == "underexposed: the brightest parts are 6 stops below white"


def test_a_picture_in_red_light_is_not_dark(photo: Pixels) -> None:
    red = photo // 12
    red[300:600, 300:700] = (250, 0, 10)
    assert reasons(red) == ()


def test_less_contrast_is_fewer_stops(photo: Pixels) -> None:
    stops = [
        measured((110 + (photo.astype(np.float32) - 110) * share).astype(np.uint8)).contrast.value
        for share in (1, 0.5, 0.2)
    ]
    assert stops == sorted(stops, reverse=True)
    assert stops[-1] < stops[0] / 3


def test_jpeg_damage_grows_with_compression_and_stays_when_saved_well(photo: Pixels) -> None:
    ladder = [measured(compressed(photo, quality)).jpeg_damage.value for quality in (95, 30, 10)]
    assert ladder == sorted(ladder)
    assert measured(compressed(compressed(photo, 10), 95)).jpeg_damage.value > ladder[1]


@pytest.mark.parametrize("is_halved", [False, True], ids=["full size", "half size"])
def test_jpeg_damage_is_largest_where_steps_between_blocks_are_no_longer_small(
    photo: Pixels, is_halved: bool
) -> None:
    def damage(quality: int) -> float:
        spoiled = compressed(photo, quality)
        found = measured(at_half_size(spoiled), 0.5) if is_halved else measured(compressed(spoiled, 95))
        return found.jpeg_damage.value

    medium, strong, strongest = (damage(quality) for quality in (20, 10, 4))
    assert medium < strong < strongest
    assert strongest > 150


@pytest.mark.parametrize("factor", [3, 4.5])
def test_an_enlarged_copy_shows_what_it_really_has(photo: Pixels, factor: float) -> None:
    found = measured(enlarged(photo, factor))
    assert found.enlargement.value == pytest.approx(factor, rel=0.03)
    assert found.true_megapixels(1280, 960) == pytest.approx(1.2288 / factor**2, rel=0.06)
    assert found.focus.value < 1  # it is as sharp as so few pixels can be


@pytest.mark.parametrize(("softness", "factor"), [(0.7, 3), (4, 5), (6, 9)])
def test_a_soft_photo_that_was_enlarged_is_not_taken_for_a_sharp_one_enlarged_more(
    photo: Pixels, softness: float, factor: float
) -> None:
    found = measured(at_half_size(enlarged(blurred(photo, softness), factor)), 0.5)
    assert found.enlargement.value == pytest.approx(factor, rel=0.03)


def test_a_regular_pattern_out_of_focus_is_no_enlarged_picture(photo: Pixels) -> None:
    chart = photo.copy()
    chart[:, ::23] = chart[::23, :] = 20
    chart[:, 1::23] = chart[1::23, :] = 20
    found = measured(at_half_size(blurred(np.tile(chart, (2, 2, 1)), 4)), 0.5)
    assert found.enlargement.value == 1
    assert found.focus.value > 2


@pytest.mark.parametrize("factor", [3, 5, 9])
def test_a_bilinear_enlargement_is_told_at_half_size_as_well(photo: Pixels, factor: float) -> None:
    found = measured(at_half_size(enlarged(photo, factor, Image.Resampling.BILINEAR)), 0.5)
    assert found.enlargement.value == pytest.approx(factor, rel=0.03)


def test_a_small_enlarged_picture_is_told() -> None:
    for seed in range(4):
        found = measured(enlarged(sharp(seed, (280, 280)), 4)).enlargement
        assert found.value == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("factor", [3.3, 3.7])
def test_of_two_factors_with_one_rhythm_the_smaller_is_told(photo: Pixels, factor: float) -> None:
    found = measured(at_half_size(enlarged(photo, factor)), 0.5)
    assert found.enlarged_at_least() == pytest.approx(factor, rel=0.03)


def test_a_slight_enlargement_is_not_told_because_codecs_look_the_same(photo: Pixels) -> None:
    assert measured(enlarged(photo, 1.25)).enlargement.value == 1


def test_texture_beside_calm_parts_is_no_noise(photo: Pixels) -> None:
    foliage = grain(photo, 14)
    foliage[300:900, 100:900] = blurred(photo, 6)[300:900, 100:900]
    assert measured(foliage).noise.value < 4
    assert not any(reason.startswith("noise") for reason in reasons(foliage))
    assert reasons(grain(photo, 14))[0].startswith("noise")


def test_a_photo_measured_at_half_size_has_the_pixels_of_its_full_size(photo: Pixels) -> None:
    half = np.asarray(Image.fromarray(blurred(photo, 3)).reduce(2))
    assert measured(half, 0.5).focus.value == pytest.approx(3, rel=0.35)


def test_a_blurred_background_is_no_fault_and_the_focus_has_a_place(photo: Pixels) -> None:
    bokeh = blurred(photo, 9)
    bokeh[600:900, 900:1200] = photo[600:900, 900:1200]
    found = measured(bokeh)
    assert found.focus.value < 1.2
    assert 0.7 < found.focus_x < 0.95
    assert 0.62 < found.focus_y < 0.95
    assert reasons(bokeh) == ()


def test_pictures_without_edges_get_no_reason_for_it() -> None:
    random = np.random.default_rng(3)
    rows, columns = np.mgrid[:960, :1280]
    flat = np.full((960, 1280, 3), 180, np.float32)
    fog = np.repeat(150 + 40 * rows[..., None] / 960 + 10 * np.sin(columns / 200)[..., None], 3, 2)
    night = np.full((960, 1280, 3), 6, np.float32)
    for _ in range(40):
        top, left = random.integers(0, 940), random.integers(0, 1260)
        night[top : top + 12, left : left + 12] = (250, 220, 160)
    white = np.full((960, 1280, 3), 240, np.float32)
    for name, picture in {"flat": flat, "fog": fog, "night": night, "high key": white}.items():
        assert reasons(grain(picture, 1.5)) == (), name


def test_a_black_frame_is_black_and_nothing_else() -> None:
    (reason,) = reasons(np.zeros((960, 1280, 3), np.uint8))
    assert reason == "underexposed: 100 % is black, nothing is bright"


def test_black_and_white_changes_no_reason(photo: Pixels) -> None:
    grey = np.asarray(Image.fromarray(photo).convert("L").convert("RGB"))
    assert reasons(grey) == ()
    assert measured(grey).focus.value == pytest.approx(measured(photo).focus.value, abs=0.01)


@pytest.mark.parametrize("size", [(127, 500), (500, 127), (1, 1)])
def test_a_tiny_picture_is_not_measured(size: tuple[int, int]) -> None:
    assert measure(Image.new("RGB", size), 1.0) is None


@pytest.mark.parametrize("size", [(128, 128), (200, 4000), (4000, 130)])
def test_small_pictures_and_panoramas_are_measured(size: tuple[int, int]) -> None:
    picture = Image.fromarray(sharp(size=size))
    found = measure(picture, 1.0)
    assert found is not None
    assert PhotoMeasures.from_json(found.as_json() | {"blur": [list(row) for row in found.blur]}) == found
    assert reasons_of(found, *size) == ()


def test_mirroring_changes_hardly_anything(photo: Pixels) -> None:
    one, other = measured(photo), measured(photo[:, ::-1].copy())
    assert other.focus.value == pytest.approx(one.focus.value, rel=0.15)
    assert other.noise.value == pytest.approx(one.noise.value, rel=0.15)
    assert other.focus_x == pytest.approx(1 - one.focus_x, abs=0.25)


def test_a_width_that_is_no_multiple_of_the_fraction_tells_as_much(photo: Pixels) -> None:
    half = np.asarray(Image.fromarray(compressed(photo, 20)).reduce(2))
    found = measured(half[:, :639], 639 / 1277)
    assert found.scale == 0.5
    assert found.jpeg_damage.confidence == 1
