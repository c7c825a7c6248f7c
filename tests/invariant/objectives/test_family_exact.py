"""Every objective's expected gradient against enumeration, and what connects them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import fmean, stdev

import pytest
import torch

from rlsc.errors import ConfigError
from rlsc.logprobs.padded_rows import make_rows
from rlsc.objectives import RLSC, LossInputs, Objective, PoolView, SequenceLoss
from rlsc.objectives.co_rewarding import CoRewarding
from rlsc.objectives.combined import Combined
from rlsc.objectives.controls import Constant, FormatOnly, InverseMajority, Random
from rlsc.objectives.create import UserReward
from rlsc.objectives.dpo import DPO
from rlsc.objectives.empo import EMPO
from rlsc.objectives.entropy_loss import EntropyLoss
from rlsc.objectives.evol_rl import EVOLRL
from rlsc.objectives.general import General
from rlsc.objectives.grpo import GRPO
from rlsc.objectives.kl import KL
from rlsc.objectives.kl_cov import KLCov
from rlsc.objectives.om_grpo import OMGRPO
from rlsc.objectives.policy_gradient import PolicyGradient
from rlsc.objectives.ppo import PPO, advantages
from rlsc.objectives.registry import OBJECTIVES, load_objective
from rlsc.objectives.rlhf import RLHF
from rlsc.objectives.rlsf import RLSF
from rlsc.objectives.scrl import SCRL
from rlsc.objectives.self_certainty import SelfCertainty
from rlsc.objectives.sequence_entropy import SequenceEntropy
from rlsc.objectives.shaping import shape
from rlsc.objectives.task_relative import TaskRelative
from rlsc.objectives.token_entropy import TokenEntropy
from rlsc.objectives.ttrl import TTRL
from rlsc.training.update import split_unalike
from rlsc.training.weighing import Advantages
from rlsc.types import AnswerKey
from tests.invariant.groups import (
    Outcomes,
    T,
    answer_of,
    by_hand,
    close,
    expected_gradient,
    gradient,
    group_loss,
    group_of,
    text_of,
    tuples,
)
from tests.invariant.tabular import Sequence_, TabularPolicy, completions

KEY = AnswerKey({"q": "2"})
Reward = Callable[[TabularPolicy, Outcomes], Sequence[float]]


def scores(prompt: object, texts: Sequence[str]) -> torch.Tensor:
    """A reward model: the longer the text the better, and 7 besides."""
    return torch.tensor([float(len(text)) for text in texts], dtype=torch.float64)


@pytest.fixture
def policy() -> TabularPolicy:
    """At most two tokens: 7 outcomes, 49 groups of two siblings and 343 of three."""
    return TabularPolicy(1, cap=2)


@pytest.fixture
def long_policy() -> TabularPolicy:
    """At most three tokens: 15 outcomes, 225 groups of two siblings."""
    return TabularPolicy(1)


# Rewards written out anew, from the definitions.


def majority(outcomes: Outcomes) -> int | None:
    votes = Counter(a for y in outcomes if (a := answer_of(y)) is not None)
    return votes.most_common(1)[0][0] if votes else None


def ttrl(policy: TabularPolicy, outcomes: Outcomes) -> list[float]:
    mode = majority(outcomes)
    return [float(mode is not None and answer_of(y) == mode) for y in outcomes]


def inverse(policy: TabularPolicy, outcomes: Outcomes) -> list[float]:
    mode = majority(outcomes)
    return [float(answer_of(y) not in (None, mode)) for y in outcomes]


def empo(policy: TabularPolicy, outcomes: Outcomes) -> list[float]:
    answers = [answer_of(y) for y in outcomes]
    return [0.0 if a is None else answers.count(a) / len(answers) for a in answers]


def over_tokens(
    policy: TabularPolicy, outcomes: Outcomes, value: Callable[[torch.Tensor, int], torch.Tensor]
) -> list[float]:
    """The mean over tokens of a function of the token's log-probs and its own index."""
    means = []
    for y in outcomes:
        logits = [policy.table.detach()[policy.place[y[:end]]] / T for end in range(len(y))]
        parts = [value(x - x.exp().sum().log(), y[end]).item() for end, x in enumerate(logits)]
        means.append(fmean(parts))
    return means


