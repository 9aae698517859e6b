"""The benchmarks as subcommands; each module below has one `main`."""

from __future__ import annotations

import typer

from . import (
    archive,
    bursts,
    decoding,
    gpu,
    idle,
    moment_scale,
    moments,
    photo_path,
    precision,
    qualities,
    review,
    scale,
    sidecars,
    speed,
)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for module in (
    speed,
    gpu,
    scale,
    decoding,
    idle,
    precision,
    sidecars,
    photo_path,
    bursts,
    moments,
    moment_scale,
    review,
    qualities,
    archive,
):
    app.command(module.__name__.rpartition(".")[2].replace("_", "-"))(module.main)

app(prog_name="scripts/bench/run")
