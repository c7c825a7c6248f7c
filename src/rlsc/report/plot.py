"""The plot of a run: what the policy did, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PANELS = (
    ("Confidence", "probability", (("mean_p", "mean p(y)"), ("f_hat", "agreement F̂"))),
    ("Entropy", "nats per token", (("entropy", "token entropy"),)),
    ("Length", "tokens", (("completion_length", "completion length"),)),
    (
        "Diversity",
        "share",
        (("distinct_completions", "distinct completions"), ("truncation_rate", "truncated")),
    ),
)


def plot_run(metrics: Sequence[Mapping[str, Any]], results: Mapping[str, Any], file: Path) -> None:
    """Four panels by step and, where the run was evaluated, accuracy before and after."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    evaluated = bool(results.get("before") and results["before"]["greedy"]["n"])
    columns = 2 + evaluated
    figure, grid = plt.subplots(2, columns, figsize=(3.4 * columns, 5.4))
    axes = list(grid.flat)[: len(PANELS) + evaluated]
    for unused in list(grid.flat)[len(axes) :]:
        unused.set_axis_off()
    steps = [row["step"] for row in metrics]
    for axis, (title, unit, series) in zip(axes, PANELS, strict=False):
        for key, label in series:
            axis.plot(steps, [_value(row[key]) for row in metrics], marker="o", ms=3, label=label)
        axis.set(title=title, xlabel="updates made", ylabel=unit)
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=7, frameon=False)
    if evaluated:
        _accuracy_panel(axes[-1], results)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    figure.tight_layout()
    figure.savefig(file, dpi=130)
    plt.close(figure)


def _value(number: float | None) -> float:
    return float("nan") if number is None else number


def _accuracy_panel(axis: Any, results: Mapping[str, Any]) -> None:
    columns = (("greedy", "accuracy", "greedy"), ("sampled", "pass@1", "pass@1, T = 1"))
    for offset, (when, label) in enumerate((("before", "base"), ("after", "tuned"))):
        for place, (group, key, _) in enumerate(columns):
            summary = results[when][group]
            value = 100 * summary[key]
            low, high = summary["interval"] or (summary[key], summary[key])
            axis.bar(
                place + 0.38 * offset,
                value,
                width=0.36,
                color=f"C{offset}",
                label=label if place == 0 else None,
                yerr=[[max(value - 100 * low, 0)], [max(100 * high - value, 0)]],
                capsize=3,
            )
    n = results["before"]["greedy"]["n"]
    axis.set(title=f"Accuracy, n = {n}", ylabel="%", ylim=(0, 118))
    axis.set_yticks(range(0, 101, 20))
    axis.set_xticks([place + 0.19 for place in range(len(columns))], [c[2] for c in columns])
    axis.legend(fontsize=7, frameon=False, loc="upper center", ncols=2)
