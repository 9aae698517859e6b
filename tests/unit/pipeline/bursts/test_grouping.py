"""Which photos are one moment, and of which kind."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import SECOND, black, descriptor, exposed, faint, frame, plain

from maclip_daemon.pipeline.bursts.burst_frame import BurstFrame, are_name_neighbours
from maclip_daemon.pipeline.bursts.grouping import group
from maclip_daemon.pipeline.bursts.kinds import BurstKind
from maclip_daemon.pipeline.bursts.links import LinkRules


def kinds_and_members(frames: list[BurstFrame]) -> list[tuple[str, list[int]]]:
    return [(found.kind.value, [each.photo_id for each in found.frames]) for found in group(frames)]


def burst(scene: int, start: int, at_s: float, count: int, step_s: float = 0.2) -> list[BurstFrame]:
    return [frame(start + n, at_s + n * step_s, descriptor(scene, n + 1)) for n in range(count)]


def test_frames_of_one_scene_within_the_gap_are_a_burst_and_other_frames_are_alone() -> None:
    frames = [
        frame(1, 0, descriptor(1)),
        *burst(2, 10, 30, 5),
        frame(20, 31.5, descriptor(3)),  # another scene, within the gap
        *burst(2, 30, 40, 2),  # the same scene again, later
    ]
    assert kinds_and_members(frames) == [("burst", [10, 11, 12, 13, 14]), ("burst", [30, 31])]


def test_the_gap_can_be_set() -> None:
    frames = burst(1, 1, 0, 3, step_s=3)
    assert group(frames) == []
    (found,) = group(frames, LinkRules(gap_s=4))
    assert len(found.shots) == 3


def test_a_frame_that_shows_nothing_or_something_else_does_not_divide_a_burst() -> None:
    frames = burst(1, 1, 0, 6)
    frames[2] = frame(3, 0.4, black())
    frames[4] = frame(5, 0.8, None)
    assert kinds_and_members(frames) == [("burst", [1, 2, 4, 6])]


def test_a_picture_that_does_not_change_at_all_may_come_a_little_later() -> None:
    still = [frame(n, n * 3.5, descriptor(1)) for n in range(4)]
    assert kinds_and_members(still) == [("burst", [0, 1, 2, 3])]
    assert group([frame(n, n * 4.5, descriptor(1)) for n in range(4)]) == []
    assert group([frame(n, n * 3.5, descriptor(1, n)) for n in range(4)]) == []


def test_a_burst_of_a_plain_wall_is_found_by_its_light_and_colours() -> None:
    walls = [frame(n, n * 0.3, plain(110, level=180 + n % 2)) for n in range(4)]
    other_wall = frame(5, 1.3, plain(140))
    darker = frame(6, 1.5, plain(110, level=150))
    structured = frame(7, 1.7, descriptor(1, level=181))
    assert kinds_and_members([*walls, other_wall, darker, structured]) == [("burst", [0, 1, 2, 3])]


def test_of_faint_frames_only_those_that_agree_nearly_everywhere_belong_together() -> None:
    frames = [frame(n, n * 0.3, faint(1 if n < 3 else 5)) for n in range(6)]
    assert kinds_and_members(frames) == [("burst", [0, 1, 2]), ("burst", [3, 4, 5])]
    assert group([frame(n, n * 0.3, faint(n)) for n in range(6)]) == []


@pytest.mark.parametrize(
    ("packed", "step_s", "is_exact"),
    [
        pytest.param(plain(128, level=192, white=255), 0.2, True, id="all-white"),
        pytest.param(plain(110), 2.5, True, id="later than a burst"),
        pytest.param(plain(110), 0.2, False, id="without a date"),
    ],
)
def test_plain_frames_of_which_no_more_is_known_are_left_alone(
    packed: bytes, step_s: float, is_exact: bool
) -> None:
    assert group([frame(n, n * step_s, packed, is_exact=is_exact) for n in range(20)]) == []


def test_black_frames_are_never_grouped() -> None:
    assert group([frame(n, n * 0.1, black()) for n in range(50)]) == []


def test_the_end_of_a_long_exposure_counts() -> None:
    frames = [frame(n, n * 31, descriptor(1, n), exposure=exposed(30)) for n in range(3)]
    assert kinds_and_members(frames) == [("burst", [0, 1, 2])]


def test_a_raw_and_its_jpeg_are_one_shot() -> None:
    frames = []
    for n in range(3):
        frames.append(frame(2 * n, n * 0.3, descriptor(1, n), file_name=f"A{n}.CR2", role="raw"))
        frames.append(frame(2 * n + 1, n * 0.3, descriptor(1, n + 5), file_name=f"A{n}.JPG"))
    (found,) = group(frames)
    assert [[each.photo_id for each in shot.files] for shot in found.shots] == [[0, 1], [2, 3], [4, 5]]
    assert group(frames[:2]) == []  # alone the pair is no group


def test_an_exported_and_a_resized_copy_are_duplicates_led_by_the_original() -> None:
    original = frame(1, 0, descriptor(1))
    export = frame(2, 0, descriptor(1), folder_id=2)
    small = frame(3, 0, descriptor(1), width=1200, height=800, file_name="IMG_0001_web.jpg")
    assert kinds_and_members([small, export, original]) == [("duplicate", [1, 2, 3])]


def test_a_burst_whose_frames_have_copies_stays_a_burst() -> None:
    frames = burst(1, 1, 0, 3)
    copies = [
        frame(
            each.photo_id + 10,
            n * 0.2,
            each.packed,
            folder_id=2,
            width=1500,
            height=1000,
            file_name=each.file_name,
        )
        for n, each in enumerate(frames)
    ]
    (found,) = group([*frames, *copies])
    assert found.kind is BurstKind.BURST
    assert [[each.photo_id for each in shot.files] for shot in found.shots] == [[1, 11], [2, 12], [3, 13]]


def test_frames_in_one_second_of_a_camera_without_fractions_are_no_copies() -> None:
    frames = [frame(n, 0, descriptor(1), pixel_hash=f"p{n}") for n in range(4)]  # a tripod, nothing moves
    assert [(found.kind, len(found.shots)) for found in group(frames)] == [(BurstKind.BURST, 4)]


@pytest.mark.parametrize(
    "exposures",
    [
        pytest.param([exposed(1 / 60, 0), exposed(1 / 250, -2), exposed(1 / 15, 2)], id="bias"),
        pytest.param([exposed(1 / 60), exposed(1 / 250), exposed(1 / 15)], id="settings"),
        pytest.param([exposed(1 / 60)] * 3, id="brightness does not follow settings"),
    ],
)
def test_an_exposure_ladder_is_a_bracket(exposures: list) -> None:  # type: ignore[type-arg]
    is_ladder = len(set(exposures)) > 1
    levels = (180, 150, 205)
    frames = [
        frame(n, n * 0.5, descriptor(1, n, level=level), exposure=exposure)
        for n, (level, exposure) in enumerate(zip(levels, exposures, strict=True))
    ]
    (found,) = group(frames)
    assert found.kind is (BurstKind.BRACKET if is_ladder else BurstKind.BURST)


def test_a_ladder_of_brightness_is_a_bracket_where_the_settings_are_not_known() -> None:
    frames = [frame(n, n * 0.5, descriptor(1, n, level=180 + 20 * (n % 3))) for n in range(6)]
    assert [found.kind for found in group(frames)] == [BurstKind.BRACKET]


def test_automatic_exposure_that_keeps_the_brightness_makes_no_bracket() -> None:
    frames = [
        frame(n, n * 0.2, descriptor(1, n), exposure=exposed(seconds))
        for n, seconds in enumerate((1 / 60, 1 / 125, 1 / 60, 1 / 100))
    ]
    assert [found.kind for found in group(frames)] == [BurstKind.BURST]


def test_one_misfired_flash_makes_no_bracket() -> None:
    frames = [frame(n, n * 0.2, descriptor(1, n, level=120 if n == 3 else 180)) for n in range(7)]
    assert [found.kind for found in group(frames)] == [BurstKind.BURST]


def test_frames_that_move_on_are_a_panorama_and_a_panned_burst_is_not() -> None:
    sweep = [frame(n, n * 3, descriptor(1, n, shift=7 * n)) for n in range(5)]
    assert kinds_and_members(sweep) == [("panorama", [0, 1, 2, 3, 4])]
    panned = [frame(n, n * 0.1, descriptor(1, n, shift=n)) for n in range(5)]
    assert [found.kind for found in group(panned)] == [BurstKind.BURST]


def test_two_overlapping_frames_are_no_panorama_yet() -> None:
    assert group([frame(n, n * 3, descriptor(1, n, shift=7 * n)) for n in range(2)]) == []


def test_even_intervals_are_a_time_lapse_and_uneven_ones_are_not() -> None:
    even = [frame(n, n * 10, descriptor(1, n)) for n in range(12)]
    assert [(found.kind, len(found.shots)) for found in group(even)] == [(BurstKind.TIME_LAPSE, 12)]
    rng = random.Random(5)
    uneven = [frame(n, n * 10 + rng.uniform(-4, 4), descriptor(1, n)) for n in range(12)]
    assert group(uneven) == []


def test_a_sharp_region_that_moves_through_the_picture_is_a_focus_stack() -> None:
    def sharp(step: int) -> tuple[int, ...]:
        return tuple(60 + max(0, 40 - 12 * abs(cell % 5 - step)) for cell in range(20))

    stack = [frame(n, n * 1.5, descriptor(1, n, sharp=sharp(n))) for n in range(5)]
    assert [found.kind for found in group(stack)] == [BurstKind.FOCUS_STACK]
    shaken = [  # blurred all over, in no order
        frame(n, n * 0.2, descriptor(1, n, sharp=(60 - 30 * (n % 2),) * 20)) for n in range(5)
    ]
    assert [found.kind for found in group(shaken)] == [BurstKind.BURST]


def test_without_a_date_names_and_likeness_decide() -> None:
    def undated(number: int, name: str, packed: bytes) -> BurstFrame:
        return frame(number, number * 5, packed, is_exact=False, file_name=name)

    frames = [
        undated(1, "P1.jpg", descriptor(1, 1)),
        undated(2, "P2.jpg", descriptor(1, 2)),
        undated(3, "P30.jpg", descriptor(1, 3)),
        undated(4, "holiday.jpg", descriptor(1, 4)),
        undated(5, "P4.jpg", descriptor(2)),
    ]
    assert kinds_and_members(frames) == [("burst", [1, 2])]


def test_a_folder_of_alike_copies_without_dates_is_no_group() -> None:
    pages = [
        frame(n, n * 0.01, descriptor(1, n % 9), is_exact=False, file_name=f"page{n}.jpg") for n in range(200)
    ]
    assert group(pages) == []


def test_a_thousand_frames_in_one_second_are_grouped_by_scene() -> None:
    frames = [frame(n, n / 1000, descriptor(n // 100, n % 7)) for n in range(1000)]
    assert [len(found.shots) for found in group(frames)] == [100] * 10


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 4),
            st.floats(0, 40, allow_nan=False, width=32),
            st.sampled_from(["alike", "black", "none", "copy"]),
        ),
        max_size=25,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_groups_do_not_depend_on_the_order_and_no_frame_is_in_two(
    made: list[tuple[int, int, float, str]], rng: random.Random
) -> None:
    frames = []
    for number, (scene, take, at_s, how) in enumerate(made):
        packed = {"black": black(), "none": None}.get(how, descriptor(scene, take))
        changes = {"folder_id": 2, "width": 600, "height": 400} if how == "copy" else {}
        frames.append(frame(number, at_s, packed, **changes))
    found = group(frames)
    members = [each.photo_id for each_group in found for each in each_group.frames]
    assert len(members) == len(set(members))
    assert all(len(each.frames) > 1 for each in found)
    mixed = list(frames)
    rng.shuffle(mixed)
    assert group(mixed) == found


def test_names_are_neighbours_when_one_number_differs_a_little() -> None:
    assert are_name_neighbours("IMG_0009.jpg", "IMG_0010.jpg")
    assert are_name_neighbours("a1_3.jpg", "a1_5.jpg")
    assert not are_name_neighbours("a1_3.jpg", "a2_5.jpg")
    assert not are_name_neighbours("IMG_0009.jpg", "IMG_0019.jpg")
    assert not are_name_neighbours("holiday.jpg", "holiday2.jpg")


def test_a_moment_is_in_microseconds() -> None:
    assert frame(1, 0.5, None).moment_us - frame(1, 0, None).moment_us == SECOND // 2


def test_a_dark_and_a_bright_picture_must_agree_more() -> None:
    frames = [frame(1, 0, descriptor(1, 1, level=60)), frame(2, 0.5, descriptor(1, 2, level=180))]
    (found,) = group(frames)  # the same scene, as in a bracket that is not noted
    assert found.kind is BurstKind.BRACKET
    noisy = [frame(1, 0, descriptor(1, 1)), frame(2, 0.5, turned(descriptor(1, 2), 0.2))]
    assert len(group(noisy)) == 1
    dark = [frame(1, 0, descriptor(1, 1, level=60)), frame(2, 0.5, turned(descriptor(1, 2), 0.2))]
    assert group(dark) == []


def turned(packed: bytes, share: float) -> bytes:
    """Return a descriptor with this share of its signs turned."""
    found, rng = bytearray(packed), random.Random(1)
    for start in (4, 104):  # the two planes of signs
        for bit in rng.sample(range(400), round(400 * share)):
            found[start + bit // 8] ^= 1 << bit % 8
    return bytes(found)
