"""Scores against figures worked out by hand, and against enumeration."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import pytest
from scipy import stats

from rlsc.evaluation.scores import compare, score, tallies
from rlsc.types import Verdict

VERDICTS = {"+": "correct", "-": "wrong", "?": "unparsed", "!": "timeout"}


def row(name: str, verdict: str, answer: str | None = "1", **more) -> dict:
    if verdict in "?!":
        answer = None
    return {
        "id": name,
        "answer": answer,
        "verdict": VERDICTS[verdict],
        "text": "x",
        "tokens": 2,
        "logprob": -1.0,
        "finish_reason": "stop",
        "seconds": 0.5,
        "grading_seconds": 0.25,
    } | more


def rows(**questions: str) -> list[dict]:
    """One question: its samples' signs, where right is the answer 7 and each wrong one its own."""
    return [
        row(name, sign, "7" if sign == "+" else f"-{number}")
        for name, signs in questions.items()
        for number, sign in enumerate(signs)
    ]


# One model.


def test_every_figure_by_hand() -> None:
    given = [
        row("a", "+", "7", text=r"\boxed{7}", tokens=2, logprob=2 * math.log(0.9)),
        row("a", "+", "7.0", text=r"\boxed{7.0}", tokens=4, logprob=4 * math.log(0.7)),
        row("b", "-", "3", text="3 3 3 3 3 3", tokens=6, finish_reason="length"),
        row("b", "?", text="hm", tokens=0, logprob=0.0),
        row("c", "+", "5", text="5", tokens=3, logprob=3 * math.log(0.2)),
        row("c", "!", text="9^9^9", tokens=9, logprob=9 * math.log(0.8), grading_seconds=5.0),
    ]
    given[2]["logprob"] = 6 * math.log(0.3)
    found = score(given)
    assert (found["n"], found["samples"]) == (3, 2)
    assert found["accuracy"] == found["pass@1"] == pytest.approx(3 / 6)
    assert found["verdicts"] == {"correct": 3, "wrong": 1, "unparsed": 1, "timeout": 1}
    assert found["timeouts"] == ["c"]
    assert found["pass@k"]["1"]["value"] == pytest.approx(0.5)
    assert found["pass@k"]["2"]["value"] == pytest.approx(2 / 3)
    # Drawn alone, an answer is its own majority; c's one vote of two is for 5.
    assert found["majority@k"]["1"]["value"] == pytest.approx(0.5)
    assert found["majority@k"]["2"]["value"] == pytest.approx(2 / 3)
    assert found["mean_length"] == pytest.approx(24 / 6)
    assert found["median_length"] == 3.5
    assert found["truncation_rate"] == pytest.approx(1 / 6)
    assert found["boxed_rate"] == pytest.approx(2 / 6)
    assert found["repetition"] == pytest.approx((2 / 3) / 6)  # 2 of the 3 grams of "3 3 3 3 3 3"
    assert found["seconds"] == pytest.approx(6 * 0.5 + 5 * 0.25 + 5)
    calibration = found["calibration"]
    assert calibration["n"] == 5  # an empty completion has no confidence
    # right 0.9, 0.7, 0.2 against wrong 0.3, 0.8: three of six pairs are in order.
    assert calibration["auroc"] == pytest.approx(3 / 6)
    expected = (0.1 + 0.3 + 0.8 + 0.3 + 0.8) / 5  # each in a bin of its own
    assert calibration["expected_calibration_error"] == pytest.approx(expected)
    assert [part["n"] for part in calibration["curve"]] == [1] * 5
    assert [part["accuracy"] for part in calibration["curve"]] == [1, 0, 1, 0, 1]
    json.dumps(found, allow_nan=False)


def test_what_is_not_graded_right_or_wrong_stays_in_every_denominator() -> None:
    """Nothing but the counts may tell unparsed and timeout from wrong."""
    wrong = score(rows(a="++--", b="+---", c="----"))
    for sign in "?!":
        signs = [name.replace("-", sign) for name in ("++--", "+---", "----")]
        found = score(rows(**dict(zip("abc", signs, strict=True))))
        for key in ("n", "samples", "accuracy", "pass@1", "interval", "pass@k"):
            assert found[key] == wrong[key], (key, sign)
        assert found["verdicts"][VERDICTS[sign]] == 9
        assert sum(found["verdicts"].values()) == 12
        assert set(found["verdicts"]) == {verdict.value for verdict in Verdict}
    assert wrong["accuracy"] == 3 / 12


