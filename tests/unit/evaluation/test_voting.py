"""One majority: evaluation counts those answers as one that training counts as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rlsc.evaluation.collecting import graded, regrade
from rlsc.evaluation.scoring import by_question, score
from rlsc.grading import Grader, cluster_answers
from rlsc.records.rows import AnswerRow, read_rows, rows_file, write_rows
from rlsc.types import AnswerKey, Question, Setting, Task

FORMS = {
    "a unit, or none": [r"\boxed{3 \text{ hours}}", r"\boxed{3}", "The answer is 3 hours."],
    "two units": [r"\boxed{3 \text{ hours}}", r"\boxed{3 \text{ minutes}}", r"\boxed{180 \min}"],
    "lengths": [r"\boxed{10 \text{ cm}}", r"\boxed{0.1 \text{ m}}", r"\boxed{12 \text{ cm}}"],
    "degrees": [r"\boxed{90^\circ}", r"\boxed{90}", r"\boxed{90 \text{ degrees}}"],
    "money": [r"\boxed{\$5}", r"\boxed{5 \text{ dollars}}", "It costs 5 dollars.", r"\boxed{6}"],
    "cents": [r"\boxed{50 \text{ cents}}", r"\boxed{\$0.50}", r"\boxed{\$50}"],
    "percent": [r"\boxed{25\%}", r"\boxed{0.25}", r"\boxed{\frac14}", "So it is 25%."],
    "percent, and a number too many": [r"\boxed{25\%}", r"\boxed{25}", r"\boxed{0.25}"],
    "fractions": [r"\boxed{\frac{1}{2}}", r"\boxed{0.5}", "So it is 1/2.", r"\boxed{0.6}"],
    "a period": [r"\boxed{0.\overline{3}}", r"\boxed{\frac13}", r"\boxed{0.33}"],
    "thousands": [r"\boxed{1{,}000}", r"\boxed{10^3}", r"\boxed{1000}", r"\boxed{10^4}"],
    "roots": [r"\boxed{3\sqrt{2}}", r"\boxed{\sqrt{18}}", r"\boxed{\sqrt{8}}"],
    "pi": [r"\boxed{\frac{\pi}{2}}", r"\boxed{0.5\pi}", r"\boxed{\pi}"],
    "terms": [r"\boxed{x + 1}", r"\boxed{1+x}", r"\boxed{x - 1}"],
    "factors": [r"\boxed{x^2 - 1}", r"\boxed{(x-1)(x+1)}", r"\boxed{x^2 + 1}"],
    "complex": [r"\boxed{2 + 3i}", r"\boxed{3i + 2}", r"\boxed{2 - 3i}"],
    "a name before": [r"\boxed{x = 5}", r"\boxed{5}", r"\boxed{y = 5}"],
    "points": [r"\boxed{(1, 2)}", r"\boxed{\left(1,2\right)}", r"\boxed{(2, 1)}"],
    "sets": [r"\boxed{1, 2}", r"\boxed{\{2, 1\}}", r"\boxed{1 \text{ and } 2}", r"\boxed{1}"],
    "intervals": [r"\boxed{(0,\infty)}", r"\boxed{x > 0}", r"\boxed{[0,\infty)}"],
    "not worked out": ["The answer is 3 + 8", "The answer is 11", r"\boxed{3 + 8}"],
    "letters": [r"\boxed{\text{(B)}}", r"\boxed{B}", "The answer is (B).", r"\boxed{C}"],
    "words": [r"\boxed{\text{east}}", r"\boxed{East}", r"\boxed{west}", "It is east."],
    "no answer": ["", r"\boxed{x+1}", "", r"\boxed{1+x}"],
}


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(workers=1) as one:
        yield one


def row(text: str, sample: int, name: str = "a", prompt: str = "p") -> AnswerRow:
    return AnswerRow(name, sample, prompt, text, 2, -1.0, "stop", 9, 0.0)


def task(reference: str = "7", kind: str = "math") -> Task:
    ids = ("a", "b")
    key = AnswerKey(dict.fromkeys(ids, reference))
    return Task("own", "own", tuple(Question(name, name) for name in ids), key, kind=kind)


def numbered(keys: Sequence[str | None]) -> tuple[int | None, ...]:
    """As clusters are: from 0 by the first of each."""
    first: dict[str, int] = {}
    return tuple(None if key is None else first.setdefault(key, len(first)) for key in keys)


@pytest.mark.parametrize("texts", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("kind", ["math", "numeric"])
def test_evaluation_counts_as_training_does(grader: Grader, texts: list[str], kind: str) -> None:
    for order in (texts, texts[::-1]):
        rows = graded([row(text, n) for n, text in enumerate(order)], task(kind=kind), grader)
        votes = by_question(rows)["a"]
        assert numbered(votes.keys) == cluster_answers(order, grader)[1]


def test_equal_answers_win_a_majority_together(grader: Grader) -> None:
    """Two of three spell the right answer in two ways: apart, each would be in a tie."""
    texts = [r"\boxed{x - 1}", r"\boxed{1 + x}", r"\boxed{x + 1}"]
    rows = graded([row(text, n) for n, text in enumerate(texts)], task("x+1"), grader)
    found = score(rows, Setting("chat", 0.5, 3, 9))
    assert found.accuracy is not None
    assert found.accuracy.value == pytest.approx(2 / 3)
    for votes in (found.majority_at, found.weighted_majority_at, found.filtered_majority_at):
        assert votes[3].value == 1
    assert [one.key for one in rows] == [None, None, "1+x"]  # the second's own key is said by it


def test_questions_do_not_mix_and_may_lie_in_any_order(grader: Grader) -> None:
    said = [("a", "x+1"), ("b", "1+x"), ("a", "1+x"), ("b", "x+1"), ("b", "x")]
    rows = [row(rf"\boxed{{{text}}}", n, name) for n, (name, text) in enumerate(said)]
    found = graded(rows, task(), grader)
    assert [one.text for one in found] == [one.text for one in rows]
    assert [one.key for one in found] == [None, None, "x+1", "1+x", None]


def test_numbers_ask_nobody_and_their_rows_are_as_they_were() -> None:
    class Silent(Grader):
        def clusters(self, answers: object) -> list[int] | None:
            raise AssertionError("asked")

    with Silent(workers=1) as silent:
        rows = graded([row(text, n) for n, text in enumerate(["so 7", "7.0", "8"])], task(), silent)
        assert [one.key for one in rows] == [None, None, None]
        alone = [row(r"\boxed{x}", 0), row(r"\boxed{y}", 0, "b")]  # a sample a question
        assert [one.key for one in graded(alone, task(), silent)] == [None, None]
        with pytest.raises(AssertionError, match="asked"):
            graded([row(r"\boxed{x}", 0), row(r"\boxed{y}", 1)], task(), silent)


def test_a_choice_is_a_letter_by_its_options(grader: Grader) -> None:
    """Training, which is not told the options, takes a letter and its text for two answers."""
    own = replace(task("B", "choice"), choices={"a": ("Mars", "Sirius")})
    texts = [r"\boxed{B}", r"\boxed{\text{Sirius}}", r"\boxed{A}"]
    rows = graded([row(text, n) for n, text in enumerate(texts)], own, grader)
    assert by_question(rows)["a"].keys == ["B", "B", "A"]
    assert cluster_answers(texts, grader)[1] == (0, 1, 2)


def test_an_answer_that_took_too_long_to_judge_has_its_vote_and_is_not_right() -> None:
    """A majority knows no reference, so it cannot depend on how long that was compared with."""
    with Grader(workers=1, seconds=0.5) as quick:
        texts = [r"\boxed{9^{9^{9^9}}}", r"\boxed{9^{9^{9^9}}}", "7", "I cannot tell."]
        rows = graded([row(text, n) for n, text in enumerate(texts)], task(), quick)
    assert [one.verdict for one in rows] == ["timeout", "timeout", "correct", "unparsed"]
    votes = by_question(rows)["a"]
    assert votes.keys == ["9^{9^{9^9}}", "9^{9^{9^9}}", " 7", None]
    assert votes.majority == 0


def test_answers_are_read_behind_the_thought_that_the_prompt_opens(grader: Grader) -> None:
    texts = [r"\boxed{x+1}", r"\boxed{x}</think>\boxed{1+x}", r"</think>\boxed{x+1}"]
    rows = [row(text, n, prompt="p<think>\n") for n, text in enumerate(texts)]
    found = by_question(graded(rows, task(), grader))["a"]
    assert numbered(found.keys) == (None, 0, 0)


def test_what_is_judged_anew_votes_anew(grader: Grader, tmp_path: Path) -> None:
    rows = [row(r"\boxed{x+1}", 0), row(r"\boxed{1+x}", 1)]
    stale = [replace(one, key="of another grader") for one in rows]
    assert [one.key for one in graded(stale, task(), grader)] == [None, "x+1"]
    file = rows_file(tmp_path, task().name, "chat")
    file.parent.mkdir(parents=True)
    write_rows(file, stale)
    assert regrade(task(), file, grader) == 2  # no verdict among them
    assert [one.key for one in read_rows(file)] == [None, "x+1"]
    assert regrade(task(), file, grader) == 0
    unlabelled = replace(task(), answers=AnswerKey({}))
    assert [one.key for one in graded(stale, unlabelled, grader)] == [None, None]
