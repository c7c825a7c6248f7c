"""The tasks that there are, by kind: no key twice, a cap, and draws that a seed alone decides."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TypedDict

from rlsc.environments.azr.tasks import KINDS, SEED, TRIPLETS, Kind, Task
from rlsc.records import GameRow, from_json


class BufferState(TypedDict):
    """What is kept in checkpoints."""

    tasks: list[GameRow]
    made: dict[Kind, int]
    """How many there have been of each kind."""


class Buffer:
    """A list of tasks for each kind, the oldest first; seeds stay at the head.

    Over `size` tasks of a kind the oldest that is no seed leaves (the authors' code keeps the
    oldest, so that after a while nothing new enters).
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._tasks: dict[Kind, list[Task]] = {kind: [] for kind in KINDS}
        self._keys: dict[Kind, set[str]] = {kind: set() for kind in KINDS}
        self._made: dict[Kind, int] = dict.fromkeys(KINDS, 0)

    def add(self, task: Task) -> Task | None:
        """The task as it is kept, with an id; None for one whose key is there already."""
        tasks, keys = self._tasks[task.kind], self._keys[task.kind]
        if task.key in keys:
            return None
        kept = replace(task, id=f"{task.kind}/{self._made[task.kind]}")
        self._made[task.kind] += 1
        tasks.append(kept)
        keys.add(kept.key)
        if len(tasks) > self._size:
            oldest = next((at for at, candidate in enumerate(tasks) if candidate.born != SEED), 0)
            keys.discard(tasks.pop(oldest).key)
        return kept

    def holds(self, task: Task) -> bool:
        """Whether its key is there."""
        return task.key in self._keys[task.kind]

    def of(self, kind: Kind) -> Sequence[Task]:
        """All of a kind, the oldest first."""
        return self._tasks[kind]

    def draw(self, kind: Kind, number: int, seed: int, without: Collection[str] = ()) -> list[Task]:
        """`number` distinct ones, or all if there are fewer; `without` those of these keys."""
        left = [task for task in self._tasks[kind] if task.key not in without]
        return random.Random(seed).sample(left, min(number, len(left)))

    def programs(self) -> list[Task]:
        """Tasks of a program and an input, whose programs induction is proposed for."""
        return [task for kind in TRIPLETS for task in self._tasks[kind]]

    def state(self) -> BufferState:
        """As JSON."""
        tasks = [task.to_json() for kind in KINDS for task in self._tasks[kind]]
        return {"tasks": tasks, "made": {kind: self._made[kind] for kind in KINDS}}

    def load(self, state: BufferState) -> None:
        """Take up what `state` gave."""
        tasks = [from_json(Task, row) for row in state["tasks"]]
        self._tasks = {kind: [task for task in tasks if task.kind == kind] for kind in KINDS}
        self._keys = {kind: {task.key for task in self._tasks[kind]} for kind in KINDS}
        self._made = {kind: int(state["made"][kind]) for kind in KINDS}
