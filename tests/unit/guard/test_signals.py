"""The guard's signals against what they are by definition."""

from __future__ import annotations

import math
from typing import Literal

import pytest

from rlsc.guard.signals import group_signals, information, question_values
from rlsc.types import Completion, CompletionGroup, Prompt


def completion(
    text: str, ids: tuple[int, ...] | None = None, end: Literal["stop", "length"] = "stop"
) -> Completion:
    ids = tuple(map(ord, text)) if ids is None else ids
    return Completion(text, ids, (-0.5,) * len(ids), end)


def group(name: str, *texts: str) -> CompletionGroup:
    return CompletionGroup(Prompt(name, name, (1,)), [completion(text) for text in texts])


def test_shares_of_completions_and_questions() -> None:
    groups = [
        group("a", "The answer is 3.", "The answer is 3.", "\\boxed{3.0}", "I cannot tell"),
        group("b", "The answer is 3.", "The answer is 4.", "The answer is 5.", "The answer is 3."),
        group("c", "\\boxed{7}", "\\boxed{7}", "\\boxed{7}", "\\boxed{7}"),
    ]
    found = group_signals(groups)
    expected = {
        "answered": 11 / 12,
        "boxed": 5 / 12,
        "truncation_rate": 0.0,
        "distinct_completions": (3 + 3 + 1) / 12,
        "distinct_answers": (1 + 3 + 1) / 12,
        "majority_share": (3 / 4 + 2 / 4 + 1) / 3,
        "unanimous": 1 / 3,
        "same_answer": 1 / 3,  # of the three pairs of questions, one
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_a_thought_that_the_prompt_opens_and_nothing_closes_is_no_answer() -> None:
    texts = ("So 3 + 8 is 11. Or", "So 3 + 8.</think>The answer is 11.")
    opened = CompletionGroup(
        Prompt("a", "3 + 8 = ?<|assistant|><think>\n", (1,)), [completion(text) for text in texts]
    )
    assert group_signals([opened])["answered"] == 0.5
    assert group_signals([group("a", *texts)])["answered"] == 1.0
    assert question_values([opened])["answered"] == [0.5]


def test_values_of_questions_have_the_signals_as_their_mean() -> None:
    groups = [
        group("a", "The answer is 3.", "I cannot tell"),
        group("b", "The answer is 3.", "The answer is 4."),
        group("c", "\\boxed{7}", "\\boxed{7}"),
    ]
    found, signals = question_values(groups), group_signals(groups)
    assert found["answered"] == [0.5, 1.0, 1.0]
    assert found["same_answer"] == [0.5, 0.5, 0.0]
    signals["truncated"] = signals["truncation_rate"]  # the rule's sign of it
    for name, values in found.items():
        assert sum(values) / 3 == pytest.approx(signals[name])
    assert question_values(groups[:1])["same_answer"] == [0.0]  # of one question nothing is shared


def test_an_answer_that_is_a_number_of_the_question_is_copied() -> None:
    prompt = Prompt("q", "What is 1,200 + 3.50?", (1,))
    texts = ("The answer is 1200.", "It is 3.5", "\\boxed{1203.5}", "120", "I cannot tell")
    one = CompletionGroup(prompt, [completion(text) for text in texts])
    none = group("Which is larger, A or B?", *["The answer is A."] * 5)
    assert question_values([one, none])["copied"] == [pytest.approx(2 / 5), 0.0]
    assert group_signals([one, none])["copied"] == pytest.approx(1 / 5)


def test_lengths_and_cuts() -> None:
    cut = CompletionGroup(
        Prompt("q", "q", (1,)), [completion("1", (5,)), completion("22", (5, 6, 7), "length")]
    )
    found = group_signals([cut])
    assert (found["completion_length"], found["truncation_rate"]) == (2.0, 0.5)


def test_distinct_completions_are_a_mean_over_questions() -> None:
    """Unequal K: (1/4 + 2/2) / 2, not 3/6. Equal K: exactly the distinct ones over all of them."""
    uneven = [group("a", "1", "1", "1", "1"), group("b", "1", "2")]
    assert group_signals(uneven)["distinct_completions"] == 0.625
    for distinct in range(1, 8):
        even = [group("a", *map(str, range(distinct)), *["0"] * (7 - distinct))]
        even += [group(name, *["0"] * 7) for name in "bcdef"]
        assert group_signals(even)["distinct_completions"] == (distinct + 5) / 42


def test_no_answer_at_all() -> None:
    found = group_signals(
        [
            group("a", "I cannot tell", "I cannot say"),
            group("b", "I cannot tell", "Sorry, I cannot."),
        ]
    )
    assert (found["answered"], found["same_answer"], found["majority_share"]) == (0, 0, 0)
    assert found["information"] == 0


def test_repetition_counts_runs_of_four_that_have_been_there() -> None:
    prompt = Prompt("q", "q", (1,))
    loops, short = completion("", (1,) * 13), completion("", (1, 2, 3, 4))
    signals = group_signals([CompletionGroup(prompt, [loops, short, completion("", ())])])
    assert signals["repetition"] == pytest.approx(0.9 / 3)  # ten runs, one distinct


def test_information_is_that_of_the_joint_distribution() -> None:
    """Against Σ p(q, a) log p(q, a) / (p(q) p(a)), written out."""
    answers = [("x", "x", "y", "z"), ("x", "y", "y", "y"), ("z", "z", "w", "w")]
    marginal = {a: sum(row.count(a) for row in answers) / 12 for a in "xyzw"}
    expected = 0.0
    for row in answers:
        for a in set(row):
            joint = row.count(a) / 12
            expected += joint * math.log(joint / (marginal[a] / 3))
    assert information(answers) == pytest.approx(expected / math.log(3), abs=1e-12)


def test_information_tells_one_answer_each_from_one_answer_for_all() -> None:
    assert information([("a",) * 4, ("b",) * 4, ("c",) * 4]) == pytest.approx(1)
    assert information([("a",) * 4] * 3) == pytest.approx(0)
    assert information([("a", "b")]) == 0


def test_completions_without_text() -> None:
    groups = [group("a", "The answer is 3.", " \n"), group("b", "x", "y")]
    assert group_signals(groups)["empty"] == 0.25
    assert question_values(groups)["empty"] == [0.5, 0.0]
