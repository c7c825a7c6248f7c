"""Weights of very long completions, and weights that couple siblings."""

from __future__ import annotations

import math

import pytest
import torch

from rlsc.config import WEIGHTS as NAMES
from rlsc.metrics import StepRecord, step_metrics
from rlsc.objectives import RLSC, Rows
from rlsc.objectives.weights import WEIGHTS
from rlsc.types import Completion, CompletionGroup, Prompt
from rlsc.update import answer_agreement

PROMPT = Prompt("q", "q", (1,))


def rows(logps: torch.Tensor, **siblings: torch.Tensor) -> Rows:
    return Rows(logps.requires_grad_(), torch.ones_like(logps, dtype=torch.bool), **siblings)


def test_every_configured_weight_exists() -> None:
    assert set(NAMES) == set(WEIGHTS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_a_long_completion_neither_overflows_nor_turns_into_nan(name: str, alpha: float) -> None:
    """3072 tokens at 0.1 nats: p = e^−307, far below what float32 holds."""
    total = torch.tensor([-307.2 + math.log(2)])
    data = rows(
        torch.full((1, 3072), -0.1),
        siblings_logsumexp_B=total,
        agreement_B=torch.tensor([0.5]),
    )
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
        "answer": math.log(0.5),
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
    return step_metrics([group], record, alpha, 2)


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
    sums = logps.sum(-1)
    data = rows(logps, siblings_logsumexp_B=sums.logsumexp(0).expand(3))
    weights = RLSC("group_softmax", 0.0).loss(data).log_weight_B.exp()
    assert torch.allclose(weights, sums.softmax(0))


def test_answer_agreement_leaves_the_row_itself_out() -> None:
    texts = ["so 7", "7.0", "it is 8", "no idea", "7"]
    group = CompletionGroup(PROMPT, [Completion(text, (1,), (), "stop") for text in texts])
    agreement = answer_agreement([group, group])
    assert agreement.tolist() == [2 / 4, 2 / 4, 0, 0, 2 / 4] * 2


def test_answer_weight_of_a_loner_is_alpha_alone() -> None:
    data = rows(torch.tensor([[-1.0]]), agreement_B=torch.tensor([0.0]))
    result = RLSC("answer", 0.1).loss(data)
    assert result.log_weight_B.exp().item() == pytest.approx(0.1)
    assert result.loss_B.item() == pytest.approx(0.1)
