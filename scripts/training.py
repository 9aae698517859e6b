"""Train the built-in model on BIQ2021, or align any CLIP to image quality on a folder of photos.

scripts/train_builtin --data DIR --large-photos DIR
                                     the recipe of docs/builtin-model.md; an hour or two on two cores
scripts/train_builtin --data DIR --large-photos DIR --prepare photos|bursts
                                     only the caches of it; the recipe makes both at the same time
scripts/train_builtin --smoke        a run of seconds on made-up photos, to see that every part works
scripts/train_builtin --data DIR --check FILE
                                     the order of degradations on 100 held-out photos, and SRCC with intervals
scripts/train_builtin --align PHOTOS --model FILE|ARCH/TAG --out FILE
                                     QualiCLIP's alignment of an existing CLIP, without human opinions
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import torch
from PIL import Image, ImageOps

from maclip_daemon.errors import EnvironmentUnfit, MaclipError, ModelUnavailable, UsageError
from maclip_daemon.evaluation import datasets
from maclip_daemon.iqa.models.checkpoints import Checkpoint, checkpoint_of, load_checkpoint
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.photos.formats import is_photo
from maclip_daemon.scorer import Scorer
from maclip_daemon.scoring.device import choose_precision
from maclip_daemon.training import builtin_file, builtin_training, pretrained_trunk
from maclip_daemon.training.builtin_training import Log, Trained
from maclip_daemon.training.bursts.fusion_fitting import FUSION_PROTOCOL
from maclip_daemon.training.bursts.large_photos import LargePhoto, find_large_photos
from maclip_daemon.training.clip_alignment import align_checkpoint
from maclip_daemon.training.degradation_order import TEN_KINDS, share_in_order
from maclip_daemon.training.degradations import KINDS, Pixels
from maclip_daemon.training.opinions.opinion_tuning import RatedPhotos, rank_correlation
from maclip_daemon.training.recipe import SMOKE, Recipe
from maclip_daemon.training.scene_split import scenes_of, thumbnail
from maclip_daemon.training.subject_bias import bias_of_subjects
from maclip_daemon.training.training_caches import TrainingPhotos
from maclip_daemon.training.training_views import SMALLEST_PHOTO, to_grey

VERSION = "4"
PROTOCOL = "long-edge-544"
EDGE_QUANTILES = (0.1, 0.3, 0.7, 0.9)
LONGEST_EDGE = 1024  # pixels; photos to learn from are reduced to it, so that many fit into the memory


def main(arguments: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    try:
        if options.align:
            align_clip(options)
        elif options.check:
            check(options)
        else:
            train_builtin(options)
    except MaclipError as error:
        print(f"train_builtin: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="scripts/train_builtin",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, help="folder of BIQ2021: images/ and mos.csv")
    parser.add_argument(
        "--large-photos", type=Path, help="folder of photos of 5 megapixels or more, for the detail cue"
    )
    parser.add_argument("--prepare", choices=("photos", "bursts"), help="only make the caches of this part")
    parser.add_argument(
        "--first-weights", type=Path, help="the trunk's ImageNet weights; else the installed package's"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("build/training"), help="caches and checkpoints (10 GB)"
    )
    parser.add_argument("--out", type=Path, help="the file to write; default: inside of --work")
    parser.add_argument(
        "--threads", type=int, default=2, help="processor cores; 1 where the machine is shared"
    )
    parser.add_argument("--smoke", action="store_true", help="a run of seconds on made-up photos")
    parser.add_argument(
        "--check", type=Path, metavar="FILE", help="measure this model instead of training one"
    )
    parser.add_argument(
        "--align", type=Path, metavar="PHOTOS", help="align an existing CLIP on this folder of photos"
    )
    parser.add_argument("--model", help="the CLIP to align: a checkpoint file, or open_clip's ARCH/TAG")
    parser.add_argument(
        "--photos", type=int, default=100, help="photos of --check whose degradations are put in order"
    )
    parser.add_argument("--steps", type=int, default=500, help="steps of --align")
    parser.add_argument("--device", default="cpu", help="device of --align and --check")
    options = parser.parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else arguments
    if not (options.data or options.smoke or options.align):
        parser.error("Choose --data DIR, --smoke, or --align PHOTOS.")
    if options.align and not (options.model and options.out):
        parser.error("--align needs --model and --out.")
    return options


def train_builtin(options: argparse.Namespace) -> None:
    """Run all stages of the training and write both models, or make one part of the caches."""
    options.work.mkdir(parents=True, exist_ok=True)
    if options.smoke:
        recipe, rated, large = SMOKE, made_up_photos(), made_up_large_photos(options.work / "large")
    else:
        recipe = Recipe()
        rated = no_photos() if options.prepare == "bursts" else read_rated(options.data)
        large = find_large_photos(options.large_photos) if options.large_photos else []
    first = options.first_weights or (None if options.smoke else pretrained_trunk.find_weights())
    with (options.work / "training.log").open("a", encoding="utf-8") as record:

        def log(line: str) -> None:
            print(line, flush=True)
            record.write(line + "\n")
            record.flush()

        photos = builtin_training.split(rated, large, recipe)
        log(
            f"photos: {len(photos.learned.photos)} to learn from, {len(photos.held_out.photos)} held out; "
            f"large: {len(photos.large)} to learn from, {len(photos.large_held_out)} held out"
        )
        if options.prepare:
            builtin_training.prepare(options.prepare, photos, first, options.work, recipe, log)
            return
        if large and options.threads > 1:
            prepare_side_by_side(options, photos, first, recipe, log)
        in_bfloat16 = choose_precision("auto", torch.device("cpu")) == "bf16"
        trained = builtin_training.train(
            photos, first, options.work, recipe, in_bfloat16=in_bfloat16, log=log
        )
        write(trained, options.out or options.work / "builtin.safetensors", log)


def prepare_side_by_side(
    options: argparse.Namespace, photos: TrainingPhotos, first: Path | None, recipe: Recipe, log: Log
) -> None:
    """Make the caches of bursts in a process of their own while those of photos are made here."""
    half = options.threads // 2
    own = [sys.executable, __file__, *options.arguments, "--prepare", "bursts", "--threads", str(half)]
    beside = subprocess.Popen(own)
    try:
        torch.set_num_threads(options.threads - half)
        builtin_training.prepare("photos", photos, first, options.work, recipe, log)
        if beside.wait() != 0:
            raise EnvironmentUnfit("The caches of bursts were not made; the lines above say why.")
    finally:
        beside.kill()  # where this one failed
        beside.wait()
    torch.set_num_threads(options.threads)


def write(trained: Trained, target: Path, log: Log) -> None:
    """Write the tuned model, and the aligned one beside it, because it is published too."""
    notes = {
        "licence": "GPL-3.0-or-later; trunk initialised from EfficientNet-Lite0 (Apache-2.0)",
        "trained_on": "BIQ2021, training split; bursts made of openly licensed large photos",
    }
    fusion = None if trained.fusion is None else trained.fusion.as_metadata()
    for model, local, scores, path in (
        (trained.aligned, None, {}, target.with_stem(f"{target.stem}-aligned")),
        (trained.tuned, trained.local, trained.scores, target),
    ):
        edges = {metric: np.quantile(values, EDGE_QUANTILES).tolist() for metric, values in scores.items()}
        digest = builtin_file.write_model(
            model,
            trained.tower_settings,
            path,
            version=VERSION,
            protocol=PROTOCOL if local is None else FUSION_PROTOCOL,
            edges=edges,
            notes=notes,
            fusion=None if local is None else fusion,
            local=local,
        )
        log(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, SHA-256 {digest}")


def check(options: argparse.Namespace) -> None:
    """Print the figures of the model card, measured on the held-out photos by the scoring code."""
    recipe, rated = Recipe(), read_rated(options.data)
    valid = builtin_training.split(rated, [], recipe).held_out
    scorer = Scorer(model=f"file:{options.check}", device=options.device)
    print(f"{len(valid.photos)} held-out photos in {len(set(valid.scenes))} scenes", flush=True)

    def judge(photos: Sequence[Pixels]) -> list[PhotoScore]:
        return scorer.score_many([Image.fromarray(photo) for photo in photos])

    found = [judge([photo])[0] for photo in valid.photos]
    weights = recipe.weights(valid.subsets)
    groups = {"all": np.ones(len(found)), "as in BIQ2021": weights}
    groups |= {subset: (valid.subsets == subset).astype(float) for subset in sorted(set(valid.subsets))}
    for cue in ("score", "q_sim", "q_mag"):
        values = np.array([getattr(score, cue) for score in found])
        for name, weight in groups.items():
            middle, low, high = resampled(values, valid.opinions, weight)
            print(f"{cue} {name}: SRCC {middle:.3f} [{low:.3f}, {high:.3f}]", flush=True)
    scores = np.array([score.score for score in found])
    for subject, count, above, low, high in bias_of_subjects(valid.photos, scores, valid.opinions):
        print(f"{subject} ({count}): {above:+.3f} [{low:+.3f}, {high:+.3f}] above opinion")
    if options.photos == 0:
        return
    places = np.random.default_rng(recipe.split_seed).permutation(len(valid.photos))[: options.photos]
    greys = judge([to_grey(valid.photos[int(place)]) for place in places])
    change = np.mean([grey.score - scores[place] for grey, place in zip(greys, places, strict=True)])
    print(f"grey copies of {len(places)}: {change:+.3f}")
    order = share_in_order(
        lambda photos: [score.score for score in judge(photos)],
        [valid.photos[int(place)] for place in places],
        tuple(KINDS),
    )
    for kind, share in order.items():
        print(f"{kind}: {share:.1%} in order{'' if kind in TEN_KINDS else ' (not one of the ten)'}")
    ten = np.mean([order[kind] for kind in TEN_KINDS])
    print(f"mean of the ten: {ten:.1%}; of all: {np.mean(list(order.values())):.1%}")


def resampled(
    values: np.ndarray, opinions: np.ndarray, weights: np.ndarray, rounds: int = 1000
) -> tuple[float, float, float]:
    """Return SRCC and its 95 % interval over resamples of the photos, drawn by their weights."""
    generator = np.random.default_rng(0)
    chances, size = weights / weights.sum(), int((weights > 0).sum())
    counted = weights > 0
    if len(set(weights[counted])) == 1:
        whole = rank_correlation(values[counted], opinions[counted])
    else:
        many = generator.choice(len(values), 100_000, p=chances)
        whole = rank_correlation(values[many], opinions[many])
    repeats = []
    for _ in range(rounds):
        places = generator.choice(len(values), size, p=chances)
        repeats.append(rank_correlation(values[places], opinions[places]))
    return whole, *np.quantile(repeats, (0.025, 0.975)).tolist()


class PhotoFiles(Sequence[Pixels]):
    """Photos that are read each time they are asked for: ten thousand do not fit into the memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, place: int) -> Pixels: ...

    @overload
    def __getitem__(self, place: slice) -> PhotoFiles: ...

    def __getitem__(self, place: int | slice) -> Pixels | PhotoFiles:
        if isinstance(place, slice):
            return PhotoFiles(self._paths[place])
        return read_pixels(self._paths[place])


