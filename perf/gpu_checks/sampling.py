"""Tokens a second of the native engine and of transformers' `generate`, 128 rows at once."""

from __future__ import annotations

import statistics
import time

from engines_under_test import make_runner
from workers import Memory
from workloads import CASES, Case

from gpu_checks.rows import NATIVE, Figures, Row, Setting, ratio

WORK = Case(CASES["words"].questions, 16, 128, forced_length=True)
TINY = Case(CASES["words"].questions[:2], 2, 6, forced_length=True)
_SPEED = "tokens/s"


def sampling(setting: Setting, earlier: Figures, engine: str) -> list[Row]:
    """Every completion is as long as the cap, so that all engines sample as many tokens."""
    case = TINY if setting.tiny else WORK
    rows = len(case.questions) * case.samples
    run = make_runner(engine, setting.model, setting.precision, rows)
    run(case, case.questions, min(8, case.max_new_tokens))  # warms up
    speeds = []
    with Memory() as memory:
        for _ in range(setting.rounds):
            start = time.perf_counter()
            tokens = run(case, case.questions, case.max_new_tokens)["tokens"]
            speeds.append(tokens / (time.perf_counter() - start))
    speed = statistics.median(speeds)
    note = f"{rows} rows of {case.max_new_tokens} tokens, {setting.precision}"
    figures = [
        Row("speed", speed, _SPEED, note=note),
        Row("a token of all rows", 1000 * rows / speed, "ms"),
        Row("peak memory", memory.peak / 1e9, "GB"),
    ]
    native = ratio(earlier, NATIVE, "speed", speed)
    if engine != "native" and native:
        figures.append(Row("native is faster by", 1 / native, "×"))
    return figures
