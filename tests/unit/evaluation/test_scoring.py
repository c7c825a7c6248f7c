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

from rlsc.evaluation.scoring import Answers, by_question, length_changes
from rlsc.evaluation.scoring import compare as compare_answers
from rlsc.evaluation.scoring import score as score_answers
from rlsc.records.conversion import to_json
from rlsc.records.rows import AnswerRow
from rlsc.report.sections.words import difference_text
from rlsc.report.sections.words import flipped as words_of_flips
from rlsc.statistics.intervals import bootstrap_interval, wilson_interval
from rlsc.types import Difference, Score, Setting, Verdict

VERDICTS = {"+": "correct", "-": "wrong", "?": "unparsed", "!": "timeout"}


SETTING = Setting("chat", 0.5, 4, 9)


def row(name: str, verdict: str | None, answer: str | None = "1", **more) -> AnswerRow:
    """`verdict` is a sign of `VERDICTS`; None: without a reference answer."""
    given = {
        "id": name,
        "sample": 0,
        "prompt": "p",
        "text": "x",
        "tokens": 2,
        "logprob": -1.0,
        "finish_reason": "stop",
        "max_new_tokens": 9,
        "seconds": 0.5,
        "answer": None if verdict in ("?", "!") else answer,
        "verdict": None if verdict is None else VERDICTS[verdict],
        "grading_seconds": 0.25,
    }
    return AnswerRow(**given | more)


def score(rows: Sequence[AnswerRow]) -> Score:
    return score_answers(rows, SETTING)


def compare(before: Sequence[AnswerRow], after: Sequence[AnswerRow], **more) -> Difference:
    return compare_answers(Answers("base", before), Answers("tuned", after, **more))


def rows(**questions: str) -> list[AnswerRow]:
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
        row(
            *("b", "-", "3"),
            text="3 3 3 3 3 3",
            tokens=6,
            logprob=6 * math.log(0.3),
            finish_reason="length",
        ),
        row("b", "?", text="hm", tokens=0, logprob=0.0),
        row("c", "+", "5", text="5", tokens=3, logprob=3 * math.log(0.2)),
        row("c", "!", text="9^9^9", tokens=9, logprob=9 * math.log(0.8), grading_seconds=5.0),
    ]
    found = score(given)
    assert (found.n, found.questions, list(found.pass_at)) == (3, 3, [1, 2])
    assert found.accuracy.value == pytest.approx(3 / 6)
    assert found.verdicts == {"correct": 3, "wrong": 1, "unparsed": 1, "timeout": 1}
    assert found.timeouts == ("c",)
    assert found.pass_at[1].value == pytest.approx(0.5)
    assert found.pass_at[2].value == pytest.approx(2 / 3)
    # Drawn alone, an answer is its own majority; c's one vote of two is for 5.
    assert found.majority_at[1].value == pytest.approx(0.5)
    assert found.majority_at[2].value == pytest.approx(2 / 3)
    assert found.mean_length == pytest.approx(24 / 6)
    assert found.median_length == 3.5
    assert found.truncation_rate == pytest.approx(1 / 6)
    assert found.boxed_rate == pytest.approx(2 / 6)
    assert found.repetition == pytest.approx((2 / 3) / 6)  # 2 of the 3 grams of "3 3 3 3 3 3"
    assert found.seconds == pytest.approx(6 * 0.5 + 5 * 0.25 + 5)
    calibration = found.calibration
    assert calibration.n == 5  # an empty completion has no confidence
    # right 0.9, 0.7, 0.2 against wrong 0.3, 0.8: three of six pairs are in order.
    assert calibration.auroc == pytest.approx(3 / 6)
    expected = (0.1 + 0.3 + 0.8 + 0.3 + 0.8) / 5  # each in a bin of its own
    assert calibration.error == pytest.approx(expected)
    assert [part.n for part in calibration.curve] == [1] * 5
    assert [part.accuracy for part in calibration.curve] == [1, 0, 1, 0, 1]
    json.dumps(to_json(found), allow_nan=False)


