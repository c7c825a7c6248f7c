"""Objectives whose siblings vote: masks over the answer's tokens, against enumeration."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from statistics import fmean, stdev

import pytest
import torch

from rlsc.objectives import PoolView
from rlsc.objectives.co_rewarding import CoRewarding
from rlsc.objectives.consensus import Consensus
from rlsc.objectives.dpo import DPO
from rlsc.objectives.empo import EMPO
from rlsc.objectives.evol_rl import EVOLRL
from rlsc.objectives.grpo import GRPO
from rlsc.objectives.om_grpo import OMGRPO
from rlsc.objectives.rlsf import RLSF
from rlsc.objectives.scrl import SCRL
from rlsc.objectives.semantic_entropy import EntropyScaled
from rlsc.objectives.ttrl import TTRL
from rlsc.statistics import ngram_similarities
from rlsc.training.metrics import StepRecord, step_metrics
from rlsc.types import AnswerKey
from tests.invariant.groups import (
    Outcomes,
    T,
    answer_of,
    answer_places,
    by_hand,
    by_hand_of_tokens,
    close,
    expected_gradient,
    gradient,
    group_loss,
    group_of,
    text_of,
    tuples,
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


# Negative answers.


def entropies(policy: TabularPolicy, outcomes: Outcomes) -> list[float]:
    """Of each outcome the mean over its tokens of the policy's entropy."""
    means = []
    for y in outcomes:
        rows = [policy.table.detach()[policy.place[y[:place]]] / T for place in range(len(y))]
        logps = [row - row.exp().sum().log() for row in rows]
        means.append(fmean(-float((one.exp() * one).sum()) for one in logps))
    return means


def scrl(
    policy: TabularPolicy, outcomes: Outcomes, least: float, margin: float, rare: float
) -> list[float]:
    answers, sure = [answer_of(y) for y in outcomes], entropies(policy, outcomes)
    k, rewards = len(outcomes), []
    shares = sorted((answers.count(a) / k for a in {*answers} - {None}), reverse=True)
    clear = bool(shares) and shares[0] >= least
    clear = clear and (len(shares) == 1 or shares[0] - shares[1] > margin)
    for own in answers:
        share = answers.count(own) / k
        if own is None:
            rewards.append(0.0)
        elif clear and share == shares[0]:
            rewards.append(1.0)
        else:
            same = fmean(h for a, h in zip(answers, sure, strict=True) if a == own)
            rewards.append(-1.0 if share < rare and same >= fmean(sure) else 0.0)
    return rewards


def test_a_clear_majority_is_rewarded_and_a_rare_unsure_answer_punished(
    policy: TabularPolicy,
) -> None:
    """Of two: both agree, or an answer of one half that is the less sure of the two."""
    one = SCRL(vote_threshold=0.6, vote_margin=0.1, negative_share=0.6, shaping="raw")

    def weights(outcomes: Outcomes) -> list[float]:
        return scrl(policy, outcomes, 0.6, 0.1, 0.6)

    found = expected_gradient(policy, one, 2)
    assert close(found, by_hand(policy, weights, 2, True))
    positive = replace(one, negative_share=0.0)
    assert positive.weights_need == {"answers"}  # no forward pass
    assert close(
        expected_gradient(policy, positive, 2),
        by_hand(policy, lambda y: [max(0.0, w) for w in weights(y)], 2, True),
    )


@pytest.mark.parametrize(
    ("least", "margin", "rare"), [(0.5, 0.15, 0.4), (0.3, 0.3, 0.4), (0.5, 0.4, 0.7), (1, 0, 1)]
)
def test_every_group_of_three_has_its_rewards(
    policy: TabularPolicy, least: float, margin: float, rare: float
) -> None:
    one = SCRL(vote_threshold=least, vote_margin=margin, negative_share=rare)
    seen: Counter[float] = Counter()
    for _, outcomes in tuples(policy, 3):
        expected = scrl(policy, outcomes, least, margin, rare)
        assert one.reward(pool_of(policy, outcomes)).tolist() == expected
        seen.update(expected)
    assert set(seen) == {-1.0, 0.0, 1.0}


# Novelty.


