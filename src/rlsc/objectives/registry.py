"""Objectives by name. A row here is all that the library needs of one beside its file. No torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from rlsc.errors import ConfigError
from rlsc.runtime import SYNTAX, is_user_code, load_user_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from rlsc.objectives.base import Objective, PoolView

OBJECTIVES: dict[str, str] = {
    "rlsc": "rlsc.objectives.rlsc:RLSC",
    "ttrl": "rlsc.objectives.ttrl:TTRL",
    "empo": "rlsc.objectives.empo:EMPO",
    "om_grpo": "rlsc.objectives.om_grpo:OMGRPO",
    "scrl": "rlsc.objectives.scrl:SCRL",
    "evol_rl": "rlsc.objectives.evol_rl:EVOLRL",
    "co_rewarding": "rlsc.objectives.co_rewarding:CoRewarding",
    "self_certainty": "rlsc.objectives.self_certainty:SelfCertainty",
    "rlsf": "rlsc.objectives.rlsf:RLSF",
    "token_entropy": "rlsc.objectives.token_entropy:TokenEntropy",
    "sequence_entropy": "rlsc.objectives.sequence_entropy:SequenceEntropy",
    "entropy_loss": "rlsc.objectives.entropy_loss:EntropyLoss",
    "grpo": "rlsc.objectives.grpo:GRPO",
    "ppo": "rlsc.objectives.ppo:PPO",
    "rlhf": "rlsc.objectives.rlhf:RLHF",
    "dpo": "rlsc.objectives.dpo:DPO",
    "kl": "rlsc.objectives.kl:KL",
    "kl_cov": "rlsc.objectives.kl_cov:KLCov",
    "trr": "rlsc.objectives.task_relative:TaskRelative",
    "constant": "rlsc.objectives.controls:Constant",
    "random": "rlsc.objectives.controls:Random",
    "format_only": "rlsc.objectives.controls:FormatOnly",
    "inverse_majority": "rlsc.objectives.controls:InverseMajority",
}
"""Where each class is, in the syntax of a user's own."""


def registered(name: str) -> type[Objective] | None:
    """The class of that name in the table; None for a sum, and for what is the user's own."""
    loaded = load_objective(name) if name in OBJECTIVES else None
    return loaded if isinstance(loaded, type) else None


def load_objective(name: str) -> type[Objective] | Objective | Callable[[PoolView], object]:
    """What a name of the table or of the user's own stands for.

    Raises `ConfigError` for a name that is neither, and for what is neither a subclass nor an
    instance of `Objective` nor a function.
    """
    from rlsc.objectives.base import Objective

    if name not in OBJECTIVES and not is_user_code(name):
        names = ", ".join(OBJECTIVES)
        raise ConfigError(f"objective must be one of {names}, or {SYNTAX}, not {name!r}")
    if name in OBJECTIVES:
        module, _, attribute = OBJECTIVES[name].partition(":")
        loaded = getattr(importlib.import_module(module), attribute)
    else:
        loaded = load_user_code("objective", name)
    right = issubclass(loaded, Objective) if isinstance(loaded, type) else callable(loaded)
    if not (right or isinstance(loaded, Objective)):
        raise ConfigError(
            f"objective {name} must be a subclass or an instance of rlsc.objectives.Objective, "
            "or a function of PoolView"
        )
    return loaded