def test_a_question_that_nobody_answers_counts_as_one() -> None:
    found = score(rows(a="+", b="?", c="!", d="?"))
    assert (found["n"], found["accuracy"], found["pass@1"]) == (4, 0.25, 0.25)
    assert found["majority@k"]["1"]["value"] == 0.25
    assert found["calibration"]["n"] == 4
    assert found["timeouts"] == ["c"]


@pytest.mark.parametrize("sign", "?!-")
def test_none_right_is_nought_with_an_honest_interval(sign: str) -> None:
    found = score(rows(a=sign, b=sign))
    assert found["accuracy"] == 0
    low, high = found["interval"]
    assert low == pytest.approx(0)
    z = stats.norm.ppf(0.975)
    assert high == pytest.approx(z * z / (2 + z * z))  # Wilson's, of 0 in 2
    assert found["calibration"]["auroc"] is None
    json.dumps(found, allow_nan=False)


def voted(answers: Sequence[str | None], right: set[str], k: int) -> float:
    """Majority of k drawn from the samples, over all draws; ties broken at random."""
    shares = []
    for drawn in combinations(answers, k):
        votes = Counter(answer for answer in drawn if answer is not None)
        top = [one for one, count in votes.items() if count == max(votes.values())]
        shares.append(sum(one in right for one in top) / len(top) if top else 0)
    return sum(shares) / len(shares)


def test_pass_and_majority_at_k_are_those_of_all_draws() -> None:
    generator = random.Random(5)
    for _ in range(10):
        answers = {
            name: [generator.choice(["7", "8", "9", None]) for _ in range(9)] for name in "abcd"
        }
        given = [
            row(name, "?" if answer is None else "+" if answer == "7" else "-", answer)
            for name, said in answers.items()
            for answer in said
        ]
        found = score(given)
        assert list(found["pass@k"]) == list(found["majority@k"]) == ["1", "2", "4", "8", "9"]
        for k in (1, 2, 4, 8, 9):
            passed = [
                sum("7" in drawn for drawn in combinations(said, k)) / math.comb(9, k)
                for said in answers.values()
            ]
            majority = [voted(said, {"7"}, k) for said in answers.values()]
            assert found["pass@k"][str(k)]["value"] == pytest.approx(sum(passed) / 4)
            assert found["majority@k"][str(k)]["value"] == pytest.approx(sum(majority) / 4)


def test_k_goes_up_to_the_samples_there_are() -> None:
    assert list(score(rows(a="+", b="-"))["pass@k"]) == ["1"]
    assert list(score(rows(a="+" * 16, b="-" * 16))["pass@k"]) == ["1", "2", "4", "8", "16"]
    uneven = score(rows(a="++++", b="-"))
    assert (list(uneven["pass@k"]), uneven["samples"]) == (["1"], 1)
    assert (uneven["accuracy"], uneven["pass@1"]) == (4 / 5, 1 / 2)


def test_votes_are_counted_by_value_not_by_spelling() -> None:
    spelt = ["0.5", r"\frac{1}{2}", r"\dfrac12", "3", "3"]
    given = [row("a", "+" if place < 3 else "-", text) for place, text in enumerate(spelt)]
    assert score(given)["majority@k"]["4"]["value"] == pytest.approx(
        voted(["h", "h", "h", "3", "3"], {"h"}, 4)
    )
    assert tallies(given)["a"].right == [True] * 3 + [False] * 2


def test_the_interval_is_over_questions_not_over_samples() -> None:
    """Sixteen equal samples of a question know no more than one."""
    once = score(rows(a="+", b="-", c="+", d="-", e="-"))
    often = score(rows(a="+" * 16, b="-" * 16, c="+" * 16, d="-" * 16, e="-" * 16))
    assert often["interval"] == once["interval"]
    assert often["interval"][1] - often["interval"][0] > 0.5
    assert often["pass@k"]["16"]["interval"] == once["interval"]
    # Two questions: 0, one half and 1 come up 1/4, 1/2 and 1/4 of the time.
    assert tuple(score(rows(a="+", b="-"))["interval"]) == (0.0, 1.0)