def evol(policy: TabularPolicy, outcomes: Outcomes, share: float = 0.5) -> list[float]:
    """With the similarities of the library, which have a test of their own."""
    answers = [answer_of(y) for y in outcomes]
    rewards, said = [-1.0] * len(outcomes), [n for n, a in enumerate(answers) if a is not None]
    if len(said) < 2:
        return rewards
    won = ttrl(policy, outcomes)
    table = ngram_similarities([text_of(outcomes[n]) for n in said])
    like = {(a, b): table[i][j] for i, a in enumerate(said) for j, b in enumerate(said)}
    new = {}
    for a in said:
        side = [b for b in said if b != a and won[b] == won[a]] or [b for b in said if b != a]
        most = max(like[a, b] for b in said if b != a)
        new[a] = 1 - share * fmean(like[a, b] for b in side) - (1 - share) * most
    for a in said:
        own = [new[b] for b in said if won[b] == won[a]]
        spread = max(own) - min(own)
        scaled = (new[a] - min(own)) / spread if spread > 1e-9 else 0.5
        rewards[a] = (0.5 if won[a] else -1.0) + 0.5 * (1.0 if len(own) == 1 else scaled)
    return rewards


def test_the_majority_selects_and_novelty_varies(policy: TabularPolicy) -> None:
    found = expected_gradient(policy, EVOLRL(shaping="raw"), 2)
    assert close(found, by_hand(policy, lambda y: evol(policy, y), 2, True))
    seen: set[float] = set()
    longer = TabularPolicy(1)  # answers that are said in two ways
    for _, outcomes in islice(tuples(longer, 3), 0, None, 29):
        for share in (0.5, 1.0):
            expected = evol(longer, outcomes, share)
            one = EVOLRL(novelty_mean_share=share)
            assert one.reward(pool_of(longer, outcomes)).tolist() == pytest.approx(expected)
        seen |= {round(value, 6) for value in expected}
    assert len(seen) > 5
    assert all(-1 <= value <= -0.5 or 0.5 <= value <= 1 for value in seen)


# Votes of others.


def test_a_vote_of_others_is_ascended_without_bias(policy: TabularPolicy) -> None:
    """−∇ Σ_a P(the teacher's vote is a) p(a), by raw rewards and with a baseline alike."""
    teacher = TabularPolicy(5, cap=2)
    chances: Counter[int | None] = Counter()
    example: dict[int | None, Outcomes] = {}
    for probability, voters in tuples(teacher, 2):
        vote = next((a for y in voters if (a := answer_of(y)) is not None), None)  # ties: the first
        chances[vote] += float(probability)
        example[vote] = voters
    assert sum(chances.values()) == pytest.approx(1.0)
    agreement = torch.zeros((), dtype=torch.float64)
    for probability, y in zip(policy.probabilities(T), policy.completions, strict=True):
        if answer_of(y) is not None:
            agreement = agreement + chances[answer_of(y)] * probability
    ascent = gradient(policy, agreement)
    for shaping, k in (("raw", 1), ("leave_one_out", 2)):
        one = CoRewarding(shaping=shaping, loss_type="dr_grpo")
        found = sum(
            chance * expected_gradient(policy, one, k, votes={"q": group_of(example[vote])})
            for vote, chance in chances.items()
        )
        assert close(found, -ascent)
    voting = TTRL(shaping="leave_one_out", loss_type="dr_grpo")  # whose siblings vote: another one
    assert not close(expected_gradient(policy, voting, 2), -ascent)


def test_nobody_elses_answer_is_no_reward(policy: TabularPolicy) -> None:
    silent = {"q": group_of(((0,), (0,)))}
    found = expected_gradient(policy, CoRewarding(shaping="raw"), 2, votes=silent)
    assert not found.any()


# A few labels.


def test_a_question_without_its_label_is_judged_by_its_siblings(policy: TabularPolicy) -> None:
    """To the bit TTRL's gradient; with the label GRPO's, whatever others lack."""

    def right(outcomes: Outcomes) -> list[float]:
        return standardised([float(answer_of(y) == 2) for y in outcomes])

    key = AnswerKey({"q": "2"})
    labelled = expected_gradient(policy, GRPO(), 2, answers=key, some_labels=True)
    assert close(labelled, by_hand(policy, right, 2, True))
    other = AnswerKey({"another": "2"})
    without = expected_gradient(policy, GRPO(), 2, answers=other, some_labels=True)
    assert torch.equal(without, expected_gradient(policy, TTRL(), 2))
    assert not close(without, labelled)


