from pathlib import Path

import numpy as np
import pytest
import scipy.io

from maclip_daemon.errors import UsageError
from maclip_daemon.evaluation import datasets
from maclip_daemon.evaluation.rated_images import RatedImage

COUNT = 12


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _by_name(images: list[RatedImage]) -> dict[str, RatedImage]:
    return {image.path.name: image for image in images}


def test_koniq_reads_its_scores_beside_the_large_images(tmp_path: Path) -> None:
    lines = ['"image_name","c1","c_total","MOS","SD","MOS_zscore"']
    for number in range(COUNT):
        _touch(tmp_path / "1024x768" / f"{number}.jpg")
        _touch(tmp_path / "512x384" / f"{number}.jpg")
        lines.append(f'"{number}.jpg",0,105,{1 + number / 4},0.5,{number * 8}')
    (tmp_path / "koniq10k_scores_and_distributions.csv").write_text("\n".join(lines))
    images = _by_name(datasets.load("KonIQ10k", tmp_path))
    assert images["4.jpg"] == RatedImage(tmp_path / "1024x768" / "4.jpg", 2.0)
    assert datasets.load("koniq-10k", tmp_path / "1024x768") == list(images.values())


def test_koniq_sets_become_subsets(tmp_path: Path) -> None:
    lines = ["image_name,c1,MOS,SD,set"]
    for number in range(COUNT):
        _touch(tmp_path / "512x384" / f"{number}.jpg")
        lines.append(f"{number}.jpg,0,{number},0.5,{'test' if number % 2 else 'training'}")
    (tmp_path / "koniq10k_distributions_sets.csv").write_text("\n".join(lines))
    assert {image.subset for image in datasets.load("koniq-10k", tmp_path)} == {"test", "training"}


def test_spaq_and_agiqa_1k_read_their_workbooks(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="the published scores are Excel workbooks")
    for dataset, file, folder, header in (
        ("spaq", "Annotations/MOS and Image attribute scores.xlsx", "TestImage", ("Image name", "MOS")),
        ("agiqa-1k", "AIGC_MOS_Zscore.xlsx", "file", ("Image", "Prompt", "MOS")),
    ):
        root = tmp_path / dataset
        workbook = openpyxl.Workbook()
        workbook.active.append(header)
        for number in range(COUNT):
            _touch(root / folder / f"gen_{number:05}.jpg")
            workbook.active.append((f"gen_{number:05}.jpg", *["text"] * (len(header) - 2), number * 1.5))
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        workbook.save(root / file)
        assert _by_name(datasets.load(dataset, root))["gen_00003.jpg"].mos == 4.5


def test_spaq_also_reads_its_sheet_saved_as_csv(tmp_path: Path) -> None:
    lines = ["Image name,MOS,Brightness"]
    for number in range(COUNT):
        _touch(tmp_path / "TestImage" / f"{number:05}.jpg")
        lines.append(f"{number:05}.jpg,{number},50")
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "MOS and Image attribute scores.csv").write_text("\n".join(lines))
    assert len(datasets.load("spaq", tmp_path)) == COUNT


def test_agiqa_1k_has_two_generators_and_keeps_the_image_that_its_authors_list_twice(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="the published scores are an Excel workbook")
    workbook = openpyxl.Workbook()
    workbook.active.append(("Image", "Prompt", "MOS"))
    names = [
        f"{generator}_0_{number}_1_1.jpg" for generator in ("deepai", "dreamStudio") for number in range(6)
    ]
    for number, name in enumerate([*names, names[-1]]):
        _touch(tmp_path / "file" / name)
        workbook.active.append((name, "bird, driving bike, city, anime style", number / 4))
    workbook.save(tmp_path / "AIGC_MOS_Zscore.xlsx")
    images = datasets.load("agiqa-1k", tmp_path)
    assert {image.subset for image in images} == {"deepai", "dreamStudio"}
    assert [(image.path.name, image.mos) for image in images[-2:]] == [(names[-1], 2.75), (names[-1], 3.0)]


def test_clive_has_the_seven_training_images_too_as_in_the_authors_list(tmp_path: Path) -> None:
    names = [f"t{number}.bmp" for number in range(1, 8)] + [f"{number}.bmp" for number in range(3, 15)]
    for number, name in enumerate(names):
        _touch(tmp_path / "Images" / ("trainingImages" if number < 7 else "") / name)
    cells = np.empty((len(names), 1), dtype=object)
    cells[:, 0] = [np.array([name]) for name in names]
    (tmp_path / "Data").mkdir()
    scipy.io.savemat(tmp_path / "Data" / "AllImages_release.mat", {"AllImages_release": cells})
    scores = np.arange(len(names), dtype=float)[None]
    scipy.io.savemat(tmp_path / "Data" / "AllMOS_release.mat", {"AllMOS_release": scores})
    images = datasets.load("clive", tmp_path)
    assert len(images) == 19
    assert (images[0].path.name, images[0].mos) == ("t1.bmp", 0.0)
    assert (images[7].path.name, images[7].mos) == ("3.bmp", 7.0)


def test_kadid_scores_count_upwards_although_the_file_calls_them_dmos(tmp_path: Path) -> None:
    lines = ["dist_img,ref_img,dmos,var"]
    for number in range(1, COUNT + 1):
        _touch(tmp_path / "images" / f"I01_{number:02}_01.png")
        lines.append(f"I01_{number:02}_01.png,I01.png,{number / 3:.2f},0.5")
    (tmp_path / "dmos.csv").write_text("\n".join(lines))
    image = _by_name(datasets.load("kadid-10k", tmp_path))["I01_03_01.png"]
    assert (image.mos, image.subset) == (1.0, "distortion 03")


