"""Objectives whose siblings vote: masks over the answer's tokens, against enumeration."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean, stdev

import pytest
import torch

from rlsc.objectives.consensus import Consensus
from rlsc.objectives.empo import EMPO
from rlsc.objectives.om_grpo import OMGRPO
from rlsc.objectives.ttrl import TTRL
from rlsc.training.metrics import StepRecord, step_metrics
from tests.invariant.groups import (
    Outcomes,
    T,
    answer_of,
    answer_places,
    by_hand_of_tokens,
    close,
    expected_gradient,
    group_loss,
    group_of,
)
from tests.invariant.tabular import TabularPolicy

Reward = Callable[[TabularPolicy, Outcomes], Sequence[float]]


@pytest.fixture(scope="module")
def policy() -> TabularPolicy:
    """At most two tokens: of two siblings there are 49 groups."""
    return TabularPolicy(1, cap=2)


def standardised(rewards: Sequence[float]) -> list[float]:
    if max(rewards) == min(rewards):
        return [0.0] * len(rewards)
    mean, spread = fmean(rewards), stdev(rewards) + 1e-4
    return [(r - mean) / spread for r in rewards]


def ttrl(policy: TabularPolicy, outcomes: Outcomes) -> list[float]:
    answers = [answer_of(y) for y in outcomes]
    votes = Counter(a for a in answers if a is not None)
    winner = votes.most_common(1)[0][0] if votes else None
    return [float(a is not None and a == winner) for a in answers]


def empo(policy: TabularPolicy, outcomes: Outcomes) -> list[float]:
    answers = [answer_of(y) for y in outcomes]
    return [0.0 if a is None else answers.count(a) / len(answers) for a in answers]


def masked(
    policy: TabularPolicy,
    reward: Reward,
    kept: float,
    shaping: Callable[[Sequence[float]], list[float]],
) -> Callable[[Outcomes], list[list[float]]]:
    """A weight for each token: that of the answer's tokens times `kept`."""

    def of_tokens(outcomes: Outcomes) -> list[list[float]]:
        weights = shaping(reward(policy, outcomes))
        return [
            [w * (kept if place in answer_places(y) else 1.0) for place in range(len(y))]
            for w, y in zip(weights, outcomes, strict=True)
        ]

    return of_tokens


# The mask over the answer's tokens.


@pytest.mark.parametrize(
    ("objective", "reward", "kept"),
    [
        (OMGRPO(shaping="raw"), empo, 0.0),
        (OMGRPO(shaping="raw", answer_span_gradient=0.25), empo, 0.25),
        (TTRL(answer_span_gradient=0.0), ttrl, 0.0),
    ],
    ids=["om_grpo", "a quarter", "ttrl"],
)
def test_the_answers_own_tokens_keep_a_share_of_their_weight(
    policy: TabularPolicy, objective: Consensus, reward: Reward, kept: float
) -> None:
    found = expected_gradient(policy, objective, 2)
    shaping = list if objective.shaping == "raw" else standardised
    assert close(found, by_hand_of_tokens(policy, masked(policy, reward, kept, shaping), 2))
    whole = replace(objective, answer_span_gradient=1.0)
    assert not close(found, expected_gradient(policy, whole, 2))


@pytest.mark.parametrize("plain", [TTRL, EMPO])
def test_the_whole_gradient_is_the_objective_without_a_mask_to_the_bit(
    policy: TabularPolicy, plain: type[Consensus]
) -> None:
    """No mask is asked for, and the weights stay one a completion."""
    one = plain(answer_span_gradient=1.0)
    assert one == plain()
    assert one.weights_need == {"answers"}
    assert OMGRPO().weights_need == {"answers", "answer_tokens"}
    whole = OMGRPO(answer_span_gradient=1.0)
    found = [expected_gradient(policy, each, 2) for each in (whole, EMPO())]
    assert torch.equal(found[0], found[1])


def test_entropy_and_divergence_are_split_by_what_is_answer(policy: TabularPolicy) -> None:
    """Of a group with an answer of one token, one that is the answer alone, and one without."""
    reference = TabularPolicy(2, cap=2)
    outcomes: Outcomes = ((1, 2), (2, 0), (0,))
    record = StepRecord.empty(3)
    group_loss(policy, TTRL(beta=0.1), outcomes, reference=reference, record=record)
    found = step_metrics([group_of(outcomes)], record, math.nan, 3)
    parts: dict[str, list[tuple[float, float]]] = {"answer": [], "reasoning": []}
    for y in outcomes:
        for place, token in enumerate(y):
            logp, other = (
                (one.table.detach()[one.place[y[:place]]] / T).log_softmax(-1)
                for one in (policy, reference)
            )
            log_r = float(other[token] - logp[token])
            of_token = (-float((logp.exp() * logp).sum()), math.exp(log_r) - log_r - 1)
            parts["answer" if place in answer_places(y) else "reasoning"].append(of_token)
    assert [len(part) for part in parts.values()] == [2, 3]
    for name, values in parts.items():
        assert found[f"{name}_entropy"] == pytest.approx(fmean(v[0] for v in values), rel=1e-12)
        assert found[f"{name}_kl"] == pytest.approx(fmean(v[1] for v in values), rel=1e-12)
    assert found["answer_located"] == pytest.approx(2 / 3)
    group_loss(policy, TTRL(), ((0,), (0,)), record=(silent := StepRecord.empty(2)))
    none = step_metrics([group_of(((0,), (0,)))], silent, math.nan, 2)
    assert none["answer_located"] == 0.0
    assert none["reasoning_entropy"] == pytest.approx(none["entropy"])
    assert not {"answer_entropy", "answer_kl", "reasoning_kl"} & none.keys()
