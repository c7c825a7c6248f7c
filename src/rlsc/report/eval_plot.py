"""The plot of an evaluation: accuracy with intervals, and confidence against correctness."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def plot_benchmarks(benchmarks: Mapping[str, Mapping[str, Any]], file: Path) -> None:
    """Left: pass@1 of each benchmark; right: its reliability curve."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    height = max(3.2, 0.5 * len(benchmarks) + 1.4)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, height))
    for place, (name, one) in enumerate(benchmarks.items()):
        value = 100 * one["pass@1"]
        low, high = one["interval"] or (one["pass@1"], one["pass@1"])
        errors = [[max(value - 100 * low, 0)], [max(100 * high - value, 0)]]
        left.barh(place, value, color=f"C{place % 10}", xerr=errors, capsize=3, height=0.6)
        curve = one["calibration"]["curve"]
        right.plot(
            [part["mean_confidence"] for part in curve],
            [part["accuracy"] for part in curve],
            marker="o",
            ms=3,
            color=f"C{place % 10}",
            label=name,
        )
    names = [f"{name} (n = {one['n']})" for name, one in benchmarks.items()]
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    left.set(title="pass@1, 95 % intervals", xlabel="%", xlim=(0, 100))
    right.plot([0, 1], [0, 1], color="grey", lw=0.8, ls="--")
    right.set(
        title="Confidence and correctness",
        xlabel="exp(log-prob per token)",
        ylabel="share right",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    right.legend(fontsize=7, frameon=False)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    figure.tight_layout()
    figure.savefig(file, dpi=130)
    plt.close(figure)
