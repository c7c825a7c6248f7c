"""Steps of a solver's answers, as a critic of the game is shown them: sums worked out, or texts.

The critic has the very prompt that it is trained by. Of a sum it is known whether a step is right;
of a text it is not.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rlsc.environments.spc.derivations import Place, canonical, fault, read
from rlsc.environments.spc.prompts import in_a_line, sum_critic_prompt, text_critic_prompt

_SUM = re.compile(r"What is (\d{1,9}(?: \+ \d{1,9})+)\?", re.ASCII)


class StepForm(ABC):
    """How the steps of an answer are told apart, and what a critic is shown of one."""

    separator: str
    """The text that ends a step."""
    knows_truth: ClassVar[bool] = False

    @abstractmethod
    def shown(self, question: str, done: Sequence[str], step: str) -> str:
        """The step as the critic reads it."""

    @abstractmethod
    def prompt(self, question: str, done: Sequence[str], step: str) -> str:
        """The critic's: goes on with one of its two verdicts."""

    def is_right(self, question: str, done: Sequence[str], step: str) -> bool:
        """Whether the step is right. NotImplementedError where that is not known."""
        raise NotImplementedError


@dataclass(frozen=True)
class SumSteps(StepForm):
    """`a + b = c` a line, as on `derivations`.

    >>> SumSteps().is_right("What is 3 + 8 + 4?", ["3 + 8 = 11"], "4 + 11 = 15.")
    True
    """

    separator: str = "\n"
    knows_truth: ClassVar[bool] = True

    def shown(self, question: str, done: Sequence[str], step: str) -> str:
        """In the game's one form, where it is a step; else as it is."""
        equation, place = read(step), _place(question, done)
        if equation is None:
            return in_a_line(step)
        return str(equation if place is None else canonical(place, equation))

    def prompt(self, question: str, done: Sequence[str], step: str) -> str:
        before = [
            self.shown(question, done[:k], earlier_step) for k, earlier_step in enumerate(done)
        ]
        shown = self.shown(question, done, step)
        return sum_critic_prompt(terms_of(question) or (), before, shown)

    def is_right(self, question: str, done: Sequence[str], step: str) -> bool:
        """Whether it is the step of the right solution at this place, whatever was written before.

        A text that is no step, and one behind the last, is not.
        """
        equation, place = read(step), _place(question, done)
        return equation is not None and place is not None and fault(place, equation) is None


@dataclass(frozen=True)
class TextSteps(StepForm):
    """Whatever stands between two separators: a paragraph, or a line."""

    separator: str

    def shown(self, question: str, done: Sequence[str], step: str) -> str:
        return in_a_line(step)

    def prompt(self, question: str, done: Sequence[str], step: str) -> str:
        return text_critic_prompt(question, done, step)


def terms_of(question: str) -> tuple[int, ...] | None:
    """The numbers of a built-in question for a sum; None for another question.

    >>> terms_of("What is 3 + 8 + 4?"), terms_of("What is 3 * 8?")
    ((3, 8, 4), None)
    """
    match = _SUM.fullmatch(question.strip())
    return None if match is None else tuple(map(int, match[1].split(" + ")))


def _place(question: str, done: Sequence[str]) -> Place | None:
    """None behind the last step. What is no sum, such as a preface or half a line, is no step."""
    terms, steps = terms_of(question) or (), sum(read(step) is not None for step in done)
    return Place(terms, steps) if steps < len(terms) - 1 else None
