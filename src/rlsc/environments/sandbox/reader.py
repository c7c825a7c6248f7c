"""Reads what a model wrote, in guarded workers: programs, calls and literal values."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rlsc.errors import SandboxError
from rlsc.runtime import Job, Workers

SECONDS, MEGABYTES = 2.0, 256
"""Limits of one text: processor time, and address space beyond what a worker starts with."""
_JOB = Job(
    "reading", "rlsc.environments.sandbox.inspection:answer_request", ("value", "1"), SandboxError
)


@dataclass(frozen=True)
class Call:
    """`text` is what an executor runs, ``f(3, b='x')``; `key` the canonical text of (args, named).

    Two calls of the same key pass equal arguments; `text` keeps the order of a dict's pairs.
    """

    text: str
    key: str


@dataclass(frozen=True)
class Inspection:
    """Why a program is refused, or None; and its normal form, where it is not.

    The reasons: ``too_long``, ``syntax``, ``no_entry``, ``forbidden``, ``degenerate``.
    """

    reason: str | None
    normal: str | None


class Reader:
    """Reads texts in `workers` processes, each within limits. A context manager, or `close` it."""

    def __init__(
        self, workers: int | None = None, seconds: float = SECONDS, megabytes: int = MEGABYTES
    ) -> None:
        self._workers = Workers(_JOB, workers, seconds, megabytes)

    def call(self, arguments: str) -> Call | None:
        """The call of `f` with these arguments; None unless each is a literal.

        >>> with Reader(workers=1) as reader:
        ...     reader.call("[1, 2], 'a'").text
        "f([1, 2], 'a')"
        """
        reply = self._workers.call("call", arguments)[0]
        return None if reply is None else Call(*reply)

    def value(self, text: str) -> str | None:
        """The canonical text of a literal, for `same`; None where the text is none."""
        canonical: str | None = self._workers.call("value", text)[0]
        return canonical

    def program(self, source: str, helpers: bool = True) -> Inspection:
        """Whether a program may be run for a task. `helpers`: it may define more than `f`."""
        reply = self._workers.call("program", source, helpers)[0]
        return Inspection("syntax", None) if reply is None else Inspection(*reply)

    def programs(self, sources: Iterable[str], helpers: bool = True) -> list[Inspection]:
        """`program` of each, side by side, in their order."""
        with ThreadPoolExecutor(self._workers.count) as pool:
            return list(pool.map(lambda source: self.program(source, helpers), sources))

    def close(self) -> None:
        """End the processes."""
        self._workers.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
