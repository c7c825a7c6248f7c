"""Tables of graded pairs.

`reference ≡ answer` is correct, `reference ≢ answer` is wrong; in files of whole responses `∅` says
that there is no answer, `⏎` is a new line, and a category may end in its kind: `[numeric]`, or
`[choice: 12; 15]` with the options.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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


_SIGNS = {"≡": Verdict.CORRECT, "≢": Verdict.WRONG, "∅": Verdict.UNPARSED}


@dataclass(frozen=True)
class Labelled:
    """A response and the verdict that it should have."""

    line: str
    category: str
    response: str
    reference: str
    verdict: Verdict
    kind: str = "math"
    choices: tuple[str, ...] | None = None


def labelled(name: str) -> Iterator[Labelled]:
    """The responses of a file beside this one."""
    category, kind, choices = "", "math", None
    lines = (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    for line in filter(None, map(str.strip, lines)):
        if line.startswith("# "):
            head = re.fullmatch(r"# (.+?)(?: \[(\w+)(?:: (.+))?\])?", line)
            assert head is not None
            category, kind = head[1], head[2] or "math"
            choices = tuple(head[3].split("; ")) if head[3] else None
            continue
        reference, sign, response = re.split(r"\s+([≡≢∅])\s+", line, maxsplit=1)
        yield Labelled(
            line, category, response.replace("⏎", "\n"), reference, _SIGNS[sign], kind, choices
        )
