"""A process with limits and nothing else: no protection. For tests, and where nothing else runs."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from rlsc.environments.sandbox.executor import Limits, Outcome, too_long
from rlsc.environments.sandbox.launch import run_child
from rlsc.errors import ConfigError

CHILD = Path(__file__).with_name("child.py")
PYTHON_FLAGS = ("-S", "-s", "-P", "-B")
"""No site-packages, no user's, no path of the script, no bytecode. Not -I or -E: these would ignore
PYTHONHASHSEED; the environment holds nothing else of Python's."""


def interpreter() -> str:
    """The Python that a virtual environment stands on, links followed."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def environment(hash_seed: int) -> dict[str, str]:
    """All that a child's environment holds."""
    return {"PYTHONHASHSEED": str(hash_seed), "LC_ALL": "C.UTF-8"}


class ProcessExecutor:
    """Runs a program as this user, with limits of time and memory; root can lift those again.

    It sees the files, the network and the other processes. Never chosen by `auto`.
    """

    name = "process"
    python = platform.python_version()

    def __init__(self) -> None:
        if os.name != "posix":
            raise ConfigError("sandbox process needs Linux or macOS; install rlsc[wasm]")

    def run(
        self, program: str, calls: Sequence[str], limits: Limits, hash_seed: int
    ) -> list[Outcome]:
        """As `Executor.run`."""
        command = [interpreter(), *PYTHON_FLAGS, str(CHILD)]
        return too_long(program, calls) or run_child(
            command, program, calls, limits, env=environment(hash_seed)
        )
