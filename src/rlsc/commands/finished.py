"""A run that has come to its end and is asked to go on: nothing to do, and of what it is said."""

from __future__ import annotations

from pathlib import Path

import torch

from rlsc.config import RunConfig
from rlsc.errors import ModelError, RLSCError
from rlsc.models import load_policy, weight_files, weights_hash
from rlsc.records import TrainingFolder, changed_parts, hash_of_stamps, write_identity
from rlsc.report import write_report
from rlsc.runtime import console, is_main, is_out_of_memory
from rlsc.training import WEIGHTS

_STAMPS = "weight files"


def is_complete(folder: TrainingFolder, max_steps: int) -> bool:
    """Whether the run in the folder came to the end that is asked for, or was stopped before."""
    results = folder.results() if folder.holds_run else None
    if results is None:
        return False
    stopped = results.guard is not None and results.guard.stopped_at is not None
    return stopped or results.steps >= max_steps


def stamps_of(config: RunConfig) -> dict[str, str]:
    """Sizes and times of the model's files: they tell whether the weights are to be read again."""
    return {_STAMPS: hash_of_stamps(weight_files(config))}


def say_complete(folder: Path, config: RunConfig) -> None:
    """Write the report anew, and say that the rest stands, and that the weights have changed."""
    if not is_main():
        return
    write_report(folder)
    if note := of_weights(folder, config):
        console.print(f"note: {note}", soft_wrap=True)
    console.print(f"{folder} holds a finished run: nothing to do. Its report: report.html")


def of_weights(folder: Path, config: RunConfig) -> str | None:
    """What is to be said of weights that are other ones, by content, or could not be read.

    They are read where sizes or times of the files have changed, and once if they are the same.
    """
    stamps = stamps_of(config)
    if not weight_files(config) or not changed_parts(folder, stamps):
        return None
    name = config.adapter or config.model
    other = (
        f"the weights of {name} are not those that this run began with: its figures and its model "
        "are of the former ones"
    )
    try:
        model, _, _ = load_policy(config, getattr(torch, config.model_dtype), trainable=True)
        weights = weights_hash(model)
    except (RLSCError, ImportError, MemoryError, RuntimeError) as error:
        if isinstance(error, ModelError) and not is_out_of_memory(error.__cause__ or error):
            return other  # what they were they are not
        why = " ".join(str(error).split()) or type(error).__name__
        return f"files of {name} have changed since this run began, and were not compared: {why}"
    if changed_parts(folder, {WEIGHTS: weights}):
        return other
    write_identity(folder, stamps)
    return None