def read_rated(folder: Path) -> RatedPhotos:
    """Return BIQ2021, sorted by name, with the scene of each photo."""
    images = sorted(datasets.load("biq2021", folder), key=lambda image: image.path.name)
    photos = PhotoFiles([image.path for image in images])
    return RatedPhotos(
        tuple(image.path.name for image in images),
        photos,
        np.array([image.mos for image in images]),
        np.array([image.subset for image in images]),
        scenes_of([thumbnail(photo) for photo in photos]),
    )


def no_photos() -> RatedPhotos:
    """Return an empty list of photos with opinions."""
    return RatedPhotos((), [], np.zeros(0), np.zeros(0, dtype=str), np.zeros(0, dtype=np.int32))


def made_up_photos() -> RatedPhotos:
    """Return two dozen images of smooth shapes with noise, and made-up opinions: for --smoke."""
    generator = np.random.default_rng(0)
    photos = []
    for number in range(24):
        noise = generator.normal(0, 1 + number, (288, 384, 3))
        photos.append(np.clip(smooth_shapes(generator, 384, 288) + noise, 0, 255).astype(np.uint8))
    return RatedPhotos(
        tuple(f"ss0{1 + number % 3}_{number}.jpg" for number in range(24)),
        photos,
        1 - np.arange(24) / 30,
        np.array([f"ss0{1 + number % 3}" for number in range(24)]),
        np.arange(24, dtype=np.int32),
    )