def certainty(policy: TabularPolicy, outcomes: Outcomes) -> list[float]:
    uniform = 1 / 3
    return over_tokens(policy, outcomes, lambda p, _: (uniform * (math.log(uniform) - p)).sum())


def negative_entropy(policy: TabularPolicy, outcomes: Outcomes) -> list[float]:
    return over_tokens(policy, outcomes, lambda p, _: (p.exp() * p).sum())


def mean_logp(policy: TabularPolicy, outcomes: Outcomes) -> list[float]:
    return over_tokens(policy, outcomes, lambda p, token: p[token])


def right(policy: TabularPolicy, outcomes: Outcomes) -> list[float]:
    return [float(answer_of(y) == 2) for y in outcomes]


def boxed(policy: TabularPolicy, outcomes: Outcomes) -> list[float]:
    return [float(y[0] == 1) for y in outcomes]


def judged(policy: TabularPolicy, outcomes: Outcomes) -> list[float]:
    return [float(len(text_of(y))) for y in outcomes]


REWARDS: dict[type[PolicyGradient], Reward] = {
    TTRL: ttrl,
    EMPO: empo,
    SelfCertainty: certainty,
    TokenEntropy: negative_entropy,
    SequenceEntropy: mean_logp,
    GRPO: right,
    RLHF: judged,
    FormatOnly: boxed,
    InverseMajority: inverse,
}


def standardised(rewards: Sequence[float]) -> list[float]:
    if max(rewards) == min(rewards):
        return [0.0] * len(rewards)
    mean, spread = fmean(rewards), stdev(rewards) + 1e-4
    return [(r - mean) / spread for r in rewards]


def leave_one_out(rewards: Sequence[float]) -> list[float]:
    others = len(rewards) - 1
    return [r - (sum(rewards) - r) / others for r in rewards]


BY_HAND = {"standardised": standardised, "leave_one_out": leave_one_out, "raw": list}


def test_every_objective_of_the_table_is_tested_here() -> None:
    others = {RLSC, EntropyLoss, PPO, DPO, Constant, Random}
    others |= {KL, TaskRelative}  # test_filters.py, test_task_relative.py
    others |= {OMGRPO, SCRL, EVOLRL, RLSF, CoRewarding}  # test_consensus_exact.py
    others |= {KLCov}  # test_sums_exact.py
    assert {load_objective(name) for name in OBJECTIVES} == {*REWARDS, *others}


@pytest.mark.parametrize("objective", REWARDS, ids=lambda one: one.__name__)
@pytest.mark.parametrize(
    ("shaping", "loss_type"),
    [("standardised", "grpo"), ("leave_one_out", "dr_grpo"), ("raw", "grpo")],
)
def test_the_expected_gradient_is_that_of_the_formula(
    policy: TabularPolicy,
    long_policy: TabularPolicy,
    objective: type[PolicyGradient],
    shaping: str,
    loss_type: str,
) -> None:
    reward = REWARDS[objective]
    k = 3 if objective is InverseMajority else 2  # of two, the majority is a toss
    if shaping == "standardised" and k == 2:
        policy = long_policy

    def weights(outcomes: Outcomes) -> Sequence[float]:
        return BY_HAND[shaping](reward(policy, outcomes))

    one = objective(shaping=shaping, loss_type=loss_type)
    found = expected_gradient(policy, one, k, answers=KEY, reward_model=scores)
    assert close(found, by_hand(policy, weights, k, loss_type == "grpo"))
    assert found.abs().max() > 1e-4


def test_majority_of_three(policy: TabularPolicy) -> None:
    found = expected_gradient(policy, TTRL(), 3)
    assert close(found, by_hand(policy, lambda y: standardised(ttrl(policy, y)), 3, True))


def test_all_vote_and_fewer_train(policy: TabularPolicy) -> None:
    found = expected_gradient(policy, TTRL(shaping="raw"), 3, trained=2)
    assert close(found, by_hand(policy, lambda y: ttrl(policy, y)[:2], 3, True))