def test_tid_names_its_files_in_another_case_than_its_list(tmp_path: Path) -> None:
    lines = []
    for number in range(1, COUNT + 1):
        _touch(tmp_path / "distorted_images" / f"i01_{number:02}_1.bmp")
        lines.append(f"{number / 2:.5f} I01_{number:02}_1.bmp")
    (tmp_path / "mos_with_names.txt").write_text("\r\n".join(lines))
    image = _by_name(datasets.load("TID2013", tmp_path))["i01_04_1.bmp"]
    assert (image.mos, image.subset) == (2.0, "distortion 04")


def test_csiq_differential_scores_are_turned_around(tmp_path: Path) -> None:
    lines = []
    for number in range(COUNT):
        kind = ("AWGN", "jpeg2000")[number % 2]
        _touch(tmp_path / "dst_imgs" / kind.lower() / f"{1600 + number}.{kind}.1.png")
        lines.append(f"{1600 + number}.{kind}.1.png {number / 16}")
    (tmp_path / "csiq_label.txt").write_text("\n".join(lines))
    image = _by_name(datasets.load("csiq", tmp_path))["1604.AWGN.1.png"]
    assert (image.mos, image.subset) == (0.75, "awgn")


def test_csiq_reads_its_workbook(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="the published scores are an Excel workbook")
    workbook = openpyxl.Workbook()
    sheet = workbook.create_sheet("all_by_image")
    sheet.append(["", "", "", "notes"])
    sheet.append(["", "", "", "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"])
    for number in range(COUNT):
        kind, file_kind = (("noise", "AWGN"), ("jpeg 2000", "jpeg2000"))[number % 2]
        _touch(tmp_path / "dst_imgs" / file_kind / f"{1600 + number}.{file_kind}.2.png")
        sheet.append(["", "", "", 1600 + number, 1, kind, 2, 0.1, number / 16])
    workbook.save(tmp_path / "csiq.DMOS.xlsx")
    image = _by_name(datasets.load("csiq", tmp_path))["1605.jpeg2000.2.png"]
    assert (image.mos, image.subset) == (1 - 5 / 16, "jpeg 2000")


def test_agiqa_3k_takes_the_quality_not_the_alignment(tmp_path: Path) -> None:
    lines = ["name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align"]
    for number in range(COUNT):
        name = f"midjourney_normal_{number:03}.jpg"
        _touch(tmp_path / "images" / name)
        lines.append(f'{name},"a cat, sitting",,,,{number / 4},0.1,5,0.1')
    (tmp_path / "data.csv").write_text("\n".join(lines))
    image = _by_name(datasets.load("agiqa-3k", tmp_path))["midjourney_normal_008.jpg"]
    assert (image.mos, image.subset) == (2.0, "midjourney_normal")


def test_pipal_joins_its_label_files_and_distortion_folders(tmp_path: Path) -> None:
    for reference in range(1, 5):
        lines = []
        for number in range(3):
            name = f"A000{reference}_0{number}_00.bmp"
            _touch(tmp_path / f"Distortion_{1 + reference % 2}" / name)
            lines.append(f"{name},{1400 + 10 * reference + number}.5")
        labels = tmp_path / ("Val_Label" if reference == 4 else "Train_Label")
        labels.mkdir(exist_ok=True)
        (labels / f"A000{reference}.txt").write_text("\n".join(lines))
    images = _by_name(datasets.load("pipal", tmp_path))
    assert len(images) == 12
    assert images["A0004_02_00.bmp"].mos == 1442.5
    assert (images["A0002_01_00.bmp"].mos, images["A0002_01_00.bmp"].subset) == (1421.5, "distortion 01")


@pytest.mark.parametrize("name", ["{} ({}).jpg", "{}_{}.jpg"], ids=["as published", "without spaces"])
def test_biq_takes_both_splits_or_one(tmp_path: Path, name: str) -> None:
    for split, source in (("Train", "ss01"), ("Test", "ss02")):
        lines = ["Image Name,MOS,,"]
        for number in range(COUNT):
            _touch(tmp_path / "Images" / name.format(source, number))
            lines.append(f"{name.format(source, number)},{number / 20},,")
        (tmp_path / f"{split} (Images and MOS).csv").write_text("\n".join(lines))
    assert {image.subset for image in datasets.load("biq2021", tmp_path)} == {"ss01", "ss02"}
    assert {image.subset for image in datasets.load("biq2021-test", tmp_path)} == {"ss02"}


def test_a_mos_file_for_a_named_dataset_takes_its_direction_and_subsets(tmp_path: Path) -> None:
    lines = ["image,dmos"]
    for number in range(COUNT):
        _touch(tmp_path / "dst_imgs" / "awgn" / f"{1600 + number}.AWGN.1.png")
        lines.append(f"{1600 + number}.AWGN.1.png,{number / 16}")
    (tmp_path / "scores.csv").write_text("\n".join(lines))
    images = datasets.from_file(tmp_path / "scores.csv", tmp_path, datasets.find("csiq"))
    assert (images[4].mos, images[4].subset) == (-0.25, "awgn")


def test_an_unknown_name_and_a_wrong_folder_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Choose koniq-10k, spaq, clive"):
        datasets.load("imagenet", tmp_path)
    with pytest.raises(UsageError, match=r"not a folder of TID2013: it has no mos_with_names.txt"):
        datasets.load("tid2013", tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        datasets.from_file(tmp_path / "mos.csv", tmp_path / "none")
