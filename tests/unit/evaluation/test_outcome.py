"""From rows on disk to a task's results: the best setting, and what is compared with what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from rlsc.evaluation.outcome import best_of, score_side, task_facts, task_results
from rlsc.evaluation.settings import own_settings, temperature_setting
from rlsc.grading import shared_grader
from rlsc.records.results import Best, TaskFacts
from rlsc.records.rows import AnswerRow, rows_file, write_rows
from rlsc.types import AnswerKey, Question, Setting, Task

FACTS = TaskFacts("task", "Task", "math", "a file", 1, 2, 2, None, True, 9, 1)
MAIN = Setting("chat", 0.0, 1, 9, name="main")
OTHER = Setting("chat", 1.0, 3, 9, name="other")


def rows(*questions: str) -> list[AnswerRow]:
    """Of each question its samples' signs: right is the answer 7, each wrong one its own."""
    return [
        AnswerRow(
            *(str(number), sample, "p", "x", 5, -0.1, "stop", 9, 0.0),
            answer="7" if sign == "+" else f"-{sample}",
            verdict="correct" if sign == "+" else "wrong",
        )
        for number, signs in enumerate(questions)
        for sample, sign in enumerate(signs)
    ]


def write(folder: Path, **by_setting: Sequence[AnswerRow]) -> Path:
    for label, given in by_setting.items():
        write_rows(rows_file(folder, "task", label), given)
    return folder


def test_the_main_settings_are_compared_and_the_base_at_its_best(tmp_path: Path) -> None:
    base_folder = write(tmp_path / "base", main=rows("-", "+"), other=rows("++-", "--+"))
    tuned_folder = write(tmp_path / "tuned", main=rows("+", "-"), other=rows("+++", "---"))
    base = score_side(base_folder, "task", [MAIN, OTHER])
    tuned = score_side(tuned_folder, "task", [MAIN, OTHER])
    found = task_results(FACTS, tuned, base, also=["other"])
    assert found.difference == found.differences[0]
    assert (found.difference.gained, found.difference.lost) == (("0",), ("1",))
    assert [each.after for each in found.differences] == ["main", "other"]
    # Of three samples the vote is right for the first question, and a tie of three for the second.
    assert (found.base.best.setting, found.base.best.majority) == ("other", True)
    assert found.against_base_best.before == "other majority"
    assert found.against_base_best.accuracy.value == pytest.approx((1 + 0) / 2 - (1 + 1 / 3) / 2)
    assert found.best_against_best.n == 2


def test_the_best_may_be_a_majority() -> None:
    scores = score_sides(rows("-", "+"), rows("++-", "+-+"))
    assert best_of(scores) == Best("other", True, scores[1].majority)
    assert scores[1].majority.value == 1
    assert best_of(scores[:1]) is None


def score_sides(main: list[AnswerRow], other: list[AnswerRow]):
    from rlsc.evaluation.scoring import score

    return [score(main, MAIN), score(other, OTHER)]


def test_of_equals_the_first_is_the_best() -> None:
    scores = score_sides(rows("+", "-"), rows("+++", "---"))
    assert best_of(scores).setting == "main"
    assert best_of(scores).majority is False


def test_without_a_base_nothing_is_compared(tmp_path: Path) -> None:
    tuned = score_side(write(tmp_path, main=rows("+")), "task", [MAIN])
    found = task_results(FACTS, tuned)
    assert (found.base, found.differences, found.against_base_best) == (None, (), None)
    assert found.tuned.best is None


@pytest.mark.parametrize("ids", [("a",), ()])
def test_facts_say_what_to_distrust(ids: tuple[str, ...]) -> None:
    questions = (Question("a", "What is 1 + 1?"), Question("b", "?"), Question("c", "Long?"))
    answers = AnswerKey({"a": "2", "b": r"\begin{"})
    task = Task("t", "T", questions, answers, source="s", available=3)
    facts = task_facts(task, 9, [*ids, "c"], shared_grader(), skipped=["c"], relation="held out")
    assert (facts.trained_on, facts.transductive) == (ids, bool(ids))
    assert (facts.questions, facts.available, facts.complete) == (2, 3, False)
    assert (facts.unreadable_references, facts.skipped) == (("b",), ("c",))
    assert facts.relation == "held out"


def test_the_settings_of_a_run() -> None:
    settings = own_settings("chat", 8, 0.5, 64, None)
    asked = [(s.label, s.temperature, s.samples, s.max_new_tokens) for s in settings]
    assert asked == [
        ("greedy", 0.0, 1, 64),
        ("sampled", 1.0, 8, 64),
        ("sampled_at_training_temperature", 0.5, 8, 64),
    ]
    # Random numbers of their own: at temperature 1 both would else be the same answers.
    assert len({s.stream for s in settings[1:]}) == 2
    greedy, sampled, _ = settings
    assert temperature_setting(greedy, 8, 0.0) == greedy
    assert temperature_setting(greedy, 8, 1.0) == sampled
    assert temperature_setting(greedy, 8, 0.25).label == "T0.25"
