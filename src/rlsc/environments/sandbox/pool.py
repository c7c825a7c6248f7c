"""Many programs at once, their outcomes in the order of the requests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rlsc.environments.sandbox.executor import JUDGING, Executor, Limits, Outcome, validate
from rlsc.errors import SandboxError


@dataclass(frozen=True)
class Request:
    """A program and its calls (`Call.text` of a `Reader`), all of which run in one process.

    >>> Request("def f(a):\\n    return a + 1", ["f(1)"]).limits.cpu_seconds
    5.0
    """

    program: str
    calls: Sequence[str]
    limits: Limits = JUDGING


class Pool:
    """`slots` programs at a time (None: one a core, eight at most).

    No process is kept from one program to the next. Where a sandbox does not start, which is no
    verdict on the program, it is tried once more; then `SandboxError` is raised.
    """

    def __init__(self, executor: Executor, slots: int | None = None) -> None:
        self.executor = executor
        self._slots = slots or min(os.cpu_count() or 1, 8)

    def judge(self, requests: Iterable[Request]) -> list[list[Outcome]]:
        """The outcomes of each request's calls, by one run with hash seed 0."""
        return self._map(
            lambda one: self.executor.run(one.program, one.calls, one.limits, hash_seed=0), requests
        )

    def validate(self, requests: Iterable[Request]) -> list[list[Outcome]]:
        """As `judge`, by two runs that must agree: `executor.validate`."""
        return self._map(
            lambda one: validate(self.executor, one.program, one.calls, one.limits), requests
        )

    def _map(
        self, run: Callable[[Request], list[Outcome]], requests: Iterable[Request]
    ) -> list[list[Outcome]]:
        def tried(request: Request) -> list[Outcome]:
            try:
                return run(request)
            except SandboxError:
                return run(request)

        threads = ThreadPoolExecutor(self._slots)
        try:
            return list(threads.map(tried, requests))
        finally:
            threads.shutdown(cancel_futures=True)
