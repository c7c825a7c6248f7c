"""A supervised start's loss is the masked negative log-likelihood, by hand on a tabular policy."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rlsc.logprobs import Layout, Scorer
from rlsc.models import RoleAdapters
from rlsc.training import RLSCConfig
from rlsc.training.progress import StepProgress
from rlsc.training.supervised import SupervisedStart
from rlsc.types import Completion, CompletionGroup, Prompt
from tests.invariant.roles import OUTCOMES, RolePolicy

ROWS = [(1, OUTCOMES[0]), (2, OUTCOMES[3]), (2, OUTCOMES[5]), (3, OUTCOMES[6]), (1, OUTCOMES[0])]
"""Of three prompts; two rows are the same."""


def given() -> list[CompletionGroup]:
    return [
        CompletionGroup(Prompt(f"sft/{n}", "", (prompt,)), [Completion("", ids, (), "stop")])
        for n, (prompt, ids) in enumerate(ROWS)
    ]


def start(policy: RolePolicy, folder: Path, **settings: object) -> SupervisedStart:
    policy.config = SimpleNamespace(_attn_implementation="eager")  # type: ignore[assignment]
    accelerator = SimpleNamespace(
        gradient_state=SimpleNamespace(_set_sync_gradients=lambda last: None),
        scaler=None,
        backward=lambda loss: loss.backward(),
        no_sync=lambda model: nullcontext(),
        unwrap_model=lambda model: model,
    )
    scorer = Scorer(policy, Layout(padding_free=False), tokens_per_microbatch=6)
    args = RLSCConfig(
        **{"output_dir": str(folder), "sft_rows": "rows.jsonl", "sft_steps": 6, "bf16": False},
        **{"max_steps": 6, "sft_batch_size": len(ROWS), "temperature": 1.0, "save_strategy": "no"}
        | settings,
    )
    how = (scorer, RoleAdapters(policy, ()), accelerator, StepProgress(enabled=False))
    return SupervisedStart(args, given(), {}, *how)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        # What is of samples leaves it as it is.
        {"importance_sampling_correction": True, "weight_clip": 0.1, "num_iterations": 2},
    ],
    ids=["plain", "of samples"],
)
def test_the_loss_is_the_masked_likelihood(tmp_path: Path, settings: dict[str, object]) -> None:
    """(1/5) Σ_rows −Σ_t log p(y_t | prompt, y_<t): value, and gradient of every logit."""
    policy = RolePolicy(3)
    begun = start(policy, tmp_path, **settings)
    batch = begun.batch(0)
    assert len(batch.micro_batches) > 1
    outcome = begun.update.backward(policy, batch, 0)
    by_hand = torch.zeros((), dtype=torch.float64)
    for prompt, ids in ROWS:
        for at, token in enumerate(ids):
            logits = policy.table[prompt, policy.place[ids[:at]]]
            by_hand = by_hand - (logits[token] - logits.exp().sum().log()) / len(ROWS)
    (expected,) = torch.autograd.grad(by_hand, policy.table)
    logged = float(outcome.loss)  # a sum over micro-batches in float32, the gradient is not
    assert logged == pytest.approx(float(by_hand.detach()), rel=1e-6)
    assert policy.table.grad is not None
    assert torch.allclose(policy.table.grad, expected, rtol=1e-10, atol=1e-14)
    assert not policy.table.grad[0].any()  # a prompt of no row
    assert outcome.logps_NT is None  # one update of each step


def test_small_steps_of_it_raise_every_completion(tmp_path: Path) -> None:
    """And with them the mean log-prob of the rows, as a likelihood must."""
    policy = RolePolicy(3)
    begun = start(policy, tmp_path)

    def mean() -> float:
        return sum(float(policy.log_prob(*row).detach()) for row in ROWS) / len(ROWS)

    before = mean()
    for step in range(3):
        begun.update.backward(policy, begun.batch(step), step)
        with torch.no_grad():
            policy.table -= 0.1 * policy.table.grad
        policy.table.grad = None
        assert mean() > before
        before = mean()


def test_each_pass_takes_every_row_once_in_an_order_of_seed_and_step(tmp_path: Path) -> None:
    policy = RolePolicy()
    begun = start(policy, tmp_path, sft_batch_size=2)
    names = [[group.prompt.id for group in begun.groups_of(step)] for step in range(5)]
    passes = [[name for of_step in names for name in of_step][at : at + 5] for at in (0, 5)]
    assert [set(Counter(one).values()) for one in passes] == [{1}, {1}]
    assert passes[0] != passes[1]
    again = start(policy, tmp_path, sft_batch_size=2)
    assert [group.prompt.id for group in again.groups_of(3)] == names[3]
    other = start(policy, tmp_path, sft_batch_size=2, seed=7)
    assert [[g.prompt.id for g in other.groups_of(step)] for step in range(5)] != names
    assert [begun.has(step) for step in (0, 5, 6)] == [True, True, False]
