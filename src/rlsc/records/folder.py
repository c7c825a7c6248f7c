"""A run's folder: may it be used, and what of it is a run's."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import yaml

from rlsc.errors import ConfigError, OutputError
from rlsc.records.checkpoints import UNFINISHED, checkpoints
from rlsc.records.files import write_text
from rlsc.runtime.processes import is_main, wait

CONFIG, RESULTS, ENVIRONMENT = "config.yaml", "results.json", "environment.json"
# The config comes last: a folder that is being cleared still holds a run until the end.
_ARTEFACTS = (
    "report.md",
    "report.html",
    "plot.png",
    RESULTS,
    "metrics.jsonl",
    "guard.jsonl",
    "probe.json",
    "completions",
    "eval",
    "model",
    "adapter",
    ENVIRONMENT,
    CONFIG,
)
# May differ between a run and its resumption: they change what is shown or how long it goes on.
_FREE_ON_RESUME = {"resume", "overwrite", "max_steps", "disable_tqdm", "output_dir"}


def check(folder: Path, settings: Mapping[str, Any], resume: bool, overwrite: bool) -> bool:
    """Whether the run in the folder is already finished; changes nothing.

    Raises `OutputError` where the folder cannot be written, holds another run, or holds files of
    a run's names that no run left; `ConfigError` for a resumption with other settings.
    """
    check_writable(folder)
    if not (folder / CONFIG).exists():
        foreign = [path.name for path in _artefacts(folder) if path.exists()]
        if foreign:
            raise OutputError(
                f"{folder} holds {foreign[0]} but no run ({CONFIG} is missing): choose another "
                "--output_dir, or move it away"
            )
        return False
    if (folder / "settings.json").exists():
        raise OutputError(f"{folder} holds an evaluation by rlsc eval: choose another --output_dir")
    results = _read_results(folder)
    if resume:
        check_same_settings(folder, settings)
        if results is None:
            return False
        stopped = (results.get("guard") or {}).get("stopped_at") is not None
        return stopped or results["steps"] >= int(settings["max_steps"])
    if not overwrite:
        state = "a finished run" if results is not None else "an unfinished run"
        raise OutputError(
            f"{folder} holds {state}: go on with it by --resume, replace it by --overwrite, "
            "or choose another --output_dir"
        )
    for name in ("model", "questions", "eval_questions"):
        path = Path(str(settings.get(name, ""))).expanduser()
        if path.exists() and folder.resolve() in path.resolve().parents:
            raise OutputError(f"--overwrite would delete --{name} {path}: choose another folder")
    return False


def prepare(folder: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
    """Create the folder, clear the run in it if it is to be overwritten, write the settings."""
    wait()  # until all have checked the folder as it was
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if is_main() and overwrite and (folder / CONFIG).exists():
            _clear(folder)
        write_text(folder / CONFIG, yaml.safe_dump(dict(settings), allow_unicode=True))
    except OSError as error:
        raise OutputError(_not_writable(folder, error)) from error
    wait()


def check_writable(folder: Path) -> None:
    """Raise `OutputError` for a folder that cannot be made or written into; leave no trace.

    By a name of its own, since other runs may look at the same moment.
    """
    if not is_main():
        return
    try:
        whole = folder.absolute()
        there = next(path for path in (whole, *whole.parents) if path.exists())
        with tempfile.TemporaryDirectory(dir=there, prefix=".write-test-") as probe:
            (Path(probe) / whole.relative_to(there)).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise OutputError(_not_writable(folder, error)) from error


def _not_writable(folder: Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or error
    return f"cannot write into --output_dir {folder}: {reason}"


def _artefacts(folder: Path) -> list[Path]:
    names = (UNFINISHED, *_ARTEFACTS)
    return [*checkpoints(folder), *(folder / name for name in names)]


def _clear(folder: Path) -> None:
    """Remove what a run leaves, and nothing else that may lie in the folder."""
    for path in _artefacts(folder):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _read_results(folder: Path) -> dict[str, Any] | None:
    """The results of a run that came to its end; None for one that did not."""
    try:
        results = json.loads((folder / RESULTS).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    kept = (folder / "model").is_dir() or not results.get("model_saved", True)
    return results if kept else None


def check_same_settings(
    folder: Path, settings: Mapping[str, Any], free: Set[str] = _FREE_ON_RESUME
) -> None:
    """Raise where `settings` differ from those stored in the folder, but for the `free` ones."""
    try:
        stored = yaml.safe_load((folder / CONFIG).read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        stored = None
    if not isinstance(stored, dict):
        raise OutputError(f"{folder / CONFIG} is damaged: start again with --overwrite")
    for key in sorted((stored.keys() | settings.keys()) - free):
        if stored.get(key) != settings.get(key):
            raise ConfigError(
                f"--resume with other settings: {key} was {stored.get(key)!r} in {folder} and is "
                f"{settings.get(key)!r} now; give the same, or another --output_dir"
            )
