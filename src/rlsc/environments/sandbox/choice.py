"""Which backend runs the programs: the first that proves that it holds. It fails closed."""

from __future__ import annotations

import functools
import socket
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from rlsc.environments.sandbox.bwrap import BwrapExecutor
from rlsc.environments.sandbox.executor import VALIDATION, Executor, Limits, Outcome
from rlsc.environments.sandbox.process import ProcessExecutor
from rlsc.environments.sandbox.wasm import WasmExecutor
from rlsc.errors import ConfigError, SandboxError
from rlsc.runtime import console

Sandbox = Literal["auto", "bwrap", "wasm", "process"]
_BACKENDS: dict[str, Callable[[], Executor]] = {"bwrap": BwrapExecutor, "wasm": WasmExecutor}
_REMEDIES = (
    "Install bubblewrap and allow unprivileged user namespaces (Ubuntu: sysctl "
    "kernel.apparmor_restrict_unprivileged_userns=0; Docker: --security-opt seccomp=unconfined), "
    "or pip install 'rlsc[wasm]'"
)


def make_executor(sandbox: Sandbox = "auto", limits: Limits = VALIDATION) -> Executor:
    """The backend of that name, once its self-test has passed.

    "auto" is bwrap, else wasm, never process. A program that adds two numbers must run under
    `limits`, and what a sandbox must stop must fail. Raises `ConfigError`, with what was tried and
    two remedies, where nothing holds.
    """
    if sandbox not in get_args(Sandbox):
        known = ", ".join(get_args(Sandbox))
        raise ConfigError(f"sandbox must be one of {known}, not {sandbox!r}")
    if sandbox == "process":
        console.print(
            "sandbox process: programs run as you, with your files and your network; nothing is "
            "protected",
            soft_wrap=True,
        )
        return ProcessExecutor()
    reasons = []
    for name in _BACKENDS if sandbox == "auto" else (sandbox,):
        try:
            executor = _BACKENDS[name]()
            self_test(executor, limits)
        except SandboxError as error:
            reasons.append(f"{name}: {error}")
        else:
            _say_without_filter(executor)
            return executor
    raise ConfigError(f"no sandbox ({'; '.join(reasons)}). {_REMEDIES}")


def _say_without_filter(executor: Executor) -> None:
    if isinstance(executor, BwrapExecutor) and executor.filter is None:
        console.print(
            "sandbox bwrap: without a filter of system calls (pip install 'rlsc[sandbox]')",
            soft_wrap=True,
        )


@functools.cache
def executor_of(sandbox: Sandbox) -> Executor:
    """`make_executor` with its limits, once in a process: an executor keeps nothing of a run."""
    return make_executor(sandbox)


_ADDS = "def f(a, b):\n    return a + b"
_READS = "def f(path):\n    return len(open(path).read())"
_CONNECTS = """
def f(port):
    import socket
    socket.create_connection(("127.0.0.1", port), 1).close()
"""
_FORKS = """
def f(a):
    import os
    if not os.fork():
        os._exit(0)
"""
_ALLOCATES = "def f(count):\n    return len(bytearray(count))"
_LOOPS = "def f(a):\n    while a:\n        pass"


def self_test(executor: Executor, limits: Limits = VALIDATION) -> None:
    """Raise `SandboxError` unless a sum is computed and everything that must fail does.

    The file to read is there, and the port listens: a backend that isolates nothing is found.
    """
    sum_, *_ = executor.run(_ADDS, ["f(1, 2)"], limits, hash_seed=0)
    if sum_.value != "3":
        raise SandboxError(f"self-test: 1 + 2 does not run under {limits}: {_said(sum_)}")
    short = replace(limits, cpu_seconds=min(limits.cpu_seconds, 0.3))
    beyond = (limits.megabytes << 20) + 1
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        secret = Path(folder, "secret")
        secret.write_text("secret", "utf-8")
        for what, program, argument in (
            ("reads a file", _READS, str(secret)),
            ("connects", _CONNECTS, server.getsockname()[1]),
            ("forks", _FORKS, 0),
            (f"allocates {limits.megabytes} MB", _ALLOCATES, beyond),
            ("loops for ever", _LOOPS, 1),
        ):
            outcome, *_ = executor.run(program, [f"f({argument!r})"], short, hash_seed=0)
            if outcome.is_ok:
                raise SandboxError(f"self-test: a program that {what} is not stopped")


def _said(outcome: Outcome) -> str:
    return f"{outcome.status} {outcome.detail}".strip()
