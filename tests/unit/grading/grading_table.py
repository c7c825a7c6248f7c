"""Tables of graded pairs: `reference ≡ answer` is correct, `reference ≢ answer` is wrong."""

from __future__ import annotations

import re

import pytest

from rlsc.grading.judge import judge
from rlsc.types import Verdict


def pairs(table: str) -> list[object]:
    """A parameter (reference, answer, verdict) for each line; `# …` names those that follow."""
    found: list[object] = []
    category = ""
    for line in filter(None, map(str.strip, table.splitlines())):
        if line.startswith("# "):
            category = line[2:]
            continue
        reference, sign, answer = re.split(r"\s+([≡≢])\s+", line)
        verdict = Verdict.CORRECT if sign == "≡" else Verdict.WRONG
        found.append(pytest.param(reference, answer, verdict, id=f"{category}: {line}"))
    return found


def verdict_of(answer: str, reference: str, kind: str = "math") -> Verdict:
    """What judging `answer` in a box says."""
    return judge(rf"\boxed{{{answer}}}", reference, kind)[1]
