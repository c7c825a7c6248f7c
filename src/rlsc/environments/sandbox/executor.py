"""What runs a program, and what it tells: the protocol of every backend.

An executor runs one program in one process, or one WebAssembly instance, that is thrown away
afterwards. Only source and literal arguments go in, only canonical text comes out, and no expected
value is ever inside: it is compared outside, by `values.same`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Protocol

from rlsc.environments.sandbox.values import decode
from rlsc.errors import ConfigError

VERSION = 1
"""Of what is a value, an outcome and a limit here. Verdicts of two versions do not compare."""
SOURCE_CHARACTERS = 100_000
"""A longer program is not run: `Status.ERROR`, "too long"."""


class Status(StrEnum):
    """How a call ended. All but OK are verdicts about the program, never about the machine."""

    OK = "ok"
    ERROR = "error"
    """An exception of any class, SystemExit and KeyboardInterrupt too."""
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    """The value, what was printed or what was replied is too long."""
    CRASH = "crash"
    """The process ended, or said what nobody asked, without a value."""
    NOT_LITERAL = "not_literal"
    NONDETERMINISTIC = "nondeterministic"
    """Given by `validate` alone: two runs differ."""


@dataclass(frozen=True)
class Limits:
    """Of one run: a program with all its calls.

    `cpu_seconds` of the process, its start included; in wasm an equivalent of instructions.
    `megabytes` of address space. `reply_bytes` of everything that it replies.

    >>> Limits().wall_seconds
    5.0
    """

    cpu_seconds: float = 2.0
    megabytes: int = 512
    reply_bytes: int = 65_536

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ConfigError(f"{field.name} must be positive: {getattr(self, field.name)}")

    @property
    def wall_seconds(self) -> float:
        """From the moment that the program could begin."""
        return 2 * self.cpu_seconds + 1


VALIDATION, JUDGING = Limits(cpu_seconds=2.0), Limits(cpu_seconds=5.0)
"""A proposal is judged under stricter limits than an answer, so that its verdict stays."""


@dataclass(frozen=True)
class Outcome:
    """How one call ended. `seconds`: CPU of the run until then, as the process itself says.

    `value` is the canonical text where it is OK, None otherwise; `detail` the class of an error, or
    what ended the process.

    >>> Outcome(Status.OK, '{"t":[1,2]}').is_ok
    True
    """

    status: Status
    value: str | None = None
    detail: str = ""
    seconds: float = 0.0

    @property
    def is_ok(self) -> bool:
        return self.status is Status.OK

    def near(self, limits: Limits) -> bool:
        """Whether it took more than half of the time: on a slower machine it may end otherwise."""
        return self.seconds > limits.cpu_seconds / 2


class Executor(Protocol):
    """A backend. Safe to use from several threads at once.

    `name` as it is chosen by; `python` is the interpreter inside. A run that goes on with another
    of either may give other verdicts.
    """

    name: str
    python: str

    def run(
        self, program: str, calls: Sequence[str], limits: Limits, hash_seed: int
    ) -> list[Outcome]:
        """The outcome of each call, in order; all of them in one fresh process.

        `calls` are `Call.text` of a `Reader`: ``f(1, b='x')``, literals alone. Raises
        `SandboxError` where the sandbox itself does not run, which says nothing of the program.
        """
        ...


_PLAIN = {
    status.value: status
    for status in (Status.MEMORY, Status.OUTPUT, Status.NOT_LITERAL)  # a line of one word
}


def read_line(line: bytes) -> Outcome | None:
    """The outcome that a line of the child claims; None for a line that is malformed."""
    try:
        milliseconds, word, rest = (line.decode("ascii") + " ").split(" ", 2)
        if not (milliseconds.isdigit() and len(milliseconds) < 9):
            return None
        seconds, rest = int(milliseconds) / 1000, rest[:-1]
        if word == "ok":
            decode(rest)
            return Outcome(Status.OK, rest, seconds=seconds)
    except ValueError:
        return None
    if word == "error" and rest.isprintable() and 0 < len(rest) <= 100:
        return Outcome(Status.ERROR, detail=rest, seconds=seconds)
    if word in _PLAIN and not rest:
        return Outcome(_PLAIN[word], seconds=seconds)
    return None


def read_reply(lines: Sequence[bytes], count: int, rest: Outcome) -> list[Outcome]:
    """The outcomes of `count` calls: what the lines say, then `rest`.

    From a malformed line on nothing is believed. What a program writes after the last line has no
    effect.
    """
    outcomes: list[Outcome] = []
    for line in lines[:count]:
        outcome = read_line(line)
        if outcome is None:
            rest = Outcome(Status.CRASH, detail="malformed reply")
            break
        outcomes.append(outcome)
    return outcomes + [rest] * (count - len(outcomes))


def too_long(program: str, calls: Sequence[str]) -> list[Outcome] | None:
    """The outcomes of a program that is not run because of its length."""
    if len(program) <= SOURCE_CHARACTERS:
        return None
    return [Outcome(Status.ERROR, detail="too long")] * len(calls)


def validate(
    executor: Executor, program: str, calls: Sequence[str], limits: Limits
) -> list[Outcome]:
    """The outcome of each call, and whether it is the program's: two runs must agree.

    The second run has another hash seed, and the calls in reverse order: that shows an order of
    sets, an `id`, an address, a counter of calls, and what one call leaves for the next.
    """
    first = executor.run(program, calls, limits, hash_seed=0)
    if not any(outcome.is_ok for outcome in first):
        return first
    second = executor.run(program, list(reversed(calls)), limits, hash_seed=1)[::-1]
    return [
        outcome
        if (outcome.status, outcome.value) == (other.status, other.value)
        else Outcome(Status.NONDETERMINISTIC, seconds=outcome.seconds)
        for outcome, other in zip(first, second, strict=True)
    ]
