"""A data set of questions as an environment: one wave, and a pool for each question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rlsc.environments.base import Environment, Play
from rlsc.types import Ask, Example, Pool


@dataclass(frozen=True)
class DatasetEnvironment(Environment):
    """Asks each row of the step `num_generations` times; the objective makes the rewards."""

    gives_rewards: ClassVar[bool | None] = False

    num_generations: int

    def play(self, step: int, seed: int, rows: Sequence[Example]) -> Play:
        asks = [Ask(row.id, row.prompt, self.num_generations, example=row) for row in rows]
        groups = yield asks
        return [Pool(group.prompt.id, [group]) for group in groups if group is not None]
