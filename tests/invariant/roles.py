"""A policy of two roles, small enough to enumerate: a table of logits a prompt and prefix."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import torch
from torch import Tensor

from rlsc.logprobs.padded_rows import make_rows, pad
from rlsc.logprobs.scorer import score_completions
from rlsc.objectives import Objective
from rlsc.training.auxiliary import AuxiliaryModels
from rlsc.training.metrics import StepRecord
from rlsc.training.update import micro_batch_loss
from rlsc.training.weighing import Forward, Source, advantages
from rlsc.types import Completion, CompletionGroup, Pool, Prompt
from tests.invariant.tabular import STOP, VOCABULARY, Sequence_, completions, prefixes

CAP = 2
OUTCOMES = completions(CAP)
"""Seven: the first of them stops at once."""
PROPOSE = 0
"""The prompt to propose at; task n has the prompt n + 1."""
TASKS = {outcome: place for place, outcome in enumerate(OUTCOMES[1:])}
"""A proposal is its own task, but for the one that stops at once: that is none."""


class RolePolicy(torch.nn.Module):
    """In float64; it speaks the model's calling convention, with prompts of one token."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.place = {prefix: index for index, prefix in enumerate(prefixes(CAP))}
        shape = (len(TASKS) + 1, len(self.place), VOCABULARY)
        self.table = torch.nn.Parameter(
            torch.randn(shape, generator=generator, dtype=torch.float64)
        )

    def forward(self, input_ids: Tensor, logits_to_keep: int, **_: object) -> SimpleNamespace:
        start = input_ids.shape[1] - logits_to_keep  # the last column of the prompt
        places = [
            [self.place.get(tuple(ids[start + 1 : end + 1]), 0) for end in range(start, len(ids))]
            for ids in input_ids.tolist()
        ]
        return SimpleNamespace(logits=self.table[input_ids[:, start, None], torch.tensor(places)])

    def log_prob(self, prompt: int, completion: Sequence_) -> Tensor:
        """log p(y | prompt) at temperature 1, from the definition alone."""
        total = torch.zeros((), dtype=torch.float64)
        for index, token in enumerate(completion):
            logits = self.table[prompt, self.place[completion[:index]]]
            total = total + logits[token] - logits.exp().sum().log()
        return total

    def probabilities(self, prompt: int) -> Tensor:
        """p(y | prompt) of each of `OUTCOMES`."""
        return torch.stack([self.log_prob(prompt, outcome).exp() for outcome in OUTCOMES])


def is_right(task: int, outcome: Sequence_) -> float:
    """1 where the tokens' sum is the task's number modulo 3."""
    return float(sum(outcome) % 3 == task % 3)


def group(prompt: int, *outcomes: Sequence_, name: str = "") -> CompletionGroup:
    made = [Completion(str(y), y, (), "stop" if y[-1] == STOP else "length") for y in outcomes]
    return CompletionGroup(Prompt(name or str(prompt), str(prompt), (prompt,)), made)


def library_loss(
    policy: RolePolicy, objective: Objective, pools: Sequence[Pool], sizes: Sequence[int] = ()
) -> Tensor:
    """The library's loss of a step: the sum over its micro-batches over its completions.

    `sizes`: rows of each micro-batch; one for all by default.
    """
    groups = [group for pool in pools for group in pool.groups]
    source = Source({one.prompt.id: one.prompt.text for one in groups})
    never = Forward(lambda: [], lambda batch: None, 1.0)  # type: ignore[arg-type, return-value]
    weights = advantages(pools, objective, AuxiliaryModels(), never, source, range(len(pools)))
    lengths = [len(one.token_ids) for each in groups for one in each.completions]
    rows = make_rows(groups, merge_duplicates=False)
    total, start, record = torch.zeros(()), 0, StepRecord.empty(len(lengths))
    for size in sizes or [len(rows)]:
        batch = pad(rows[start : start + size])
        scores = score_completions(policy, batch, 1.0)
        mean = sum(lengths) / len(lengths)
        total = total + micro_batch_loss(
            batch, scores, objective, weights, record, mean_length=mean
        )
        start += size
    assert start == len(rows)
    return total / len(lengths)
