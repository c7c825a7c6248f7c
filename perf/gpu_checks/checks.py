"""The checks in their order, and the loop over them: each has its rows, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gpu_checks.isolation import Apart, Outcome
from gpu_checks.rows import EAGER, NATIVE, TREES, Check, Row, Setting

_EQUALITY, _SAMPLING = "gpu_checks.equality:equality", "gpu_checks.sampling:sampling"
_STEP, _DECODING = "gpu_checks.updates:step", "gpu_checks.decoding:decoding"
CHECKS = (
    Check("products", "gpu_checks.products:products", 40),
    Check("equality: float32", _EQUALITY, 90, {"dtype": "float32"}),
    Check("equality: bfloat16", _EQUALITY, 90, {"dtype": "bfloat16"}),
    Check("equality: float16", _EQUALITY, 90, {"dtype": "float16"}),
    Check(NATIVE, _SAMPLING, 90, {"engine": "native"}),
    Check("sampling: generate", _SAMPLING, 90, {"engine": "hf"}),
    Check(TREES, _STEP, 120, {"system": "rlsc"}),
    Check("step: padded rows", _STEP, 120, {"system": "plain"}),
    Check("step: TRL", _STEP, 120, {"system": "trl"}),
    Check(EAGER, _DECODING, 60, {"graph": False}),
    Check("decoding: CUDA graph", _DECODING, 60, {"graph": True}),
)
SUBJECTS = tuple(dict.fromkeys(check.name.partition(":")[0] for check in CHECKS))


@dataclass(frozen=True)
class Result:
    """A check's rows, and how long it took."""

    name: str
    rows: tuple[Row, ...]
    seconds: float


def run_checks(
    checks: Sequence[Check],
    setting: Setting,
    apart: Apart,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Result]:
    """One after the other for `seconds` in all; those that would start later are not run."""
    end = clock() + seconds
    figures: dict[str, dict[str, float]] = {}
    for check in checks:
        left = end - clock()
        if left <= 0:
            row = Row("", problem="not run", note="out of time: --minutes gives more")
            yield Result(check.name, (row,), 0.0)
            continue
        more = check.settings or {}
        outcome = apart.run(check.function, min(left, check.seconds), setting, figures, **more)
        rows = _rows(outcome, out_of_time=left < check.seconds)
        figures[check.name] = {row.what: row.value for row in rows if row.value is not None}
        yield Result(check.name, rows, outcome.seconds)


def _rows(outcome: Outcome, out_of_time: bool) -> tuple[Row, ...]:
    if outcome.timed_out and out_of_time:
        note = f"out of time after {outcome.seconds:.0f} s: --minutes gives more"
        return (Row("", problem="not run", note=note),)
    if outcome.timed_out:
        return (Row("", problem="failed", note=f"took more than {outcome.seconds:.0f} s"),)
    if outcome.skipped:
        return (Row("", problem="skipped", note=outcome.error),)
    if outcome.error:
        return (Row("", problem="failed", note=outcome.error),)
    return tuple(outcome.value)
