"""The guard's rule: from label-free signals to a verdict with its reasons.

Narrowing alone is no harm: a task may well have one right answer a question, in one wording. So
what counts as harm is what no task gains by: answers that are cut off, missing, or repeat
themselves, different questions with one and the same answer, answers that are only a number of the
question, and answers that leave what the untrained model itself found likeliest.

Each is a number a question, and harm is a change of its mean by more than a margin and by more
than some standard errors: over the same questions in pairs where there is a probe, else over the
questions of two rollouts. The margin is in points, but of the untrained model's vote it is a share
of the best: how much vote there is to lose differs tenfold between tasks. Harm in `patience`
observations in a row is a collapse. What the rule cannot see is an error that the untrained model
makes too, and most often: no label-free signal can.
Where the probe was not asked at a step, the harm of the step before holds, and the verdict says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

VERDICTS = HEALTHY, NARROWING, COLLAPSED = "healthy", "narrowing", "collapsed"

Z = 2.5
"""Standard errors: one in 160 by chance, one-sided."""
Z_SUPPORT = 1.645
"""One in 20; fewer will do, since greedy answers of a policy that does not change stay the same."""
EMPTY = 0.5
"""From so many completions without text on, there is harm though it is no rise."""
FEWEST = 8
"""Of fewer questions nothing is judged."""
NARROW = 0.5
"""A fall of the distinct completions to so much of what they were is narrowing."""


@dataclass(frozen=True)
class Sign:
    """A mean over questions that a healthy run does not lose, or does not gain."""

    meaning: str
    margin: float
    rises: bool
    """Whether harm is a rise above the untrained model; else a fall below the best step."""
    relative: bool = False
    """Whether the margin is a share of what it was before; else it is in points."""
    errors: float = Z
    """So many standard errors are chance."""


SIGNS = {
    "truncated": Sign("completions cut off", 0.2, True),
    "empty": Sign("completions without text", 0.2, True),
    "repetition": Sign("repeated 4-grams", 0.2, True),
    "same_answer": Sign("pairs of questions with one and the same answer", 0.2, True),
    "copied": Sign("answers that are a number of the question", 0.2, True),
    "answered": Sign("completions with an answer", 0.2, False),
    "support": Sign("the untrained model's vote for its answers", 1 / 3, False, True, Z_SUPPORT),
}


@dataclass(frozen=True)
class Observation:
    """What was seen of the policy after `step` updates."""

    step: int
    distinct: float
    """Distinct completions of a question over K, in the rollouts; NaN where there are none."""
    questions: Mapping[str, Sequence[float]]
    """By the names of `SIGNS`, a value a question; `support` only where there is a probe. Empty
    where the probe was not asked."""
    paired: bool = False
    """Whether the questions are the same in every observation: the probe's."""


@dataclass(frozen=True)
class Health:
    """Health(step=6, verdict="narrowing", reasons=("distinct completions 88 % → 31 %",))"""

    step: int
    verdict: str
    reasons: tuple[str, ...] = ()
    harm: bool = False
    """Whether it is more than narrowing."""
    asked: bool = True
    """Whether harm was looked for; else it is that of the step before."""


class Rule:
    """Judges one observation after another, each by those until then.

    `patience` observations in a row with harm are a collapse. The first observation is the
    untrained model's.
    """

    def __init__(self, patience: int) -> None:
        self._patience, self._harmed = patience, 0
        self._base: Observation | None = None
        self._best: dict[str, Observation] = {}
        self._last = Health(0, HEALTHY)

    def verdict(self, now: Observation) -> Health:
        """Of the next observation."""
        if self._base is None:
            self._base, self._best = now, dict.fromkeys(SIGNS, now)
        if not now.questions and self._last.harm:
            self._last = replace(self._last, step=now.step, asked=False)
            return self._last
        reasons = tuple(_harm(self._base, self._best, now))
        self._harmed = self._harmed + 1 if reasons else 0
        if reasons:
            name = COLLAPSED if self._harmed >= self._patience else NARROWING
        else:
            reasons = _narrow(self._base, now)
            name = NARROWING if reasons else HEALTHY
        self._last = Health(now.step, name, reasons, self._harmed > 0, bool(now.questions))
        for name, sign in SIGNS.items() if now.paired else ():  # of others the best is mostly luck
            falls = name in now.questions and not sign.rises
            if falls and mean(now, name) > mean(self._best[name], name):
                self._best[name] = now
        return self._last


def due(verdicts: Sequence[Health], step: int, interval: int) -> bool:
    """Whether to ask the probe at this step, by the verdicts of those before.

    Every `interval` steps, after the first update, which may change the most, and at every step as
    long as there is harm.
    """
    asked = next((health for health in reversed(verdicts) if health.asked), None)
    return not asked or not asked.step or asked.harm or step - asked.step >= interval


def last_without_harm(verdicts: Sequence[Health]) -> int:
    """The last step that was looked at and shows no sign of harm; the untrained model has none."""
    return max(health.step for health in verdicts if health.asked and not health.harm)


def _harm(base: Observation, best: Mapping[str, Observation], now: Observation) -> Iterator[str]:
    if all(seen.questions.get("empty") and mean(seen, "empty") >= EMPTY for seen in (base, now)):
        yield f"{mean(now, 'empty'):.0%} of completions have no text"
    for name, sign in SIGNS.items():
        if name not in now.questions or name not in base.questions:
            continue
        before = base if sign.rises else best[name]
        direction = 1 if sign.rises else -1
        moved, error = change(before, now, name)
        enough = min(len(before.questions[name]), len(now.questions[name])) >= FEWEST
        margin = sign.margin * (mean(before, name) if sign.relative else 1)
        if enough and direction * moved > max(margin, sign.errors * error):
            shown = _shown(mean(before, name), mean(now, name))
            yield f"{sign.meaning} {shown} since step {before.step}"


def change(before: Observation, now: Observation, name: str) -> tuple[float, float]:
    """Of the mean of the values named `name`, and its standard error."""
    a, b = before.questions[name], now.questions[name]
    if now.paired:
        differences = [new - old for old, new in zip(a, b, strict=True)]
        return math.fsum(differences) / len(a), math.sqrt(_variance(differences) / len(a))
    error = math.sqrt(_variance(a) / len(a) + _variance(b) / len(b))
    return mean(now, name) - mean(before, name), error


def mean(observation: Observation, name: str) -> float:
    """Of the values named `name`, over the questions."""
    values = observation.questions[name]
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    """The sample variance; 0 for one value, of which nothing is judged."""
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)


def _narrow(base: Observation, now: Observation) -> tuple[str, ...]:
    if now.distinct < NARROW * base.distinct:
        return (f"distinct completions {_shown(base.distinct, now.distinct)}",)
    return ()


def _shown(before: float, after: float) -> str:
    return f"{100 * before:.0f} % → {100 * after:.0f} %"
