"""docs/your_objective.md does what it says, in under 25 lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rlsc.objectives.registry import OBJECTIVES
from rlsc.records.jsonl import read_jsonl
from tests.smoke.objectives.test_objectives import trainer

PAGE = Path(__file__).parents[3] / "docs" / "your_objective.md"


@pytest.fixture
def code() -> str:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return str(block)


def test_the_page_adds_an_objective_in_few_lines(code: str) -> None:
    assert len(code.splitlines()) < 25


@pytest.mark.parametrize("by", ["file", "registry"])
def test_the_objective_of_the_page_trains(
    by: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brevity.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = "brevity.py:Brevity"
    if by == "registry":
        monkeypatch.setitem(OBJECTIVES, "brevity", "brevity:Brevity")
        name = "brevity"
    settings = {"objective": name, "objective_settings": {"penalty": 2}}
    run = trainer(tmp_path / "run", temperature=1.0, max_steps=2, **settings)
    assert run.objective.penalty == 2.0
    run.train()
    rows = read_jsonl(tmp_path / "run" / "completions" / "0.jsonl")
    assert min(row["weight"] for row in rows) < 0 < max(row["weight"] for row in rows)
