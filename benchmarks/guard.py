"""Judges the collapse guard on runs that were evaluated at every step, with labels.

    rlsc compare --config recipes/compare-guard-two-digit.yaml     # and the other two
    python benchmarks/guard.py runs/guard-two_digit runs/guard-three_terms --json FILE

The guard's rule is replayed on each run's guard.jsonl: what it would have kept, and where it would
have stopped. Accuracy is greedy and pass@1 at temperature 1. The step that is best in hindsight is
chosen on one half of the questions and scored on the other, both ways, so that it does not flatter
itself. A run collapses if its last greedy accuracy is more than DROP points, and more than two
standard errors of the paired difference, below its best; the onset is the first step from which on
it is more than half of that drop below. Runs are numbered in the order of their folders: the rule
may be fitted on the even ones alone, and the odd ones say what it is worth.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import rich.box
from rich.console import Console
from rich.table import Table

from rlsc.runlog import read_jsonl
from rlsc.types import Verdict as Graded
from rlsc.verdicts import COLLAPSED, Observation, judge, kept_step

DROP = 0.05
METRICS = {"greedy": "greedy", "pass@1": "sampled"}
Values = Mapping[int, Sequence[float]]
"""By step, a value for each question."""


@dataclass(frozen=True)
class Outcome:
    """What the guard would have made of a run; accuracies in points."""

    run: str
    fitted: bool
    n: int
    kept: int
    stopped: int | None
    last_step: int
    onset: int | None
    accuracy: dict[str, dict[str, float]]
    """By metric: base, best (in hindsight, cross-scored), kept, last."""

    @property
    def caught(self) -> bool | None:
        """Of a run that collapses: stopped within two steps of the onset."""
        if self.onset is None:
            return None
        return self.stopped is not None and self.stopped <= self.onset + 2

    def lost(self, metric: str) -> float:
        """Points below the best in hindsight."""
        return self.accuracy[metric]["best"] - self.accuracy[metric]["kept"]


def outcome(folder: Path, fitted: bool, patience: int) -> Outcome:
    history = [
        Observation(
            row["step"],
            row["signals"]["distinct_completions"],
            row["questions"],
            "probe_answers" in row,
        )
        for row in read_jsonl(folder / "guard.jsonl")
    ]
    verdicts = judge(history, patience)
    stopped = next((one.step for one in verdicts if one.verdict == COLLAPSED), None)
    seen = verdicts if stopped is None else [one for one in verdicts if one.step <= stopped]
    values = {metric: by_step(folder, name) for metric, name in METRICS.items()}
    kept = nearest(kept_step(seen), values["greedy"])
    accuracy = {
        metric: {
            "base": 100 * fmean(found[0]),
            "best": 100 * cross_scored_best(found),
            "kept": 100 * fmean(found[kept]),
            "last": 100 * fmean(found[max(found)]),
        }
        for metric, found in values.items()
    }
    greedy = values["greedy"]
    return Outcome(
        f"{folder.parent.parent.name}/{folder.parent.name}/{folder.name}",
        fitted,
        len(greedy[0]),
        kept,
        stopped,
        max(greedy),
        onset(greedy),
        accuracy,
    )


def by_step(folder: Path, name: str) -> dict[int, list[float]]:
    """The share of right answers of each question, at each step that was evaluated."""
    last = json.loads((folder / "results.json").read_text("utf-8"))["steps"]
    files = {0: "before", last: "after"}
    for file in (folder / "eval").glob("step-*.jsonl"):
        files[int(file.stem.removeprefix("step-"))] = file.stem
    found = {}
    for step in sorted(files):
        questions: dict[str, list[bool]] = {}
        for row in read_jsonl(folder / "eval" / f"{files[step]}.jsonl"):
            if row["pass"] == name and row["verdict"] is not None:
                right = row["verdict"] == Graded.CORRECT.value
                questions.setdefault(row["id"], []).append(right)
        found[step] = [fmean(questions[one]) for one in sorted(questions)]
    return found


def cross_scored_best(values: Values) -> float:
    """The best step of every second question, scored on the others; both ways, the mean."""
    scores = []
    for chosen, scored in ((0, 1), (1, 0)):
        best = max(values, key=lambda step: fmean(values[step][chosen::2]))
        scores.append(fmean(values[best][scored::2]))
    return fmean(scores)


def onset(values: Values) -> int | None:
    """The step from which on a run that collapses is far below its best; None for another."""
    best = max(values, key=lambda step: fmean(values[step]))
    last = max(values)
    drops = [a - b for a, b in zip(values[best], values[last], strict=True)]
    drop = fmean(drops)
    if drop <= DROP or drop <= 2 * stdev(drops) / math.sqrt(len(drops)):
        return None
    low = fmean(values[best]) - drop / 2
    after = [step for step in values if step > best]
    return min(s for s in after if all(fmean(values[t]) < low for t in after if t >= s))


def nearest(step: int, values: Values) -> int:
    """The last step at or before `step` that was evaluated."""
    return max(one for one in values if one <= step)


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The figures over some runs."""
    collapsing = [one for one in outcomes if one.onset is not None]
    healthy = [one for one in outcomes if one.onset is None]
    early = [
        one
        for one in healthy
        if one.stopped is not None and max(one.lost(metric) for metric in METRICS) > 2
    ]
    return {
        "runs": len(outcomes),
        "lost to the best in hindsight, mean": {
            m: fmean(o.lost(m) for o in outcomes) for m in METRICS
        },
        "below the base, most": {
            m: max(o.accuracy[m]["base"] - o.accuracy[m]["kept"] for o in outcomes) for m in METRICS
        },
        "last instead of kept, mean gain": {
            m: fmean(o.accuracy[m]["last"] - o.accuracy[m]["kept"] for o in outcomes)
            for m in METRICS
        },
        "collapsing": len(collapsing),
        "caught": sum(bool(one.caught) for one in collapsing),
        "healthy": len(healthy),
        "stopped early at a cost": len(early),
    }


def show(outcomes: Sequence[Outcome]) -> None:
    table = Table(box=rich.box.SIMPLE_HEAD)
    for name in ("run", "n", "base", "best", "kept", "last", "kept step", "onset", "stopped"):
        table.add_column(name)
    for one in outcomes:
        cells = [
            " / ".join(f"{one.accuracy[metric][key]:.1f}" for metric in METRICS)
            for key in ("base", "best", "kept", "last")
        ]
        ends = (str(one.kept), str(one.onset or "–"), str(one.stopped or "–"))
        table.add_row(one.run, str(one.n), *cells, *ends)
    console = Console(width=150)
    console.print(table, "greedy / pass@1 at T = 1, in %")
    for name, part in (("fitted on", True), ("reported on", False)):
        chosen = [one for one in outcomes if one.fitted == part]
        if chosen:
            console.print(name, summary(chosen))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path, help="output_dir of rlsc compare")
    parser.add_argument("--patience", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runs = [
        file.parent
        for folder in arguments.folders
        for file in sorted(folder.glob("*/seed-*/guard.jsonl"))
        if (file.parent / "results.json").exists()
    ]
    if not runs:
        parser.error("no finished run with a guard.jsonl in these folders")
    outcomes = [outcome(run, index % 2 == 0, arguments.patience) for index, run in enumerate(runs)]
    show(outcomes)
    if arguments.json:
        rows = [asdict(one) | {"caught": one.caught} for one in outcomes]
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
