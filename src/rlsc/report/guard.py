"""What the guard says of a run: which step was kept, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rlsc.report.text import markdown_table

HEADER = ("step", "verdict", "score", "why")


def guard_section(results: Mapping[str, Any]) -> Iterator[str]:
    """Its conclusion, and the verdicts of the steps that are not healthy."""
    guard = results.get("guard")
    if not guard or not guard["verdicts"]:
        return
    yield "## The guard"
    yield guard_text(results)
    rows = [row for row in verdict_rows(guard) if not row[1].startswith("healthy")]
    if rows:
        yield markdown_table(HEADER, rows)


def verdict_rows(guard: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """By `HEADER`, a row a step: where the probe was not asked, it says so."""
    scores, rows = guard.get("scores", {}), []
    for step, one in guard["verdicts"].items():
        told = one["verdict"] + ("" if one.get("asked", True) else ", probe not asked")
        score = f"{scores[step]:.3f}" if step in scores else ""
        rows.append((step, told, score, "; ".join(one["reasons"])))
    return rows


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
