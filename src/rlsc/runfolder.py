"""A run's folder: may it be used, and what it says about how the run was made."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from rlsc.errors import ConfigError, OutputError
from rlsc.types import Question

CONFIG, RESULTS, ENVIRONMENT = "config.yaml", "results.json", "environment.json"
_ARTEFACTS = (
    CONFIG,
    RESULTS,
    ENVIRONMENT,
    "metrics.jsonl",
    "completions",
    "eval",
    "model",
    "report.md",
    "plot.png",
)
# May differ between a run and its resumption: they change what is shown or how long it goes on.
_FREE_ON_RESUME = {"resume", "overwrite", "max_steps", "disable_tqdm", "output_dir"}
_PACKAGES = ("rlsc", "torch", "transformers", "accelerate", "peft", "datasets", "numpy", "scipy")


def prepare(folder: Path, settings: Mapping[str, Any], resume: bool, overwrite: bool) -> bool:
    """Make the folder ready; True if the run in it is already finished and to be left alone.

    Raises `OutputError` where it holds another run or cannot be written.
    """
    check_writable(folder)
    holds_run = (folder / CONFIG).exists()
    if holds_run and not (resume or overwrite):
        state = "a finished run" if (folder / RESULTS).exists() else "an unfinished run"
        raise OutputError(
            f"{folder} holds {state}: go on with it by --resume, replace it by --overwrite, "
            "or choose another --output_dir"
        )
    if overwrite:
        _clear(folder)
    elif holds_run:
        if (folder / RESULTS).exists():
            return True
        _check_same_settings(folder, settings)
    (folder / CONFIG).write_text(yaml.safe_dump(dict(settings), allow_unicode=True))
    return False


def check_writable(folder: Path) -> None:
    """Create the folder and a file in it, or raise `OutputError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".write-test"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"cannot write into --output_dir {folder}: {reason}") from error


def _clear(folder: Path) -> None:
    """Remove what a run leaves, and nothing else that may lie in the folder."""
    for path in [*(folder / name for name in _ARTEFACTS), *folder.glob("checkpoint-*")]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _check_same_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    stored = yaml.safe_load((folder / CONFIG).read_text()) or {}
    for key in sorted((stored.keys() | settings.keys()) - _FREE_ON_RESUME):
        if stored.get(key) != settings.get(key):
            raise ConfigError(
                f"--resume with other settings: {key} was {stored.get(key)!r} in {folder} and is "
                f"{settings.get(key)!r} now; give the same, or another --output_dir"
            )


def write_environment(
    folder: Path, model: str, questions: Mapping[str, Sequence[Question]], seconds: float
) -> None:
    """What the run ran on: command, versions, git commit, hardware, data fingerprints."""
    write_json(
        folder / ENVIRONMENT,
        {
            "command": sys.argv,
            "model": model,
            "git_commit": _git_commit(),
            "python": platform.python_version(),
            "packages": {name: _version(name) for name in _PACKAGES},
            "platform": platform.platform(),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "cpu_threads": torch.get_num_threads(),
            "cpu_count": os.cpu_count(),
            "questions": {
                name: {"n": len(items), "sha256": fingerprint(items)}
                for name, items in questions.items()
            },
            "load_seconds": round(seconds, 1),
        },
    )


def fingerprint(questions: Sequence[Question]) -> str:
    """SHA-256 of ids and texts, in order."""
    content = json.dumps([[q.id, q.text] for q in questions])
    return hashlib.sha256(content.encode()).hexdigest()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write under a temporary name and rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
    temporary.replace(path)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Commit of the code, marked where the checkout has changes; None outside a checkout."""

    def git(*arguments: str) -> str:
        where = Path(__file__).parent
        command = ["git", "-C", str(where), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + (" with changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
