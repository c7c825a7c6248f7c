"""What training changed in a run's answers: flips, lengths and calibration, from their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from rlsc.evaluation.scores import calibration, compare, tallies
from rlsc.records.jsonl import read_jsonl
from rlsc.statistics.estimates import majority, paired_difference
from rlsc.types import Verdict

Row = Mapping[str, Any]
PASSES = ("greedy", "sampled", "sampled_at_training_temperature")


def run_changes(folder: Path, results: Mapping[str, Any]) -> dict[str, Any]:
    """By pass of a finished run's evaluation; and the untrained model at its best against it.

    Empty where the run was not evaluated.
    """
    before, after = (read_jsonl(folder / "eval" / f"{name}.jsonl") for name in ("before", "after"))
    if not before or not after:
        return {}
    found: dict[str, Any] = {
        name: answer_changes(_of_pass(before, name), _of_pass(after, name)) for name in PASSES
    }
    graded = _graded(_of_pass(after, "greedy"))
    if graded:
        best = max(_candidates(folder, before, results), key=lambda one: one.accuracy)
        found["untrained_best"] = {
            **{name: value for name, value in best._asdict().items() if name != "rows"},
            **_told(best.rows),
            "against_tuned_greedy": compare(_graded(best.rows), graded),
        }
    return found


def answer_changes(before: Sequence[Row], after: Sequence[Row]) -> dict[str, Any]:
    """Of the same questions asked in the same way, before and after.

    `flips` (`scores.compare`) and `calibration` are of the questions with a reference answer, and
    None where there is none.
    """
    first, second = _graded(before), _graded(after)
    return {
        "flips": compare(first, second) if first else None,
        "lengths": length_changes(before, after),
        "calibration": {"before": calibration(first), "after": calibration(second)}
        if first
        else None,
    }


def compare_scores(
    base: Mapping[str, Any],
    base_rows: Callable[[str], Sequence[Row]],
    tuned: Mapping[str, Any],
    tuned_rows: Callable[[str], Sequence[Row]],
) -> dict[str, Any]:
    """Two models' scores of one benchmark, each with a function from a setting to its rows.

    The main settings against each other, with `lengths`; where the base's best setting was
    searched for, `against_base_best`; and where both's were, `best` against best.
    """

    def pair(first: str, second: str) -> dict[str, Any]:
        rows = compare(base_rows(first), tuned_rows(second))
        return {"before": first, "after": second} | rows

    found = pair(base["setting"], tuned["setting"])
    rows = base_rows(base["setting"]), tuned_rows(tuned["setting"])
    found["lengths"] = length_changes(*rows)
    if "best" in base:
        found["against_base_best"] = pair(base["best"], tuned["setting"])
        if "best" in tuned:
            found["best"] = pair(base["best"], tuned["best"])
    return found


def best_control(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """The scores of a benchmark's best setting; None where none was searched for."""
    if "best" not in result:
        return None
    best = next(one for one in result["controls"] if one["setting"] == result["best"])
    return {**best, "n": result["n"]}


def length_changes(before: Sequence[Row], after: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Mean tokens of `all` answers, of `right` ones, and of those `not_right`, before and after.

    Paired by question: a question counts where it has such answers on both sides, with their mean.
    p is Wilcoxon's signed-rank test's, None where no length differs. A part without any question
    is left out. An answer that was cut off is longer in truth: `cut_off` is their share.
    """
    parts: dict[str, Callable[[Row], bool]] = {
        "all": lambda row: True,
        "right": lambda row: bool(row["verdict"] == Verdict.CORRECT.value),
        "not_right": lambda row: row["verdict"] not in (None, Verdict.CORRECT.value),
    }
    found = {}
    for name, keep in parts.items():
        sides = [[row for row in rows if keep(row)] for rows in (before, after)]
        change = _length_change(*sides)
        if change:
            found[name] = change
    return found


def _length_change(before: Sequence[Row], after: Sequence[Row]) -> dict[str, Any] | None:
    first, second = _lengths(before), _lengths(after)
    names = [name for name in first if name in second]
    if not names:
        return None
    old = [float(np.mean(first[name])) for name in names]
    new = [float(np.mean(second[name])) for name in names]
    difference, interval = paired_difference(old, new)
    paired = set(names)
    return {
        "n": len(names),
        "before": float(np.mean(old)),
        "after": float(np.mean(new)),
        "difference": difference,
        "interval": interval,
        "wilcoxon_p": float(stats.wilcoxon(old, new).pvalue) if old != new else None,
        "cut_off": [
            float(
                np.mean([row["finish_reason"] == "length" for row in rows if row["id"] in paired])
            )
            for rows in (before, after)
        ],
    }


def _lengths(rows: Sequence[Row]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(row["id"], []).append(row["tokens"])
    return found


class Candidate(NamedTuple):
    """A setting in which a run has asked the untrained model."""

    name: str
    temperature: float
    samples: int
    accuracy: float
    interval: Sequence[float] | None
    rows: Sequence[Row]


def _candidates(
    folder: Path, before: Sequence[Row], results: Mapping[str, Any]
) -> Iterator[Candidate]:
    summary = results["before"]
    one = summary["greedy"]
    rows = _of_pass(before, "greedy")
    yield Candidate("greedy", 0.0, 1, one["accuracy"], one["interval"], rows)
    for group in PASSES[1:]:
        one = summary[group]
        at, k = one["temperature"], one["samples"]
        rows = _of_pass(before, group)
        yield Candidate(f"pass@1 at T = {at:g}", at, k, one["pass@1"], one["interval"], rows)
        interval, voted = one["majority_interval"], _voted(rows)
        yield Candidate(f"majority at T = {at:g}", at, k, one["majority"], interval, voted)
    for other in results.get("baselines", ()):
        one = other["greedy"]
        own = read_jsonl(folder / "eval" / f"{other['file']}.jsonl")
        yield Candidate(other["name"], 0.0, 1, one["accuracy"], one["interval"], own)


def _told(rows: Sequence[Row]) -> dict[str, Any]:
    verdicts = [row["verdict"] for row in rows]
    return {
        "unparsed": verdicts.count(Verdict.UNPARSED.value),
        "timeouts": verdicts.count(Verdict.TIMEOUT.value),
        "n": len({row["id"] for row in _graded(rows)}),
        "mean_length": float(np.mean([row["tokens"] for row in rows])),
        "truncation_rate": float(np.mean([row["finish_reason"] == "length" for row in rows])),
    }


def _voted(rows: Sequence[Row]) -> list[Row]:
    """Of each question the sample that its majority's answer is graded by, or any without one."""
    found = []
    graded = _graded(rows)
    for name, tally in tallies(graded).items():
        winner = majority(tally.keys)
        own = [row for row in graded if row["id"] == name]
        found.append(own[0 if winner is None else tally.keys.index(winner)])
    return found


def _of_pass(rows: Sequence[Row], name: str) -> list[Row]:
    return [row for row in rows if row["pass"] == name]


def _graded(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["verdict"] is not None]
