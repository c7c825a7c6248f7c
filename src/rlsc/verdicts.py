"""The guard's rule: from label-free signals to a verdict with its reasons.

Narrowing alone is no harm: a task may well have one right answer a question, told in one way. So
what counts as harm is what no task gains by, each measured against the model before training, or
against the best step so far:

- answers are cut off, missing, or repeat themselves where they did not before;
- they grow to twice their length;
- different questions get one and the same answer;
- answers leave what the untrained model itself found likeliest. That one is a matter of
  statistics: the drop must be more than `Z` of its standard errors over the probe's questions.

Harm in `patience` steps in a row is a collapse. What the rule cannot see is an error that the
untrained model makes too, and most often: no label-free signal can.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MARGIN = 0.2
"""By how much a share may change before it is harm."""
GROWTH = 2.0
"""So many times the length before training is harm."""
Z = 2.0
"""Standard errors of a drop in support."""
NARROW = 0.5
"""A fall of the distinct completions to so much of what they were is narrowing."""

VERDICTS = HEALTHY, NARROWING, COLLAPSED = "healthy", "narrowing", "collapsed"

_RISES = {
    "truncated": "completions cut off",
    "repetition": "repeated 4-grams",
    "same_answer": "questions given one and the same answer",
}
_FALLS = {"answered": "completions with an answer"}


@dataclass(frozen=True)
class Observation:
    """What was seen of the policy after `step` updates.

    `signals` are those of `group_signals`; `support` has, for each question of the probe, how
    much of the untrained model's vote its answer has. Empty where there is no probe.
    """

    step: int
    signals: Mapping[str, float]
    support: Sequence[float] = ()


@dataclass(frozen=True)
class Verdict:
    """Verdict(step=6, verdict="narrowing", reasons=("distinct completions 88 % → 31 %",))"""

    step: int
    verdict: str
    reasons: tuple[str, ...] = ()
    harm: bool = False
    """Whether it is more than narrowing."""


def judge(history: Sequence[Observation], patience: int) -> list[Verdict]:
    """A verdict for each observation, by those until then; the first is the untrained model's."""
    verdicts: list[Verdict] = []
    harmed = 0
    for index, now in enumerate(history):
        reasons = _harm(history[:index], now)
        harmed = harmed + 1 if reasons else 0
        if reasons:
            name = COLLAPSED if harmed >= patience else NARROWING
            verdicts.append(Verdict(now.step, name, reasons, harm=True))
        else:
            narrow = _narrow(history[0], now)
            verdicts.append(Verdict(now.step, NARROWING if narrow else HEALTHY, narrow))
    return verdicts


def kept_step(verdicts: Sequence[Verdict]) -> int:
    """The last step without a sign of harm; the first where all have one."""
    return max((one.step for one in verdicts if not one.harm), default=verdicts[0].step)


def _harm(before: Sequence[Observation], now: Observation) -> tuple[str, ...]:
    if not before:
        return ()
    base, reasons = before[0].signals, []
    for name, meaning in _RISES.items():
        if now.signals[name] - base[name] > MARGIN:
            reasons.append(f"{meaning} {_change(base[name], now.signals[name])}")
    for name, meaning in _FALLS.items():
        best = max(one.signals[name] for one in before)
        if best - now.signals[name] > MARGIN:
            reasons.append(f"{meaning} {_change(best, now.signals[name])}")
    lengths = base["completion_length"], now.signals["completion_length"]
    if lengths[1] > GROWTH * lengths[0]:
        reasons.append(f"mean length {lengths[0]:.0f} → {lengths[1]:.0f} tokens")
    return (*reasons, *_support_lost(before, now))


def _support_lost(before: Sequence[Observation], now: Observation) -> tuple[str, ...]:
    """A paired comparison with the step of the highest support so far, question by question."""
    known = [one for one in before if one.support]
    if not known or not now.support:
        return ()
    best = max(known, key=lambda one: math.fsum(one.support))
    drops = [a - b for a, b in zip(best.support, now.support, strict=True)]
    n = len(drops)
    mean = math.fsum(drops) / n
    error = math.sqrt(math.fsum((drop - mean) ** 2 for drop in drops) / max(n - 1, 1) / n)
    if mean <= Z * error or mean <= 0:
        return ()
    change = _change(math.fsum(best.support) / n, math.fsum(now.support) / n)
    return (f"the untrained model's vote for its answers {change} since step {best.step}",)


def _narrow(base: Observation, now: Observation) -> tuple[str, ...]:
    was, here = (one.signals["distinct_completions"] for one in (base, now))
    return (f"distinct completions {_change(was, here)}",) if here < NARROW * was else ()


def _change(before: float, after: float) -> str:
    return f"{100 * before:.0f} % → {100 * after:.0f} %"
