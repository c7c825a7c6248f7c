"""What a comparison's runs came to: comparison.json, comparison.md, comparison.png and a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import rich.box
from rich.table import Table

from rlsc.records.jsonl import read_jsonl
from rlsc.report.comparison_plot import plot_comparison, untrained_quality
from rlsc.report.text import markdown_table
from rlsc.runtime.console import console
from rlsc.statistics.intervals import seed_interval

HEADER = (
    *("objective", "greedy, %", "pass@1, T = 1, %", "majority, %", "tokens, greedy"),
    *("distinct at the end, %", "s of training", "runs"),
)


def write_comparison(
    folder: Path,
    methods: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    show: bool = False,
) -> None:
    """Collect what there is of every run, write it as JSON, Markdown and a plot; `show` it too."""
    base = json.loads((folder / "base" / "results.json").read_text("utf-8"))
    rows = [_method(folder / label, label, settings, seeds) for label, settings in methods.items()]
    content = {"base": base, "seeds": list(seeds), "methods": rows}
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    (folder / "comparison.json").write_text(text, "utf-8")
    plot_comparison(content, folder / "comparison.png")
    cells = table_cells(content)
    (folder / "comparison.md").write_text(_markdown(content, cells), "utf-8")
    if show:
        table = Table(*HEADER, caption=caption_text(content), box=rich.box.SIMPLE_HEAD)
        for index, row in enumerate(cells):
            table.add_row(*row, end_section=index + 1 == len(cells) - len(rows))
        console.print(table)
        console.print(f"table   {folder / 'comparison.md'}\nplot    {folder / 'comparison.png'}")


def _method(
    folder: Path, label: str, settings: Mapping[str, Any], seeds: Sequence[int]
) -> dict[str, Any]:
    """A method's runs, and of those that are there the means with intervals over seeds."""
    runs = [_run(folder / f"seed-{seed}", seed) for seed in seeds]
    done = [run for run in runs if "curve" in run]
    names = ("greedy", "pass@1", "majority", "mean_length", "distinct", "seconds")
    summary = {}
    for name in names if done else ():
        values = [run["final"][name] for run in done]
        summary[name] = {"mean": fmean(values), "interval": seed_interval(values)}
    return {"label": label, "settings": dict(settings), "runs": runs, "summary": summary}


def _run(folder: Path, seed: int) -> dict[str, Any]:
    """Its curve by step, with the seconds of training until then; or why there is none."""
    try:
        results = json.loads((folder / "results.json").read_text("utf-8"))
    except FileNotFoundError:
        failure = folder / "failure.txt"
        failed = {"failed": failure.read_text("utf-8").strip()} if failure.exists() else {}
        return {"seed": seed, **failed}
    metrics = read_jsonl(folder / "metrics.jsonl")
    seconds = [0.0]
    for row in metrics:
        seconds.append(seconds[-1] + row["seconds"])
    curve = [
        {
            "step": point["step"],
            "seconds": seconds[point["step"]],
            "greedy": point["greedy"]["accuracy"],
            "pass@1": point["sampled"]["pass@1"],
            "majority": point["sampled"]["majority"],
            "mean_length": point["mean_length"],
        }
        for point in results["curve"]
    ]
    final = {**curve[-1], "distinct": metrics[-1]["distinct_completions"]}
    return {"seed": seed, "curve": curve, "final": final}


def runs_made(content: Mapping[str, Any]) -> tuple[int, int, int]:
    """Runs that are done, that failed, and all there will be."""
    runs = [run for row in content["methods"] for run in row["runs"]]
    done, failed = (sum(key in run for run in runs) for key in ("curve", "failed"))
    return done, failed, len(runs)


# Tables.


def table_cells(content: Mapping[str, Any]) -> list[list[str]]:
    """A row for each temperature of the untrained model, then one for each method."""
    seeds = len(content["seeds"])
    return [*_base_cells(content["base"]), *(_cells(row, seeds) for row in content["methods"])]


def _base_cells(base: Mapping[str, Any]) -> list[list[str]]:
    """The untrained model at each temperature: no training, only sampling."""
    rows = []
    best = max(base["temperatures"], key=untrained_quality)
    for one in base["temperatures"]:
        greedy = one["temperature"] == 0
        value = _percent(one["accuracy" if greedy else "pass@1"], one["interval"])
        vote = "" if greedy else _percent(one["majority"], one["majority_interval"])
        length = f"{base['before']['mean_length']:.1f}" if greedy else ""
        name = f"untrained, T = {one['temperature']:g}" + (" (greedy)" if greedy else "")
        name += " ← its best" if one is best else ""
        cells = [name, value if greedy else "", "" if greedy else value, vote, length, "", "", ""]
        rows.append(cells)
    return rows


def _cells(row: Mapping[str, Any], seeds: int) -> list[str]:
    done = [run for run in row["runs"] if "curve" in run]
    failed = [run["failed"] for run in row["runs"] if "failed" in run]
    count = f"{len(done)} of {seeds}" + (f"; failed: {failed[0]}" if failed else "")
    summary = row["summary"]
    if not summary:
        return [row["label"], *[""] * 6, count]
    shares = [_percent(summary[n]["mean"], summary[n]["interval"]) for n in _SHARES]
    distinct = f"{100 * summary['distinct']['mean']:.0f}"
    length = f"{summary['mean_length']['mean']:.1f}"
    return [row["label"], *shares, length, distinct, f"{summary['seconds']['mean']:.0f}", count]


_SHARES = ("greedy", "pass@1", "majority")


def _percent(value: float, interval: Iterable[float] | None) -> str:
    if interval is None:
        return f"{100 * value:.1f}"
    low, high = interval
    return f"{100 * value:.1f} [{100 * max(low, 0):.0f}, {100 * min(high, 1):.0f}]"


def caption_text(content: Mapping[str, Any]) -> str:
    base = content["base"]
    before = base["before"]
    return (
        f"{base['questions']}, {base['evaluated_on']}: n = {before['greedy']['n']}, "
        f"{before['sampled']['samples']} samples a question, at most {before['max_new_tokens']} "
        f"new tokens. Brackets: 95 % intervals, of the untrained model over questions, of a "
        f"method over its seeds ({', '.join(map(str, content['seeds']))}; Student's t). The "
        "untrained model's pass@1 and majority are at the temperature of its row."
    )


def _markdown(content: Mapping[str, Any], cells: Sequence[Sequence[str]]) -> str:
    curves = []
    for row in content["methods"]:
        for run in row["runs"]:
            curves += [
                (
                    row["label"],
                    str(run["seed"]),
                    str(point["step"]),
                    f"{point['seconds']:.0f}",
                    f"{100 * point['greedy']:.1f}",
                    f"{100 * point['pass@1']:.1f}",
                    f"{100 * point['majority']:.1f}",
                    f"{point['mean_length']:.1f}",
                )
                for point in run.get("curve", ())
            ]
    header = ("objective", "seed", "step", "s", *HEADER[1:5])
    return (
        "\n\n".join(
            (
                f"# Objectives compared on {content['base']['questions']}",
                f"Model: {content['base']['model']}",
                markdown_table(HEADER, cells),
                caption_text(content),
                "![quality by step and by seconds of training](comparison.png)",
                "## Every run, step by step",
                markdown_table(header, curves),
            )
        )
        + "\n"
    )
