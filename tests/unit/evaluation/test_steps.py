"""ProcessBench: steps as questions, both error rates, first errors, and the data set's content."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rlsc.errors import QuestionError
from rlsc.evaluation.benchmarks import table
from rlsc.evaluation.benchmarks.loading import load_benchmark
from rlsc.evaluation.benchmarks.processbench import content_of, step_items
from rlsc.evaluation.steps import step_rates
from rlsc.records import AnswerRow
from rlsc.types import AnswerKey

ROW = {"id": "s-0", "problem": " 2 + 2 + 2? ", "steps": ["2 + 2 = 4", "4 + 2 = 7", "7"], "label": 1}
CLEAN = ROW | {"id": "s-1", "steps": ["4", "6"], "label": -1}


def test_steps_up_to_the_first_wrong_one_are_questions() -> None:
    first, second = step_items("p", ROW)
    assert (first.id, first.answer, second.id, second.answer) == ("p/s-0/0", "A", "p/s-0/1", "B")
    assert "(nothing yet)" in first.question
    assert "7" not in first.question
    assert "correct:\n2 + 2 = 4\n\nNext step:\n4 + 2 = 7\n\nIs" in second.question
    assert second.text.endswith("\n\nA. Correct\nB. Incorrect")
    assert [item.answer for item in step_items("p", CLEAN)] == ["A", "A"]
    assert [item.answer for item in step_items("p", ROW | {"label": 0})] == ["B"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": 3}, "label 3 is no index of its 3 steps, nor -1"),
        ({"label": -2}, "label -2"),
        ({"label": True}, "label True"),
        ({"steps": []}, "'steps' is not a list of texts"),
        ({"steps": "2 + 2"}, "'steps' is not a list of texts"),
    ],
)
def test_what_cannot_be_is_said(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        step_items("p", ROW | change)


def rows(**verdicts: str) -> list[AnswerRow]:
    """By solution the signs of its steps: + right, - wrong, ? no verdict."""
    named = {"+": "correct", "-": "wrong", "?": "unparsed"}
    return [
        AnswerRow(f"p/{name}/{k}", 0, "", "", 1, 0.0, "stop", 9, 0.0, None, named[sign])
        for name, signs in verdicts.items()
        for k, sign in enumerate(signs)
    ]


KEY = AnswerKey(
    {"p/a/0": "A", "p/a/1": "B", "p/b/0": "A", "p/b/1": "A", "p/c/0": "B", "p/d/0": "A"}
)


def test_both_rates_and_first_errors() -> None:
    found = step_rates(rows(a="++", b="+-", c="-", d="?"), KEY)
    assert found is not None
    assert (found.n_right, found.n_wrong) == (4, 2)
    assert (found.right.value, found.wrong.value, found.mean) == (0.5, 0.5, 0.5)
    assert found.invalid == pytest.approx(1 / 6)
    assert (found.n_erroneous, found.n_clean) == (2, 2)
    assert found.erroneous is not None
    assert found.clean is not None
    assert (found.erroneous.value, found.clean.value, found.f1) == (0.5, 0.0, 0.0)


def test_a_constant_verdict_is_seen() -> None:
    """Correct to all: every right step, no wrong one; F1 0."""
    found = step_rates(rows(a="+-", b="++", c="-", d="+"), KEY)
    assert found is not None
    assert (found.right.value, found.wrong.value, found.harmonic, found.f1) == (1, 0, 0, 0)
    perfect = step_rates(rows(a="++", b="++", c="+", d="+"), KEY)
    assert perfect is not None
    assert (perfect.mean, perfect.harmonic, perfect.f1) == (1, 1, 1)


def test_an_error_seen_too_early_is_not_the_first_error() -> None:
    found = step_rates(rows(a="-+", b="++", c="+", d="+"), KEY)
    assert found is not None
    assert found.wrong.value == 1
    assert found.erroneous is not None
    assert found.erroneous.value == 0.5


def test_solutions_that_were_not_asked_whole_have_no_first_error() -> None:
    found = step_rates(rows(a="+", c="+", d="+"), KEY)  # of a its last step was left out
    assert found is not None
    assert (found.n_erroneous, found.n_clean) == (1, 1)
    assert step_rates(rows(b="++"), KEY) is None


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> str:
    known = content_of([ROW, CLEAN])
    steps = partial(step_items, "p")
    row = replace(table.BENCHMARKS["processbench_gsm8k"], steps=steps, content=known, n=4)
    monkeypatch.setitem(table.BENCHMARKS, row.name, row)
    return row.name


def test_another_data_set_is_refused(small: str, tmp_path: Path) -> None:
    file = tmp_path / "gsm8k.json"
    file.write_text(json.dumps([ROW, CLEAN]))
    task = load_benchmark(small, tmp_path)
    assert task.complete
    assert task.steps
    assert len(task.questions) == 4
    for limit, number in ((1, 2), (2, 2), (3, 4), (9, 4)):  # no solution is cut
        assert len(load_benchmark(small, tmp_path, limit).questions) == number
    file.write_text(json.dumps([ROW, CLEAN | {"label": 1}]))
    with pytest.raises(QuestionError, match="is not the data set that is known") as caught:
        load_benchmark(small, tmp_path)
    assert str(file) in str(caught.value)
    file.write_text(json.dumps([ROW, CLEAN | {"label": 7}]))
    with pytest.raises(QuestionError, match=r"gsm8k.json.*label 7 is no index"):
        load_benchmark(small, tmp_path)
    file.unlink()
    with pytest.raises(QuestionError, match=r"no processbench_gsm8k\.json or gsm8k\.json"):
        load_benchmark(small, tmp_path)


@pytest.mark.parametrize(
    ("name", "solutions", "erroneous", "steps"),
    [("processbench_gsm8k", 400, 207, 1568), ("processbench_math", 1000, 594, 4366)],
)
def test_the_real_files_are_the_known_ones(
    name: str, solutions: int, erroneous: int, steps: int, shared_data: Path
) -> None:
    task = load_benchmark(name, shared_data)
    assert task.complete
    assert len(task.questions) == steps
    golds = [task.answers[question.id] for question in task.questions]
    assert golds.count("B") == erroneous
    assert len({question.id.rpartition("/")[0] for question in task.questions}) == solutions
