"""An objective from a run's settings: by name, with what its class declares."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from rlsc.config import check_settings, check_value, converted, nearest, settings_of
from rlsc.errors import ConfigError
from rlsc.objectives.base import Objective, PoolView, RunSettings
from rlsc.objectives.combined import Combined
from rlsc.objectives.kl import KL
from rlsc.objectives.policy_gradient import PolicyGradient
from rlsc.objectives.registry import load_objective
from rlsc.objectives.settings import declared_settings


class NamesObjective(RunSettings, Protocol):
    """What names an objective in a run's settings; `RLSCConfig` has it, and the flags beside it."""

    objective: str
    objective_weights: str | None
    normalise_sum: bool
    label_share: float | None
    objective_settings: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class UserReward(PolicyGradient):
    """r = a function of your own, from `PoolView` to K numbers.

    An attribute `weights_need` of the function says what it sees; by default scores and answers.
    """

    function: Callable[[PoolView], Sequence[float] | Tensor]
    reward_model: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if hasattr(self.function, "needs"):
            raise ConfigError("the needs of a function of your own are now its weights_need")

    @property
    def weights_need(self) -> Collection[str]:
        needs: Collection[str] = getattr(self.function, "weights_need", ("scores", "answers"))
        return needs

    def reward(self, pool: PoolView) -> Tensor:
        rewards: Any = self.function(pool)  # what it is, is checked where it is used
        return rewards


def create_objective(run: NamesObjective) -> Objective:
    """The objective that `run.objective` names, with the settings that its class has fields for.

    Raises `ConfigError` for a name that there is not, a setting that none of the objectives named
    has, and settings of the run that it excludes. `beta` is for all: where none has it, the sum
    with `KL` is made.
    """
    names = [name.strip() for name in run.objective.split(",")]
    flags = {name: getattr(run, name) for name in declared_settings()}
    flags = {name: value for name, value in flags.items() if value is not None}
    own = run.objective_settings
    parts: list[Objective] = []
    known: set[str] = set()
    for name in names:
        part, taken = _made(name, flags, own)
        parts.append(part)
        known |= taken
    _check_taken(run.objective, flags, own, known)
    _check_read(run.objective, flags, parts)
    weights = _weights(run.objective_weights, len(parts))
    if "beta" in flags and "beta" not in known:
        check_value(declared_settings()["beta"].fields[0], flags["beta"])
        if flags["beta"]:
            parts, weights = [*parts, KL()], [*weights, flags["beta"]]
    objective = parts[0]
    if len(parts) > 1 or run.normalise_sum or objective.in_sums_alone:
        pairs = tuple(zip(parts, weights, strict=True))
        objective = Combined(pairs, normalised=run.normalise_sum)
    objective.check(run)
    if run.label_share is not None and "labels" not in objective.weights_need:
        raise ConfigError(
            f"label_share is for objectives with labels, such as grpo: {run.objective} reads none"
        )
    return objective


def settings_in_use(objective: Objective) -> dict[str, object]:
    """The flags' values, as this objective has them: where parts of a sum differ, none."""
    parts = (
        [part for part, _ in objective.parts] if isinstance(objective, Combined) else [objective]
    )
    values: dict[str, list[object]] = {}
    for part in parts:
        for name in settings_of(type(part)).keys() & declared_settings().keys():
            values.setdefault(name, []).append(getattr(part, name))
    return {name: many[0] for name, many in values.items() if all(v == many[0] for v in many)}


def _made(
    name: str, flags: Mapping[str, object], own: Mapping[str, object]
) -> tuple[Objective, set[str]]:
    """An instance, and the names of the settings it has."""
    loaded: Any = load_objective(name)
    if isinstance(loaded, Objective):
        return loaded, set()
    fixed: dict[str, object] = {}
    if not isinstance(loaded, type):
        fixed, loaded = {"function": loaded}, UserReward
    known = settings_of(loaded)
    values = {key: flags[key] for key in flags.keys() & known.keys()}
    for key in own.keys() & known.keys() - fixed.keys():
        if key in values:
            raise ConfigError(f"{key} is given twice, by itself and in objective_settings")
        values[key] = converted("objective_settings", key, own[key], known[key][1])
    try:
        objective: Objective = loaded(**fixed, **values)
    except TypeError as error:
        raise ConfigError(
            f"objective {name} cannot be made without arguments ({error}): name an instance"
        ) from error
    if known:
        check_settings(objective)  # of a class whose own __post_init__ does not
    return objective, known.keys() - fixed.keys()


def _check_taken(
    objective: str, flags: Collection[str], own: Collection[str], known: Collection[str]
) -> None:
    """Raise `ConfigError` for the first setting that none of the objectives named has."""
    for name in sorted(set(flags) - set(known) - {"beta"}):
        of = ", ".join(declared_settings()[name].of[:4])
        raise ConfigError(
            f"{name} is no setting of objective {objective}: it is a setting of objective {of}"
        )
    for name in sorted(set(own) - set(known)):
        raise ConfigError(
            f"objective_settings: {name} is no setting of objective {objective}"
            + nearest(name, known)
        )


def _check_read(objective: str, flags: Mapping[str, object], parts: Sequence[Objective]) -> None:
    """Raise `ConfigError` for a setting that no part reads as the others are, unless its default.

    The default is what a stored run has of it.
    """
    fields = [settings_of(type(part)) for part in parts]
    pairs = zip(fields, parts, strict=True)
    read = {name for own, part in pairs for name in own.keys() - set(part.unread)}
    for name in sorted(flags.keys() - read - {"beta"}):
        field = next(own[name][0] for own in fields if name in own)
        if flags[name] != field.default:
            raise ConfigError(
                f"{name} {flags[name]} has no effect on objective {objective} here "
                f"({field.metadata['help'].rstrip('.')}): leave it out"
            )


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
