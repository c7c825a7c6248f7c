"""The plot of a comparison: quality against steps and against seconds of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

_CONTROLS = ("constant", "random", "format_only", "inverse_majority")
_ROWS = (("greedy", "greedy accuracy, %"), ("pass@1", "pass@1 at T = 1, %"))
_COLUMNS = (("step", "updates made"), ("seconds", "seconds of training"))


def plot_comparison(content: Mapping[str, Any], file: Path) -> None:
    """A line a method, the mean of its seeds, their range shaded; controls are dashed.

    The dotted line is the untrained model at the best of its temperatures.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, grid = plt.subplots(2, 2, figsize=(11, 7.6), sharey="row")
    colours = plt.get_cmap("tab20").colors
    best = max(map(untrained_quality, content["base"]["temperatures"]))
    for axes, (quality, label) in zip(grid, _ROWS, strict=True):
        for axis, (by, xlabel) in zip(axes, _COLUMNS, strict=True):
            for index, method in enumerate(content["methods"]):
                colour = colours[index % len(colours)]
                _draw(axis, method, by, quality, colour)
            axis.axhline(100 * best, color="black", ls=":", lw=1, label="untrained, at its best")
            axis.set(xlabel=xlabel, ylim=(-2, 102))
            axis.spines[["top", "right"]].set_visible(False)
            axis.grid(alpha=0.25)
        axes[0].set_ylabel(label)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0, 0.82, 1))
    figure.savefig(file, dpi=130)
    plt.close(figure)


def untrained_quality(one: Mapping[str, Any]) -> float:
    """Of the untrained model at a temperature: greedy accuracy, or pass@1."""
    return float(one["accuracy" if one["temperature"] == 0 else "pass@1"])


def _draw(axis: Any, method: Mapping[str, Any], by: str, quality: str, colour: Any) -> None:
    curves = [run["curve"] for run in method["runs"] if "curve" in run]
    if not curves:
        return
    steps = sorted(set.intersection(*({point["step"] for point in one} for one in curves)))
    points = [[_at(one, step) for one in curves] for step in steps]
    xs = [fmean(point[by] for point in group) for group in points]
    values = [[100 * point[quality] for point in group] for group in points]
    dashed = method["settings"].get("objective") in _CONTROLS
    axis.plot(
        xs,
        [fmean(group) for group in values],
        color=colour,
        ls="--" if dashed else "-",
        marker="o",
        ms=3,
        label=method["label"],
    )
    axis.fill_between(xs, list(map(min, values)), list(map(max, values)), color=colour, alpha=0.1)


def _at(curve: Sequence[Mapping[str, Any]], step: int) -> Mapping[str, Any]:
    return next(point for point in curve if point["step"] == step)
