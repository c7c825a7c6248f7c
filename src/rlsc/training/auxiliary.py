"""The models beside the policy: what an objective or a run asks for, made before the first step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlsc.logprobs import Layout
from rlsc.models import RewardModel
from rlsc.objectives import Objective, parts_of
from rlsc.training.arguments import RLSCConfig
from rlsc.training.reference import Reference
from rlsc.training.teacher import Teacher
from rlsc.training.value_head import ValueHead


@dataclass(frozen=True)
class AuxiliaryModels:
    """None where nobody asks for it."""

    reference: Reference | None = None
    """The model before training: of the objective, or of `rollout_policy base`."""
    reward_model: RewardModel | None = None
    value_head: ValueHead | None = None
    teacher: Teacher | None = None
    """A moving average of the policy, which votes."""


def needs_reference(args: RLSCConfig, objective: Objective, asks_base: bool) -> bool:
    """Whether the run keeps the model before training beside the policy."""
    needs = {*objective.weights_need, *objective.loss_needs}
    return "reference" in needs or args.rollout_policy == "base" or asks_base


def create_auxiliary(
    args: RLSCConfig,
    objective: Objective,
    policy: Any,
    layout: Layout,
    asks_base: bool = False,
) -> AuxiliaryModels:
    """Those that the run takes; `asks_base`: the environment asks the model before training.

    Raises `ModelError` for a reward model that cannot be loaded.
    """
    reference = reward_model = value_head = None
    if needs_reference(args, objective, asks_base):
        reference = Reference(policy, layout)
    if "reward_model" in objective.weights_need and objective.reward_model:
        reward_model = RewardModel(objective.reward_model, args.device)
    for part, _ in parts_of(objective):
        if "values" in part.weights_need:
            hidden_size = policy.config.get_text_config().hidden_size
            value_head = ValueHead(hidden_size, part.value_learning_rate, args.device)
    teacher = None
    if objective.votes_of == "teacher":
        teacher = Teacher(policy, objective.teacher_rate)
    return AuxiliaryModels(reference, reward_model, value_head, teacher)
