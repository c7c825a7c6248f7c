"""`derivations`: sums worked out in steps, of which arithmetic says whether each is right.

To add 12 + 45 + 23 is to write `12 + 45 = 57`, then `57 + 23 = 80`. Every text in place of a step
is right, wrong in a known way, or no step at all: what a game makes is known, not estimated.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

_STEP = re.compile(r"\s*(\d{1,30})\s*\+\s*(\d{1,30})\s*=\s*(\d{1,30})\s*\.?\s*", re.ASCII)
_LONGEST = 2000
"""Characters of a text that is read at all."""
_OFF_BY = 20
"""Of a candidate's result."""

Part = Literal["train", "probe", "held_out"]
Fault = Literal["calculation", "copied", "skipped", "repeated", "sum_so_far", "mixed"]
FAULTS: tuple[Fault, ...] = (
    "calculation",
    "copied",
    "skipped",
    "repeated",
    "sum_so_far",
    "mixed",
)
"""The result; a summand that is no number at hand; a later number; one that was used already;
another partial sum; several of these."""


@dataclass(frozen=True)
class Step:
    """`left + right = result`.

    >>> str(Step(12, 45, 57))
    '12 + 45 = 57'
    """

    left: int
    right: int
    result: int

    def __str__(self) -> str:
        return f"{self.left} + {self.right} = {self.result}"


@dataclass(frozen=True)
class Place:
    """A problem and how far it is worked out, rightly: `done` steps.

    >>> place = Place((12, 45, 23), 1)
    >>> [str(step) for step in place.prefix], str(place.step)
    (['12 + 45 = 57'], '57 + 23 = 80')
    """

    terms: tuple[int, ...]
    done: int

    @property
    def so_far(self) -> int:
        return sum(self.terms[: self.done + 1])

    @property
    def next(self) -> int:
        return self.terms[self.done + 1]

    @property
    def step(self) -> Step:
        """The right one."""
        return Step(self.so_far, self.next, self.so_far + self.next)

    @property
    def prefix(self) -> list[Step]:
        return [Place(self.terms, done).step for done in range(self.done)]


def read(text: str) -> Step | None:
    """The step that a text is, and nothing beside it; None for anything else.

    >>> read(" 3+8 = 11. "), read("3 + 8 = 11, I think")
    (Step(left=3, right=8, result=11), None)
    """
    if len(text) > _LONGEST or "\n" in text.strip():
        return None
    match = _STEP.fullmatch(text)
    return None if match is None else Step(*map(int, match.groups()))


def fault(place: Place, step: Step) -> Fault | None:
    """What is wrong with a step; None for a right one, in either order of its summands.

    A summand that is wrong in several ways at once has the first of: `sum_so_far` (where it stands
    for the sum), `skipped`, `repeated`, `copied`.
    """
    given = sorted((step.left, step.right))
    adds_up = step.left + step.right == step.result
    if given == sorted((place.so_far, place.next)):
        return None if adds_up else "calculation"
    if not adds_up:
        return "mixed"
    if place.so_far in given:
        given.remove(place.so_far)
        return _of_number(place, given[0])
    if place.next in given:
        given.remove(place.next)
        partial = {sum(place.terms[: done + 1]) for done in range(len(place.terms))}
        return "sum_so_far" if given[0] in partial else _of_number(place, given[0])
    return "mixed"


def _of_number(place: Place, number: int) -> Fault:
    if number in place.terms[place.done + 2 :]:
        return "skipped"
    return "repeated" if number in place.terms[: place.done + 2] else "copied"


Slip = Literal["carry_lost", "off_by_one", "off_by_ten", "exchanged", "other"]


def slip(step: Step) -> Slip:
    """How the result of a `calculation` fault is off; the first that fits.

    >>> slip(Step(48, 35, 73)), slip(Step(48, 35, 38)), slip(Step(40, 35, 85))
    ('carry_lost', 'exchanged', 'off_by_ten')
    """
    right = step.left + step.right
    if step.result == _without_carry(step.left, step.right):
        return "carry_lost"
    off = abs(step.result - right)
    if off in (1, 10):
        return "off_by_one" if off == 1 else "off_by_ten"
    return "exchanged" if sorted(str(step.result)) == sorted(str(right)) else "other"


def _without_carry(left: int, right: int) -> int:
    digits = zip(str(left)[::-1].ljust(30, "0"), str(right)[::-1].ljust(30, "0"), strict=True)
    return sum((int(a) + int(b)) % 10 * 10**place for place, (a, b) in enumerate(digits))


def canonical(place: Place, step: Step) -> Step:
    """The same step with the sum so far before, or the next number behind, where it has them.

    So a critic cannot tell by the order of the summands who has written a step.
    """
    if step.left == place.so_far or (step.right == place.next and step.right != place.so_far):
        return step
    if step.right == place.so_far or step.left == place.next:
        return Step(step.right, step.left, step.result)
    return step


def wrong_steps(place: Place) -> list[Step]:
    """All candidates of a sneaky generator that knows all: no two alike, each of them wrong.

    Results off by up to 20 and with digits exchanged; each summand another number of the problem,
    another partial sum, off by 1 or 10 or with digits exchanged, rightly added.
    """
    candidates = {canonical(place, step): None for step in _candidates(place)}
    return [step for step in candidates if fault(place, step) is not None]


def _candidates(place: Place) -> Iterator[Step]:
    s, t = place.so_far, place.next
    nearby = [s + t + off for off in range(-_OFF_BY, _OFF_BY + 1)]
    for result in [*nearby, *_exchanged(s + t)]:
        if result >= 0:
            yield Step(s, t, result)
    for other in [*place.terms, *_slips(t)]:
        yield Step(s, other, s + other)
    partial = [sum(place.terms[: done + 1]) for done in range(len(place.terms))]
    for other in [*partial, *_slips(s)]:
        yield Step(other, t, other + t)


def _slips(number: int) -> list[int]:
    near = [number + off for off in (-10, -1, 1, 10)]
    return [other for other in (*near, *_exchanged(number)) if other >= 0]


def _exchanged(number: int) -> list[int]:
    """With two neighbouring digits exchanged."""
    text = str(number)
    return [
        int(text[:at] + text[at + 1] + text[at] + text[at + 2 :]) for at in range(len(text) - 1)
    ]


# Which problems there are.


def part_of(terms: Sequence[int]) -> Part:
    """Where a problem belongs, by its unordered terms: of ten, eight to train on.

    So no held-out problem is the mirror of one that is trained on; the same on every machine.
    """
    digest = hashlib.blake2b("+".join(map(str, sorted(terms))).encode(), digest_size=8).digest()
    parts: dict[int, Part] = {0: "probe", 1: "held_out"}
    return parts.get(int.from_bytes(digest, "big") % 10, "train")


def draw_place(draw: random.Random, part: Part, most_terms: int, digits: int) -> Place:
    """A place of a problem of three to `most_terms` numbers of 1 to `digits` digits."""
    while True:
        length = draw.randint(3, most_terms)
        terms = tuple(draw.randint(1, 10**digits - 1) for _ in range(length))
        if part_of(terms) == part:
            return Place(terms, draw.randrange(length - 1))


def corrupted(draw: random.Random, place: Place) -> Step:
    """A wrong step by chance, each fault as likely as the others that can happen here."""
    by_fault: dict[str, list[Step]] = {}
    for step in wrong_steps(place):
        by_fault.setdefault(str(fault(place, step)), []).append(step)
    return draw.choice(by_fault[draw.choice(sorted(by_fault))])
