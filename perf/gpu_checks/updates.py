"""A whole training step: our update on token trees, on padded rows, and TRL's.

Each in a process of its own, one after the other: a small GPU does not hold two.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
from typing import Any

import psutil
import torch
from steps_under_test import measured_steps
from workloads import STEPS, StepCase

from gpu_checks.rows import TREES, Figures, NotHere, Row, Setting, ratio
from rlsc.config import RunConfig
from rlsc.data import render
from rlsc.planning import this_device
from rlsc.planning.memory import footprint

WORK = StepCase(STEPS["words"].questions, 16, 128, forced_length=True, trl_rows=8)
TINY = StepCase(STEPS["words"].questions[:2], 2, 6, forced_length=True, rows=4, trl_rows=2)


def step(setting: Setting, earlier: Figures, system: str) -> list[Row]:
    """Of `rlsc`, `plain` (padded rows) or `trl`: seconds, memory, share of the peak."""
    if system == "trl" and importlib.util.find_spec("trl") is None:
        raise NotHere("TRL is not installed: make bench-install")
    case = TINY if setting.tiny else WORK
    before = 0 if torch.cuda.is_available() else psutil.Process().memory_info().rss
    with tempfile.TemporaryDirectory() as folder:
        args = argparse.Namespace(
            worker=system,
            model=setting.model,
            dtype=setting.precision,
            steps=setting.rounds + 1,
            tokens_per_microbatch=None,
            run=None,
            at=0,
        )
        trainer, (first, *answers) = measured_steps(args, case, folder)
    seconds = statistics.median(answer["update_seconds"] for answer in answers)
    peak = max(answer["peak_memory_gb"] for answer in (first, *answers)) - before / 1e9
    rows = [
        Row("update", seconds, "s", note=_note(case, setting)),
        Row("sampling", statistics.median(answer["sample_seconds"] for answer in answers), "s"),
        Row("peak memory", peak, "GB"),
    ]
    if "flops" in answers[0]:
        rate = statistics.median(answer["flops"] / answer["update_seconds"] for answer in answers)
        rows += _of_peak(rate, setting, earlier)
    for row in rows[:2] if system != "rlsc" else ():
        ours = ratio(earlier, TREES, row.what, row.value or 0.0)
        if ours:
            rows.append(Row(f"{row.what}, in that of trees", ours, "×"))
    return rows if system != "rlsc" else [*rows, *_against_plan(trainer, peak)]


def _note(case: StepCase, setting: Setting) -> str:
    return (
        f"{len(case.questions)} questions × {case.samples} × {case.max_new_tokens} tokens, "
        f"{setting.precision}"
    )


def _of_peak(rate: float, setting: Setting, earlier: Figures) -> list[Row]:
    """6 · parameters · tokens computed: a token that siblings share is computed, and counts, once.

    The optimizer's step is in the time.
    """
    note = "6 · parameters · tokens computed"
    rows = [Row("products of the update", rate / 1e12, "TFLOP/s", note=note)]
    if setting.peak_flops:
        rows.append(Row("MFU (data sheet's peak)", 100 * rate / setting.peak_flops, "%"))
    else:
        why = "no peak known of this device"
        rows.append(Row("MFU (data sheet's peak)", problem="skipped", note=why))
    measured = ratio(earlier, "products", "speed", rate / 1e12)
    if measured:
        rows.append(Row("MFU (of `products`)", 100 * measured, "%"))
    return rows


def _against_plan(trainer: Any, peak: float) -> list[Row]:
    """The peak of these steps against what `rlsc plan` says of them."""
    tokenizer = trainer.processing_class
    prompts = [render(row.prompt, row.id, tokenizer) for row in trainer.train_dataset]
    longest = max(len(prompt.token_ids) for prompt in prompts)
    planned = footprint(
        RunConfig(), trainer.args, trainer.model.config, this_device(trainer.args), longest
    )
    return [
        Row("peak memory by rlsc plan", planned.peak / 1e9, "GB"),
        Row("plan / measured", planned.peak / 1e9 / peak, "×"),
    ]
