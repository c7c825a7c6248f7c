"""Which answers are equal without a reference."""

from __future__ import annotations

import pytest

from rlsc.grading import Grader, cluster_answers


@pytest.fixture(scope="module")
def grader():
    with Grader(workers=1) as one:
        yield one


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([r"\boxed{1/2}", "so 0.5", r"\boxed{\frac{1}{2}}", "it is 2"], (0, 0, 0, 1)),
        (["", "7", ""], (None, 0, None)),
        ([r"\boxed{x + 1}", r"\boxed{1 + x}", r"\boxed{x}"], (0, 0, 1)),
        ([r"\boxed{(1, 2)}", r"\boxed{(1,2)}", r"\boxed{(2, 1)}"], (0, 0, 1)),
        ([r"\boxed{\sqrt{9}}", r"\boxed{3}"], (0, 0)),
        # A sum that is not worked out is no vote for its value; boxed, it is meant.
        (["The answer is 3 + 8", "The answer is 11"], (0, 1)),
        ([r"\boxed{3 + 8}", "The answer is 11"], (0, 0)),
        ([], ()),
        # Thoughts without an end have no vote, however many they are.
        (["<think>So it is 11. Or 12"] * 3 + ["It is 11."], (None, None, None, 0)),
        ([r"<think>\boxed{3 + 8}</think>It is 3 + 8", "It is 11"], (0, 1)),
        ([r"\boxed{3 + 8}", "The answer is 11", "The answer is 8 + 3"], (0, 0, 1)),
        (["The answer is 8 + 3", r"\boxed{3 + 8}", "The answer is 11"], (0, 0, 1)),
        # Where nothing is to be worked out, a box makes no difference.
        ([r"\boxed{\text{east}}", "The answer is east.", "It is west."], (0, 0, 1)),
        ([r"\boxed{B}", "The answer is (B).", r"\boxed{\text{(B)}}"], (0, 0, 0)),
        (["The answer is $x + 1$.", r"\boxed{1 + x}"], (0, 0)),
        # 25% equals both numbers, which are two answers all the same: it votes with the first.
        ([r"\boxed{25\%}", r"\boxed{0.25}", r"\boxed{25}", "so 25"], (0, 0, 1, 1)),
        ([r"\boxed{25}", r"\boxed{0.25}", r"\boxed{25\%}"], (0, 1, 0)),
        # A decimal comma is one to a reference alone: here it could be two answers.
        ([r"\boxed{3,65}", r"\boxed{3.65}", r"\boxed{3, 65}"], (0, 1, 0)),
        ([r"\boxed{3.65}", r"\boxed{3, 65}", r"\boxed{3,65}"], (0, 1, 1)),
        # A unit left out, and another unit of the same amount: not one answer by way of the first.
        ([r"\boxed{5 MN}", r"\boxed{5}", r"\boxed{5000000 N}"], (0, 0, 1)),
        ([r"\boxed{5 MN}", r"\boxed{5000000 N}", r"\boxed{5}", r"\boxed{5 MN}"], (0, 0, 1, 0)),
        ([r"\boxed{5000000 N}", r"\boxed{5 MN}", r"\boxed{5000000}"], (0, 0, 1)),
        ([r"\boxed{5\text{ km}}", r"\boxed{2 + 3}", r"\boxed{5000\text{ m}}"], (0, 0, 1)),
        ([r"\boxed{5\text{ km}}", r"\boxed{5000\text{ m}}", r"\boxed{5.0\text{ km}}"], (0, 0, 0)),
        ([r"\boxed{2}", r"\boxed{2mV}", r"\boxed{2mA}", r"\boxed{2dL}"], (0, 1, 2, 3)),
        ([r"\boxed{2mV}", r"\boxed{2Vm}", r"\boxed{2}"], (0, 0, 1)),
        ([r"\boxed{(1,3]}", r"\boxed{\{x \in \mathbb{Z} : 1 < x \le 3\}}"], (0, 1)),
        ([r"\boxed{|AB|=5}", "so 5", r"\boxed{BA=5}", r"\boxed{x+y=4}"], (0, 0, 0, 1)),
        (["The answer is 12。", "So 7+5=12！", "12"], (0, 0, 0)),
    ],
)
def test_equal_answers_share_a_cluster(grader: Grader, texts: list[str], expected: tuple) -> None:
    answers, clusters = cluster_answers(texts, grader)
    assert clusters == expected
    assert [one is None for one in answers] == [one is None for one in clusters]


def test_numbers_alone_ask_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Grader):
        def clusters(self, answers):
            raise AssertionError("asked")

    with Silent(workers=1) as silent:
        assert cluster_answers(["so 7", "7.0", "8"], silent)[1] == (0, 0, 1)
        with pytest.raises(AssertionError, match="asked"):
            cluster_answers(["It is $x$.", "It is $y$."], silent)


def test_where_comparing_takes_too_long_spelling_decides() -> None:
    with Grader(workers=1, seconds=0.5) as grader:
        texts = [r"\boxed{9^{9^{9^9}}}", r"\boxed{x+1}", r"\boxed{x + 1}", "7"]
        assert cluster_answers(texts, grader)[1] == (0, 1, 1, 2)