def test_what_is_not_graded_right_or_wrong_stays_in_every_denominator() -> None:
    """Nothing but the counts may tell unparsed and timeout from wrong."""
    wrong = score(rows(a="++--", b="+---", c="----"))
    for sign in "?!":
        signs = [name.replace("-", sign) for name in ("++--", "+---", "----")]
        found = score(rows(**dict(zip("abc", signs, strict=True))))
        for key in ("n", "questions", "accuracy", "pass_at"):
            assert getattr(found, key) == getattr(wrong, key), (key, sign)
        assert found.verdicts[VERDICTS[sign]] == 9
        assert sum(found.verdicts.values()) == 12
        assert set(found.verdicts) == {verdict.value for verdict in Verdict}
    assert wrong.accuracy.value == 3 / 12


def test_a_question_that_nobody_answers_counts_as_one() -> None:
    found = score(rows(a="+", b="?", c="!", d="?"))
    assert (found.n, found.accuracy.value) == (4, 0.25)
    assert found.majority_at[1].value == 0.25
    assert found.calibration.n == 4
    assert found.timeouts == ("c",)


@pytest.mark.parametrize("sign", "?!-")
def test_none_right_is_nought_with_an_honest_interval(sign: str) -> None:
    found = score(rows(a=sign, b=sign))
    assert found.accuracy.value == 0
    low, high = found.accuracy.interval
    assert low == pytest.approx(0)
    z = stats.norm.ppf(0.975)
    assert high == pytest.approx(z * z / (2 + z * z))  # Wilson's, of 0 in 2
    assert found.calibration.auroc is None
    json.dumps(to_json(found), allow_nan=False)


def voted(answers: Sequence[str | None], right: set[str], k: int) -> float:
    """Majority of k drawn from the samples, over all draws; ties broken at random."""
    shares = []
    for drawn in combinations(answers, k):
        votes = Counter(answer for answer in drawn if answer is not None)
        top = [one for one, count in votes.items() if count == max(votes.values())]
        shares.append(sum(one in right for one in top) / len(top) if top else 0)
    return sum(shares) / len(shares)


def test_a_sure_answer_outweighs_two_unsure_ones() -> None:
    """0.9 against 0.4 and 0.3; the surest tenth of three is one; and of many, subsets are few."""
    sure = [(("+", "7"), 0.9), (("-", "3"), 0.4), (("-", "3"), 0.3)]
    given = [row("a", *said, tokens=2, logprob=2 * math.log(p)) for said, p in sure]
    found = score(given)
    assert found.majority_at[3].value == 0.0
    assert found.weighted_majority_at is not None
    assert found.filtered_majority_at is not None
    assert found.weighted_majority_at[3].value == found.filtered_majority_at[3].value == 1.0
    assert found.weighted_majority_at[2].value == pytest.approx(2 / 3)  # all but the pair of 3s
    many = score([row("a", "+", "7", tokens=1, logprob=-1.0) for _ in range(64)])
    assert list(many.weighted_majority_at or ()) == [64]
    assert many.majority_at.keys() > {64}


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
        assert list(found.pass_at) == list(found.majority_at) == [1, 2, 4, 8, 9]
        for k in (1, 2, 4, 8, 9):
            passed = [
                sum("7" in drawn for drawn in combinations(said, k)) / math.comb(9, k)
                for said in answers.values()
            ]
            majority = [voted(said, {"7"}, k) for said in answers.values()]
            assert found.pass_at[k].value == pytest.approx(sum(passed) / 4)
            assert found.majority_at[k].value == pytest.approx(sum(majority) / 4)


def test_k_goes_up_to_the_samples_there_are() -> None:
    assert list(score(rows(a="+", b="-")).pass_at) == [1]
    assert list(score(rows(a="+" * 16, b="-" * 16)).pass_at) == [1, 2, 4, 8, 16]
    uneven = score(rows(a="++++", b="-"))
    assert list(uneven.pass_at) == [1]
    assert uneven.accuracy.value == 1 / 2  # each question counts as much


def test_votes_are_counted_by_value_not_by_spelling() -> None:
    spelt = ["0.5", r"\frac{1}{2}", r"\dfrac12", "3", "3"]
    given = [row("a", "+" if place < 3 else "-", text) for place, text in enumerate(spelt)]
    assert score(given).majority_at[4].value == pytest.approx(
        voted(["h", "h", "h", "3", "3"], {"h"}, 4)
    )
    assert by_question(given)["a"].right == [True] * 3 + [False] * 2


