"""A response against its reference. Runs in a guarded worker: `runtime/worker.py`."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlsc.grading.equality.compare import (
    MAX_LENGTH,
    is_equation,
    is_literal,
    is_readable,
    is_unevaluated,
    same,
)
from rlsc.grading.extract.answer import extract_answer
from rlsc.grading.extract.boxes import boxed, reference_answer
from rlsc.grading.extract.choice import extract_choice
from rlsc.grading.extract.own_words import own_words
from rlsc.grading.extract.span import names_before
from rlsc.grading.notation.normalise import normalise
from rlsc.grading.notation.numbers import with_point
from rlsc.grading.notation.units import Unit, split_unit
from rlsc.types import LETTERS, Verdict

_log = logging.getLogger(__name__)
NUMERIC_TOLERANCE = 0.01
"""Relative; the protocol of Minerva's physics and chemistry questions."""


def answer_request(name: str, *arguments: Any) -> Any:
    """What the worker replies: JSON values only."""
    if name == "readable":
        return readable(*arguments)
    if name == "clusters":
        return clusters(*arguments)
    answer, verdict = judge(*arguments)
    return [answer, verdict.value]


def judge(
    response: str, reference: str, kind: str = "math", choices: Sequence[str] | None = None
) -> tuple[str | None, Verdict]:
    """The extracted answer and its verdict. Unbounded in time: `9^{9^{9^9}}` is an answer too."""
    if kind == "choice":
        return _judge_choice(response, reference, choices)
    reference = reference_answer(reference)
    answer = extract_answer(response)
    if answer is None:
        return None, Verdict.UNPARSED
    tolerance = NUMERIC_TOLERANCE if kind == "numeric" else 0.0
    try:
        correct = same(answer, reference, tolerance) or _otherwise(
            response, answer, reference, tolerance
        )
    except (MemoryError, RecursionError):
        raise  # a limit was reached: a timeout
    except Exception as error:  # a form that nobody thought of: not read, and said so on stderr
        _log.warning("grading cannot compare %.200r with %.200r: %r", answer, reference, error)
        return answer, Verdict.UNPARSED
    # "The answer is 3 + 8" repeats the question; in a box it is meant.
    if (
        correct
        and boxed(own_words(response)) is None
        and is_literal(reference)
        and is_unevaluated(answer)
    ):
        correct = False
    if correct and _names_another(response, answer, reference):
        correct = False
    return answer, Verdict.CORRECT if correct else Verdict.WRONG


def _otherwise(response: str, answer: str, reference: str, tolerance: float) -> bool:
    """What equals a reference, and would make votes of one question hang on their order."""
    if decimals := with_point(answer, reference):
        return same(*decimals, tolerance)
    # `$y = 3 - 2x$` for 2x + y = 3: extraction keeps the right side alone.
    if not is_equation(reference):
        return False
    return any(same(f"{name} = {answer}", reference) for name in names_before(response, answer))


def _names_another(response: str, answer: str, reference: str) -> bool:
    """Whether `$x = 5$` answers for y = 5, or AC = 5 for |AB| = 5.

    Extraction keeps the value alone.
    """
    equation = _EQUATION.fullmatch(normalise(reference))
    if equation is None:
        return False
    wanted = _ends(equation[1])
    names = {_ends(name) for name in names_before(response, answer)}
    names = {name for name in names if len(name) == len(wanted)}
    return bool(names) and wanted not in names


def _ends(name: str) -> str:
    """The segment |AB| is BA; x is X."""
    return "".join(sorted(name.strip("| ").lower()))


_EQUATION = re.compile(r"([A-Za-z]|[A-Z]{2}|\|\s*[A-Z]{2}\s*\|)\s*=[^=<>]+")


def clusters(answers: Sequence[tuple[str, bool, bool]]) -> list[int]:
    """The cluster of each answer: that of the first one it equals.

    With each comes whether it was boxed, and whether it is a number; no two are the same number.
    Two different numbers do not get into one cluster by a third that equals both: 25% is 0.25, and
    25 with its sign; 5 MN is 5000000 N, and a 5 whose unit is left out. As in `judge`, an
    expression that is not worked out (3 + 8) is no vote for a literal number, unless it is boxed.
    """
    merged: list[_Cluster] = []
    result: list[int] = []
    for text, in_box, number in answers:
        literal = number or _holds(is_literal, text)
        unit = _unit(text)
        unfinished = not (literal or in_box) and _holds(is_unevaluated, text)
        equal = (
            place
            for place, cluster in enumerate(merged)
            if not (number and cluster.has_number)
            and not (unfinished and cluster.has_literal)
            and not (literal and cluster.has_unfinished)
            and _either_way(text, cluster.head)
            and (unit is None or cluster.bare is None or _either_way(text, cluster.bare))
            and (unit is not None or all(_either_way(text, other) for other in cluster.measured))
        )
        place = next(equal, len(merged))
        if place == len(merged):
            merged.append(_Cluster(text))
        merged[place].has_number |= number
        merged[place].has_literal |= literal
        merged[place].has_unfinished |= unfinished
        merged[place].note(text, unit)
        result.append(place)
    return result


@dataclass
class _Cluster:
    """The first of some equal answers, and of what kinds they are."""

    head: str
    has_number: bool = False
    has_literal: bool = False
    has_unfinished: bool = False
    bare: str | None = None
    """The first without a unit."""
    measured: list[str] = field(default_factory=list)
    """With units, the first in each."""
    units: set[Unit] = field(default_factory=set)

    def note(self, text: str, unit: Unit | None) -> None:
        """Remember what later answers have to equal besides the head."""
        if unit is None:
            self.bare = text if self.bare is None else self.bare
        elif unit not in self.units:
            self.units.add(unit)
            self.measured.append(text)


def _unit(text: str) -> Unit | None:
    """The unit of the table that an answer has."""
    unit = split_unit(normalise(text))[1] if len(text) <= MAX_LENGTH else None
    return unit if unit is not None and unit.dimensions else None


def _either_way(first: str, second: str) -> bool:
    return _holds(same, first, second) or _holds(same, second, first)


def _holds(test: Callable[..., bool], *texts: str) -> bool:
    """Whether `test` holds; a form that nobody thought of does not, and is said on stderr."""
    try:
        return test(*texts)
    except (MemoryError, RecursionError):
        raise  # a limit was reached: a timeout
    except Exception as error:
        _log.warning("grading cannot read %.400r: %r", texts, error)
        return False


def readable(reference: str) -> bool:
    """Whether a reference has a meaning beyond its text, so that other spellings can equal it."""
    return is_readable(reference_answer(reference))


def _judge_choice(
    response: str, reference: str, choices: Sequence[str] | None
) -> tuple[str | None, Verdict]:
    letter = extract_choice(response, choices)
    if letter is None and choices:
        # An option's value in other words: 1/2 for an option 0.5.
        answer = extract_answer(response)
        options = zip(LETTERS, choices, strict=False)
        equal = [] if answer is None else [name for name, text in options if same(answer, text)]
        letter = equal[0] if len(equal) == 1 else None
    if letter is None:
        return None, Verdict.UNPARSED
    correct = letter == reference.strip().strip("()").upper()
    return letter, Verdict.CORRECT if correct else Verdict.WRONG
