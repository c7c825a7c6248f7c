"""A weighted sum of objectives on the same completions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlsc.errors import ConfigError
from rlsc.objectives.base import Objective, RunSettings
from rlsc.objectives.kl_cov import KLCov
from rlsc.objectives.policy_gradient import Clipped, PolicyGradient
from rlsc.runtime import gathered

_EPSILON = 1e-4
"""Beside a standard deviation, as within a question."""


@dataclass(frozen=True)
class Combined(Objective):
    """loss(y) = Σ_i c_i · loss_i(y), each objective shaping and weighing on its own.

    For instance self-confidence plus a verifiable or format reward: `rlsc,grpo`. Its parts are
    weighed and added up where the step's loss is made (`update.py`).

    Of parts with rewards and standardised shaping, each reward is normalised within its question
    and the advantages are added up: GDPO's decoupled normalisation, arXiv 2601.05242. Adding
    rewards first and normalising the sum, which it argues against, gives questions whose rewards
    differ in pattern one and the same advantage. With `normalised` (`--normalise_sum`) the sum
    A = Σ_i c_i A_i is then divided, as there, by its standard deviation over the step's
    completions, + 10⁻⁴, its mean taken off, so that it does not grow with the number of rewards.

    Left out: GDPO's conditions of one reward on another.
    """

    parts: tuple[tuple[Objective, float], ...]
    normalised: bool = False
    """Whether the sum of the parts' advantages is normalised over the step, as GDPO's is."""

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
        self._check_sums()
        if sum("values" in part.weights_need for part in parts) > 1:
            raise ConfigError("there is one value head: only one objective can learn values")
        voted = [part for part in parts if part.votes_of]
        if len({(part.votes_of, part.teacher_rate) for part in voted}) > 1:
            raise ConfigError("there is one vote of others: votes_of and teacher_rate must agree")
        if len({part.reward_model for part in parts} - {None}) > 1:
            raise ConfigError("there is one reward model: name the same for every objective")

    def _check_sums(self) -> None:
        kinds = [type(part).__name__ for part, _ in self.parts]
        others = [part for part, _ in self.parts if isinstance(part, Clipped)]
        if self.normalised and not (
            len(others) > 1 and all(isinstance(part, PolicyGradient) for part in others)
        ):
            raise ConfigError(
                "normalise_sum is for a sum of two or more objectives with rewards, not of "
                f"{', '.join(kinds)}"
            )
        if any(isinstance(part, KLCov) for part, _ in self.parts) and not others:
            raise ConfigError(
                "kl_cov holds back tokens by the advantages of another part, and no part of "
                f"{', '.join(kinds)} has some: add one with rewards, as ttrl,kl_cov"
            )

    def over_step(
        self, parts: tuple[Tensor, ...], mask_NT: Tensor, logps_NT: Tensor | None
    ) -> tuple[Tensor, ...]:
        flat = parts_of(self)
        rewarded = [place for place, (part, _) in enumerate(flat) if isinstance(part, Clipped)]
        if self.normalised:
            parts = _normalised(parts, rewarded, [flat[place][1] for place in rewarded])
        for place, (part, _) in enumerate(flat):
            if isinstance(part, KLCov):
                assert logps_NT is not None
                total_NT = torch.zeros_like(logps_NT)
                for other in rewarded:
                    total_NT = total_NT + flat[other][1] * parts[other]
                chosen_NT = part.chosen(total_NT, logps_NT, mask_NT)
                parts = (*parts[:place], chosen_NT, *parts[place + 1 :])
        return parts

    @property
    def votes_of(self) -> str | None:  # type: ignore[override]
        return next((part.votes_of for part, _ in self.parts if part.votes_of), None)

    @property
    def teacher_rate(self) -> float:  # type: ignore[override]
        voted = (part.teacher_rate for part, _ in self.parts if part.votes_of)
        return next(voted, Objective.teacher_rate)

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


def _normalised(
    parts: tuple[Tensor, ...], rewarded: Sequence[int], coefficients: Sequence[float]
) -> tuple[Tensor, ...]:
    """Weights whose sum, by the coefficients, has mean 0 and standard deviation 1 over the step."""
    if any(parts[place].shape[1] > 1 for place in rewarded):
        raise ConfigError(
            "normalise_sum needs one weight a completion: leave out what weighs tokens apart, such "
            "as answer_span_gradient"
        )
    everyone = torch.cat(gathered(torch.cat([parts[place] for place in rewarded], dim=1)))
    if len(everyone) < 2:
        return parts
    total = everyone @ torch.tensor(coefficients, dtype=everyone.dtype)
    means, scale = everyone.mean(0), total.std() + _EPSILON
    weights = list(parts)
    for place, mean in zip(rewarded, means, strict=True):
        weights[place] = (parts[place] - mean) / scale
    return tuple(weights)
