"""How a run was made: command, versions, commit, hardware, how many questions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NotRequired, TypedDict

from rlsc.records.files import write_json
from rlsc.records.run_folder import ENVIRONMENT
from rlsc.runtime import Cpu, device_name
from rlsc.types import Question

_PACKAGES = (
    *("rlsc", "torch", "transformers", "accelerate", "peft", "datasets", "numpy", "scipy"),
    *("sympy", "latex2sympy2_extended"),  # grading rests on them
)


class HowMade(TypedDict):
    """environment.json."""

    command: list[str]
    model: str
    git_commit: str | None
    python: str
    packages: dict[str, str | None]
    platform: str
    device: str
    cpu: NotRequired[dict[str, object]]
    """A `Cpu`; a record of before it was noted has `cpu_threads`."""
    cpu_threads: NotRequired[int]
    cpu_count: int | None
    questions: dict[str, dict[str, int]]


def write_environment(
    folder: Path, model: str, questions: Mapping[str, Sequence[Question]]
) -> None:
    """Write environment.json."""
    made: HowMade = {
        "command": without_secrets(sys.argv),
        "model": model,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "device": device_name(),
        "cpu": asdict(Cpu.here()),
        "cpu_count": os.cpu_count(),
        "questions": {name: {"n": len(items)} for name, items in questions.items()},
    }
    write_json(folder / ENVIRONMENT, made)


def without_secrets(command: Sequence[str]) -> list[str]:
    """The command with the values of --hub_token and its like masked: reports are shared."""
    masked: list[str] = []
    for argument in command:
        name, equals, _ = argument.partition("=")
        if equals and name.endswith("_token"):
            argument = f"{name}=***"
        elif masked and masked[-1].startswith("--") and masked[-1].endswith("_token"):
            argument = "***"
        masked.append(argument)
    return masked


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Commit of the code, marked where the checkout has changes; None outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + (" with changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
