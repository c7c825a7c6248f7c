"""Reads what a run of the guard's study has written down: its folder, or what the archive has.

The archive, guard-study.tar.xz, holds the verdicts of its runs in the form of 2026-11-24, which had
one file a stage for all settings, named by `pass`, and no run.json.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from rlsc.evaluation import by_question
from rlsc.guard.probe import most_agreed
from rlsc.guard.rule import Observation
from rlsc.records import (
    EVALUATION,
    TrainingFolder,
    TrainingResults,
    read_jsonl,
    read_results_of,
    read_rows,
)
from rlsc.records.run_folder import RUN
from rlsc.types import Verdict


def observations(folder: Path, size: int) -> list[Observation]:
    """What the guard saw at each step; of a larger probe those `size` that it would have asked."""
    rows = read_jsonl(folder / "guard.jsonl")
    chosen = _asked(folder, len(rows[0]["questions"]["answered"]), size)
    history = []
    for row in rows:
        questions = row["questions"]
        if "probe_answers" in row and chosen is not None:
            questions = {name: [of[at] for at in chosen] for name, of in questions.items()}
            questions["same_answer"] = _shared([row["probe_answers"][at] for at in chosen])
        distinct = row["signals"]["distinct_completions"]
        history.append(Observation(row["step"], distinct, questions, "probe_answers" in row))
    return history


def _asked(folder: Path, of: int, size: int) -> list[int] | None:
    """Which of `of` questions; None for all, as in records without the votes."""
    file = folder / "probe.json"
    if of <= size or not file.exists():
        return None
    return most_agreed([row["texts"] for row in json.loads(file.read_text("utf-8"))], size)


def _shared(answers: Sequence[str | None]) -> list[float]:
    """For each question the share of the others with the same answer."""
    counts = Counter(answers)
    return [
        0.0 if answer is None else (counts[answer] - 1) / (len(answers) - 1) for answer in answers
    ]


def is_archived(folder: Path) -> bool:
    """Whether this is a run of the archive, and not a run's folder."""
    return not (folder / RUN).exists() and (folder / "eval" / "before.jsonl").exists()


def by_step(folder: Path, name: str) -> dict[int, list[float]]:
    """The share of right answers of each question, at each step that was evaluated."""
    if is_archived(folder):
        return _archived_by_step(folder, name)
    run = TrainingFolder(folder)
    stages = {0: "before", read_results_of(TrainingResults, folder).steps: "after"}
    for stage in run.stage("before").parent.glob("step-*"):
        stages[int(stage.name.removeprefix("step-"))] = stage.name
    shares = {}
    for step in sorted(stages):
        questions = by_question(read_rows(run.rows(stages[step], EVALUATION, name)))
        shares[step] = [questions[identifier].accuracy for identifier in sorted(questions)]
    return shares


def _archived_by_step(folder: Path, name: str) -> dict[int, list[float]]:
    stages = {
        0: "before",
        json.loads((folder / "results.json").read_text("utf-8"))["steps"]: "after",
    }
    for file in (folder / "eval").glob("step-*.jsonl"):
        stages[int(file.stem.removeprefix("step-"))] = file.stem
    shares = {}
    for step in sorted(stages):
        right: dict[str, list[bool]] = {}
        for row in read_jsonl(folder / "eval" / f"{stages[step]}.jsonl"):
            if row["pass"] == name and row["verdict"] is not None:
                right.setdefault(row["id"], []).append(row["verdict"] == Verdict.CORRECT.value)
        shares[step] = [fmean(right[identifier]) for identifier in sorted(right)]
    return shares
