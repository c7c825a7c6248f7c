"""`rlsc eval` on steps of solutions, from a file to both error rates in the report."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from rlsc.evaluation.benchmarks import table
from rlsc.evaluation.benchmarks.processbench import content_of, step_items
from tests.smoke.conftest import Evaluate, main_scores, samples

STEPS = [
    {"id": "a", "problem": "1 + 1?", "steps": ["1", "3"], "label": 1},
    {"id": "b", "problem": "1 + 2?", "steps": ["3"], "label": -1},
]


def test_both_error_rates_are_told(
    evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "processbench_gsm8k"
    steps = partial(step_items, name)
    small = replace(table.BENCHMARKS[name], steps=steps, content=content_of(STEPS), n=3)
    monkeypatch.setitem(table.BENCHMARKS, name, small)
    (tmp_path / "gsm8k.json").write_text(json.dumps(STEPS))
    folder = tmp_path / "out"
    assert evaluate(folder, "--benchmarks", name, "--data_dir", tmp_path) == 0
    score = main_scores(folder)[name]
    rates = score.steps
    assert rates is not None
    assert (rates.n_right, rates.n_wrong, rates.n_erroneous, rates.n_clean) == (2, 1, 1, 1)
    verdicts = [row["verdict"] for row in samples(folder)[f"{name}/chat-T0-k1"]]
    assert rates.right.value == [verdicts[0], verdicts[2]].count("correct") / 2
    assert rates.wrong.value == float(verdicts[1] == "correct")
    page = (folder / "report.md").read_text("utf-8")
    assert "Steps judged" in page
    assert "2 + 1, 1 + 1" in page
