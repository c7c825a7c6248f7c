"""What can be set of the collapse guard, and of the filters that slow a collapse down."""

from __future__ import annotations

from dataclasses import dataclass

from rlsc.config.fields import setting

NO_FILTER = "leave it out for none"


@dataclass
class GuardArguments:
    """The collapse guard"""

    guard: str = setting(
        "observe",
        "observe: label-free signals and the run's health each step; stop: also stop a run that "
        "collapses, and keep its best healthy policy; off.",
        choices=("observe", "stop", "off"),
    )
    guard_patience: int = setting(2, "Steps in a row with signs of harm: a collapse.", least=1)
    guard_probe_size: int = setting(
        24,
        "How many questions the probe asks: of --guard_pool_size, those on which the untrained "
        "model's answers agree most. 0: no probe.",
        least=0,
    )
    guard_interval: int = setting(
        2,
        "From the first step on ask the probe every so many steps while there is no sign of harm; "
        "at every step where there is one.",
        least=1,
    )
    guard_snapshots: int = setting(
        3,
        "Of how many of the last steps without harm the best is chosen; with guard stop, policies "
        "held in the CPU's memory.",
        least=1,
    )


@dataclass
class FilterArguments:
    """Filters that slow a collapse down"""

    rollout_policy: str = setting(
        "current",
        "current, or base: the model before training samples and weighs.",
        choices=("current", "base"),
    )
    weight_clip: float | None = setting(
        None, "The largest weight of a completion, up or down.", above=0, hint=NO_FILTER
    )
    entropy_floor: float | None = setting(
        None,
        "Leave questions out whose completions have less entropy, in nats a token.",
        above=0,
        hint=NO_FILTER,
    )
    skip_unanimous: bool = setting(
        False, "Leave questions out whose answers all agree, compared as mathematics."
    )