def test_the_interval_is_over_questions_not_over_samples() -> None:
    """Sixteen equal samples of a question know no more than one."""
    once = score(rows(a="+", b="-", c="+", d="-", e="-"))
    often = score(rows(a="+" * 16, b="-" * 16, c="+" * 16, d="-" * 16, e="-" * 16))
    assert often.accuracy == once.accuracy
    assert often.accuracy.interval[1] - often.accuracy.interval[0] > 0.5
    assert often.pass_at[16] == once.accuracy


def test_one_interval_rule_for_every_figure() -> None:
    """Wilson's of questions that are right or wrong; a bootstrap over questions of shares."""
    found = score(rows(a="++", b="--", c="+-"))
    assert found.accuracy.interval == bootstrap_interval([1, 0, 0.5])
    assert found.pass_at[2].interval == wilson_interval(2, 3)
    tied = score([row("a", "+", "7"), row("a", "-", "8"), row("b", "+", "7"), row("b", "+", "7")])
    assert tied.majority_at[2].value == 0.75  # a tie counts one half
    assert tied.majority_at[2].interval == bootstrap_interval([0.5, 1])
    assert tied.majority == tied.majority_at.get(SETTING.samples)


def test_questions_without_references_count_in_lengths_alone() -> None:
    found = score([row("a", "+"), row("b", None, tokens=8)])
    assert (found.n, found.questions, found.accuracy.value) == (1, 2, 1)
    assert found.mean_length == 5
    none = score([row("a", None)])
    assert (none.n, none.accuracy, none.calibration, none.majority) == (0, None, None, None)
    assert (none.pass_at, sum(none.verdicts.values())) == ({}, 0)


def test_no_answers_have_no_score() -> None:
    with pytest.raises(ValueError, match="no answers"):
        score([])


# Two models.


def test_a_comparison_by_hand() -> None:
    before = rows(a="+", b="-", c="?", d="+", e="-", f="!", g="+")
    after = rows(a="+", b="+", c="+", d="!", e="-", f="+", g="+")
    found = compare(before, after)
    assert (found.before, found.after, found.n) == ("base", "tuned", 7)
    assert found.accuracy.value == pytest.approx((3 - 1) / 7)
    assert (found.gained, found.lost) == (("b", "c", "f"), ("d",))
    assert found.majority is None
    assert found.mcnemar_p == pytest.approx(2 * (1 + 4) / 2**4)
    low, high = found.accuracy.interval
    assert low < found.accuracy.value < high
    back = compare(after, before)
    assert back.accuracy.value == -found.accuracy.value
    assert (back.gained, back.lost) == (found.lost, found.gained)
    assert back.mcnemar_p == found.mcnemar_p
    json.dumps(to_json(found), allow_nan=False)


def test_a_difference_is_paired() -> None:
    """The same two accuracies: certain where every question agrees, unsure where all flip."""
    half = {name: "+" if name < "e" else "-" for name in "abcdefgh"}
    other = {name: "-" if name < "e" else "+" for name in "abcdefgh"}
    same, flipped = compare(rows(**half), rows(**half)), compare(rows(**half), rows(**other))
    assert same.accuracy.value == flipped.accuracy.value == 0
    assert same.accuracy.interval == (0, 0)
    assert flipped.accuracy.interval[1] - flipped.accuracy.interval[0] > 1
    assert (same.mcnemar_p, flipped.mcnemar_p) == (1, 1)
    assert (same.gained, same.lost) == ((), ())
    assert (flipped.gained, flipped.lost) == (tuple("efgh"), tuple("abcd"))


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
        assert compare(before, after).mcnemar_p == pytest.approx(p)


def test_with_several_samples_the_majority_flips() -> None:
    def said(*answers: str) -> list[AnswerRow]:
        return [
            row(str(question), "+" if answer == "7" else "-", answer)
            for question, text in enumerate(answers)
            for answer in text
        ]

    before = said("7788", "7899", "7778", "8887")
    after = said("7778", "7778", "7788", "8877")
    found = compare(before, after)
    # A tie is not decided: 0 was one and is won, 2 was won and is one, 3 was lost and is one.
    assert (found.gained, found.lost) == (("0", "1"), ("2",))
    assert found.accuracy.value == pytest.approx((3 + 3 + 2 + 2 - (2 + 1 + 3 + 1)) / 16)


