"""Plots: human opinion against score, the fitted curve and both distributions, a figure a candidate."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.evaluation.statistics import Agreement

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with colour blindness tell apart.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
_CURVE = "#222222"
_GREY = "#8a8f98"
_MOST_COLOURED_SUBSETS = len(_COLOURS)
_SIZE = (7.2, 5.4)  # inches
_DPI = 130  # pixels an inch of the PNG: sharp on screens, under 200 kB
_MOST_BINS = 40
SUFFIXES = (".png", ".svg")


def require_matplotlib() -> None:
    """Raise `EnvironmentUnfit` when matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise EnvironmentUnfit(
            "A report needs matplotlib. Install it with `pip install 'maclip-daemon[evaluation]'`, "
            "or leave out --report: the table needs nothing more."
        )


def draw(
    scores: npt.NDArray[np.float64],
    opinions: npt.NDArray[np.float64],
    subsets: Sequence[str],
    agreement: Agreement,
    title: str,
) -> Figure:
    """Return the figure of one candidate; finite scores and opinions [N], with their subsets in order."""
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(5, 1), height_ratios=(1, 5), hspace=0.02, wspace=0.02)
    main = figure.add_subplot(grid[1, 0])
    above = figure.add_subplot(grid[0, 0], sharex=main)
    beside = figure.add_subplot(grid[1, 1], sharey=main)
    names = sorted(set(subsets)) if len(set(subsets)) <= _MOST_COLOURED_SUBSETS else []
    groups = [np.array([subset == name for subset in subsets]) for name in names]
    if len(groups) < 2:
        names, groups = [""], [np.ones(len(scores), dtype=bool)]
    _scatter(main, scores, opinions, list(zip(names, groups, strict=True)), agreement)
    stacked: dict[str, Any] = {
        "bins": int(np.clip(1.5 * np.sqrt(len(scores)), 10, _MOST_BINS)),
        "stacked": True,
        "color": _COLOURS[: len(groups)],
        "linewidth": 0,
    }
    above.hist([scores[group] for group in groups], **stacked)
    beside.hist([opinions[group] for group in groups], orientation="horizontal", **stacked)
    for axes in (above, beside):
        axes.axis("off")
    main.set_xlabel("score")
    main.set_ylabel("mean opinion score")
    figures = f"SRCC {agreement.srcc:.3f} · PLCC {agreement.plcc:.3f} · {agreement.images} images"
    figure.suptitle(f"{title}\n{figures}", fontsize=10, x=0.01, ha="left")
    legend = figure.legend(
        *main.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False
    )
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):  # the points of thousands are small and pale
            handle.set(alpha=1.0, sizes=[30.0])
    return figure


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write the figure as PNG and as SVG; return both paths."""
    png, svg = (stem.with_name(stem.name + suffix) for suffix in SUFFIXES)
    figure.savefig(png, dpi=_DPI, metadata={"Software": None})
    figure.savefig(svg, dpi=_DPI, metadata={"Date": None})
    return png, svg


def _scatter(
    axes: Any,
    scores: npt.NDArray[np.float64],
    opinions: npt.NDArray[np.float64],
    groups: Sequence[tuple[str, npt.NDArray[np.bool_]]],
    agreement: Agreement,
) -> None:
    size = float(np.clip(6000 / len(scores), 5, 26))
    for (name, group), colour in zip(groups, _COLOURS, strict=False):
        axes.scatter(
            scores[group],
            opinions[group],
            s=size,
            alpha=0.55 if len(scores) < 1000 else 0.35,
            color=colour,
            linewidth=0,
            label=name or None,
            rasterized=True,  # thousands of points would make an SVG of megabytes
        )
    fit = agreement.fit
    if fit is not None:
        line = np.linspace(float(scores.min()), float(scores.max()), 400)
        label = "five-parameter logistic" if fit.converged else "straight line (the logistic fit failed)"
        axes.plot(line, fit.predict(line), color=_CURVE, linewidth=1.8, label=label)
    axes.margins(0.02)
    axes.set_ylim(
        float(opinions.min()) - 0.03 * np.ptp(opinions), float(opinions.max()) + 0.03 * np.ptp(opinions)
    )
    axes.grid(color=_GREY, alpha=0.2, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
