"""A policy small enough to enumerate: one table of logits, a row for every prefix.

It speaks the model's calling convention, so that the library's own scoring and loss run on it.
"""

from __future__ import annotations

import math
from itertools import product
from types import SimpleNamespace

import torch
from torch import Tensor

from rlsc.logprobs.padded_rows import MicroBatch, ScoredSequence, pad
from rlsc.logprobs.scorer import score_completions
from rlsc.objectives import Objective
from rlsc.training.metrics import StepRecord
from rlsc.training.update import micro_batch_loss
from rlsc.training.weighing import Advantages

VOCABULARY = 3
STOP = 0
MAX_LENGTH = 3
PROMPT = (1,)

Sequence_ = tuple[int, ...]


def prefixes() -> list[Sequence_]:
    """All prefixes that can be continued: no stop token in them, shorter than the cap."""
    going_on = range(1, VOCABULARY)
    return [p for length in range(MAX_LENGTH) for p in product(going_on, repeat=length)]


def completions() -> list[Sequence_]:
    """All outcomes: sequences that end in the stop token, or are cut at the cap."""
    ended = [(*prefix, STOP) for prefix in prefixes()]
    cut = list(product(range(1, VOCABULARY), repeat=MAX_LENGTH))
    return sorted({*ended, *cut})


class TabularPolicy(torch.nn.Module):
    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.place = {prefix: index for index, prefix in enumerate(prefixes())}
        table = torch.randn(len(self.place), VOCABULARY, generator=generator, dtype=torch.float64)
        self.table = torch.nn.Parameter(table)

    def forward(self, input_ids: Tensor, logits_to_keep: int, **_: object) -> SimpleNamespace:
        start = input_ids.shape[1] - logits_to_keep  # the last column of the prompt
        rows = [
            # Prefixes past a stop token are not in the table; they are masked anyway.
            [self.place.get(tuple(ids[start + 1 : end + 1]), 0) for end in range(start, len(ids))]
            for ids in input_ids.tolist()
        ]
        return SimpleNamespace(logits=self.table[torch.tensor(rows)])

    def log_prob(self, completion: Sequence_, temperature: float) -> Tensor:
        """log p(y) from the definition, independent of the library."""
        total = torch.zeros((), dtype=torch.float64)
        for index, token in enumerate(completion):
            logits = self.table[self.place[completion[:index]]] / temperature
            total = total + logits[token] - logits.exp().sum().log()
        return total

    def probabilities(self, temperature: float) -> Tensor:
        """p(y) of every outcome, in the order of `completions()`."""
        return torch.stack([self.log_prob(y, temperature).exp() for y in completions()])


def batch_of(outcomes: list[Sequence_]) -> MicroBatch:
    return pad([ScoredSequence(PROMPT, y, (index,)) for index, y in enumerate(outcomes)])


def library_losses(
    policy: TabularPolicy,
    objective: Objective,
    temperature: float,
    engine_logps: Tensor | None = None,
    cap: float = math.inf,
) -> list[Tensor]:
    """The library's loss of each outcome on its own, with gradient."""
    losses = []
    for index, outcome in enumerate(completions()):
        batch = batch_of([outcome])
        scores = score_completions(policy, batch, temperature)
        engine = None if engine_logps is None else engine_logps[index : index + 1]
        weights = Advantages(torch.ones(1), (torch.ones(1, 1),))
        record = StepRecord.empty(1)
        losses.append(
            micro_batch_loss(batch, scores, objective, weights, record, cap, engine_logps_N=engine)
        )
    return losses


def expected_gradient(
    policy: TabularPolicy, objective: Objective, sampled_at: float, scored_at: float
) -> Tensor:
    """E over y ∼ policy at `sampled_at` of the library's gradient, by enumeration."""
    q = policy.probabilities(sampled_at).detach()
    loss = (q * torch.stack(library_losses(policy, objective, scored_at))).sum()
    return torch.autograd.grad(loss, policy.table)[0]