def test_samples_need_not_be_as_many() -> None:
    found = compare(rows(a="+", b="-"), rows(a="+-+-", b="++--"))
    assert found.accuracy.value == pytest.approx((0.5 + 0.5) / 2 - 0.5)


def test_means_of_other_numbers_of_samples_flip_nothing() -> None:
    """Each mean of five is higher than the single answer, and each majority is wrong."""
    before, after = (
        rows(a="-", b="-"),
        [
            row(name, "+" if n < 2 else "-", "7" if n < 2 else "8")
            for name in "ab"
            for n in range(5)
        ],
    )
    found = compare(before, after)
    assert found.accuracy.value == pytest.approx(0.4)
    assert (found.mcnemar_p, found.gained, found.lost) == (None, (), ())
    vote = compare(before, after, majority=True)  # one answer a question on both sides
    assert (vote.accuracy.value, vote.mcnemar_p) == (0, 1)
    assert "McNemar" not in difference_text(found)
    assert words_of_flips(found) == []
    assert compare(after, after).mcnemar_p == 1


@pytest.mark.parametrize("names", ["ab", "abcd", "abd", "bac"])
def test_other_questions_do_not_compare(names: str) -> None:
    with pytest.raises(ValueError, match="different questions"):
        compare(rows(a="+", b="-", c="+"), rows(**dict.fromkeys(names, "+")))


def test_a_majority_is_compared_by_its_expectation() -> None:
    """Base: the one answer of each; tuned: the vote of two, where a tie is one half."""
    before = rows(a="+", b="-")
    after = [row("a", "+", "7"), row("a", "-", "8"), row("b", "+", "7"), row("b", "+", "7")]
    found = compare(before, after, majority=True)
    assert (found.before, found.after) == ("base", "tuned majority")
    assert found.accuracy.value == pytest.approx((0.5 + 1) / 2 - 0.5)
    both = compare(after, after)
    assert both.majority.value == 0


def test_without_references_only_lengths_are_compared() -> None:
    found = compare([row("a", None, tokens=3)], [row("a", None, tokens=5)])
    assert (found.n, found.accuracy, found.mcnemar_p, found.gained) == (0, None, None, ())
    assert list(found.lengths) == ["all"]
    assert found.lengths["all"].difference.value == 2


# Lengths.


def test_the_change_of_length_is_tested_by_pairs() -> None:
    old, new = [10, 20, 30, 40, 50, 26], [5, 11, 31, 12, 13, 7]
    before = [row(str(i), "+", tokens=n) for i, n in enumerate(old)]
    after = [row(str(i), "+", tokens=n) for i, n in enumerate(new)]
    found = length_changes(before, after)["all"]
    assert found.n == 6
    assert found.before == pytest.approx(29.333, abs=1e-3)
    assert found.difference.value == pytest.approx(-16.1667, abs=1e-3)
    assert found.wilcoxon_p == stats.wilcoxon(old, new).pvalue
    assert length_changes(before, before)["all"].wilcoxon_p is None


def test_lengths_are_compared_where_both_sides_are_right_and_where_neither_is() -> None:
    sides = [
        [row(name, sign, tokens=n) for name, sign, n in zip("abcd", signs, lengths, strict=True)]
        for signs, lengths in (
            (("+", "-", "+", None), (10, 40, 8, 99)),
            (("+", "-", "-", None), (4, 50, 6, 1)),
        )
    ]
    found = length_changes(*sides)
    assert {name: part.n for name, part in found.items()} == {"all": 4, "right": 1, "not_right": 1}
    assert found["right"].difference.value == -6
    assert found["not_right"].difference.value == 10


def test_several_samples_of_a_question_are_one_pair() -> None:
    before = [row("a", "+", tokens=10), row("a", "-", tokens=30), row("a", "+", tokens=20)]
    after = [row("a", "+", tokens=9), row("a", "+", tokens=11)]
    after.append(row("a", "-", tokens=50, finish_reason="length"))
    found = length_changes(before, after)
    assert (found["right"].before, found["right"].after) == (15, 10)
    assert found["not_right"].difference.value == 20
    assert (found["all"].cut_off_before, found["all"].cut_off_after) == (0, pytest.approx(1 / 3))
