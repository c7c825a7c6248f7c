"""Groups of a tabular policy's outcomes, enumerated: expected gradients, the library's and ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from rlsc.logprobs.padded_rows import MicroBatch, make_rows, pad
from rlsc.logprobs.scorer import score_completions
from rlsc.objectives import Objective
from rlsc.training.metrics import StepRecord
from rlsc.training.update import first_of_each, micro_batch_loss, split_unalike
from rlsc.types import Completion, CompletionGroup, Prompt
from tests.invariant.tabular import PROMPT, STOP, Sequence_, TabularPolicy
from tests.invariant.weighed import weigh

T = 0.5
Outcomes = tuple[Sequence_, ...]
Weigh = Callable[[Outcomes], Sequence[float]]


def text_of(outcome: Sequence_) -> str:
    """Its tokens' sum is the answer; the outcome that stops at once has none."""
    tokens = [token for token in outcome if token != STOP]
    if not tokens:
        return "I cannot tell"
    answer = str(sum(tokens))
    return f"So \\boxed{{{answer}}}" if tokens[0] == 1 else f"The answer is {answer}."


def answer_of(outcome: Sequence_) -> int | None:
    return sum(outcome) if any(outcome) else None


def answer_places(outcome: Sequence_) -> list[int]:
    """Of its tokens those that count as the answer's: the last before the stop."""
    return [sum(token != STOP for token in outcome) - 1] if any(outcome) else []


def answer_mask(outcomes: Outcomes) -> Tensor:
    mask_KT = torch.zeros(len(outcomes), max(map(len, outcomes)), dtype=torch.bool)
    for row, outcome in enumerate(outcomes):
        mask_KT[row, answer_places(outcome)] = True
    return mask_KT


def group_of(outcomes: Outcomes) -> CompletionGroup:
    made = [Completion(text_of(y), y, (), "stop" if y[-1] == STOP else "length") for y in outcomes]
    return CompletionGroup(Prompt("q", "q", PROMPT), made)


def tuples(policy: TabularPolicy, k: int) -> Iterator[tuple[float, Outcomes]]:
    """Every K outcomes with their probability."""
    q = dict(zip(policy.completions, policy.probabilities(T).tolist(), strict=True))
    for outcomes in product(policy.completions, repeat=k):
        probability = 1.0
        for outcome in outcomes:
            probability *= q[outcome]
        yield probability, outcomes


def group_loss(
    policy: TabularPolicy,
    objective: Objective,
    outcomes: Outcomes,
    old: TabularPolicy | None = None,
    reference: TabularPolicy | None = None,
    trained: int = 0,
    record: StepRecord | None = None,
    **judges: Any,
) -> Tensor:
    """The library's loss of one group: the mean over its completions; fills `record`."""
    groups: Sequence[CompletionGroup] = [group_of(outcomes)]

    def score(batch, scored=policy):
        scores = score_completions(scored, batch, T, "entropy_gradient" in objective.loss_needs)
        if "gaps" in judges:
            return scores._replace(states_BTH=logits_of(scored, batch))
        return scores._replace(states_BTH=scores.logps_BT.detach()[..., None])  # any, for PPO

    rows = make_rows(groups, merge_duplicates=True)
    if reference is not None:
        judges["reference"] = lambda batch, temperature: score(batch, reference).logps_BT.detach()
    batch = pad(rows)
    judges["answer_NT"] = answer_mask(outcomes)
    weights = weigh(groups, objective, [batch], lambda one: score(one, old or policy), **judges)
    if trained:
        groups, weights = first_of_each(groups, weights, trained)
        rows = make_rows(groups, merge_duplicates=True)
    batch = pad(split_unalike(rows, weights))
    size = len(groups[0].completions)
    old_logps_NT = None
    if old is not None:
        logps_BT = score(batch, old).logps_BT.detach()
        old_logps_NT = torch.zeros(size, logps_BT.shape[1], dtype=torch.float64)
        for row, logps_T in zip(batch.rows, logps_BT, strict=True):
            old_logps_NT[list(row.members)] = logps_T
    reference_BT = None if reference is None else score(batch, reference).logps_BT.detach()
    record = StepRecord.empty(size) if record is None else record
    loss = micro_batch_loss(
        batch,
        score(batch),
        objective,
        weights,
        record,
        reference_logps_BT=reference_BT,
        old_logps_NT=old_logps_NT,
    )
    return loss / size


def expected_gradient(policy: TabularPolicy, objective: Objective, k: int, **given: Any) -> Tensor:
    """E over groups of K ∼ policy of the library's gradient."""
    total = torch.zeros((), dtype=torch.float64)
    for probability, outcomes in tuples(policy, k):
        total = total + probability * group_loss(policy, objective, outcomes, **given)
    return gradient(policy, total)


def logits_of(policy: TabularPolicy, batch: MicroBatch) -> Tensor:
    """Those that predict each completion token, [B, T, V]: in place of hidden states."""
    columns = batch.completion_mask_BT.shape[1]
    return policy(batch.input_ids_BL, columns + 1).logits[:, :-1].detach()


def by_hand(policy: TabularPolicy, weigh_all: Weigh, k: int, mean_over_tokens: bool) -> Tensor:
    """E over groups of −(1/K) Σ_k w_k ∇log p(y_k), from the policy's definition alone."""
    logps = {outcome: policy.log_prob(outcome, T) for outcome in policy.completions}
    factors = dict.fromkeys(logps, 0.0)
    for probability, outcomes in tuples(policy, k):
        weights = weigh_all(outcomes)
        for outcome, weight in zip(outcomes, weights, strict=False):
            length = len(outcome) if mean_over_tokens else 1
            factors[outcome] += probability * weight / (len(weights) * length)
    return gradient(policy, -sum(factors[y] * logps[y] for y in logps))


def by_hand_of_tokens(
    policy: TabularPolicy, weigh_all: Callable[[Outcomes], Sequence[Sequence[float]]], k: int
) -> Tensor:
    """`by_hand` with a weight for each token, and the mean over a completion's tokens."""
    factors = {y: [0.0] * len(y) for y in policy.completions}
    for probability, outcomes in tuples(policy, k):
        for outcome, weights in zip(outcomes, weigh_all(outcomes), strict=True):
            for place, weight in enumerate(weights):
                factors[outcome][place] += probability * weight / (k * len(outcome))
    total = torch.zeros((), dtype=torch.float64)
    for outcome, of_tokens in factors.items():
        logps = [policy.log_prob(outcome[:end], T) for end in range(len(outcome) + 1)]
        for factor, before, after in zip(of_tokens, logps[:-1], logps[1:], strict=True):
            total = total - factor * (after - before)
    return gradient(policy, total)


def gradient(policy: TabularPolicy, value: Any) -> Tensor:
    (found,) = torch.autograd.grad(value, policy.table, allow_unused=True)
    return torch.zeros_like(policy.table) if found is None else found


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-7, atol=1e-11)
