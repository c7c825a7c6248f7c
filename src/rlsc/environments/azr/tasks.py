"""Tasks that a program has made: what is shown of them, what is asked for, and what was refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rlsc.records import GameRow, to_json

Kind = Literal["deduction", "abduction", "induction"]
KINDS: tuple[Kind, ...] = ("deduction", "abduction", "induction")
"""Asked for: the output; an input that gives the output; the program."""
TRIPLETS: tuple[Kind, ...] = ("deduction", "abduction")
"""Those that are made of a program, an input and its output."""
SEED = -1
"""The step of birth of tasks that were there before the first."""


@dataclass(frozen=True)
class Task:
    """A task with a checked answer. A proposal that is valid is one without id and birth.

    >>> Task("induction", "x + 2", pairs=(("1", "3"), ("5", "7"))).hidden
    (('5', '7'),)
    """

    kind: Kind
    program: str
    """Its source in normal form."""
    input: str = ""
    """Canonical, as `output`; of induction both are empty."""
    output: str = ""
    pairs: tuple[tuple[str, str], ...] = ()
    """Of induction: inputs with their outputs, the first half of them shown."""
    message: str = ""
    """Of induction: what helps to find the program."""
    id: str = ""
    born: int = SEED
    references: tuple[str, ...] = ()
    """Ids of the tasks that it was proposed after."""
    rate: float | None = None
    """Share of the estimate's solutions that were right, at birth; None: not estimated."""

    @property
    def key(self) -> str:
        """Equal tasks of a kind have one key."""
        inputs = sorted(given for given, _ in self.pairs)
        return "\n".join((self.program, self.input, *inputs))

    @property
    def shown(self) -> tuple[tuple[str, str], ...]:
        """The pairs that the solver sees."""
        return self.pairs[: len(self.pairs) // 2]

    @property
    def hidden(self) -> tuple[tuple[str, str], ...]:
        """The pairs that a program is judged by."""
        return self.pairs[len(self.pairs) // 2 :]

    def to_json(self) -> GameRow:
        """All fields, as JSON has them."""
        row: GameRow = to_json(self)
        return row


@dataclass(frozen=True)
class Refusal:
    """Why a proposal is no task; `reason` is counted by name."""

    reason: str
    detail: str = ""

    @property
    def has_format(self) -> bool:
        """Whether it is of the asked format all the same."""
        return self.reason not in UNFORMATTED


UNFORMATTED = ("truncated", "bad_format")


@dataclass(frozen=True)
class Judgement:
    """Of a solution: whether it is of the asked format, and whether it is right in any."""

    has_format: bool
    right: bool
