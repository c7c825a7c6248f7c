"""What a sceptic should know of benchmark scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]
_SHOWN = 20


def distrust_lines(benchmarks: Mapping[str, Result]) -> list[str]:
    """Training questions, missing rows, references nobody can parse, caps, timeouts, small n."""
    lines = []
    for name, one in benchmarks.items():
        if one["transductive"]:
            lines.append(
                f"{name}: trained on {listed(one['trained_on'])}. Read it as transductive."
            )
        if not one["complete"]:
            lines.append(f"{name}: {one['n']} of its {one['expected']} questions.")
        if one["unreadable_references"]:
            lines.append(
                f"{name}: references that do not parse, so that only the same text equals them: "
                f"{listed(one['unreadable_references'])}. They stay in the denominator."
            )
        caps = {found["max_new_tokens"] for found in one.get("controls", [one])}
        if min(caps) < one["asked_max_new_tokens"]:
            lines.append(
                f"{name}: the model's context leaves room for {min(caps)} new tokens, not for the "
                f"{one['asked_max_new_tokens']} asked for."
            )
        if one["timeouts"]:
            lines.append(f"{name}: grading went over its limit on {listed(one['timeouts'])}.")
        if one["n"] < 100:
            lines.append(f"{name}: {one['n']} questions; one is {100 / one['n']:.1f} points.")
    return lines


def listed(ids: Sequence[str]) -> str:
    """The first ids, and how many more there are."""
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more
