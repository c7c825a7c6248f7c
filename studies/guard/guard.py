"""Judges the collapse guard on runs that were evaluated at every step, with labels.

    rlsc compare --config recipes/compare-guard-two-digit.yaml     # and the other two
    python studies/guard/guard.py runs/guard-two_digit runs/guard-three_terms --json FILE
    tar xJf studies/guard/guard-study.tar.xz -C runs    # the records of these runs

The guard's rule is replayed on each run's guard.jsonl: what it would have kept, and where it would
have stopped. The runs are to be made with --guard observe, which lets a collapse go on, and with
--guard_interval 1 if --interval is to tell what asking less often costs. Other ways of choosing
the step stand beside that of `rlsc.guard.selection`: `CHOICES`. Of a probe that is larger than
--probe_size those questions are taken that the guard would have asked.

Accuracy is greedy and pass@1 at temperature 1. The step that is best in hindsight is chosen on one
half of the questions and scored on the other, both ways, so that it does not flatter itself. A run
collapses if its last greedy accuracy is more than DROP points, and more than two standard errors of
the paired difference, below its best; the onset is the first step from which on it is more than
half of that drop below. The rule may be fitted on the runs of one seed alone, --fitted; the others
say what it is worth. What came of it: experiments/2026-11-24-guard-study.md (the rule of that day)
and 2026-11-24-guard-mended.md.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import rich.box
from guard_records import by_step, is_archived, observations
from rich.console import Console
from rich.table import Table

from rlsc.guard.rule import COLLAPSED, SIGNS, Health, Observation, Rule, change, due
from rlsc.guard.selection import candidates, choose, score
from rlsc.records import TrainingResults, read_results_of
from rlsc.training import RLSCConfig

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
    """By metric: base, best (in hindsight, cross-scored), kept, last, and by each of `CHOICES`."""

    @property
    def caught(self) -> bool | None:
        """Of a run that collapses: stopped within two steps of the onset."""
        if self.onset is None:
            return None
        return self.stopped is not None and self.stopped <= self.onset + 2

    def lost(self, metric: str, choice: str = "kept") -> float:
        """Points below the best in hindsight."""
        return self.accuracy[metric]["best"] - self.accuracy[metric][choice]


def replay(
    history: Sequence[Observation], patience: int, interval: int
) -> tuple[list[Observation], list[Health]]:
    """What a guard with these settings sees of a run, and its verdicts, up to where it stops."""
    rule = Rule(patience)
    seen: list[Observation] = []
    verdicts: list[Health] = []
    for observation in history:
        if (
            observation.paired
            and observation is not history[-1]
            and not due(verdicts, observation.step, interval)
        ):
            observation = replace(observation, questions={})
        seen.append(observation)
        verdicts.append(rule.verdict(observation))
        if verdicts[-1].verdict == COLLAPSED:
            break
    return seen, verdicts


def highest(history: Sequence[Observation]) -> int:
    """The highest score, of equal ones the latest."""
    return max(history, key=lambda observation: (score(observation) or 0.0, observation.step)).step


def undominated(history: Sequence[Observation]) -> int:
    """The latest, unless another is better by more than a standard error in two signs or more,
    and worse by as much in none; of several such the latest."""
    latest = history[-1]

    def gains(observation: Observation) -> list[int]:
        signs = []
        for name, sign in SIGNS.items():
            if name in observation.questions and name in latest.questions:
                moved, error = change(latest, observation, name)
                signs.append((abs(moved) > error) * (1 if (moved > 0) != sign.rises else -1))
        return signs

    better = [
        observation
        for observation in history
        if gains(observation).count(1) >= 2 and -1 not in gains(observation)
    ]
    return (better or [latest])[-1].step


CHOICES: dict[str, Callable[[Sequence[Observation]], int]] = {
    "latest without harm": lambda history: history[-1].step,
    "highest score": highest,
    "undominated": undominated,
}
"""Of all steps without harm that were asked, however long ago."""


def outcome(folder: Path, fitted: bool, settings: argparse.Namespace) -> Outcome:
    history = observations(folder, settings.probe_size)
    seen, verdicts = replay(history, settings.patience, settings.interval)
    stopped = verdicts[-1].step if verdicts[-1].verdict == COLLAPSED else None
    values = {metric: by_step(folder, name) for metric, name in METRICS.items()}
    sound = candidates(seen, verdicts, len(seen))
    steps = {"kept": choose(sound[-settings.snapshots :])}
    steps |= {name: by(sound) for name, by in CHOICES.items()}
    steps = {name: nearest(step, values["greedy"]) for name, step in steps.items()}
    accuracy = {
        metric: {
            "base": 100 * fmean(shares[0]),
            "best": 100 * cross_scored_best(shares),
            "last": 100 * fmean(shares[max(shares)]),
            **{name: 100 * fmean(shares[step]) for name, step in steps.items()},
        }
        for metric, shares in values.items()
    }
    greedy = values["greedy"]
    return Outcome(
        f"{folder.parent.parent.name}/{folder.parent.name}/{folder.name}",
        fitted,
        len(greedy[0]),
        steps["kept"],
        stopped,
        max(greedy),
        onset(greedy),
        accuracy,
    )


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
    return max(evaluated for evaluated in values if evaluated <= step)


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The figures over some runs, in points; `collapsing` and the like are counts of runs."""
    collapsing = [run for run in outcomes if run.onset is not None]
    healthy = [run for run in outcomes if run.onset is None]
    early = [
        run
        for run in healthy
        if run.stopped is not None and max(run.lost(metric) for metric in METRICS) > 2
    ]
    return {
        "runs": len(outcomes),
        "lost to the best in hindsight, mean": {
            m: fmean(o.lost(m) for o in outcomes) for m in METRICS
        },
        "lost by other choices, mean": {
            name: {m: fmean(o.lost(m, name) for o in outcomes) for m in METRICS} for name in CHOICES
        },
        "below the base, most": {
            m: max(o.accuracy[m]["base"] - o.accuracy[m]["kept"] for o in outcomes) for m in METRICS
        },
        "last instead of kept, mean gain": {
            m: fmean(o.accuracy[m]["last"] - o.accuracy[m]["kept"] for o in outcomes)
            for m in METRICS
        },
        "collapsing": len(collapsing),
        "caught": sum(bool(run.caught) for run in collapsing),
        "healthy": len(healthy),
        "stopped early at a cost": len(early),
    }


