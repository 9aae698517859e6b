from collections.abc import Iterable
from pathlib import Path

import pytest

from maclip_daemon.errors import UsageError
from maclip_daemon.evaluation.opinions import Opinion
from maclip_daemon.evaluation.rated_images import locate, sample

SOURCE = Path("mos.csv")


def _opinions(names: Iterable[str]) -> list[Opinion]:
    return [Opinion(name, float(number), f"line {number + 2}") for number, name in enumerate(names)]


def _files(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_images_are_found_by_path_by_bare_name_and_in_any_case(tmp_path: Path) -> None:
    _files(tmp_path, [f"{number:02}.JPG" for number in range(10)])
    _files(tmp_path, ["inner/x.png"])
    names = [*(f"koniq/512x384/{number:02}.JPG" for number in range(9)), "09.jpg", "elsewhere\\X.png"]
    found = locate(_opinions(names), [tmp_path], SOURCE)
    assert [image.path.name for image in found[-2:]] == ["09.JPG", "x.png"]


def test_missing_images_are_counted_and_the_first_are_named_with_their_line(tmp_path: Path) -> None:
    _files(tmp_path, [f"{number}.jpg" for number in range(8)])
    with pytest.raises(UsageError, match=r"mos.csv: 4 images are not in .*8.jpg \(line 10\), 9.jpg .* …"):
        locate(_opinions(f"{number}.jpg" for number in range(12)), [tmp_path], SOURCE)


def test_an_image_listed_twice_names_both_lines(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"1 image is listed twice: 3.jpg \(line 12\).*also in line 5"):
        locate(_opinions([*(f"{number}.jpg" for number in range(10)), "3.jpg"]), [tmp_path], SOURCE)


def test_two_names_for_one_file_are_a_repeat(tmp_path: Path) -> None:
    _files(tmp_path, [f"{number}.jpg" for number in range(10)])
    with pytest.raises(UsageError, match="listed twice"):
        locate(_opinions([*(f"{number}.jpg" for number in range(10)), "x/3.jpg"]), [tmp_path], SOURCE)


def test_a_bare_name_that_fits_two_files_is_refused(tmp_path: Path) -> None:
    _files(tmp_path, [f"{number}.jpg" for number in range(9)])
    _files(tmp_path, ["one/same.jpg", "two/same.jpg"])
    with pytest.raises(UsageError, match="1 name fits several files"):
        locate(_opinions([*(f"{number}.jpg" for number in range(9)), "same.jpg"]), [tmp_path], SOURCE)


def test_nine_images_are_too_few(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has 9 rated images; correlations need at least 10"):
        locate(_opinions(f"{number}.jpg" for number in range(9)), [tmp_path], SOURCE)


def test_constant_scores_are_refused(tmp_path: Path) -> None:
    constant = [Opinion(f"{number}.jpg", 0.5, "line 1") for number in range(10)]
    with pytest.raises(UsageError, match=r"every image has the score 0.5"):
        locate(constant, [tmp_path], SOURCE)


def test_subsets_come_from_folders_or_else_from_prefixes_of_enough_images(tmp_path: Path) -> None:
    by_folder = [f"{folder}/{number}.jpg" for folder in "ab" for number in range(10)]
    by_prefix = [f"{prefix}_{number}.jpg" for prefix in ("ss01", "ss02") for number in range(10)]
    alone = [f"{number}_photo.jpg" for number in range(20)]
    for names, subsets in ((by_folder, {"a", "b"}), (by_prefix, {"ss01", "ss02"}), (alone, {""})):
        _files(tmp_path, names)
        assert {image.subset for image in locate(_opinions(names), [tmp_path], SOURCE)} == subsets


def test_a_sample_is_repeatable_and_keeps_the_order(tmp_path: Path) -> None:
    names = [f"{number:03}.jpg" for number in range(100)]
    _files(tmp_path, names)
    images = locate(_opinions(names), [tmp_path], SOURCE)
    chosen = sample(images, 20, seed=1)
    assert chosen == sample(images, 20, seed=1)
    assert chosen != sample(images, 20, seed=2)
    assert [image.path for image in chosen] == sorted(image.path for image in chosen)
    assert sample(images, 1000, seed=1) == images
