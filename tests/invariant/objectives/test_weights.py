"""Weights of very long completions, and weights that couple siblings."""

from __future__ import annotations

import math

import pytest
import torch

from rlsc.grading import Grader, cluster_answers
from rlsc.objectives import RLSC, LossInputs, PoolView
from rlsc.objectives.weights import NAMES, answer
from rlsc.training.metrics import StepRecord, rollout_metrics, step_metrics
from rlsc.types import Completion, CompletionGroup, Prompt

PROMPT = Prompt("q", "q", (1,))


def rows(logps: torch.Tensor, weight: float | torch.Tensor = 1.0) -> LossInputs:
    """`weight` is what siblings-wide weights have given."""
    mask = torch.ones_like(logps, dtype=torch.bool)
    weights = torch.as_tensor(weight).to(logps).expand(len(logps))[:, None]
    entropies = torch.zeros_like(logps)
    return LossInputs(logps.requires_grad_(), mask, weights, entropies, logps.detach())


def siblings(texts: list[str], logps: torch.Tensor | None = None) -> PoolView:
    with Grader(workers=1) as grader:
        answers, clusters = cluster_answers(texts, grader)
    cut = torch.zeros(len(texts), dtype=torch.bool)
    known = {"answers": answers, "clusters": clusters, "logps_KT": logps}
    mask = torch.ones(len(texts), 1 if logps is None else logps.shape[1], dtype=torch.bool)
    return PoolView("q", "q", tuple(texts), mask, cut, 0, known)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_a_long_completion_neither_overflows_nor_turns_into_nan(name: str, alpha: float) -> None:
    """3072 tokens at 0.1 nats: p = e^−307, far below what float32 holds."""
    logps = torch.full((1, 3072), -0.1)
    twins = siblings(["7", "7"], logps.expand(2, -1).double())
    given = RLSC(name, alpha).weigh(twins)
    data = rows(logps, 1.0 if given is None else given[:1])
    result = RLSC(name, alpha).loss(data)
    result.loss_B.sum().backward()
    assert torch.isfinite(result.loss_B).all()
    assert data.logps_BT.grad is not None
    assert torch.isfinite(data.logps_BT.grad).all()
    expected = {
        "sequence": -307.2,
        "length_normalized": -0.1,
        "token": -0.1,
        "group_softmax": -math.log(2),
        "answer": 0.0,
        "constant": -math.inf,
    }[name]
    assert result.log_confidence_B.item() == pytest.approx(expected, rel=1e-4)
    weight = math.exp(expected) + alpha
    assert result.log_weight_B.exp().item() == pytest.approx(weight, rel=1e-4)
    assert result.loss_B.item() == pytest.approx(weight * 307.2, rel=1e-4, abs=1e-30)


def metrics_of(log_confidence: float, alpha: float, length: int = 3072) -> dict[str, float]:
    group = CompletionGroup(PROMPT, [Completion("", (5,) * length, (), "length")] * 2)
    record = StepRecord.empty(2)
    record.logps_N[:] = log_confidence
    record.log_confidence_N[:] = log_confidence
    record.log_weight_N[:] = math.log(math.exp(log_confidence) + alpha) if alpha else log_confidence
    record.lengths_N[:] = length
    return rollout_metrics([group]) | step_metrics([group], record, alpha, 2)


def test_an_underflowed_weight_is_reported() -> None:
    assert metrics_of(-307.2, 0.1)["underflowed_weights"] == 1.0
    assert metrics_of(-80.0, 0.1)["underflowed_weights"] == 0.0


def test_metrics_of_two_identical_completions() -> None:
    metrics = metrics_of(-2.0, 0.1)
    assert metrics["mean_p"] == pytest.approx(math.exp(-2))
    assert metrics["f_hat"] == 1.0
    assert metrics["distinct_completions"] == 0.5
    assert metrics["truncation_rate"] == 1.0
    assert metrics["effective_sample_size"] == pytest.approx(2.0)
    assert metrics["alpha_share"] == pytest.approx(0.1 / (math.exp(-2) + 0.1))


def test_effective_sample_size_in_log_space() -> None:
    """Weights e^−500 and 3·e^−500: (1 + 3)² / (1 + 9), though both are 0 in float32."""
    group = CompletionGroup(PROMPT, [Completion("", (5,), (), "stop")] * 2)
    record = StepRecord.empty(2)
    record.log_weight_N[:] = torch.tensor([-500.0, -500.0 + math.log(3)], dtype=torch.float64)
    record.lengths_N[:] = 1
    assert step_metrics([group], record, 0.0, 2)["effective_sample_size"] == pytest.approx(1.6)


def test_group_softmax_is_the_softmax_over_siblings() -> None:
    logps = torch.tensor([[-1.0, -2.0], [-0.5, -0.1], [-4.0, 0.0]], dtype=torch.float64)
    given = RLSC("group_softmax", 0.0).weigh(siblings(["a", "b", "c"], logps))
    assert given is not None
    weights = RLSC("group_softmax", 0.0).loss(rows(logps, given)).log_weight_B.exp()
    assert torch.allclose(weights, logps.sum(-1).softmax(0))


def test_answer_agreement_leaves_the_row_itself_out() -> None:
    texts = ["so 7", "7.0", "it is 8", "no idea", "7"]
    assert answer(siblings(texts)).tolist() == [2 / 4, 2 / 4, 0, 0, 2 / 4]


def test_answer_weight_of_a_loner_is_alpha_alone() -> None:
    result = RLSC("answer", 0.1).loss(rows(torch.tensor([[-1.0]]), 0.0))
    assert result.log_weight_B.exp().item() == pytest.approx(0.1)
    assert result.loss_B.item() == pytest.approx(0.1)