def show(outcomes: Sequence[Outcome]) -> None:
    table = Table(box=rich.box.SIMPLE_HEAD)
    for name in ("run", "n", "base", "best", "kept", "last", "kept step", "onset", "stopped"):
        table.add_column(name)
    for run in outcomes:
        cells = [
            " / ".join(f"{run.accuracy[metric][key]:.1f}" for metric in METRICS)
            for key in ("base", "best", "kept", "last")
        ]
        ends = (str(run.kept), str(run.onset or "–"), str(run.stopped or "–"))
        table.add_row(run.run, str(run.n), *cells, *ends)
    console = Console(width=150)
    console.print(table, "greedy / pass@1 at T = 1, in %")
    for name, part in (("fitted on", True), ("reported on", False)):
        chosen = [run for run in outcomes if run.fitted == part]
        if chosen:
            console.print(name, summary(chosen))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path, help="output_dir of rlsc compare")
    parser.add_argument("--patience", type=int, default=RLSCConfig.guard_patience)
    parser.add_argument("--interval", type=int, default=RLSCConfig.guard_interval)
    parser.add_argument("--probe_size", type=int, default=RLSCConfig.guard_probe_size)
    parser.add_argument("--fitted", type=int, default=0, help="the seed that was fitted on")
    parser.add_argument("--snapshots", type=int, default=RLSCConfig.guard_snapshots)
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
    problems = [f"{run}: {problem}" for run in runs if (problem := unfit(run))]
    if problems:
        parser.error("\n".join(problems))
    outcomes = [outcome(run, run.name == f"seed-{arguments.fitted}", arguments) for run in runs]
    show(outcomes)
    if arguments.json:
        rows = [asdict(run) | {"caught": run.caught} for run in outcomes]
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


def unfit(folder: Path) -> str | None:
    """Why a run cannot be judged; None where it can, as those of the archive."""
    if is_archived(folder):
        return None
    results = read_results_of(TrainingResults, folder)
    if results.guard is None or results.guard.mode != "observe":
        return "made with --guard stop: what would have come after the stop is not known"
    base = results.evaluation.base if results.evaluation else None
    if base is None or base.main.n < 2:
        return "fewer than two questions with an answer: there are no halves"
    return None


if __name__ == "__main__":
    main()
