"""What can be set of the collapse guard, and of the brakes that slow a collapse down."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from rlsc.config.checks import at_least, one_of
from rlsc.errors import ConfigError

GUARDS = ("observe", "stop", "off")
POLICIES = ("current", "base")


@dataclass
class GuardArguments:
    """The guard's own settings and each brake's. None: that brake is off."""

    guard: str = field(
        default="observe",
        metadata={
            "help": "observe: signals and a verdict each step, without labels; stop: also stop a "
            "run that collapses, and keep its best healthy policy; off."
        },
    )
    guard_patience: int = field(
        default=2, metadata={"help": "Steps in a row with signs of harm that are a collapse."}
    )
    guard_probe_size: int = field(
        default=24,
        metadata={
            "help": "How many questions the probe asks: of --guard_pool_size, those on which the "
            "untrained model's answers agree most. 0: no probe."
        },
    )
    guard_interval: int = field(
        default=2,
        metadata={
            "help": "From the first step on ask the probe every so many steps while there is no "
            "sign of harm; at every step where there is one."
        },
    )
    guard_snapshots: int = field(
        default=3,
        metadata={
            "help": "Of how many of the last steps without harm the best is chosen; with guard "
            "stop, policies held in the CPU's memory."
        },
    )
    rollout_policy: str = field(
        default="current",
        metadata={"help": "current, or base: the model before training samples and weighs."},
    )
    weight_clip: float | None = field(
        default=None, metadata={"help": "The largest weight of a completion, up or down."}
    )
    entropy_floor: float | None = field(
        default=None,
        metadata={"help": "Leave questions out whose completions have less, in nats a token."},
    )
    skip_unanimous: bool = field(
        default=False, metadata={"help": "Leave questions out whose siblings all agree."}
    )


def check_guard(config: GuardArguments, num_generations: int) -> None:
    """Raise `ConfigError` on the first setting that cannot work by itself."""
    one_of("guard", config.guard, GUARDS)
    one_of("rollout_policy", config.rollout_policy, POLICIES)
    for count in ("guard_patience", "guard_interval", "guard_snapshots"):
        at_least(count, getattr(config, count), 1)
    at_least("guard_probe_size", config.guard_probe_size, 0)
    for name, least in (("weight_clip", 0.0), ("entropy_floor", 0.0)):
        value = getattr(config, name)
        if value is not None and not (math.isfinite(value) and value > least):
            raise ConfigError(f"{name} must be above {least:g}, not {value}; leave it out for none")
    if config.skip_unanimous and num_generations < 2:
        raise ConfigError("skip_unanimous compares siblings: num_generations must be 2 or more")
