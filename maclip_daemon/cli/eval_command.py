"""`maclip eval`: agreement of scores with human opinion."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import agreement_tables, output
from maclip_daemon.files.paths import expanded

if TYPE_CHECKING:
    from maclip_daemon.evaluation.datasets import Dataset
    from maclip_daemon.evaluation.rated_images import RatedImage

_PLAIN_STEPS = 10  # progress lines of a whole run in a pipe


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("eval")(evaluate)


def evaluate(
    context: typer.Context,
    images: Annotated[
        Path, typer.Argument(help="The folder of images, or the unpacked dataset.", show_default=False)
    ],
    mos: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The human scores, higher is better: CSV with `image,mos`, or JSON with `img_path` and "
            "`gt_score`.",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Read a published dataset as its authors lay it out: koniq-10k, spaq, clive, kadid-10k, "
            "tid2013, csiq, agiqa-1k, agiqa-3k, pipal, biq2021, biq2021-train, biq2021-test. With --mos, "
            "only its folders, subsets and direction of the scores are used.",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="maclip, clipiqa, qualiclip or magnitude; repeat it for several.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="As in `maclip run`; repeat it for several.", show_default=False),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="native, spaq448, agiqa224, long-edge-N, or auto, the model's own; repeat it for several. "
            "Default: the published one of the --dataset, else auto.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write a report here: a page with plots, the scores as CSV, the summary as JSON. An "
            "interrupted run resumes from this folder.",
            show_default=False,
        ),
    ] = None,
    ablations: Annotated[
        bool,
        typer.Option(
            "--ablations",
            help="Also take MA-CLIP apart: each cue alone, no Box-Cox, plain mean, fixed weights, "
            "symmetric bases, λ from 0.3 to 0.7. Costs hardly any time.",
        ),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=10, metavar="N", help="Only N images, drawn at random with the seed.", show_default=False
        ),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, metavar="N", help="Resamples for the 95 % intervals; 0: no intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random draw and of the bootstrap.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"],
        typer.Option(help="Number format of the encoder; published results use fp32."),
    ] = "fp32",
    exif_rotation: Annotated[
        bool,
        typer.Option(
            "--exif-rotation",
            help="Turn images upright by their EXIF orientation. Off by default, as in the authors' code.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Measure how well the scores agree with human opinion.

    For every metric, model and protocol: SRCC and KRCC (do scores and people put the images in the same
    order?), PLCC and RMSE (after the five-parameter logistic fit), with bootstrap intervals, for all images
    and for each subset. "SRCC, fitted" is computed after the fit, as in MA-CLIP's code. One
    run compares several of each; every view is encoded once:

    `maclip eval photos --mos mos.csv --model builtin --model rn50-openai --report out`

    `maclip eval ~/koniq --dataset koniq-10k --metric maclip --metric clipiqa --ablations --report out`

    With --report every score is saved at once; after an interruption the same command resumes. Images that
    cannot be scored are named at the end, and the exit code is 1.
    """
    from datetime import datetime

    from maclip_daemon import __version__
    from maclip_daemon.evaluation.plan import Plan, carry_out
    from maclip_daemon.evaluation.rated_images import sample
    from maclip_daemon.photos.decoder_pool import DecoderPool, default_count

    # For torch: threads that spin while another program computes were measured to cost four times the time.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    call = invocation.from_context(context)
    settings = call.settings()
    rated, source = _rated_images(expanded(images), mos, dataset)
    plan = Plan(
        images=rated if limit is None else sample(rated, limit, seed),
        metrics=metric or [settings.scoring.metric],
        models=model or [settings.scoring.model],
        protocols=protocol
        or _published_protocol(dataset, quiet=call.verbosity < 0)
        or [settings.scoring.protocol],
        with_ablations=ablations,
        resamples=bootstrap,
        seed=seed,
        device=device,
        precision=precision,
        upright=exif_rotation,
    )
    # As the authors' code: reduced in one step, in stored colours, and turned only where it is asked for.
    as_the_authors = {"two_step_reduction": False, "colour_conversion": False}
    decoding = settings.decoding.model_copy(update={"exif_rotation": exif_rotation, **as_the_authors})
    with (
        DecoderPool(decoding, default_count(decoding)) as pool,
        _progress(len(plan.images), quiet=call.verbosity < 0) as on_progress,
    ):
        outcome = carry_out(
            plan,
            lambda path, size: pool.submit(path, size.name, follow_link=True).result().take_photo(),
            settings.data_dir,
            title=f"{source.name}: agreement with human opinion",
            source=str(source),
            version=__version__,
            now=lambda: datetime.now().astimezone(),
            folder=None if report is None else expanded(report),
            on_progress=on_progress,
        )
    agreement_tables.print_outcome(outcome, as_json=as_json)
    if outcome.summary.failures:
        raise typer.Exit(1)


def _rated_images(images: Path, mos: Path | None, dataset: str | None) -> tuple[list[RatedImage], Path]:
    """Return the images with their human scores, and the source of the scores."""
    from maclip_daemon.errors import UsageError
    from maclip_daemon.evaluation import datasets

    known: Dataset | None = None if dataset is None else datasets.find(dataset)
    if mos is not None:
        return datasets.from_file(expanded(mos), images, known), mos
    if known is None:
        raise UsageError("Human scores are needed: give --mos FILE, or --dataset NAME.")
    return datasets.load(known.name, images), images


def _published_protocol(dataset: str | None, *, quiet: bool) -> list[str]:
    """Return the protocol at which a dataset is judged in the paper, and say so; nothing without one."""
    from maclip_daemon.evaluation import datasets

    known = None if dataset is None else datasets.find(dataset)
    if known is None or known.protocol is None:
        return []
    if not quiet:
        output.say(
            f"{known.title} is judged at {known.protocol}, as published; "
            "--protocol auto takes the model's own.",
            error=True,
        )
    return [known.protocol]


@contextlib.contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Yield a callback that shows progress on standard error: a bar on a terminal, ten lines elsewhere."""
    if quiet:
        yield lambda _done: None
    elif not sys.stderr.isatty():
        yield _plain_progress(total)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("scoring", total=total)
            yield lambda done: bar.update(task, completed=done)


def _plain_progress(total: int) -> Callable[[int], None]:
    shown = 0

    def show(done: int) -> None:
        nonlocal shown
        if done * _PLAIN_STEPS // total > shown * _PLAIN_STEPS // total:
            shown = done
            output.say(f"{done} of {total} images", error=True)

    return show
