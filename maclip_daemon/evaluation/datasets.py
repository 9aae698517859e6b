"""Datasets: the published IQA databases, read from the folders that their authors distribute.

| name | authors' scores | direction as published |
|---|---|---|
| koniq-10k | Hosu et al. 2020, `koniq10k_scores_and_distributions.csv` | MOS, 1 to 5 |
| spaq | Fang et al. 2020, `Annotations/MOS and Image attribute scores.xlsx` | MOS, 0 to 100 |
| clive | Ghadiyaram and Bovik 2016, `Data/AllMOS_release.mat` | MOS, 0 to 100 |
| kadid-10k | Lin et al. 2019, `dmos.csv` | named DMOS, yet 5 is best: a MOS, 1 to 5 |
| tid2013 | Ponomarenko et al. 2015, `mos_with_names.txt` | MOS, 0 to 9 |
| csiq | Larson and Chandler 2010, `csiq.DMOS.xlsx` | DMOS, 0 is best: read as 1 − DMOS |
| agiqa-1k | Zhang et al. 2023, `AIGC_MOS_Zscore.xlsx` | MOS |
| agiqa-3k | Li et al. 2023, `data.csv`, `mos_quality` | MOS, 0 to 5 |
| pipal | Gu et al. 2020, `Train_Label/*.txt`, `Val_Label/*.txt` | Elo rating, more is better |
| biq2021 | Ahmed and Asif 2022, `Train` and `Test (Images and MOS).csv` | MOS, 0 to 1 |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from maclip_daemon.errors import UsageError
from maclip_daemon.evaluation import opinions, score_files
from maclip_daemon.evaluation.opinions import Opinion
from maclip_daemon.evaluation.rated_images import RatedImage, locate


@dataclass(frozen=True)
class Dataset:
    """The layout of a database as its authors distribute it."""

    name: str
    title: str
    score_files: tuple[str, ...]
    """Glob patterns of the score files, relative to the root. The first that matches is read."""
    image_folders: tuple[str, ...]
    """Glob patterns of the folders of images, relative to the root. All that exist are searched."""
    read: Callable[[Sequence[Path]], list[Opinion]]
    """Score files of one pattern → opinions."""
    subset_of: Callable[[str], str]
    """Name of an image → its subset, for opinions without a subset of their own."""
    protocol: str | None = None
    """The size at which MA-CLIP's authors judge it; None where they did not evaluate it."""
    lower_is_better: bool = False
    """True when a file of scores for it (`--mos`) holds DMOS; `from_file` then negates them."""
    may_repeat: bool = False
    """True when the authors' own list has an image twice; both opinions count, as in their evaluation."""


def load(name: str, root: Path) -> list[RatedImage]:
    """Return the rated images of the dataset `name` in `root`, its unpacked folder or its folder of images.

    Raises `UsageError` when the name is unknown, or the folder is not laid out as published.
    """
    dataset = find(name)
    for candidate in (root, root.parent):
        for pattern in dataset.score_files:
            found = sorted(candidate.glob(pattern))
            if found:
                folders = _image_folders(dataset, candidate)
                rows = dataset.read(found)
                return locate(rows, folders, found[0], dataset.subset_of, may_repeat=dataset.may_repeat)
    raise UsageError(
        f"{root} is not a folder of {dataset.title}: it has no {' and no '.join(dataset.score_files)}. "
        "Name the folder into which the dataset was unpacked, or the file of scores with --mos."
    )


def from_file(source: Path, root: Path, dataset: Dataset | None = None) -> list[RatedImage]:
    """Return the rated images that the CSV or JSON file `source` lists; the images are under `root`.

    `dataset`: supplies the folders, subsets and direction that the file lacks. Raises `UsageError`.
    """
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder. Name the folder of the rated images.")
    if dataset is None:
        return locate(opinions.read(source), [root], source)
    rows = opinions.read(source, (*opinions.MOS_COLUMNS, "dmos"))
    if dataset.lower_is_better:
        rows = [replace(row, mos=-row.mos) for row in rows]
    return locate(rows, [*_image_folders(dataset, root), root], source, dataset.subset_of)


def find(name: str) -> Dataset:
    """Return the dataset of this name; hyphens and case do not matter. Raises `UsageError` with all names."""
    wanted = _plain(name)
    for dataset in DATASETS:
        if _plain(dataset.name) == wanted:
            return dataset
    names = ", ".join(dataset.name for dataset in DATASETS)
    raise UsageError(f"There is no dataset {name!r}. Choose {names}, or name a file of scores with --mos.")


def _image_folders(dataset: Dataset, root: Path) -> list[Path]:
    folders = [path for pattern in dataset.image_folders for path in sorted(root.glob(pattern))]
    return [path for path in folders if path.is_dir()] or [root]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _no_subset(_name: str) -> str:
    return ""


def _distortion(position: int) -> Callable[[str], str]:
    """Return a function: name → kind of distortion, the number at this position between underscores."""

    def subset_of(name: str) -> str:
        parts = Path(name).stem.split("_")
        return f"distortion {parts[position]}" if len(parts) > position else ""

    return subset_of


