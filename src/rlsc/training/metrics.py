"""What is logged of a step: what the policy did, and what the loss really weighed.

`METRICS` defines each name once. All are from quantities that the step has computed anyway; none
needs labels but those of a reward that does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from rlsc.guard import group_signals
from rlsc.logprobs import Batch
from rlsc.objectives import divergence
from rlsc.runtime import gathered
from rlsc.statistics import collision_probability
from rlsc.types import CompletionGroup

METRICS: dict[str, str] = {
    # Of the completions that were sampled, under every objective alike.
    "completion_length": "mean tokens of a completion",
    "sampled_tokens": "tokens of all the step's completions",
    "truncation_rate": "share of completions that the cap cut off",
    "distinct_completions": "distinct siblings over K, the mean over questions",
    "f_hat": "unbiased estimate of Σ_y q(y|x)², q the policy that sampled, by identical siblings; "
    "none for K = 1",
    "answered": "share of completions with an answer",
    "boxed": "share of completions with a boxed answer",
    "distinct_answers": "distinct answers of a question's siblings over K",
    "majority_share": "share of siblings that give their question's commonest answer",
    "unanimous": "share of questions whose siblings all give one answer, by `answer_key`; "
    "--skip_unanimous also finds answers equal that only algebra shows to be",
    "empty": "share of completions without text",
    "repetition": "mean share of a completion's 4-grams of tokens that it has had before",
    "same_answer": "share of the pairs of questions whose commonest answer is one and the same",
    "copied": "share of completions whose answer is a number of the question's text",
    "information": "mutual information of question and answer over the logarithm of the number of "
    "questions: 1 where each question has one answer of its own",
    "prompts_too_long": "asks left out since their prompt does not fit the model's context",
    # Of the policy, at the loss's temperature.
    "mean_p": "mean p(y|x)",
    "max_p": "largest p(y|x)",
    "mean_logp": "mean log p of a token, in nats",
    "entropy": "mean entropy of a token, in nats",
    "answer_entropy": "mean entropy of a token of the final answer, in nats",
    "reasoning_entropy": "mean entropy of any other token, in nats",
    "answer_kl": "of a token of the final answer, the mean estimate of KL(policy ‖ model before "
    "training), in nats; where the loss has such a divergence",
    "reasoning_kl": "the same of any other token",
    "answer_located": "share of completions whose answer's tokens are known: it is read from the "
    "text, and stands there as it was read",
    # Of the loss.
    "loss": "what the gradient is of, over the step's completions",
    "reward": "mean reward, before it is shaped",
    "reward_std": "mean over questions of the standard deviation of their rewards",
    "labelled": "share of questions that are judged by a reference answer, the others by their "
    "siblings' majority; with --label_share",
    "zero_weight": "share of questions whose completions all weigh nothing",
    "effective_sample_size": "(Σw)² / Σw² of the weights of a question's siblings, 1 to K; 0 where "
    "all are 0",
    "underflowed_weights": "share of weights, before a constant is added, that are 0 in float32",
    "alpha_share": "share of the total weight that is the constant added to each",
    "supervised": "1 in the steps of a supervised start, whose completions are given",
    "capped_weights": "share of completions whose importance weight was cut to its cap; with "
    "--importance_sampling_correction",
    "masked_completions": "share of completions that are left out of the loss",
    "all_masked": "1 where every completion is left out",
    "overflows": "with fp16: how often the step's gradients overflowed and were computed again at "
    "half the loss scale",
    "moved_weights": "share of the trained weights that the step changed, of a sample; where they "
    "have 16 bits",
    "value_loss": "half the mean squared error of the value head, a token",
    # Of the guard: what it sees on its probe, and what it makes of it.
    "guard/support": "the untrained model's vote for the probe's answers",
    "guard/flips": "share of the probe's answers that changed since it was asked before",
    "guard/divergence": "estimate of KL(untrained model ‖ policy) on the probe, in nats a token",
    "guard/verdict": "0 healthy, 1 narrowing, 2 collapsed",
    # Of time.
    "seconds": "the whole step's",
    "sample_seconds": "sampling, the guard's look and weighing; where a step samples",
}
"""What each name in metrics.jsonl means. Weights may be negative: their sizes count. Answers are
equal that have one `answer_key`. Where the policy does not sample, the guard's own signals of its
probe's answers are there too, as `guard/` and a name of the first part."""

_OF_COMPLETIONS = (
    *("completion_length", "truncation_rate", "distinct_completions"),
    *("answered", "boxed", "distinct_answers", "majority_share", "unanimous"),
    *("empty", "repetition", "same_answer", "copied", "information"),
)


