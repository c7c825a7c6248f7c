"""What can be set of a run's objective; its own settings are fields of its own class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlsc.config.fields import setting
from rlsc.errors import ConfigError


@dataclass
class ObjectiveArguments:
    """The objective"""

    objective: str = setting(
        "rlsc",
        "What is trained for: a name, your own as FILE.py:Class or package.module:Class, or "
        "several between commas, added up.",
        joined=True,
    )
    objective_weights: str | None = setting(
        None, "Coefficients of several objectives, as 1,0.5.", joined=True
    )
    label_share: float | None = setting(
        None,
        "Of an objective with labels: judge questions without a reference answer by their "
        "siblings' majority, and of those with one only this share by it.",
        above=0,
        most=1,
    )
    normalise_sum: bool = setting(
        False,
        "Of several objectives with rewards: divide the sum of their advantages by its standard "
        "deviation over the step (GDPO).",
    )
    objective_settings: dict[str, Any] = setting(
        dict, "Settings of your own objective: NAME=VALUE,NAME=VALUE, or a mapping in a recipe."
    )
    num_iterations: int = setting(1, "Optimizer steps on the same completions.", least=1)
    train_generations: int = setting(
        0, "Train on the first so many completions of a question; 0: all. All vote.", least=0
    )


def check_objective(config: ObjectiveArguments, num_generations: int) -> None:
    """Raise `ConfigError` where more completions are trained on than there are."""
    if config.train_generations > num_generations:
        raise ConfigError(
            f"train_generations must be from 0 to num_generations ({num_generations}), "
            f"not {config.train_generations}"
        )
