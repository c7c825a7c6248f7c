"""The environment that a run's settings name: registered, or a user's own class."""

from __future__ import annotations

from typing import Any

from rlsc.config import (
    ENVIRONMENTS,
    EnvironmentArguments,
    check_settings,
    converted,
    nearest,
    settings_of,
)
from rlsc.environments.base import Environment
from rlsc.errors import ConfigError
from rlsc.runtime import SYNTAX, is_user_code, load_user_code


def create_environment(run: EnvironmentArguments, num_generations: int) -> Environment:
    """The environment of that name, with the settings that its class has as fields.

    A field `num_generations` is the run's, where the settings do not give it; `sandbox` always.
    Raises `ConfigError` for a name that there is not, another class than a subclass of
    `Environment`, and settings that it has not.
    """
    kind = _load(run.environment)
    known, given = settings_of(kind), run.environment_settings
    for name in sorted(given.keys() - known.keys()):
        raise ConfigError(
            f"environment_settings: {name} is no setting of environment {run.environment}"
            + nearest(name, known)
        )
    values = {
        name: converted("environment_settings", name, given[name], known[name][1]) for name in given
    }
    if "num_generations" in known:
        values.setdefault("num_generations", num_generations)
    if "sandbox" in values:
        raise ConfigError("environment_settings: sandbox is the run's: give --sandbox")
    if "sandbox" in known:
        values["sandbox"] = run.sandbox
    try:
        environment = kind(**values)
    except TypeError as error:
        raise ConfigError(
            f"environment {run.environment} cannot be made ({error}): give its settings by "
            "--environment_settings"
        ) from error
    if known:
        check_settings(environment, "environment_settings: ")
    return environment


def _load(name: str) -> type[Environment]:
    if name not in ENVIRONMENTS and not is_user_code(name):
        known = ", ".join(ENVIRONMENTS)
        raise ConfigError(f"environment must be one of {known}, or {SYNTAX}, not {name!r}")
    kind: Any = load_user_code("environment", ENVIRONMENTS.get(name, name))
    if not (isinstance(kind, type) and issubclass(kind, Environment)):
        raise ConfigError(f"environment {name} must be a subclass of rlsc.Environment")
    return kind