def test_a_vote_below_the_threshold_is_none(policy: TabularPolicy) -> None:
    def thresholded(outcomes: Outcomes) -> list[float]:
        rewards = ttrl(policy, outcomes)
        return rewards if sum(rewards) / len(rewards) >= 0.6 else [0.0] * len(rewards)

    found = expected_gradient(policy, TTRL(shaping="raw", vote_threshold=0.6), 2)
    assert close(found, by_hand(policy, thresholded, 2, True))


def test_questions_outside_the_entropy_band_are_left_out(policy: TabularPolicy) -> None:
    """Of two answers the entropy is 0, where they agree or one is missing, or log 2."""

    def filtered(outcomes: Outcomes) -> list[float]:
        answers = {answer_of(y) for y in outcomes} - {None}
        return empo(policy, outcomes) if len(answers) == 2 else [0.0, 0.0]

    def certain(outcomes: Outcomes) -> list[float]:
        answers = {answer_of(y) for y in outcomes} - {None}
        return empo(policy, outcomes) if len(answers) < 2 else [0.0, 0.0]

    for objective, rewards in (
        (EMPO(shaping="raw", entropy_low=0.1), filtered),
        (EMPO(shaping="raw", entropy_high=0.1), certain),
    ):
        found = expected_gradient(policy, objective, 2)
        assert close(found, by_hand(policy, rewards, 2, True))
        assert not close(found, expected_gradient(policy, EMPO(shaping="raw"), 2))


# What the methods ascend, and how they are related.


def share_right(policy: TabularPolicy) -> torch.Tensor:
    q = policy.probabilities(T)
    return sum(p for p, y in zip(q, policy.completions, strict=True) if answer_of(y) == 2)


def test_leave_one_out_is_unbiased_and_centring_shrinks(policy: TabularPolicy) -> None:
    ascent = gradient(policy, share_right(policy))
    unbiased = GRPO(shaping="leave_one_out", loss_type="dr_grpo")
    dr_grpo = GRPO(shaping="centred", loss_type="dr_grpo")
    assert close(expected_gradient(policy, unbiased, 2, answers=KEY), -ascent)
    assert close(expected_gradient(policy, dr_grpo, 2, answers=KEY), -ascent / 2)
    raw = GRPO(shaping="raw", loss_type="dr_grpo")
    alpha = GRPO(shaping="plus_alpha", alpha=0.7, loss_type="dr_grpo")
    assert close(expected_gradient(policy, raw, 2, answers=KEY), -ascent)
    assert close(expected_gradient(policy, alpha, 2, answers=KEY), -ascent)


@pytest.mark.parametrize("voted", [TTRL, EMPO])
def test_votes_make_the_others_rewards_depend_on_a_completion(policy: TabularPolicy, voted) -> None:
    """So leaving it out of its baseline does not make the baseline independent of it."""
    raw, out, centred = (
        expected_gradient(policy, voted(shaping=one, loss_type="dr_grpo"), 2)
        for one in ("raw", "leave_one_out", "centred")
    )
    assert not close(raw, out)
    assert close(centred, out / 2)


def test_answer_level_rlsc_ascends_the_agreement_of_answers(policy: TabularPolicy) -> None:
    """E[∇L] = −½ ∇ Σ_a p(a)², unanswered completions apart: no self-term, no bias."""
    p: dict[int, torch.Tensor] = {}
    for probability, y in zip(policy.probabilities(T), policy.completions, strict=True):
        if (answer := answer_of(y)) is not None:
            p[answer] = p.get(answer, torch.zeros(())) + probability
    agreement = torch.stack(list(p.values())).square().sum()
    found = expected_gradient(policy, RLSC("answer", 0.0), 2)
    assert close(found, -0.5 * gradient(policy, agreement))


def test_empo_is_answer_level_rlsc_up_to_the_self_term(policy: TabularPolicy) -> None:
    """n_c / K = ((K − 1) · the others' share + 1) / K, where there is an answer."""
    k = 2
    answered = sum(
        p for p, y in zip(policy.probabilities(T), policy.completions, strict=True) if any(y)
    )
    rlsc = expected_gradient(policy, RLSC("answer", 0.0), k)
    found = expected_gradient(policy, EMPO(shaping="raw", loss_type="dr_grpo"), k)
    assert close(found, (k - 1) / k * rlsc - gradient(policy, answered) / k)


