"""What can be set of the environment in which a step's completions are sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlsc.config.fields import setting
from rlsc.config.shared import SandboxArguments

ENVIRONMENTS = {
    "dataset": "rlsc.environments.dataset:DatasetEnvironment",
    "azr": "rlsc.environments.azr.environment:AZR",
    "spc": "rlsc.environments.spc.environment:SPC",
}
"""The registry as text: an environment's module is imported only where it is used."""


@dataclass
class EnvironmentArguments(SandboxArguments):
    """The environment"""

    environment: str = setting(
        "dataset",
        "Where a step's completions come from: dataset (each question is asked num_generations "
        "times), azr (tasks that the policy proposes and solves), spc (steps that it corrupts and "
        "judges), or your own as FILE.py:Class or package.module:Class.",
    )
    environment_settings: dict[str, Any] = setting(
        dict, "The environment's own settings: NAME=VALUE,NAME=VALUE, or a mapping in a recipe."
    )
