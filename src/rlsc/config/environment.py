"""What can be set of the environment in which a step's completions are sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlsc.config.setting import setting
from rlsc.errors import ConfigError

ENVIRONMENTS = {"dataset": "rlsc.environments.dataset:DatasetEnvironment"}
"""The registry as text: an environment's module is imported only where it is used."""


@dataclass
class EnvironmentArguments:
    """The environment"""

    environment: str = setting(
        "dataset",
        "Where a step's completions are sampled: on the questions of a data set.",
        choices=tuple(ENVIRONMENTS),
    )
    environment_settings: dict[str, Any] = setting(
        dict, "The environment's own settings: NAME=VALUE,NAME=VALUE, or a mapping in a recipe."
    )


def check_environment(config: EnvironmentArguments) -> None:
    """Raise `ConfigError` for settings that the environment has not."""
    for name in config.environment_settings:
        raise ConfigError(
            f"environment_settings: {name} is no setting of environment {config.environment}"
        )
