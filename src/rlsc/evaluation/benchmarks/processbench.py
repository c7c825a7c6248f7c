"""ProcessBench (arXiv 2412.06559): is a step of a written solution right?

A solution becomes a question for each step up to the first wrong one, which is all that both of its
protocols look at: what comes behind an error is not judged. See `evaluation/steps.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from rlsc.data import Row, text_of
from rlsc.evaluation.benchmarks.item import Item

CHOICES = ("Correct", "Incorrect")
_CORRECT, _INCORRECT = "AB"


def step_items(prefix: str, row: Row) -> list[Item]:
    """The steps of a solution up to the first wrong one; ids PREFIX/SOLUTION/STEP, from 0.

    `label` is the index of the first wrong step, −1 where there is none. Raises `KeyError` for a
    column that is missing, `ValueError` for steps and labels that cannot be.
    """
    problem, steps, label = text_of(row["problem"]), row["steps"], row["label"]
    if not isinstance(steps, list) or not steps or not all(isinstance(s, str) for s in steps):
        raise ValueError("'steps' is not a list of texts")
    if type(label) is not int or not -1 <= label < len(steps):
        raise ValueError(f"label {label!r:.20} is no index of its {len(steps)} steps, nor -1")
    last = len(steps) - 1 if label == -1 else label
    return [
        Item(
            f"{prefix}/{text_of(row['id'])}/{k}",
            _question(problem, steps[:k], steps[k]),
            _INCORRECT if k == label else _CORRECT,
            CHOICES,
        )
        for k in range(last + 1)
    ]


def _question(problem: str, before: list[str], step: str) -> str:
    done = "\n\n".join(map(str.strip, before)) or "(nothing yet)"
    return (
        f"Problem:\n{problem}\n\nSolution so far, which is correct:\n{done}\n\n"
        f"Next step:\n{step.strip()}\n\nIs the next step correct?"
    )


def content_of(rows: Iterable[Row]) -> str:
    """SHA-256 of what is asked of all rows: the same from a file and from the Hub."""
    digest = hashlib.sha256()
    for row in rows:
        asked = [row.get(name) for name in ("id", "problem", "steps", "label")]
        digest.update(json.dumps(asked).encode())
    return digest.hexdigest()
