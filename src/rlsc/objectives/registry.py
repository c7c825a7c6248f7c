"""Objectives by name: the table, and those of the user's own."""

from __future__ import annotations

import importlib
import math
import os
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from torch import Tensor

from rlsc.config.checks import one_of
from rlsc.config.objective import OWN_SETTINGS, ObjectiveArguments
from rlsc.errors import ConfigError
from rlsc.objectives.base import WEIGHTS_NEEDS, Objective, PoolView
from rlsc.objectives.combined import Combined, parts_of
from rlsc.objectives.controls import Constant, FormatOnly, InverseMajority, Random
from rlsc.objectives.dpo import DPO
from rlsc.objectives.empo import EMPO
from rlsc.objectives.entropy_loss import EntropyLoss
from rlsc.objectives.grpo import GRPO
from rlsc.objectives.kl import KL
from rlsc.objectives.policy_gradient import PolicyGradient
from rlsc.objectives.ppo import PPO
from rlsc.objectives.rlhf import RLHF
from rlsc.objectives.rlsc import RLSC
from rlsc.objectives.self_certainty import SelfCertainty
from rlsc.objectives.sequence_entropy import SequenceEntropy
from rlsc.objectives.shaping import RELATIVE
from rlsc.objectives.token_entropy import TokenEntropy
from rlsc.objectives.ttrl import TTRL
from rlsc.types import AnswerKey

OBJECTIVES: dict[str, type[Objective]] = {
    "rlsc": RLSC,
    "ttrl": TTRL,
    "empo": EMPO,
    "self_certainty": SelfCertainty,
    "token_entropy": TokenEntropy,
    "sequence_entropy": SequenceEntropy,
    "entropy_loss": EntropyLoss,
    "grpo": GRPO,
    "ppo": PPO,
    "rlhf": RLHF,
    "dpo": DPO,
    "kl": KL,
    "constant": Constant,
    "random": Random,
    "format_only": FormatOnly,
    "inverse_majority": InverseMajority,
}


@dataclass(frozen=True, kw_only=True)
class UserReward(PolicyGradient):
    """r = a function of your own, from `PoolView` to K numbers.

    An attribute `weights_need` of the function says what it sees; by default scores and answers.
    """

    function: Callable[[PoolView], Sequence[float] | Tensor]

    @property
    def weights_need(self) -> Collection[str]:
        needs: Collection[str] = getattr(self.function, "weights_need", ("scores", "answers"))
        return needs

    def reward(self, pool: PoolView) -> Tensor:
        rewards: Any = self.function(pool)  # what it is, is checked where it is used
        return rewards


def create_objective(settings: ObjectiveArguments) -> Objective:
    """The objective that `settings.objective` names, with the settings that it has fields for.

    Raises `ConfigError` for a name that is neither in the table nor `module:name`, and for a
    setting that none of the objectives named has. `beta` is for all: where none has it, the sum
    with `KL` is made.
    """
    names = [name.strip() for name in settings.objective.split(",")]
    given = {name for name in OWN_SETTINGS if getattr(settings, name) is not None}
    made, taken = [], set()
    for name in names:
        found = OBJECTIVES[name] if name in OBJECTIVES else _imported(name)
        objective, known = _made(name, found, given, settings)
        known |= {"reward_model"} & set(objective.weights_need)
        unknown = sorted(set(objective.weights_need) - set(WEIGHTS_NEEDS))
        if unknown:
            raise ConfigError(f"{name} needs {unknown[0]!r}: known are {', '.join(WEIGHTS_NEEDS)}")
        made.append(objective)
        taken |= known
    braked = "beta" in given - taken  # none has a divergence of its own: it becomes a part
    if given - taken - {"beta"}:
        name = min(given - taken - {"beta"})
        raise ConfigError(f"{name} is no setting of objective {settings.objective}")
    if sum(isinstance(one, PPO) for one in made) > 1:
        raise ConfigError("ppo is there twice: there is one value head")
    weights = _weights(settings.objective_weights, len(made))
    if braked and settings.beta:
        made, weights = [*made, KL()], [*weights, settings.beta]
    return made[0] if len(made) == 1 else Combined(tuple(zip(made, weights, strict=True)))


