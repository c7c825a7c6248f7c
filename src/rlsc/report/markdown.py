"""report.md: a run's results for a reader, made again from its folder at any time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rlsc.records.jsonl import read_jsonl
from rlsc.report.benchmarks import difference_text, flipped_lines
from rlsc.report.calibration import CONFIDENCE, calibration_table
from rlsc.report.guard import guard_section
from rlsc.report.lengths import length_lines
from rlsc.report.plot import plot_run
from rlsc.report.sides import NOTE, run_table
from rlsc.report.table import HEADER, baseline_rows, caption, table_rows
from rlsc.report.text import bullets, markdown_code_rows, markdown_table
from rlsc.report.training import training_benchmarks

CASES = 5
_SETTINGS = (
    "objective",
    "weight",
    "alpha",
    "temperature",
    "logprob_temperature",
    "num_generations",
    "per_device_train_batch_size",
    "max_completion_length",
    "learning_rate",
    "mask_truncated_completions",
    "engine",
    "bf16",
    "seed",
    "split_seed",
)
_COLUMNS = (
    "step",
    "loss",
    "reward",
    "majority_share",
    "zero_weight",
    "mean_p",
    "f_hat",
    "effective_sample_size",
    "underflowed_weights",
    "alpha_share",
    "entropy",
    "completion_length",
    "truncation_rate",
    "distinct_completions",
    "support",
    "flips",
    "divergence",
    "grad_norm",
)


def write_markdown(folder: Path) -> None:
    """Write report.md and plot.png from results.json, config.yaml and the run's records."""
    results = json.loads((folder / "results.json").read_text("utf-8"))
    config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    environment = json.loads((folder / "environment.json").read_text("utf-8"))
    metrics = read_jsonl(folder / "metrics.jsonl")
    plot_run(metrics, results, folder / "plot.png")
    parts = [
        f"# {config.get('objective', 'rlsc')} on {results['questions']}",
        _introduction(results),
        "## Before and after",
        _evaluation(results),
        *_sides(results, config),
        *training_benchmarks(results.get("benchmarks", {})),
        *guard_section(results),
        "## By step",
        "![confidence, entropy, length, diversity and accuracy](plot.png)",
        _steps(metrics),
        *_answers(results),
        "## Side by side",
        _cases(folder),
        "## How it was made",
        _provenance(results, config, environment),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    (folder / "report.md").write_text(text, "utf-8")


def _introduction(results: Mapping[str, Any]) -> str:
    skipped = len(results["skipped_questions"])
    return (
        f"{results['steps']} steps on {results['training_questions']} questions without labels"
        + (f" ({skipped} left out: their prompts do not fit the context)" if skipped else "")
        + f". Model: {results['model']}"
    )


def _evaluation(results: Mapping[str, Any]) -> str:
    rows = table_rows(results)
    if not rows:
        return "Not evaluated."
    n, total = results["before"]["questions"], results["evaluated_of"]
    text = (
        f"On {n} of {total} questions: {caption(results)}. Accuracies in %, differences in points. "
        "docs/evaluation.md says how answers are graded."
    )
    without = n - results["before"]["greedy"]["n"]
    if without:
        text += f" {without} of them have no reference answer and no accuracy."
    skipped = len(results["skipped_evaluation_questions"])
    if skipped:
        text += f" {skipped} more were left out: their prompts do not fit the context."
    text += "\n\n" + markdown_table(HEADER, rows)
    baselines = baseline_rows(results)
    if baselines:
        text += "\n\nThe untrained model in other settings, the line to beat:\n\n"
        text += markdown_table(("base", "accuracy", "mean length"), baselines)
    return text + (
        "\n\nIntervals: Wilson for greedy and majority; bootstrap over questions for "
        "pass@1 and for the paired differences."
    )


def _sides(results: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    header, rows = run_table(results, config)
    if rows:
        yield "## Base, base at its best, tuned"
        yield markdown_table(header, rows)
        yield NOTE
    flips = (results.get("changes") or {}).get("greedy", {}).get("flips")
    if flips:
        yield bullets([f"greedy: {difference_text(flips)}", *flipped_lines(flips)])


def _answers(results: Mapping[str, Any]) -> Iterator[str]:
    """Lengths and calibration of the evaluation's answers."""
    changes = results.get("changes") or {}
    if not changes:
        return
    yield "## Length"
    for group, title in (("greedy", "Greedy"), ("sampled", "Samples at T = 1")):
        yield f"{title}."
        yield bullets(length_lines(changes[group]["lengths"]))
    found = changes["sampled"]["calibration"]
    if found:
        yield "## Does confidence predict correctness?"
        yield f"Samples at T = 1. {CONFIDENCE}"
        sides = {"base": found["before"], "tuned": found["after"]}
        yield markdown_table(*calibration_table(sides))


def _steps(metrics: Sequence[Mapping[str, Any]]) -> str:
    columns = [name for name in _COLUMNS if any(row.get(name) is not None for row in metrics)]
    rows = [[_number(row.get(name)) for name in columns] for row in metrics]
    note = (
        "Step s: the policy after s updates. `alpha_share`: how much of the total weight is α. "
        "`zero_weight`: questions whose completions weigh nothing. `majority_share`: completions "
        "that agree with their question's majority."
    )
    return note + "\n\n" + markdown_table(columns, rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _cases(folder: Path) -> str:
    before, after = (
        {row["id"]: row for row in read_jsonl(folder / "eval" / f"{name}.jsonl") if _greedy(row)}
        for name in ("before", "after")
    )
    if not before:
        return "Not evaluated."
    parts = [f"The first {min(CASES, len(before))} questions, greedy."]
    for identifier in list(before)[:CASES]:
        parts.append(f"### {_inline(identifier)}")
        parts.append(_quote(before[identifier]["prompt"]))
        for name, row in (("base", before[identifier]), ("tuned", after[identifier])):
            verdict = row["verdict"] or "no reference"
            cut = ", cut off" if row["finish_reason"] == "length" else ""
            parts.append(f"**{name}** ({verdict}, {row['tokens']} tokens{cut})")
            parts.append(_quote(row["text"]))
    return "\n\n".join(parts)


def _greedy(row: Mapping[str, Any]) -> bool:
    return bool(row["pass"] == "greedy")


def _provenance(
    results: Mapping[str, Any], config: Mapping[str, Any], environment: Mapping[str, Any]
) -> str:
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in results["seconds"].items())
    settings = ", ".join(f"{key} {config[key]}" for key in _SETTINGS if key in config)
    rows = [("settings", settings), *markdown_code_rows(environment), ("time", seconds)]
    return markdown_table(("", ""), rows)


def _quote(text: str) -> str:
    """Model text as a code block that it cannot close: an indented one."""
    lines = text.replace("\r", "\n").splitlines() or [""]
    shown = ("".join(c if c.isprintable() or c == "\t" else "�" for c in line) for line in lines)
    return "\n".join("    " + line for line in shown)


def _inline(text: str) -> str:
    return text.replace("\n", " ").replace("<", "&lt;")