def test_two_siblings_are_a_pair(policy: TabularPolicy) -> None:
    """GRPO with K = 2 forgets the size of rewards: ±1/√2, but for the 10⁻⁴."""
    weights = shape("standardised", torch.tensor([5.0, 3.0]).double(), 0.0, torch.ones(2))
    assert weights.tolist() == pytest.approx([0.5**0.5, -(0.5**0.5)], rel=1e-4)


def test_controls_that_see_nothing_go_nowhere_in_expectation(policy: TabularPolicy) -> None:
    for objective in (Constant(), Random(loss_type="dr_grpo", shaping="raw")):
        found = expected_gradient(policy, objective, 2)
        assert close(found, torch.zeros_like(found))


def test_random_rewards_see_nothing_and_split_identical_completions() -> None:
    def rewards(texts: tuple[str, ...], seed: int) -> list[float]:
        cut = torch.zeros(len(texts), dtype=torch.bool)
        mask = torch.ones(len(texts), 1, dtype=torch.bool)
        return Random().reward(PoolView("q", "q", texts, mask, cut, seed)).tolist()

    one = rewards(("a",) * 8, 3)
    assert one == rewards(tuple("abcdefgh"), 3) != rewards(("a",) * 8, 4)
    assert set(one) == {0.0, 1.0}
    group = group_of((completions()[3],) * 8)
    (row,) = make_rows([group], merge_duplicates=True)
    weights = Advantages(torch.ones(8), (torch.tensor(one)[:, None],))
    assert [one.members for one in split_unalike([row], weights)] == [(n,) for n in range(8)]


def test_majority_of_many_is_the_mode() -> None:
    """With every answer as often as it is probable, the library's reward marks the mode."""
    answers = ("3", "3", "3", "5", "5", None)
    clusters = (0, 0, 0, 1, 1, None)
    cut = torch.zeros(6, dtype=torch.bool)
    known = {"answers": answers, "clusters": clusters}
    pool = PoolView("q", "q", ("",) * 6, cut[:, None], cut, 0, known)
    assert TTRL().reward(pool).tolist() == [1, 1, 1, 0, 0, 0]
    assert InverseMajority().reward(pool).tolist() == [0, 0, 0, 1, 1, 0]
    assert TTRL(vote_threshold=0.6).reward(pool).tolist() == [0] * 6


def test_a_part_without_labels_sees_none() -> None:
    """Though another part of the sum asks for them."""

    def curious(pool: PoolView) -> torch.Tensor:
        return pool.correct_K

    both = Combined(((GRPO(), 1.0), (UserReward(function=curious), 1.0)))
    with pytest.raises(
        ConfigError, match=r"UserReward reads correct_K .* 'labels' in weights_need"
    ):
        group_loss(TabularPolicy(1), both, (completions()[1], completions()[2]), answers=KEY)
    curious.weights_need = ("labels",)
    group_loss(TabularPolicy(1), both, (completions()[1], completions()[2]), answers=KEY)


def test_a_part_whose_loss_asks_for_no_reference_sees_none() -> None:
    class Curious(Objective):
        def loss(self, rows: LossInputs) -> SequenceLoss:
            rows.reference_logps_BT  # noqa: B018
            return super().loss(rows)

    both = Combined(((KL(), 1.0), (Curious(), 1.0)))
    outcomes = (completions()[1], completions()[2])
    with pytest.raises(ConfigError, match="Curious reads reference_logps_BT in its loss"):
        group_loss(TabularPolicy(1), both, outcomes, reference=TabularPolicy(2))


def test_the_general_loss_of_the_paper(policy: TabularPolicy) -> None:
    l1 = General(lambda old, new: -old.exp() * new)
    assert close(expected_gradient(policy, l1, 1), expected_gradient(policy, RLSC(alpha=0.0), 1))
    log_weighted = General(lambda old, new: -(1 + old) * new)
    q = policy.probabilities(T)
    assert close(expected_gradient(policy, log_weighted, 1), -gradient(policy, (q * q.log()).sum()))


