"""Objectives turn a group's completions into a loss. `base`: the contract; `registry`: the list."""

from rlsc.objectives.base import LossInputs, Objective, PoolView, SequenceLoss
from rlsc.objectives.combined import Combined, parts_of
from rlsc.objectives.create import create_objective
from rlsc.objectives.general import General
from rlsc.objectives.policy_gradient import PolicyGradient
from rlsc.objectives.registry import OBJECTIVES
from rlsc.objectives.rlsc import RLSC

__all__ = [
    "OBJECTIVES",
    "RLSC",
    "Combined",
    "General",
    "LossInputs",
    "Objective",
    "PolicyGradient",
    "PoolView",
    "SequenceLoss",
    "create_objective",
    "parts_of",
]
