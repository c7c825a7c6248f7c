"""docs/your_objective.md does what it says, in under 25 lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rlsc.objectives import OBJECTIVES
from rlsc.records.jsonl import read_jsonl
from tests.smoke.objectives.test_objectives import trainer

PAGE = Path(__file__).parents[3] / "docs" / "your_objective.md"


@pytest.fixture
def code() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return str(found)


def test_the_page_adds_an_objective_in_few_lines(code: str) -> None:
    assert len(code.splitlines()) < 25


@pytest.mark.parametrize("by", ["module", "table"])
def test_the_objective_of_the_page_trains(
    by: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brevity.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = "brevity:Brevity"
    if by == "table":
        monkeypatch.setitem(OBJECTIVES, "brevity", name)
        name = "brevity"
    trainer(tmp_path / "run", objective=name, temperature=1.0, max_steps=2).train()
    rows = read_jsonl(tmp_path / "run" / "completions" / "0.jsonl")
    assert min(row["weight"] for row in rows) < 0 < max(row["weight"] for row in rows)
