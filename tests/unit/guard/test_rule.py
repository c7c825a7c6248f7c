"""The guard's rule on histories made up for it: what it must see, and what it must let pass."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest

from rlsc.guard.rule import (
    COLLAPSED,
    HEALTHY,
    NARROWING,
    SIGNS,
    Health,
    Observation,
    Rule,
    last_without_harm,
)

N = 32
GOOD = {
    **dict.fromkeys(("truncated", "empty", "repetition", "same_answer", "copied"), 0.0),
    **{"answered": 1.0, "support": 0.75},
}


def values(share: float, n: int = N) -> list[float]:
    """A share of the questions has 1, the others 0; the same ones first."""
    return [1.0] * round(share * n) + [0.0] * (n - round(share * n))


def seen(
    *changes: dict[str, float], paired: bool = True, n: int = N, distinct: Sequence[float] = ()
) -> list[Observation]:
    rows = [{}, *changes]
    narrow = [*distinct, *[0.9] * len(rows)]
    return [
        Observation(
            step,
            narrow[step],
            {name: values(row.get(name, good), n) for name, good in GOOD.items()},
            paired,
        )
        for step, row in enumerate(rows)
    ]


def judge(history: Sequence[Observation], patience: int) -> list[Health]:
    """A verdict for each observation; the first is the untrained model's."""
    rule = Rule(patience)
    return [rule.verdict(observation) for observation in history]


def names(history: list[Observation], patience: int = 2) -> list[str]:
    return [one.verdict for one in judge(history, patience)]


def test_narrowing_to_one_answer_each_is_no_harm() -> None:
    """The demo: hardly two ways of saying it, all answers kept."""
    verdicts = judge(seen({}, {}, {}, {}, distinct=(0.9, 0.8, 0.1, 0.1, 0.1)), 2)
    assert [one.verdict for one in verdicts] == [HEALTHY, HEALTHY] + [NARROWING] * 3
    assert not any(one.harm for one in verdicts)
    assert last_without_harm(verdicts) == 4
    assert verdicts[-1].reasons == ("distinct completions 90 % → 10 %",)


@pytest.mark.parametrize("paired", [True, False], ids=["probe", "rollouts"])
@pytest.mark.parametrize(
    ("name", "share"),
    [(name, 0.5) for name in GOOD if name != "support"],
)
def test_each_harm_is_a_collapse_when_it_stays(name: str, share: float, paired: bool) -> None:
    history = seen({}, {name: share}, {name: share}, {}, paired=paired)
    verdicts = judge(history, 2)
    assert [one.verdict for one in verdicts] == [HEALTHY, HEALTHY, NARROWING, COLLAPSED, HEALTHY]
    change = f"{100 * GOOD[name]:.0f} % → 50 % since step 0"
    assert verdicts[3].reasons == (f"{SIGNS[name].meaning} {change}",)
    assert [one.harm for one in verdicts] == [False, False, True, True, False]
    assert last_without_harm(verdicts[:4]) == 1
    assert names(history, 1)[2] == COLLAPSED
    assert COLLAPSED not in names(history, 3)


def test_below_the_margin_nothing_is_harm() -> None:
    almost = {"truncated": 0.19, "repetition": 0.19, "answered": 0.81}
    assert names(seen(almost, almost)) == [HEALTHY] * 3


def test_beyond_the_margin_but_within_the_errors_nothing_is_harm() -> None:
    """Two of eight questions are a quarter, and may be chance."""
    assert names(seen({"truncated": 0.25}, {"truncated": 0.25}, n=8)) == [HEALTHY] * 3


def test_of_too_few_questions_nothing_is_judged() -> None:
    gone = {"answered": 0.0, "truncated": 1.0}
    assert names(seen(gone, gone, n=7)) == [HEALTHY] * 3
    assert names(seen(gone, gone, n=8)) == [HEALTHY, NARROWING, COLLAPSED]


def test_answers_gained_and_lost_again_are_missed_where_the_questions_are_the_same() -> None:
    changes = ({"answered": 1.0}, {"answered": 0.3}, {"answered": 0.3})
    history = seen(*changes)
    low = dict(history[0].questions) | {"answered": values(0.3)}
    history[0] = Observation(0, 0.9, low, True)
    assert names(history) == [HEALTHY, HEALTHY, NARROWING, COLLAPSED]
    loose = [Observation(o.step, o.distinct, o.questions) for o in history]
    assert names(loose) == [HEALTHY] * 4


def test_lost_support_is_a_matter_of_its_standard_error() -> None:
    two, ten = {"support": 0.75 - 2 / 32}, {"support": 0.75 - 10 / 32}
    assert names(seen(two, two)) == [HEALTHY] * 3
    verdicts = judge(seen(ten, ten), 2)
    assert [one.verdict for one in verdicts] == [HEALTHY, NARROWING, COLLAPSED]
    assert (
        "the untrained model's vote for its answers 75 % → 44 % since step 0" in verdicts[2].reasons
    )


