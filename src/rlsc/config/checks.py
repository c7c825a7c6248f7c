"""Checks of single settings. Each raises `ConfigError` that names the setting."""

from __future__ import annotations

import math

from rlsc.errors import ConfigError


def at_least(name: str, value: float, least: float) -> None:
    """Raise `ConfigError` naming the setting unless `value` is `least` or more."""
    if value < least:
        raise ConfigError(f"{name} must be {least} or more, not {value}")


def at_most(name: str, value: float, most: float) -> None:
    """Raise `ConfigError` naming the setting unless `value` is `most` or less."""
    if value > most:
        raise ConfigError(f"{name} must be {most} or less, not {value}")


def positive(name: str, value: float) -> None:
    """Raise `ConfigError` naming the setting unless `value` is finite and above 0."""
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{name} must be above 0, not {value}")


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise `ConfigError` naming the setting and its choices unless `value` is one of them."""
    if value not in allowed:
        raise ConfigError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
