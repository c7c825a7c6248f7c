"""The columns of tasks.jsonl that a report reads: what a game says of its tasks."""

from __future__ import annotations

from typing import TypedDict


class GameRow(TypedDict, total=False):
    """A row: of these columns those that its game has; a user's own may have others too."""

    step: int
    """Whoever writes the file adds it."""
    kind: str
    text: str
    """What the model wrote."""
    reason: str
    """Why it is refused; empty for what is not."""
    reward: float

    # Of `azr`: the fields of a task, and what became of its proposal.
    program: str
    input: str
    output: str
    pairs: list[list[str]]
    message: str
    id: str
    born: int
    references: list[str]
    rate: float | None
    has_format: bool
    duplicate: bool
    detail: str

    # Of `spc`: a step in its place, what is wrong with it, and what critics said.
    question: str
    problem: str
    done: list[str]
    original: str
    step_judged: str
    fault: str
    slip: str
    verdicts: list[bool | None]
    successes: list[int]
    undecided: int
