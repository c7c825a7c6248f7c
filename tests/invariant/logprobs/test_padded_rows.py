"""However the rows are cut, ordered or merged, loss and gradient are the same."""

from __future__ import annotations

import random

import pytest
import torch

from rlsc.logprobs.padded_rows import make_micro_batches, make_rows, pad
from rlsc.logprobs.scorer import score_completions
from rlsc.objectives import RLSC
from rlsc.training.metrics import StepRecord
from rlsc.training.update import micro_batch_loss
from rlsc.types import Completion, CompletionGroup, Prompt
from tests.conftest import VOCABULARY
from tests.invariant.weighed import weigh


def make_groups(seed: int = 0) -> list[CompletionGroup]:
    """Three questions of different length with ragged answers, some of them twice, some cut."""
    rng = random.Random(seed)
    groups = []
    for number, length in enumerate((3, 7, 5)):
        prompt = Prompt(str(number), "", tuple(rng.choices(range(3, VOCABULARY), k=length)))
        completions = []
        for _ in range(4):
            token_ids = tuple(rng.choices(range(3, VOCABULARY), k=rng.randint(1, 6)))
            if len(token_ids) < 6:
                token_ids = (*token_ids, 0)
            reason = "stop" if token_ids[-1] == 0 else "length"
            completions.append(Completion(str(len(token_ids)), token_ids, (), reason))
        groups.append(CompletionGroup(prompt, [*completions, completions[0]]))
    return groups


def loss_and_gradient(
    model: torch.nn.Module,
    groups: list[CompletionGroup],
    *,
    weight: str = "sequence",
    tokens: int = 64,
    merge: bool = True,
    shuffle: int | None = None,
    mask_truncated: bool = False,
) -> tuple[torch.Tensor, list[torch.Tensor], StepRecord]:
    rows = make_rows(groups, merge)
    micro_batches = make_micro_batches(rows, tokens)
    if shuffle is not None:
        random.Random(shuffle).shuffle(rows)
        micro_batches = [pad([row]) for row in rows]
    objective = RLSC(weight, 0.1)

    def score(batch):
        return score_completions(model, batch, 0.5)

    weights = weigh(groups, objective, micro_batches, score, mask_truncated)
    size = sum(len(group.completions) for group in groups)
    record = StepRecord.empty(size)
    model.zero_grad()
    total = torch.zeros((), dtype=torch.float64)
    for batch in micro_batches:
        loss = micro_batch_loss(batch, score(batch), objective, weights, record) / size
        loss.backward()
        total += loss.detach()
    return total, [p.grad.clone() for p in model.parameters()], record


WEIGHTS = ("sequence", "length_normalized", "token", "group_softmax", "answer", "constant")


@pytest.mark.parametrize("weight", WEIGHTS)
def test_cutting_ordering_and_merging_change_nothing(model, weight: str) -> None:
    model.double()
    groups = make_groups()
    loss, gradients, record = loss_and_gradient(model, groups, weight=weight, merge=False)
    assert max(g.abs().max() for g in gradients) > 1e-6
    for variant in ({"tokens": 1}, {"tokens": 30}, {"tokens": 10**6}, {"shuffle": 5}):
        for merge in (True, False):
            other, others, other_record = loss_and_gradient(
                model, groups, weight=weight, merge=merge, **variant
            )
            assert torch.allclose(other, loss, rtol=1e-10)
            for mine, theirs in zip(gradients, others, strict=True):
                assert torch.allclose(mine, theirs, rtol=1e-7, atol=1e-12)
            assert torch.allclose(other_record.logps_N, record.logps_N, rtol=1e-10)
            assert torch.allclose(other_record.log_weight_N, record.log_weight_N, rtol=1e-10)


def test_against_the_loss_written_out_by_hand(model) -> None:
    """One completion at a time, no padding, no micro-batches: the definition."""
    model.double()
    groups = make_groups()
    loss, gradients, _ = loss_and_gradient(model, groups)
    model.zero_grad()
    by_hand = torch.zeros((), dtype=torch.float64)
    count = 0
    for group in groups:
        for completion in group.completions:
            ids = torch.tensor([group.prompt.token_ids + completion.token_ids])
            logps = (model(input_ids=ids).logits[0, :-1] / 0.5).log_softmax(-1)
            start = len(group.prompt.token_ids) - 1
            log_p = sum(logps[start + t, token] for t, token in enumerate(completion.token_ids))
            by_hand = by_hand - (log_p.detach().exp() + 0.1) * log_p
            count += 1
    (by_hand / count).backward()
    assert torch.allclose(loss, by_hand / count, rtol=1e-10)
    for mine, parameter in zip(gradients, model.parameters(), strict=True):
        assert torch.allclose(mine, parameter.grad, rtol=1e-7, atol=1e-12)


def test_masked_truncated_completions_count_in_the_denominator_only(model) -> None:
    model.double()
    groups = make_groups()
    ended = [
        CompletionGroup(g.prompt, [c for c in g.completions if c.finish_reason == "stop"])
        for g in groups
    ]
    n, n_ended = (sum(len(g.completions) for g in some) for some in (groups, ended))
    assert 0 < n_ended < n
    masked, _, _ = loss_and_gradient(model, groups, mask_truncated=True)
    only_ended, _, _ = loss_and_gradient(model, ended)
    assert torch.allclose(masked * n, only_ended * n_ended, rtol=1e-10)


def test_all_masked_gives_zeros_not_nan(model) -> None:
    cut = [
        CompletionGroup(g.prompt, [c for c in g.completions if c.finish_reason == "length"])
        for g in make_groups()
    ]
    cut = [group for group in cut if group.completions]
    loss, gradients, _ = loss_and_gradient(model, cut, mask_truncated=True)
    assert loss == 0
    assert all((gradient == 0).all() for gradient in gradients)


def test_the_mask_covers_the_end_token_and_nothing_of_the_prompt() -> None:
    groups = make_groups()
    for batch in make_micro_batches(make_rows(groups, False), 200):
        prompt_length = batch.input_ids_BL.shape[1] - batch.completion_ids_BT.shape[1]
        for index, row in enumerate(batch.rows):
            mask = batch.completion_mask_BT[index]
            shown = batch.input_ids_BL[index, prompt_length:][mask]
            assert tuple(shown.tolist()) == row.completion_ids
            assert tuple(batch.completion_ids_BT[index][mask].tolist()) == row.completion_ids
            seen = batch.input_ids_BL[index][batch.attention_mask_BL[index].bool()]
            assert tuple(seen.tolist()) == row.prompt_ids + row.completion_ids


def test_micro_batches_keep_their_budget_and_every_row() -> None:
    rows = make_rows(make_groups(), False)
    batches = make_micro_batches(rows, 40)
    assert sorted(m for b in batches for r in b.rows for m in r.members) == list(range(15))
    assert all(b.input_ids_BL.numel() <= 40 for b in batches)
    assert len(batches) > 1


def test_merging_keeps_questions_apart() -> None:
    same = Completion("", (4, 0), (), "stop")
    groups = [CompletionGroup(Prompt(str(i), "", (5,)), [same, same]) for i in range(2)]
    assert [row.members for row in make_rows(groups, True)] == [(0, 1), (2, 3)]
