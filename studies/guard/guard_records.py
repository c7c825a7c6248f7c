"""Reads what a run of the guard's study has written down."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rlsc.evaluation.score import by_question
from rlsc.guard.probe import most_agreed
from rlsc.guard.rule import Observation
from rlsc.records.jsonl import read_jsonl
from rlsc.records.results import EVALUATION, TrainingResults, read_results_of
from rlsc.records.rows import read_rows
from rlsc.records.run_folder import TrainingFolder


def observations(folder: Path, size: int) -> list[Observation]:
    """What the guard saw at each step; of a larger probe those `size` that it would have asked."""
    rows = read_jsonl(folder / "guard.jsonl")
    chosen = _asked(folder, len(rows[0]["questions"]["answered"]), size)
    found = []
    for row in rows:
        questions = row["questions"]
        if "probe_answers" in row and chosen is not None:
            questions = {name: [of[at] for at in chosen] for name, of in questions.items()}
            questions["same_answer"] = _shared([row["probe_answers"][at] for at in chosen])
        distinct = row["signals"]["distinct_completions"]
        found.append(Observation(row["step"], distinct, questions, "probe_answers" in row))
    return found


def _asked(folder: Path, of: int, size: int) -> list[int] | None:
    """Which of `of` questions; None for all, as in records without the votes."""
    file = folder / "probe.json"
    if of <= size or not file.exists():
        return None
    return most_agreed([row["texts"] for row in json.loads(file.read_text("utf-8"))], size)


def _shared(answers: Sequence[str | None]) -> list[float]:
    """For each question the share of the others with the same answer."""
    counts = Counter(answers)
    return [0.0 if one is None else (counts[one] - 1) / (len(answers) - 1) for one in answers]


def by_step(folder: Path, name: str) -> dict[int, list[float]]:
    """The share of right answers of each question, at each step that was evaluated."""
    run = TrainingFolder(folder)
    stages = {0: "before", read_results_of(TrainingResults, folder).steps: "after"}
    for stage in run.stage("before").parent.glob("step-*"):
        stages[int(stage.name.removeprefix("step-"))] = stage.name
    shares = {}
    for step in sorted(stages):
        questions = by_question(read_rows(run.rows(stages[step], EVALUATION, name)))
        shares[step] = [questions[identifier].accuracy for identifier in sorted(questions)]
    return shares