def _biq_source(name: str) -> str:
    """Return `ss01` (an amateur's gallery), `ss02` (shot with deliberate faults) or `ss03` (Unsplash).

    The authors name images `ss01 (1).jpg`; copies whose names have no spaces, `ss01_1.jpg`.
    """
    return re.split(r"[ _]", Path(name).name, maxsplit=1)[0]


def _csiq_distortion(name: str) -> str:
    parts = Path(name).name.split(".")
    return parts[1].lower() if len(parts) > 2 else ""


def _generator(name: str) -> str:
    """Return the generator, after which AGIQA-3k names images: `midjourney_normal_012.jpg`."""
    return re.sub(r"_?\d+$", "", Path(name).stem)


def _agiqa_1k_generator(name: str) -> str:
    """Return the generator: `deepai` or `dreamStudio`. Four numbers follow it, `deepai_0_12_1_0.jpg`."""
    return Path(name).name.partition("_")[0]


def _table(files: Sequence[Path], mos_columns: Sequence[str] = opinions.MOS_COLUMNS) -> list[Opinion]:
    return score_files.read_table(files[0], mos_columns)


def _tables(files: Sequence[Path]) -> list[Opinion]:
    return [row for file in files for row in score_files.read_table(file)]


def _clive(files: Sequence[Path]) -> list[Opinion]:
    names, scores = (files[0].with_name(f"All{part}_release.mat") for part in ("Images", "MOS"))
    return score_files.read_matlab(names, scores)


def _csiq(files: Sequence[Path]) -> list[Opinion]:
    if files[0].suffix == ".txt":
        published = score_files.read_pairs(files)
    else:
        published = score_files.read_csiq_workbook(files[0])
    return [replace(opinion, mos=1 - opinion.mos) for opinion in published]


_SPAQ_SCORES = "MOS and Image attribute scores"
_BIQ_IMAGES = ("Images", "images")
DATASETS = (
    Dataset(
        "koniq-10k",
        "KonIQ-10k",
        ("koniq10k_distributions_sets.csv", "koniq10k_scores_and_distributions.csv"),
        ("1024x768", "512x384", "images"),
        _table,
        _no_subset,
        protocol="native",
    ),
    Dataset(
        "spaq",
        "SPAQ",
        (f"Annotations/{_SPAQ_SCORES}.csv", f"Annotations/{_SPAQ_SCORES}.xlsx"),
        ("TestImage", "images"),
        _table,
        _no_subset,
        protocol="spaq448",
    ),
    Dataset(
        "clive",
        "CLIVE (LIVE In the Wild)",
        ("Data/AllMOS_release.mat", "ChallengeDB_release/Data/AllMOS_release.mat"),
        ("Images", "ChallengeDB_release/Images"),
        _clive,
        _no_subset,
        protocol="native",
    ),
    Dataset(
        "kadid-10k",
        "KADID-10k",
        ("dmos.csv",),
        ("images", "distorted_images"),
        partial(_table, mos_columns=("dmos",)),
        _distortion(1),
        protocol="native",
    ),
    Dataset(
        "tid2013",
        "TID2013",
        ("mos_with_names.txt",),
        ("distorted_images",),
        partial(score_files.read_pairs, score_first=True),
        _distortion(1),
        protocol="native",
    ),
    Dataset(
        "csiq",
        "CSIQ",
        ("csiq_label.txt", "csiq.DMOS.xlsx"),
        ("dst_imgs", "dst_imgs_all"),
        _csiq,
        _csiq_distortion,
        protocol="native",
        lower_is_better=True,
    ),
    Dataset(
        "agiqa-1k",
        "AGIQA-1k",
        ("AIGC_MOS_Zscore.xlsx",),
        ("file", "images"),
        _table,
        _agiqa_1k_generator,
        protocol="agiqa224",
        may_repeat=True,  # dreamStudio_8_9_1_1.jpg
    ),
    Dataset(
        "agiqa-3k",
        "AGIQA-3k",
        ("data.csv",),
        ("images", "image", "file"),
        _table,
        _generator,
        protocol="native",
    ),
    Dataset(
        "pipal",
        "PIPAL",
        ("*_Label/*.txt", "*_Label/*_Label/*.txt"),  # Train_ and, where it was fetched too, Val_
        ("Train_Dist", "Val_Dist", "Distortion*", "train_dis*", "val_dis*"),
        score_files.read_pairs,
        _distortion(1),
        protocol="native",
    ),
    Dataset("biq2021", "BIQ2021", ("* (Images and MOS).csv", "mos.csv"), _BIQ_IMAGES, _tables, _biq_source),
    Dataset("biq2021-train", "BIQ2021", ("Train (Images and MOS).csv",), _BIQ_IMAGES, _tables, _biq_source),
    Dataset("biq2021-test", "BIQ2021", ("Test (Images and MOS).csv",), _BIQ_IMAGES, _tables, _biq_source),
)
