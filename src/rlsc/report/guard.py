"""What the guard says of a run: which step was kept, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rlsc.report.text import markdown_table


def guard_section(results: Mapping[str, Any]) -> Iterator[str]:
    """Its conclusion, and the verdicts of the steps that are not healthy."""
    guard = results.get("guard")
    if not guard or not guard["verdicts"]:
        return
    yield "## The guard"
    yield guard_text(results)
    rows = [
        (step, one["verdict"], "; ".join(one["reasons"]))
        for step, one in guard["verdicts"].items()
        if one["verdict"] != "healthy"
    ]
    if rows:
        yield markdown_table(("step", "verdict", "why"), rows)


def guard_text(results: Mapping[str, Any]) -> str:
    """Which step is the result and why, in words."""
    guard, steps = results["guard"], results["steps"]
    text = f"Step {guard['kept_step']} of {steps} is the result: {guard['reason']}."
    if guard["stopped_at"] is not None:
        text += f" The run was stopped at step {guard['stopped_at']}."
    elif guard["mode"] == "observe" and guard["advised_step"] != steps:
        text += f" `--guard stop` would have kept step {guard['advised_step']}."
    probe = guard["probe_questions"]
    seen = f"the rollouts and of {probe} {results['probed']}" if probe else "the rollouts"
    return f"{text} No label was used: the signs are of {seen}."
