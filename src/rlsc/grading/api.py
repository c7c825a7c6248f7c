"""The grader: judgements in guarded workers, several at a time."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from rlsc.errors import ConfigError, GradingError
from rlsc.runtime import Job, Workers
from rlsc.types import Verdict

Given = TypeVar("Given")
Found = TypeVar("Found")

VERSION = 7
"""Of the grading rules. Stored with results: figures of two versions do not compare."""
SECONDS = 5.0
"""Limit of one comparison, in processor time: a busy machine gives the same verdicts."""
MEGABYTES = 1024
"""Limit of a worker's address space beyond what it has after its imports."""
KINDS = ("math", "choice", "numeric")
_JOB = Job(
    "grading",
    "rlsc.grading.judge:answer_request",
    ("judge", r"\boxed{\sqrt{2}x}", r"x\sqrt{2}", "math", None),
    GradingError,
)


@dataclass(frozen=True)
class Item:
    """What one judgement needs: a response, its reference and the kind of answer."""

    response: str
    reference: str
    kind: str = "math"
    choices: Sequence[str] | None = None


@dataclass(frozen=True)
class Judgement:
    """The extracted answer (None: none found, or timeout), its verdict, and seconds spent."""

    answer: str | None
    verdict: Verdict
    seconds: float


class Grader:
    """Judges responses in `workers` processes, each comparison within limits.

    A comparison over `seconds` or `megabytes` ends as `Verdict.TIMEOUT` and its process is
    replaced. Use it as a context manager, or call `close`.
    """

    def __init__(
        self, workers: int | None = None, seconds: float = SECONDS, megabytes: int = MEGABYTES
    ) -> None:
        self._workers = Workers(_JOB, workers, seconds, megabytes)

    def grade(self, item: Item) -> Judgement:
        """Judge one response. Raises `ConfigError` for an unknown kind."""
        if item.kind not in KINDS:
            raise ConfigError(f"kind must be one of {', '.join(KINDS)}, not {item.kind!r}")
        if not isinstance(item.response, str) or not isinstance(item.reference, str):
            raise ConfigError("response and reference must be text")
        if isinstance(item.choices, str):
            raise ConfigError("choices must be a list of option texts")
        choices = None if item.choices is None else list(item.choices)
        reply, seconds = self._workers.call(
            "judge", item.response, item.reference, item.kind, choices
        )
        answer, verdict = reply or (None, Verdict.TIMEOUT.value)
        return Judgement(answer, Verdict(verdict), seconds)

    def readable(self, reference: str) -> bool:
        """Whether a reference can be read as mathematics or words, within the limits."""
        return bool(self._workers.call("readable", reference)[0])

    def clusters(self, answers: Sequence[Sequence[Any]]) -> list[int] | None:
        """Clusters of (answer, is it boxed, is it a number); None where a limit was reached."""
        clusters: list[int] | None = self._workers.call("clusters", list(map(list, answers)))[0]
        return clusters

    def grade_all(self, items: Iterable[Item]) -> Iterator[Judgement]:
        """Judgements in the order of `items`, computed side by side."""
        yield from self.side_by_side(self.grade, items)

    def side_by_side(
        self, ask: Callable[[Given], Found], given: Iterable[Given]
    ) -> Iterator[Found]:
        """What `ask` finds for each, in order; as many calls at once as there are workers."""
        with ThreadPoolExecutor(self._workers.count) as pool:
            yield from pool.map(ask, given)

    def close(self) -> None:
        """End the processes."""
        self._workers.close()

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_shared: Grader | None = None
_lock = threading.Lock()


def shared_grader() -> Grader:
    """The one grader of this process, started at the first use and closed at exit."""
    global _shared
    with _lock:
        if _shared is None:
            _shared = Grader()
            atexit.register(_shared.close)
        return _shared


def grade(
    response: str, reference: str, kind: str = "math", choices: Sequence[str] | None = None
) -> Verdict:
    r"""Whether the response's final answer is the reference.

    `kind`: "math" (numbers, expressions, sets, intervals …, exactly), "numeric" (1 % relative
    tolerance) or "choice" (a letter, or the text of one of `choices`). UNPARSED: no answer was
    found. TIMEOUT: the comparison went over its limit of time or memory.

    >>> grade(r"Half of it, so \boxed{\frac{1}{4}}.", "25\\%").value
    'correct'
    """
    return shared_grader().grade(Item(response, reference, kind, choices)).verdict