def made_up_large_photos(folder: Path) -> list[LargePhoto]:
    """Return two photos of smooth shapes, written to a folder, the second one held out: for --smoke."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(1)
    photos = []
    for name in ("scene-2", "scene-0"):
        path = folder / f"{name}.jpg"
        Image.fromarray(smooth_shapes(generator, 2400, 1600)).save(path)
        photos.append(LargePhoto(path, name))
    return photos


def smooth_shapes(generator: np.random.Generator, width: int, height: int) -> Pixels:
    """Return an image of random colours that flow into one another."""
    seeds = Image.fromarray(generator.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    return np.asarray(seeds.resize((width, height)))


def read_pixels(path: Path) -> Pixels:
    """Return a photo upright, as RGB, reduced to `LONGEST_EDGE`."""
    with Image.open(path) as image:
        image.draft("RGB", (2 * LONGEST_EDGE, 2 * LONGEST_EDGE))
        upright = ImageOps.exif_transpose(image).convert("RGB")
    if max(upright.size) > LONGEST_EDGE and min(upright.size) > SMALLEST_PHOTO:
        upright.thumbnail((LONGEST_EDGE, LONGEST_EDGE), Image.Resampling.BICUBIC)
    return np.asarray(upright)


def align_clip(options: argparse.Namespace) -> None:
    """Align one CLIP on one folder of photos."""
    if not options.align.is_dir():
        raise UsageError(f"{options.align} is not a folder. Choose a folder of good photos.")
    paths = sorted(path for path in options.align.rglob("*") if is_photo(path.name) and path.is_file())
    photos = []
    for path in paths:
        try:
            photos.append(read_pixels(path))
        except OSError as error:
            print(f"{path} is left out: {error}", file=sys.stderr)
    align_checkpoint(
        load_clip(options.model),
        photos,
        options.out,
        steps=options.steps,
        device=options.device,
        report=lambda step, loss: print(f"step {step + 1}: loss {loss:.4f}", flush=True),
    )
    print(f"Written: {options.out}. Use it with `maclip score --model file:{options.out} PHOTOS`.")


def load_clip(name: str) -> Checkpoint:
    """Return a checkpoint file, or the weights of open_clip's ARCH/TAG, fetched where they are missing."""
    if Path(name).is_file():
        return load_checkpoint(Path(name))
    import open_clip

    architecture, _, tag = name.partition("/")
    if (architecture, tag) not in open_clip.list_pretrained():
        raise UsageError(
            f"{name} is neither a file nor a model of open_clip. Choose a checkpoint or ARCH/TAG."
        )
    try:
        model = open_clip.create_model(architecture, pretrained=tag)
    except (OSError, RuntimeError) as error:
        raise ModelUnavailable(f"{name} cannot be fetched: {error}") from None
    if any(isinstance(module, torch.nn.GELU) for module in model.visual.modules()):
        # OpenAI's layout has no place to say which GELU a transformer has; ours is OpenAI's quick one.
        raise UsageError(f"{name} is a transformer unlike OpenAI's. Choose a ResNet, or a tag `openai`.")
    return checkpoint_of({key: value.detach() for key, value in model.state_dict().items()}, name)


if __name__ == "__main__":
    sys.exit(main())
