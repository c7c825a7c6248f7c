"""A weighted sum of objectives on the same completions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rlsc.errors import ConfigError
from rlsc.objectives.base import Objective, RunSettings


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

    def check(self, run: RunSettings) -> None:
        super().check(run)
        parts = [part for part, _ in parts_of(self)]
        for part in parts:
            part.check(run)
            if part.completions_given:
                raise ConfigError(
                    f"objective {type(part).__name__} takes its completions from the data set: "
                    "no other can be added to it"
                )
        if sum("values" in part.weights_need for part in parts) > 1:
            raise ConfigError("there is one value head: only one objective can learn values")
        if len({part.reward_model for part in parts} - {None}) > 1:
            raise ConfigError("there is one reward model: name the same for every objective")

    @property
    def reward_model(self) -> str | None:  # type: ignore[override]
        return next((part.reward_model for part, _ in self.parts if part.reward_model), None)


def parts_of(objective: Objective) -> tuple[tuple[Objective, float], ...]:
    """The objectives of a sum, and of sums in it, with their coefficients; of any other, itself."""
    if not isinstance(objective, Combined):
        return ((objective, 1.0),)
    return tuple(
        (inner, outer * own) for part, outer in objective.parts for inner, own in parts_of(part)
    )
