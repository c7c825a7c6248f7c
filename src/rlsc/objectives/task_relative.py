"""Rewards of an environment, compared within its pools: of one role in one kind of task."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from rlsc.objectives.base import PoolView
from rlsc.objectives.policy_gradient import PolicyGradient


@dataclass(frozen=True)
class TaskRelative(PolicyGradient):
    """A = (r − mean r) / (std r + 10⁻⁴) over a pool's completions; r is the environment's.

    Task-relative REINFORCE++ of Absolute Zero (AZR, arXiv 2505.03335): a pool holds the completions
    of one role in one kind of task, whose prompts differ. So the baseline holds a part of what made
    the tasks drawn easy or hard; with shaping `leave_one_out` it leaves the expected gradient that
    of the reward. A pool of the siblings of one question is GRPO's. `token_whitened` is what the
    authors' code does, `loss_type="token_mean"` its loss, and `raw` SPC's (arXiv 2504.19162).

    What a completion is worth may depend on samples of the policy, as a proposal's does on how
    often its task is solved. That is held constant: the gradient is of the reward's mean with solve
    rates and the tasks drawn held fixed. The gradient of the whole would have the solver fail at
    tasks, for the proposer to be paid.

    Left out: a baseline for each task, and one for each role that moves from step to step.
    """

    weights_need = frozenset({"environment"})

    def reward(self, pool: PoolView) -> Tensor:
        return pool.environment_K
