"""What a trainer's run is of, and whether it may begin or go on in its folder."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rlsc.environments import Environment
from rlsc.errors import ConfigError, OutputError
from rlsc.objectives import Objective, parts_of
from rlsc.records import (
    IDENTITY,
    Parts,
    TrainingFolder,
    changed_parts,
    check_same,
    content_hash,
    hash_of_files,
    last_checkpoint,
    read_json,
    read_jsonl,
    reference_parts,
    write_json,
)
from rlsc.runtime import user_files
from rlsc.training.arguments import RLSCConfig
from rlsc.training.runlog import METRICS
from rlsc.types import AnswerKey

WEIGHTS = "model weights"
ENGINE = "engine source"
_SETTINGS = "settings"
_FREE = TrainingFolder.free | {"local_rank", "run_name", "report_to", "push_to_hub", "project"}
_FREE_PREFIXES = ("save_", "log_", "logging_", "hub_", "trackio_")
"""What is written and shown, and when; the run comes to the same end."""
_RESUME = "train(resume_from_checkpoint=…)"
_AGAIN = "give the same again, or choose another output_dir"


def code_parts(objective: Objective, environment: Environment) -> dict[str, str]:
    """The source of a user's own objective and environment, and what the environment reads.

    Nothing of the source of this package.
    """
    own = [_source(part) for part, _ in parts_of(objective)]
    sources = {"objective source": own, "environment source": [_source(environment)]}
    hashes = {name: content_hash(each) for name, each in sources.items() if any(each)}
    return hashes | environment.fingerprints()


def engine_parts(engine: object) -> dict[str, str]:
    """The source of a user's own engine, whose samples are what a run learns from."""
    own = _source(engine)
    return {ENGINE: content_hash(own)} if own else {}


def _source(thing: object) -> str:
    """Of its file and those beside it, where it was loaded from one; else of its class alone."""
    code = getattr(thing, "function", type(thing))
    module = str(getattr(code, "__module__", ""))
    if module.split(".")[0] == "rlsc":
        return ""
    if files := user_files(module):
        return hash_of_files(files)
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):  # typed in at a prompt
        return ""


def label_parts(needed: bool, ids: Iterable[str], answers: AnswerKey | None) -> dict[str, str]:
    """The training questions' reference answers, where they are needed."""
    if not needed or answers is None:
        return {}
    return reference_parts("training", ids, answers)


def tokenizer_parts(tokenizer: Any) -> dict[str, str]:
    return {"chat template": content_hash(getattr(tokenizer, "chat_template", None))}


def settings_of(args: RLSCConfig) -> dict[str, object]:
    """All that must be the same where a run goes on; no secrets."""
    known = args.to_dict()
    names = {field.name for field in dataclasses.fields(args) if field.init} - _FREE
    kept = {n for n in names if not n.startswith(_FREE_PREFIXES) and not n.endswith("_token")}
    values = {name: known.get(name) for name in sorted(kept)}
    return {name: value for name, value in values.items() if value not in (None, {}, [])}


def check_start(args: RLSCConfig, parts: Parts, resume: Any, trained: bool) -> None:
    """Raise where a run would not be what its folder then says, before any record is touched.

    `resume` is a checkpoint's path, True where there is none to go on from, or None for a run
    from step 0; `trained`: this trainer has made steps. `OutputError` for another model, other
    prompts and a checkpoint without the optimizer, `ConfigError` for other settings.
    """
    checkpoint = None if resume in (None, False, True) else Path(resume)
    if checkpoint and not checkpoint.is_dir():
        raise OutputError(f"no checkpoint at {checkpoint}: True goes on from the newest")
    folder = checkpoint.parent if checkpoint else Path(args.output_dir)
    begun = (folder / IDENTITY).exists()
    if not checkpoint:
        _check_untrained(folder, parts, trained, bool(resume))
    if checkpoint or (resume and begun):
        check_same(folder, parts, _RESUME, _AGAIN)
        _check_settings(folder, args)
    if checkpoint and not _has_optimizer(checkpoint):
        raise OutputError(
            f"{checkpoint} holds no optimizer's state (--save_only_model true): going on from it "
            "would end elsewhere; begin anew with --overwrite or another output_dir"
        )


def _check_untrained(folder: Path, parts: Parts, trained: bool, resume: bool) -> None:
    records = bool(read_jsonl(folder / METRICS))
    begun = (folder / IDENTITY).exists()
    other = begun and records and changed_parts(folder, {WEIGHTS: parts[WEIGHTS]})
    on = last_checkpoint(folder) is not None
    if trained or other:
        more = "; for more steps raise max_steps and call train(resume_from_checkpoint=True)"
        raise OutputError(
            f"this model is no longer the one that the run in {folder} began with: for another "
            f"run load it anew and choose another output_dir{more if trained and on else ''}"
        )
    if records and not resume:
        more = ", or go on with train(resume_from_checkpoint=True)"
        raise OutputError(
            f"{folder} holds the records of a run: choose another output_dir{more if on else ''}"
        )


def _has_optimizer(checkpoint: Path) -> bool:
    """Also DeepSpeed's, which has a folder of its own."""
    return any(file for name in ("optimizer*", "global_step*") for file in checkpoint.glob(name))


def _check_settings(folder: Path, args: RLSCConfig) -> None:
    stored: Mapping[str, object] = read_json(folder / IDENTITY).get(_SETTINGS, {})
    if not stored:  # it ended before it had begun to train
        return
    now = _as_json(settings_of(args))
    for name in sorted(stored.keys() | now.keys()):
        if stored.get(name) != now.get(name):
            raise ConfigError(
                f"{_RESUME} with other settings: {name} was {stored.get(name)!r} in {folder} and "
                f"is {now.get(name)!r} now; {_AGAIN}"
            )


def write_record(folder: Path, args: RLSCConfig, parts: Parts) -> None:
    """Say what the run is of, in the folder; what a whole run has written of it stays."""
    file = folder / IDENTITY
    stored = read_json(file) if file.exists() else {}
    write_json(file, stored | dict(parts) | {_SETTINGS: _as_json(settings_of(args))})


def _as_json(settings: Mapping[str, object]) -> dict[str, object]:
    """What strict JSON does not hold, such as infinity, as text."""

    def plain(value: object) -> bool:
        finite = not isinstance(value, float) or math.isfinite(value)
        return isinstance(value, (str, int, float)) and finite

    return {name: value if plain(value) else str(value) for name, value in settings.items()}