# Confidence in the answer's own tokens, and advantages by semantic entropy.


def gap(logits: torch.Tensor) -> torch.Tensor:
    best = (logits / T).softmax(-1).sort(-1, descending=True).values
    return best[..., 0] - best[..., 1]


def rlsf(policy: TabularPolicy, outcomes: Outcomes) -> list[float]:
    rewards = []
    for y in outcomes:
        rows = [policy.table.detach()[policy.place[y[:place]]] for place in answer_places(y)]
        rewards.append(fmean(float(gap(row)) for row in rows) if rows else 0.0)
    return rewards


def test_the_answers_tokens_are_rewarded_for_their_lead(policy: TabularPolicy) -> None:
    one = RLSF(shaping="leave_one_out", loss_type="dr_grpo")
    found = expected_gradient(policy, one, 2, gaps=gap)

    def weights(outcomes: Outcomes) -> list[float]:
        first, second = rlsf(policy, outcomes)
        return [first - second, second - first]

    assert close(found, by_hand(policy, weights, 2, False))
    assert found.abs().max() > 1e-4


def test_pairs_by_the_lead_of_the_answers_tokens(policy: TabularPolicy) -> None:
    reference, seen = TabularPolicy(2, cap=2), 0
    objective = DPO(dpo_beta=0.4, dpo_pairs="answer_gap")
    for _, (one, other) in tuples(policy, 2):
        loss = group_loss(policy, objective, (one, other), reference=reference, gaps=gap)
        found, lead = gradient(policy, loss), rlsf(policy, (one, other))
        if lead[0] == lead[1]:
            assert not found.any()
            continue
        pair = (one, other) if lead[0] > lead[1] else (other, one)
        ratio = [policy.log_prob(y, T) - reference.log_prob(y, T).detach() for y in pair]
        expected = -torch.nn.functional.logsigmoid(0.4 * (ratio[0] - ratio[1])) / 2
        assert close(found, gradient(policy, expected))
        seen += 1
    assert seen > 20


@pytest.mark.parametrize(
    "objective",
    [
        TTRL(entropy_scale=0.6, shaping="raw"),
        GRPO(entropy_scale=0.6, shaping="raw"),
        TTRL(entropy_scale=0.6, answer_span_gradient=0.25, shaping="raw"),
    ],
    ids=["ttrl", "grpo", "with a mask"],
)
def test_a_question_of_many_minds_weighs_less(
    policy: TabularPolicy, objective: EntropyScaled
) -> None:
    """Of two answers the semantic entropy is 0, or log 2 where they differ: then s is taken."""
    kept = getattr(objective, "answer_span_gradient", 1.0)

    def scaled(policy: TabularPolicy, outcomes: Outcomes) -> list[float]:
        rewards = [float(answer_of(y) == 2) for y in outcomes]
        rewards = ttrl(policy, outcomes) if isinstance(objective, TTRL) else rewards
        differ = len({answer_of(y) for y in outcomes} - {None}) == 2
        return [0.4 * r if differ else r for r in rewards]

    found = expected_gradient(policy, objective, 2, answers=AnswerKey({"q": "2"}))
    assert close(found, by_hand_of_tokens(policy, masked(policy, scaled, kept, list), 2))
    assert replace(objective, entropy_scale=0.0).weights_need == objective.weights_need - (
        {"answers"} if isinstance(objective, GRPO) else set()
    )


def pool_of(policy: TabularPolicy, outcomes: Outcomes) -> PoolView:
    """Its clusters, and entropies whose means over tokens are those of `entropies`."""
    answers = [answer_of(y) for y in outcomes]
    numbers = {a: n for n, a in enumerate(dict.fromkeys(a for a in answers if a is not None))}
    flat = torch.tensor(entropies(policy, outcomes), dtype=torch.float64)[:, None]
    cut = torch.zeros(len(outcomes), dtype=torch.bool)
    known = {"clusters": tuple(numbers.get(a) for a in answers), "entropies_KT": flat}
    return PoolView("q", "q", tuple(map(text_of, outcomes)), ~cut[:, None], cut, 0, known)


# The metrics.


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