@dataclass
class StepRecord:
    """Per-completion results of one step, one entry for each of the N completions."""

    logps_N: Tensor
    """Summed log-prob at the loss's temperature."""
    log_confidence_N: Tensor
    log_weight_N: Tensor
    """log |w|; `sign_N` has the sign."""
    sign_N: Tensor
    entropy_sum_N: Tensor
    """Sum over the completion's tokens of the entropy at the loss's temperature."""
    lengths_N: Tensor
    capped_N: Tensor
    """1 where the importance weight was cut down to the cap."""
    answer_lengths_N: Tensor
    """Tokens of the final answer; the next fields are sums over these, and over all tokens."""
    answer_entropy_sum_N: Tensor
    answer_kl_sum_N: Tensor
    kl_sum_N: Tensor
    """Estimates of KL(policy ‖ model before training), where the loss knows of it; else nan."""

    @property
    def weights_N(self) -> Tensor:
        """The weights themselves; 0 where they underflow."""
        return self.sign_N * self.log_weight_N.exp()

    @classmethod
    def empty(cls, n: int) -> StepRecord:
        return cls(*(torch.zeros(n, dtype=torch.float64) for _ in fields(cls)))

    def fill(self, members: Sequence[Sequence[int]], **values_B: Tensor) -> None:
        """Set fields by name, from one value a row to all the completions it stands for."""
        for name, values in values_B.items():
            target_N = getattr(self, name)
            for indices, value in zip(members, values.tolist(), strict=True):
                target_N[list(indices)] = value

    def fill_answers(
        self,
        batch: Batch,
        answer_BT: Tensor,
        entropies_BT: Tensor,
        logps_BT: Tensor,
        reference_logps_BT: Tensor | None,
    ) -> None:
        """What splits entropy and divergence into answer and reasoning; all [B, T], 0 outside."""
        kl_BT = torch.full_like(logps_BT.detach(), math.nan)
        if reference_logps_BT is not None:
            kl_BT = divergence(logps_BT.detach(), reference_logps_BT)
        self.fill(
            [row.members for row in batch.rows],
            answer_lengths_N=answer_BT.sum(-1),
            answer_entropy_sum_N=(entropies_BT.detach() * answer_BT).sum(-1),
            answer_kl_sum_N=(kl_BT * answer_BT).sum(-1),
            kl_sum_N=kl_BT.sum(-1),
        )


def rollout_metrics(groups: Sequence[CompletionGroup]) -> dict[str, float]:
    """Of a rollout's completions, by the names of `METRICS`: the same for every objective.

    Answers by keys, which cost a regular expression a completion. Clusters would find more answers
    equal, but take a process that does algebra, for objectives that have no use for it.
    """
    signals = group_signals(groups)
    tokens = sum(len(completion.token_ids) for group in groups for completion in group.completions)
    of_completions = {name: signals[name] for name in _OF_COMPLETIONS}
    return of_completions | {"sampled_tokens": float(tokens)}


def of_all_processes(
    groups: Sequence[CompletionGroup],
    record: StepRecord,
    kept_N: Tensor,
    metrics: Mapping[str, float],
) -> tuple[list[CompletionGroup], StepRecord, Tensor, dict[str, float]]:
    """The step's groups, record, kept completions and metrics, over all processes.

    In order of rank, which is the order that one process would have them in. Metrics are means
    over questions, so each process counts by how many it has.
    """
    parts = gathered((list(groups), record, kept_N, dict(metrics)))
    if len(parts) == 1:
        return parts[0]
    everyone = [group for part in parts for group in part[0]]
    names = [field.name for field in fields(StepRecord)]
    joined = StepRecord(*(torch.cat([getattr(part[1], name) for part in parts]) for name in names))
    # `zero_weight` is left out where it is 0; a process without questions has no metrics.
    means = {
        name: math.fsum(len(part[0]) * part[3].get(name, 0.0) for part in parts if part[0])
        / len(everyone)
        for name in dict.fromkeys(name for part in parts for name in part[3])
    }
    return everyone, joined, torch.cat([part[2] for part in parts]), means


def step_metrics(
    groups: Sequence[CompletionGroup], record: StepRecord, alpha: float, kept: int
) -> dict[str, float]:
    """Of the loss and of what it is about, by the names of `METRICS`.

    `kept` is the number of completions that are not masked out of the loss.
    """
    sizes = [len(group.completions) for group in groups]
    p_N = record.logps_N.exp()
    f_hats = [collision_probability([c.token_ids for c in g.completions]) for g in groups]
    sample_sizes = [_effective_sample_size(part) for part in record.log_weight_N.split(sizes)]
    total_weight = float(record.log_weight_N.exp().sum())
    tokens = float(record.lengths_N.sum())
    return {
        "mean_p": float(p_N.mean()),
        "max_p": float(p_N.max()),
        "mean_logp": float(record.logps_N.sum()) / tokens,
        "f_hat": _mean([f for f in f_hats if f is not None]),
        "effective_sample_size": _mean(sample_sizes),
        "underflowed_weights": float((record.log_confidence_N.float().exp() == 0).double().mean()),
        "alpha_share": alpha * kept / total_weight if total_weight else float("nan"),
        "entropy": float(record.entropy_sum_N.sum()) / tokens,
        **_of_answers(record),
    }


def _of_answers(record: StepRecord) -> dict[str, float]:
    """Entropy and divergence of the answers' tokens and of the others; what there is of them."""
    answered = float(record.answer_lengths_N.sum())
    counts = {"answer": answered, "reasoning": float(record.lengths_N.sum()) - answered}
    sums = {
        "entropy": (record.answer_entropy_sum_N, record.entropy_sum_N),
        "kl": (record.answer_kl_sum_N, record.kl_sum_N),
    }
    metrics = {"answer_located": float((record.answer_lengths_N > 0).double().mean())}
    for name, (of_answer_N, of_all_N) in sums.items():
        totals = {"answer": float(of_answer_N.sum())}
        totals["reasoning"] = float(of_all_N.sum()) - totals["answer"]
        for part, count in counts.items():
            if count and not math.isnan(totals[part]):
                metrics[f"{part}_{name}"] = totals[part] / count
    return metrics


def _effective_sample_size(log_weights_K: Tensor) -> float:
    """(Σw)² / Σw², in log space: right even where every weight underflows."""
    if torch.isneginf(log_weights_K).all():
        return 0.0
    return float((2 * log_weights_K.logsumexp(0) - (2 * log_weights_K).logsumexp(0)).exp())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