# Two models.


def test_a_comparison_by_hand() -> None:
    before = rows(a="+", b="-", c="?", d="+", e="-", f="!", g="+")
    after = rows(a="+", b="+", c="+", d="!", e="-", f="+", g="+")
    found = compare(before, after)
    assert found["n"] == 7
    assert found["difference"] == pytest.approx((3 - 1) / 7)
    assert (found["gained"], found["lost"]) == (["b", "c", "f"], ["d"])
    assert found["mcnemar_p"] == pytest.approx(2 * (1 + 4) / 2**4)
    low, high = found["interval"]
    assert low < found["difference"] < high
    back = compare(after, before)
    assert back["difference"] == -found["difference"]
    assert (back["gained"], back["lost"]) == (found["lost"], found["gained"])
    assert back["mcnemar_p"] == found["mcnemar_p"]
    json.dumps(found, allow_nan=False)


def test_a_difference_is_paired() -> None:
    """The same two accuracies: certain where every question agrees, unsure where all flip."""
    half = {name: "+" if name < "e" else "-" for name in "abcdefgh"}
    other = {name: "-" if name < "e" else "+" for name in "abcdefgh"}
    same, flipped = compare(rows(**half), rows(**half)), compare(rows(**half), rows(**other))
    assert same["difference"] == flipped["difference"] == 0
    assert tuple(same["interval"]) == (0, 0)
    assert flipped["interval"][1] - flipped["interval"][0] > 1
    assert (same["mcnemar_p"], flipped["mcnemar_p"]) == (1, 1)
    assert (same["gained"], same["lost"]) == ([], [])
    assert (flipped["gained"], flipped["lost"]) == (list("efgh"), list("abcd"))


@pytest.mark.parametrize("n", [1, 3, 5, 8])
def test_mcnemar_is_the_binomial_of_the_flips(n: int) -> None:
    """All outcomes of n fair coins that are no more likely than what was seen."""
    for gained in range(n + 1):
        signs = ["+" if place < gained else "-" for place in range(n)]
        names = [f"q{place}" for place in range(n)]
        after = rows(same="+", **dict(zip(names, signs, strict=True)))
        turned = str.maketrans("+-", "-+")
        flipped = [s.translate(turned) for s in signs]
        before = rows(same="+", **dict(zip(names, flipped, strict=True)))
        likely = math.comb(n, gained)
        p = sum(math.comb(n, k) for k in range(n + 1) if math.comb(n, k) <= likely) / 2**n
        assert compare(before, after)["mcnemar_p"] == pytest.approx(p)


def test_with_several_samples_the_majority_flips() -> None:
    def said(*answers: str) -> list[dict]:
        return [
            row(str(question), "+" if answer == "7" else "-", answer)
            for question, text in enumerate(answers)
            for answer in text
        ]

    before = said("7788", "7899", "7778", "8887")
    after = said("7778", "7778", "7788", "8877")
    found = compare(before, after)
    # A tie is not decided: 0 was one and is won, 2 was won and is one, 3 was lost and is one.
    assert (found["gained"], found["lost"]) == (["0", "1"], ["2"])
    assert found["difference"] == pytest.approx((3 + 3 + 2 + 2 - (2 + 1 + 3 + 1)) / 16)


def test_samples_need_not_be_as_many() -> None:
    found = compare(rows(a="+", b="-"), rows(a="+-+-", b="++--"))
    assert found["difference"] == pytest.approx((0.5 + 0.5) / 2 - 0.5)


@pytest.mark.parametrize("names", ["ab", "abcd", "abd", "bac"])
def test_other_questions_do_not_compare(names: str) -> None:
    with pytest.raises(ValueError, match="different questions"):
        compare(rows(a="+", b="-", c="+"), rows(**dict.fromkeys(names, "+")))