def check_siblings(objective: Objective, num_generations: int) -> None:
    """Raise `ConfigError` where a single completion has nobody to be compared with."""
    for one, _ in parts_of(objective):
        shaping = one.shaping if isinstance(one, PolicyGradient) else None
        if num_generations < 2 and (isinstance(one, DPO) or shaping in RELATIVE):
            how = f"with shaping {shaping} " if shaping else ""
            raise ConfigError(
                f"objective {type(one).__name__} {how}compares siblings: "
                "num_generations must be 2 or more"
            )


def check_judges(
    objective: Objective, ids: Collection[str], labelled: AnswerKey | None, reward_model: Any
) -> None:
    """Raise `ConfigError` where an objective needs labels or a reward model that are not there."""
    if "labels" in objective.weights_need:  # others never touch the answers
        missing = [name for name in ids if name not in (labelled or ())]
        if missing:
            raise ConfigError(
                f"this objective needs labels, and {len(missing)} of {len(ids)} "
                f"training questions have no reference answer (such as {missing[0]!r}): name "
                "the column with --answer_column, or take an objective without labels"
            )
    if "reward_model" in objective.weights_need and reward_model is None:
        raise ConfigError("this objective needs a reward model: name one with --reward_model")


def _made(name: str, found: Any, given: set[str], settings: Any) -> tuple[Objective, set[str]]:
    """An instance, and the names of the settings it has."""
    fixed: dict[str, Any] = {}
    if isinstance(found, Objective):
        return found, set()
    # These two have a value always, which is no default of a user's class unless it was changed.
    standing = {"weight", "alpha"}
    given = given | {
        one for one in standing if name in OBJECTIVES or getattr(settings, one) != _STANDARD[one]
    }
    if not isinstance(found, type):
        fixed, found = {"function": found}, UserReward
    if issubclass(found, PolicyGradient) and _says_nothing(found):
        raise ConfigError(f"objective {name} has neither a reward, nor weigh, nor loss of its own")
    names = {one.name for one in fields(found) if one.init} if is_dataclass(found) else set()
    try:
        return found(**fixed, **{one: getattr(settings, one) for one in given & names}), names
    except TypeError as error:
        raise ConfigError(
            f"objective {name} cannot be made without arguments ({error}): name an instance"
        ) from error


_STANDARD = {one.name: one.default for one in fields(ObjectiveArguments)}


def _says_nothing(found: type[PolicyGradient]) -> bool:
    own = ("reward", "weigh", "loss")
    return all(getattr(found, one) is getattr(PolicyGradient, one) for one in own)


def _imported(name: str) -> Any:
    """`module:name`: a subclass of `Objective`, an instance, or a function of `PoolView`."""
    module, colon, attribute = name.partition(":")
    if not colon:
        one_of("objective", name, (*OBJECTIVES, "module:name"))
    if os.getcwd() not in sys.path:  # where a file of the user's own lies
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        raise ConfigError(f"objective {name}: {type(error).__name__}: {error}") from error
    right = issubclass(found, Objective) if isinstance(found, type) else callable(found)
    if not (right or isinstance(found, Objective)):
        raise ConfigError(
            f"objective {name} must be a subclass or an instance of rlsc.objectives.Objective, "
            "or a function of PoolView"
        )
    return found


def _weights(text: str | None, count: int) -> list[float]:
    if text is None:
        return [1.0] * count
    if count == 1:
        raise ConfigError("objective_weights are for several objectives, as rlsc,grpo")
    try:
        weights = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"objective_weights must be numbers, as 1,0.5, not {text!r}") from error
    if len(weights) != count or not all(map(math.isfinite, weights)):
        raise ConfigError(f"objective_weights {text}: give {count} finite numbers, as 1,0.5")
    if not any(weights):
        raise ConfigError(f"objective_weights {text}: a sum of nothing trains nothing")
    return weights
