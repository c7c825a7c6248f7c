"""The guard's rule on histories made up for it: what it must see, and what it must let pass."""

from __future__ import annotations

import pytest

from rlsc.verdicts import COLLAPSED, HEALTHY, NARROWING, Observation, judge, kept_step

BASE = {
    "completion_length": 30.0,
    "truncated": 0.1,
    "repetition": 0.02,
    "same_answer": 0.1,
    "answered": 0.9,
    "distinct_completions": 0.9,
}
HALF = (0.5,) * 32


def seen(*changes: dict[str, float], support: list[tuple[float, ...]] | None = None):
    support = support or [HALF] * (len(changes) + 1)
    rows = [{}, *changes]
    return [
        Observation(step, BASE | row, votes)
        for step, (row, votes) in enumerate(zip(rows, support, strict=True))
    ]


def names(history: list[Observation], patience: int = 2) -> list[str]:
    return [one.verdict for one in judge(history, patience)]


def test_narrowing_to_one_answer_each_is_no_harm() -> None:
    """The demo: a third of the length, hardly two ways of saying it, all answers kept."""
    narrow = {"distinct_completions": 0.1, "completion_length": 8.0, "truncated": 0.0}
    verdicts = judge(seen({}, narrow, narrow, narrow), 2)
    assert [one.verdict for one in verdicts] == [HEALTHY, HEALTHY] + [NARROWING] * 3
    assert not any(one.harm for one in verdicts)
    assert kept_step(verdicts) == 4
    assert verdicts[-1].reasons == ("distinct completions 90 % → 10 %",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"truncated": 0.31}, "completions cut off 10 % → 31 %"),
        ({"repetition": 0.25}, "repeated 4-grams 2 % → 25 %"),
        ({"same_answer": 0.5}, "questions given one and the same answer 10 % → 50 %"),
        ({"answered": 0.6}, "completions with an answer 90 % → 60 %"),
        ({"completion_length": 61.0}, "mean length 30 → 61 tokens"),
    ],
)
def test_each_harm_is_a_collapse_when_it_stays(change: dict[str, float], reason: str) -> None:
    history = seen({}, change, change, {})
    verdicts = judge(history, 2)
    assert [one.verdict for one in verdicts] == [HEALTHY, HEALTHY, NARROWING, COLLAPSED, HEALTHY]
    assert verdicts[3].reasons == (reason,)
    assert kept_step(verdicts[:4]) == 1
    assert names(history, 1)[2] == COLLAPSED
    assert COLLAPSED not in names(history, 3)


def test_below_the_margin_nothing_is_harm() -> None:
    almost = {"truncated": 0.29, "repetition": 0.21, "answered": 0.71, "completion_length": 60.0}
    assert names(seen(almost, almost)) == [HEALTHY] * 3


def test_answers_that_have_been_gained_and_are_lost_again_are_missed() -> None:
    """Against the best so far: the untrained model had fewer."""
    history = [
        Observation(step, BASE | {"answered": share})
        for step, share in enumerate((0.3, 0.95, 0.5, 0.5))
    ]
    assert names(history) == [HEALTHY, HEALTHY, NARROWING, COLLAPSED]


def test_lost_support_is_a_matter_of_its_standard_error() -> None:
    votes = (1.0,) * 24 + (0.0,) * 8
    few = (0.0,) * 2 + (1.0,) * 22 + (0.0,) * 8  # 2 of 32: within two standard errors
    many = (0.0,) * 10 + (1.0,) * 14 + (0.0,) * 8
    assert names(seen({}, {}, support=[votes, few, few])) == [HEALTHY] * 3
    verdicts = judge(seen({}, {}, support=[votes, many, many]), 2)
    assert [one.verdict for one in verdicts] == [HEALTHY, NARROWING, COLLAPSED]
    assert verdicts[-1].reasons == (
        "the untrained model's vote for its answers 75 % → 44 % since step 0",
    )


def test_support_is_held_against_its_best_step() -> None:
    low, high = (0.25,) * 16 + (0.35,) * 16, (0.75,) * 16 + (0.85,) * 16
    assert names(seen({}, {}, {}, support=[low, high, low, low])) == [
        HEALTHY,
        HEALTHY,
        NARROWING,
        COLLAPSED,
    ]


def test_the_untrained_model_is_kept_where_all_after_it_is_harm() -> None:
    bad = {"truncated": 0.9}
    assert kept_step(judge(seen(bad, bad), 2)) == 0


def test_without_a_probe_the_rollouts_speak_alone() -> None:
    assert names([Observation(0, BASE), Observation(1, BASE)]) == [HEALTHY, HEALTHY]
