"""Backends, made once for all tests; one that this machine has not is skipped with its reason."""

from __future__ import annotations

from functools import cache

import pytest

from rlsc.environments.sandbox import Executor, Limits, make_executor
from rlsc.errors import ConfigError

BACKENDS = ("process", "bwrap", "wasm")
SHORT = Limits(cpu_seconds=0.3, megabytes=256)


@cache
def _made(name: str) -> Executor | str:
    try:
        return make_executor(name, Limits(megabytes=256))  # type: ignore[arg-type]
    except ConfigError as error:
        return str(error)


def is_there(name: str) -> bool:
    return not isinstance(_made(name), str)


def made(name: str) -> Executor:
    executor = _made(name)
    if isinstance(executor, str):
        pytest.skip(executor)
    return executor


@pytest.fixture(scope="module", params=BACKENDS)
def executor(request: pytest.FixtureRequest) -> Executor:
    return made(request.param)
