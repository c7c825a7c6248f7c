"""Scripted players of `derivations`: they know arithmetic, and do what they are told to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from rlsc.environments.spc.derivations import Place, fault, read
from rlsc.types import Ask, Completion, CompletionGroup, Prompt

Says = Callable[[Ask, int], str | None]
"""From an ask and a sample's number to a text; None: cut off."""


def answer(says: Says) -> Callable[[Sequence[Ask]], list[CompletionGroup | None]]:
    def of_wave(wave: Sequence[Ask]) -> list[CompletionGroup | None]:
        return [_group(ask, says) for ask in wave]

    return of_wave


def _group(ask: Ask, says: Says) -> CompletionGroup:
    texts = list(ask.scored) or [says(ask, sample) for sample in range(ask.n)]
    made = []
    for text in texts:
        logps = (-1.0,)
        if ask.scored:  # the truth, with certainty
            logps = (0.0 if (text == " Correct") == is_correct(ask) else -50.0,)
        reason = "length" if text is None else "stop"
        made.append(Completion(text or " Correct", (1,), logps, reason))  # type: ignore[arg-type]
    return CompletionGroup(Prompt(ask.id, str(ask.prompt), (1,)), made)


def place_of(ask: Ask) -> Place:
    """Which the last sum of a prompt is of."""
    last = str(ask.prompt).rpartition("Sum: ")[2]
    terms = tuple(map(int, last.splitlines()[0].split(" + ")))
    return Place(terms, len(re.findall("=", last.splitlines()[1])))


def is_correct(ask: Ask) -> bool:
    """The truth of the step that a critic is asked about."""
    step = read(re.findall(r"Next step: (.*)", str(ask.prompt))[-1])
    assert step is not None
    return fault(place_of(ask), step) is None


def off_by_one(ask: Ask) -> str:
    step = place_of(ask).step
    return f" {step.left} + {step.right} = {step.result + 1}"


def honest(ask: Ask, sample: int) -> str:
    """A sneaky generator that is off by one, and a critic that is right."""
    if ask.id.startswith("sneaky"):
        return off_by_one(ask)
    return " Correct" if is_correct(ask) else " Incorrect."
