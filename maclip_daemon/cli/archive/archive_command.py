"""`maclip archive SOURCE --out FOLDER`: score an archive into Parquet, on this machine or on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output
from maclip_daemon.cli.run_command import GpuMemory, Metric, Model, Protocol

if TYPE_CHECKING:
    from maclip_daemon.archive.archive_run import ArchiveResult

_DEFAULT = "score"
_HELP = ("-h", "--help")


class SourceFirst(TyperGroup):
    """A group that takes a first word which is no command for the source of `maclip archive score`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in front of a source or its options."""
        if args and args[0] not in self.commands and args[0] not in _HELP:
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(_DEFAULT)(score)


def score(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="A folder, a list of paths (`-`: standard input), a Parquet table of addresses, or a URL: "
            "`s3://`, `gs://`, `az://`, `sftp://`."
        ),
    ],
    out: Annotated[str, typer.Option("--out", metavar="FOLDER", help="The results: a folder or a URL.")],
    address: Annotated[
        str | None,
        typer.Option(
            help="A Ray cluster to join: `auto` on one of its machines, or `ray://HOST:10001`.",
            show_default="this machine alone",
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(help="The column of addresses in a table.", show_default="`address`, `url`, `path`"),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try photos again that failed in an earlier run.")
    ] = False,
    model: Model = None,
    metric: Metric = None,
    protocol: Protocol = None,
    gpu_memory: GpuMemory = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"] | None,
        typer.Option(help="Number format of the encoder.", show_default="as in `maclip run`"),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="[HOST:]PORT", help="Serve /metrics for Prometheus.", show_default="nowhere"),
    ] = None,
) -> None:
    """Score all photos of SOURCE that have no score in FOLDER yet; `maclip archive SOURCE` is enough.

    Interrupt it at any time: the same command goes on where it was. With another model the results go beside
    the old ones, as a new generation. The photos stay untouched. The exit code is 1 when photos failed; each
    has a row with its reason.
    """
    from maclip_daemon.archive.extra import require_archive_extra

    require_archive_extra()
    from maclip_daemon.archive import archive_metrics, archive_run
    from maclip_daemon.cli.archive.archive_progress import ArchiveProgress, Observers
    from maclip_daemon.pipeline import worker_count

    chosen = invocation.typed_flags(
        model=model, metric=metric, protocol=protocol, gpu_memory_mib=gpu_memory, precision=precision
    )
    flags = {"scoring": chosen, "listen": invocation.typed_flags(address=listen)}
    settings = invocation.from_context(context).settings(flags)
    request = archive_run.ArchiveRequest(
        source, out, settings, worker_count.cores(), column, address, retry_failed=retry_failed
    )
    collector = archive_metrics.ArchiveCollector()
    with archive_metrics.served(collector, settings.listen), ArchiveProgress() as progress:
        result = archive_run.run(request, Observers(progress, collector))
    _tell(result, out)
    if result.failed:
        raise typer.Exit(1)


def _tell(result: ArchiveResult, out: str) -> None:
    place = f"{out.rstrip('/')}/generation={result.generation}"
    before = f", {result.plan.done} were done before" if result.plan.done else ""
    if not result.plan.left:
        output.say(f"Nothing is left to do: all {result.plan.listed} photos have a row in {place}.")
        return
    scored = output.count(result.scored, "photo")
    output.say(f"{scored} scored, {result.failed} failed{before}. {result.config.model}: {place}")
    if result.failed:
        kinds = ", ".join(f"{kind}: {number}" for kind, number in sorted(result.counts.failures.items()))
        output.say(f"failed: {kinds}. `maclip archive report {out}` names them.", error=True)
    if result.counts.restarts and result.remarks:
        ended = output.count(result.counts.restarts, "worker")
        output.say(f"{ended} ended and started again; Ray's reasons are in {result.remarks}.", error=True)
