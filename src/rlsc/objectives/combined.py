"""A weighted sum of objectives on the same completions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rlsc.objectives.base import Objective


@dataclass(frozen=True)
class Combined(Objective):
    """loss(y) = Σ_i c_i · loss_i(y), each objective shaping and weighing on its own.

    For instance self-confidence plus a verifiable or format reward: `rlsc,grpo`. Its parts are
    weighed and added up where the step's loss is made (`update.py`).
    """

    parts: tuple[tuple[Objective, float], ...]

    @property
    def weights_need(self) -> Collection[str]:
        return {need for part, _ in self.parts for need in part.weights_need}

    @property
    def loss_needs(self) -> Collection[str]:
        return {need for part, _ in self.parts for need in part.loss_needs}

    @property
    def zero_weight_is_zero_gradient(self) -> bool:
        return all(part.zero_weight_is_zero_gradient for part, _ in self.parts)


def parts_of(objective: Objective) -> tuple[tuple[Objective, float], ...]:
    """The objectives of a sum, and of sums in it, with their coefficients; of any other, itself."""
    if not isinstance(objective, Combined):
        return ((objective, 1.0),)
    return tuple(
        (inner, outer * own) for part, outer in objective.parts for inner, own in parts_of(part)
    )