def test_support_is_held_against_its_best_step() -> None:
    history = seen({"support": 1.0}, {"support": 0.6}, {"support": 0.6})
    verdicts = judge(history, 2)
    assert [one.verdict for one in verdicts] == [HEALTHY, HEALTHY, NARROWING, COLLAPSED]
    assert verdicts[-1].reasons[0].endswith("since step 1")


def test_a_vote_lost_by_a_few_is_no_harm() -> None:
    """Four questions that lose an eighth: surely a drop, and 1.6 points."""
    history = seen({}, {})
    votes = [1.0] * N
    for index, one in enumerate(history):
        found = [v - (0.125 if index and i < 4 else 0.0) for i, v in enumerate(votes)]
        history[index] = Observation(one.step, 0.9, {**one.questions, "support": found}, True)
    assert names(history) == [HEALTHY] * 3


def test_the_untrained_model_is_kept_where_all_after_it_is_harm() -> None:
    bad = {"truncated": 0.9}
    assert last_without_harm(judge(seen(bad, bad), 2)) == 0


def test_a_policy_that_does_not_change_is_hardly_ever_stopped() -> None:
    """10 steps on rollouts of 8 other questions each, without a probe: the noisiest there is.

    Each question has its own chance of being answered, as questions differ. Fixed seed.
    """
    rng = random.Random(0)

    def rollout() -> list[float]:
        chances = [rng.betavariate(0.6, 0.9) for _ in range(8)]
        return [sum(rng.random() < chance for _ in range(16)) / 16 for chance in chances]

    stopped = 0
    for _ in range(400):
        history = [
            Observation(step, 0.9, {"answered": rollout(), "truncated": rollout()})
            for step in range(11)
        ]
        stopped += COLLAPSED in names(history)
    assert stopped / 400 < 0.03


def unasked(one: Observation, distinct: float = 0.9) -> Observation:
    return Observation(one.step, distinct, {}, one.paired)


def test_where_nothing_is_asked_the_harm_of_the_step_before_holds_and_is_not_counted() -> None:
    bad = {"truncated": 0.9}
    history = seen({}, bad, bad, bad)
    history[1], history[3] = unasked(history[1]), unasked(history[3])
    verdicts = judge(history, 2)
    assert [one.verdict for one in verdicts] == [HEALTHY, HEALTHY, NARROWING, NARROWING, COLLAPSED]
    assert [one.asked for one in verdicts] == [True, False, True, False, True]
    assert [one.harm for one in verdicts] == [False, False, True, True, True]
    assert verdicts[3].reasons == verdicts[2].reasons
    assert last_without_harm(verdicts) == 0  # step 1 was not looked at


def test_rollouts_show_narrowing_where_nothing_is_asked_and_none_show_none() -> None:
    history = seen({}, {})
    assert names([history[0], unasked(history[1], 0.1)]) == [HEALTHY, NARROWING]
    assert names([history[0], unasked(history[1], math.nan)]) == [HEALTHY, HEALTHY]


def test_one_rule_judges_step_by_step_as_all_at_once() -> None:
    good, bad = {"support": 1.0}, {"support": 0.3}
    history = seen(good, bad, {}, bad, bad, bad, good, distinct=(0.9, 0.9, 0.2, 0.2, 0.9, 0.9))
    rule = Rule(2)
    stepwise = [rule.verdict(one) for one in history]
    assert stepwise == judge(history, 2)
    assert [judge(history[:end], 2)[-1] for end in range(1, len(history) + 1)] == stepwise
    assert {one.verdict for one in stepwise} == {HEALTHY, NARROWING, COLLAPSED}


def test_a_third_of_a_small_vote_is_harm_too() -> None:
    """Where the untrained model agrees little with itself: 25 % → 12.5 %."""
    history = seen({}, {}, {})
    for index, one in enumerate(history):
        support = values(0.125 if index > 1 else 0.25)
        history[index] = Observation(one.step, 0.9, {**one.questions, "support": support}, True)
    assert names(history) == [HEALTHY, HEALTHY, NARROWING, COLLAPSED]
    sixth = {"support": 0.75 - 0.125}
    assert names(seen(sixth, sixth)) == [HEALTHY] * 3


def test_completions_without_text_are_harm_even_where_the_untrained_model_has_them() -> None:
    empty = {name: values({"empty": 1.0}.get(name, good)) for name, good in GOOD.items()}
    history = [Observation(step, 0.9, empty, True) for step in range(3)]
    assert names(history) == [NARROWING, COLLAPSED, COLLAPSED]
    assert judge(history, 2)[0].reasons == ("100% of completions have no text",)
    few = {"empty": 0.25}
    assert names(seen(few, few)) == [HEALTHY, NARROWING, COLLAPSED]
    assert names(seen({"empty": 0.1}, {"empty": 0.1})) == [HEALTHY] * 3