def test_entropy_itself_as_the_loss(policy: TabularPolicy) -> None:
    q = policy.probabilities(T).detach()
    total = torch.zeros((), dtype=torch.float64)
    for probability, y in zip(q, policy.completions, strict=True):
        for end in range(len(y)):
            logp = (policy.table[policy.place[y[:end]]] / T).log_softmax(-1)
            total = total - probability * (logp.exp() * logp).sum() / len(y)
    found = expected_gradient(policy, EntropyLoss(), 1)
    assert close(found, gradient(policy, total))
    assert found.abs().max() > 1e-3


def test_a_sum_of_objectives_is_their_sum(policy: TabularPolicy) -> None:
    parts = ((RLSC(alpha=0.0), 1.0), (FormatOnly(), 0.5), (EntropyLoss(), -0.25))
    found = expected_gradient(policy, Combined(parts), 2)
    assert close(found, sum(c * expected_gradient(policy, one, 2) for one, c in parts))
    nested = Combined(((Combined(parts), 0.5), (RLSC(alpha=0.0), 0.5)))
    by_itself = expected_gradient(policy, RLSC(alpha=0.0), 2)
    assert close(expected_gradient(policy, nested, 2), 0.5 * found + 0.5 * by_itself)


# Several updates, divergences, pairs, values.


def test_the_second_update_is_clipped(long_policy: TabularPolicy) -> None:
    """At θ ≠ θ_old, token by token, from the definition of the surrogate."""
    old, epsilon = TabularPolicy(2), 0.2
    clipped = 0
    for outcomes in (((1, 2, 0), (2, 1, 1)), ((1, 1, 0), (2, 0)), ((0,), (1, 2, 2))):
        weights = leave_one_out(judged(long_policy, outcomes))
        total = torch.zeros((), dtype=torch.float64)
        for y, weight in zip(outcomes, weights, strict=True):
            for end in range(1, len(y) + 1):
                ratio = (token_logp(long_policy, y, end) - token_logp(old, y, end).detach()).exp()
                limited = min(max(ratio.item(), 1 - epsilon), 1 + epsilon) * weight
                clipped += limited < ratio.item() * weight
                total = total - (
                    ratio * weight if ratio.item() * weight <= limited else torch.tensor(limited)
                )
        objective = RLHF(shaping="leave_one_out", epsilon=epsilon, loss_type="dr_grpo")
        loss = group_loss(long_policy, objective, outcomes, old=old, reward_model=scores)
        assert close(loss, total / 2)
        assert close(gradient(long_policy, loss), gradient(long_policy, total / 2))
    assert clipped


def test_the_divergence_is_unbiased_where_its_gradient_is_taken(long_policy: TabularPolicy) -> None:
    """E over tokens of r − log r − 1 is KL(p ‖ p_ref); β multiplies it."""
    reference = TabularPolicy(2)
    total = torch.zeros((), dtype=torch.float64)
    for probability, y in zip(long_policy.probabilities(T).detach(), completions(), strict=True):
        for end in range(1, len(y) + 1):
            log_r = token_logp(reference, y, end).detach() - token_logp(long_policy, y, end)
            total = total + probability * (log_r.exp() - log_r - 1)
    divergence = sum(
        p * (p.log() - r.log()).detach()
        for p, r in zip(long_policy.probabilities(T), reference.probabilities(T), strict=True)
    )
    assert total.item() == pytest.approx(float(divergence.detach()), rel=1e-9)
    objective = FormatOnly(beta=0.3, shaping="standardised", loss_type="dr_grpo")
    found = expected_gradient(long_policy, objective, 1, reference=reference)  # K = 1: no reward
    assert close(found, 0.3 * gradient(long_policy, total))


def token_logp(policy: TabularPolicy, y: Sequence_, end: int) -> torch.Tensor:
    return policy.log_prob(y[:end], T) - policy.log_prob(y[: end - 1], T)


