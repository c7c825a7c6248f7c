"""Objectives turn a group's completions into a loss. `base`: the contract; `registry`: the list."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.objectives.base import (
        FORWARD_NEEDS,
        NEED_OF,
        LossInputs,
        Objective,
        PoolView,
        SequenceLoss,
    )
    from rlsc.objectives.combined import parts_of
    from rlsc.objectives.controls import Constant
    from rlsc.objectives.create import create_objective, settings_in_use
    from rlsc.objectives.policy_gradient import PolicyGradient, divergence
    from rlsc.objectives.registry import registered
    from rlsc.objectives.rlsc import RLSC
    from rlsc.objectives.settings import ObjectiveFlags

__getattr__ = lazy_face(__name__)
