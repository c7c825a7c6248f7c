"""Many programs at once, their outcomes in the order of the requests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rlsc.environments.sandbox.executor import (
    JUDGING,
    Executor,
    Limits,
    Outcome,
    Status,
    validate,
)
from rlsc.errors import SandboxError
from rlsc.runtime import console

MANY, NEARLY_ALL, STEPS = 0.2, 0.9, 3
"""Of a step's calls: the share of timeouts that is said, that which ends a run, and after how many
steps in a row. Fewer than `FEW` calls end none."""
FEW = 10


@dataclass(frozen=True)
class Request:
    """A program and its calls (`Call.text` of a `Reader`), all of which run in one process.

    >>> Request("def f(a):\\n    return a + 1", ["f(1)"]).limits.cpu_seconds
    5.0
    """

    program: str
    calls: Sequence[str]
    limits: Limits = JUDGING


class Runner:
    """`slots` programs at a time (None: one a core, eight at most).

    No process is kept from one program to the next. Where a sandbox does not start, which is no
    verdict on the program, it is tried once more; then `SandboxError` is raised.
    """

    def __init__(self, executor: Executor, slots: int | None = None) -> None:
        self.executor = executor
        self._slots = slots or min(os.cpu_count() or 1, 8)
        self._calls = self._timeouts = self._near = self._drowned = 0
        self._seconds = 0.0

    def judge(self, requests: Iterable[Request]) -> list[list[Outcome]]:
        """The outcomes of each request's calls, by one run with hash seed 0."""
        return self._map(
            lambda request: self.executor.run(
                request.program, request.calls, request.limits, hash_seed=0
            ),
            requests,
        )

    def validate(self, requests: Iterable[Request]) -> list[list[Outcome]]:
        """As `judge`, by two runs that must agree: `executor.validate`."""
        return self._map(
            lambda request: validate(self.executor, request.program, request.calls, request.limits),
            requests,
        )

    def _map(
        self, run: Callable[[Request], list[Outcome]], requests: Iterable[Request]
    ) -> list[list[Outcome]]:
        def tried(request: Request) -> list[Outcome]:
            try:
                return run(request)
            except SandboxError:
                return run(request)

        asked, begun = list(requests), time.monotonic()
        threads = ThreadPoolExecutor(self._slots)
        try:
            results = list(threads.map(tried, asked))
        finally:
            threads.shutdown(cancel_futures=True)
        for request, outcomes in zip(asked, results, strict=True):
            self._calls += len(outcomes)
            self._timeouts += sum(outcome.status is Status.TIMEOUT for outcome in outcomes)
            self._near += sum(outcome.near(request.limits) for outcome in outcomes)
        self._seconds += time.monotonic() - begun
        return results

    def end_step(self) -> dict[str, float]:
        """What was run since the last call of this: metrics of a step.

        ``executions`` and ``timeouts`` are calls, ``near_limit`` those that took more than half of
        their time, ``executor_seconds`` wall-clock time. Many timeouts are said in a line; nearly
        nothing else in `STEPS` steps in a row raises `SandboxError`: the machine is overloaded, or
        the policy has found slowness.
        """
        share = self._timeouts / max(self._calls, 1)
        if share > MANY:
            console.print(f"sandbox: {share:.0%} of {self._calls} calls timed out in this step")
        self._drowned = self._drowned + 1 if share > NEARLY_ALL and self._calls >= FEW else 0
        if self._drowned >= STEPS:
            raise SandboxError(
                f"more than {NEARLY_ALL:.0%} of the programs timed out in {STEPS} steps in a row: "
                "the machine is overloaded, or the model writes slow programs"
            )
        metrics = {
            "executions": float(self._calls),
            "timeouts": float(self._timeouts),
            "near_limit": float(self._near),
            "executor_seconds": self._seconds,
        }
        self._calls = self._timeouts = self._near = 0
        self._seconds = 0.0
        return metrics