@pytest.mark.parametrize("pairs", ["confidence", "majority", "given"])
def test_dpo_has_the_gradient_of_its_loss(long_policy: TabularPolicy, pairs: str) -> None:
    reference, beta = TabularPolicy(2), 0.4
    objective: Objective = DPO(dpo_beta=beta, dpo_pairs=pairs)
    seen = 0
    for _, outcomes in list(tuples(long_policy, 2))[::3]:
        pair = chosen_and_rejected(long_policy, outcomes, pairs)
        found = gradient(
            long_policy, group_loss(long_policy, objective, outcomes, reference=reference)
        )
        if pair is None:
            assert not found.any()
            continue
        ratio = [long_policy.log_prob(y, T) - reference.log_prob(y, T).detach() for y in pair]
        loss = -torch.nn.functional.logsigmoid(beta * (ratio[0] - ratio[1]))
        assert close(found, gradient(long_policy, loss / 2))  # the mean over two completions
        seen += 1
    assert seen > 20


def test_dpo_picks_among_several() -> None:
    """The most and the least confident; the most confident of the majority and of the rarest."""
    logps = torch.tensor([[-1.0, -1.0], [-0.1, -0.1], [-3.0, 0.0], [-0.5, -0.2], [-2.0, -2.0]])
    mask = torch.ones(5, 2, dtype=torch.bool)
    mask[2, 1] = False
    known = {"logps_KT": logps.double(), "reference_logps_KT": logps.double()}
    known["clusters"] = (0, 1, 0, 2, 2)
    cut = torch.zeros(5, dtype=torch.bool)
    pool = PoolView("q", "q", ("",) * 5, mask, cut, 0, known)
    half = 0.1 * 0.5  # β σ(0)
    assert DPO().weigh(pool).tolist() == pytest.approx([0, half, -half, 0, 0])
    majority = DPO(dpo_pairs="majority").weigh(pool)
    assert majority.tolist() == pytest.approx([half, -half, 0, 0, 0])


def chosen_and_rejected(
    policy: TabularPolicy, outcomes: Outcomes, pairs: str
) -> tuple[Sequence_, Sequence_] | None:
    one, other = outcomes
    if pairs == "given":
        return one, other
    if pairs == "confidence":
        confidence = mean_logp(policy, outcomes)
        if abs(confidence[0] - confidence[1]) < 1e-12:
            return None
        return (one, other) if confidence[0] > confidence[1] else (other, one)
    answers = [answer_of(y) for y in outcomes]
    return None if None in answers or answers[0] == answers[1] else (one, other)


def test_advantages_are_the_sum_of_discounted_errors() -> None:
    """Against A_t = Σ_l (γλ)^l δ_{t+l}, written out; and λ = 1 gives return minus value."""
    torch.manual_seed(0)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()
    values = torch.randn(3, 4, dtype=torch.float64) * mask
    rewards = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)
    gamma, lam = 0.9, 0.8
    found = advantages(rewards, values, mask, gamma, lam)
    for row, length in enumerate([4, 2, 1]):
        v = [*values[row, :length].tolist(), 0.0]
        delta = [gamma * v[t + 1] - v[t] for t in range(length)]
        delta[-1] += rewards[row].item()
        for t in range(length):
            by_hand = sum((gamma * lam) ** (s - t) * delta[s] for s in range(t, length))
            assert found[row, t].item() == pytest.approx(by_hand, abs=1e-12)
        assert not found[row, length:].any()
    plain = advantages(rewards, values, mask, 1.0, 1.0)
    assert close(plain, (rewards[:, None] - values) * mask)


def test_ppo_without_a_value_ascends_the_expected_reward(policy: TabularPolicy) -> None:
    objective = PPO(gae_lambda=1.0)

    def nothing(states: torch.Tensor) -> torch.Tensor:
        return torch.zeros(states.shape[:2], dtype=torch.float64)

    found = expected_gradient(policy, objective, 1, answers=KEY, value_head=nothing)
    assert close(found, -gradient(policy, share_right(policy)))


def test_a_value_of_the_tokens_before_takes_nothing_from_the_expectation(
    policy: TabularPolicy,
) -> None:
    """V(y_<t) as the baseline at t, λ = 1: noise less or more, the expectation is −∇E[R]."""

    def prefix(states_BTH: torch.Tensor) -> torch.Tensor:
        logps_BT = states_BTH[..., 0]  # of the tokens: their sum before t is known at t
        return 0.7 + logps_BT.cumsum(-1) - logps_BT

    found = expected_gradient(policy, PPO(gae_lambda=1.0), 1, answers=KEY, value_head=prefix)
    assert close(found, -gradient(policy, share_right(policy)))
