"""What limits a request: the time that it computes, and at last the clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rlsc.errors import GradingError
from rlsc.runtime import Job, Workers
from rlsc.runtime import worker as module
from rlsc.runtime.worker import Worker

WAITING: tuple[str, tuple[Any, ...]] = ("select:select", ([], [], [], 0.0))
COMPUTING: tuple[str, tuple[Any, ...]] = ("re:sub", ("a", "", "b"))


@contextmanager
def workers(kind: tuple[str, tuple[Any, ...]], seconds: float) -> Iterator[Workers]:
    target, warm_up = kind
    one = Workers(Job("test", target, warm_up, GradingError), 1, seconds, 1024)
    try:
        yield one
    finally:
        one.close()


def test_who_waits_for_a_core_is_not_out_of_time() -> None:
    # Asleep, as a process is to which a busy machine gives no core.
    with workers(WAITING, seconds=0.1) as one:
        reply, seconds = one.call([], [], [], 0.4)
    assert reply == [[], [], []]
    assert seconds >= 0.4


def test_who_computes_for_too_long_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 10**6)  # the clock does not end it
    with workers(COMPUTING, seconds=0.3) as one:
        started = time.process_time()
        reply, seconds = one.call("(a+)+b", "", 60 * "a")
        assert reply is None
        assert seconds >= 0.3
        assert time.process_time() - started < 0.3, "the caller waits, and does not spin"
        assert one.call("(a+)+b", "", 60 * "a")[0] is None


def test_what_earlier_requests_took_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "_processor_seconds", lambda _: 7.0)
    with workers(WAITING, seconds=0.1) as one:
        assert one.call([], [], [], 0.4)[0] == [[], [], []]


def test_the_clock_ends_who_neither_computes_nor_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 2)
    with workers(WAITING, seconds=0.2) as one:
        reply, seconds = one.call([], [], [], 30.0)
        assert reply is None
        assert 0.4 <= seconds < 20
        assert one.call([], [], [], 0.0)[0] == [[], [], []]
