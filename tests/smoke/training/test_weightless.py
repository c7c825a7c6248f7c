"""Completions of weight 0 are computed without gradient, and the step stays what it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rlsc.engines.native.engine import NativeEngine
from rlsc.types import CompletionGroup
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.training.test_trainer import trainer

TEXTS = (r"\boxed{3}", r"\boxed{3}", "so, well", r"\boxed{5}", r"\boxed{7}", "")


class Speaking(NativeEngine):
    """Samples as ever, and says answers, of which two of six are the same."""

    def generate(self, *args: Any, **kwargs: Any) -> list[CompletionGroup]:
        return [
            replace(
                group,
                completions=tuple(
                    replace(each, text=text)
                    for each, text in zip(group.completions, TEXTS, strict=False)
                ),
            )
            for group in super().generate(*args, **kwargs)
        ]


def step(
    folder: Path, monkeypatch: pytest.MonkeyPatch, zero_stage: int = 0, **changes: Any
) -> tuple[int, list[Any]]:
    """How many micro-batches have no weight; outcome and gradients of the step without and with
    its sparing them."""
    engine = Speaking(tiny_model(), tiny_tokenizer(), torch.float32)
    settings = {"objective": "rlsc", "temperature": 1.0, "num_generations": len(TEXTS)}
    settings |= {"max_steps": 1, "save_strategy": "no", "guard": "off"}
    run = trainer(folder, sampler=engine, **(settings | changes))
    backward, spared, found = run.update.backward, [], []

    def both(model: Any, batch: Any, step: int) -> Any:
        spared.append(len(batch.weightless))
        rows = [*batch.micro_batches, *batch.weightless]
        for each in (replace(batch, micro_batches=rows, weightless=()), batch):
            model.zero_grad(set_to_none=True)
            outcome = backward(model, each, step)
            gradients = [weight.grad.clone() for weight in model.parameters()]
            found.append((outcome, torch.cat([part.flatten() for part in gradients])))
        return outcome

    monkeypatch.setattr(run.update, "backward", both)
    if zero_stage:
        monkeypatch.setattr(run.update, "_zero_stage", lambda: zero_stage)
    run.train()
    return spared[0], found


@pytest.mark.parametrize(
    "changes",
    [
        {"weight": "answer", "alpha": 0.0},
        {"weight": "answer", "alpha": 0.0, "num_iterations": 2, "max_steps": 2},
        {"objective": "ttrl", "shaping": "raw"},
    ],
)
def test_the_step_is_the_same(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spared, found = step(tmp_path, monkeypatch, **changes)
    assert spared
    for (whole, gradient), (less, sparing) in zip(found[::2], found[1::2], strict=True):
        assert gradient.abs().max() > 1e-3
        # Rounding of float32: sums over other micro-batches.
        assert (gradient - sparing).abs().max() <= 1e-5 * gradient.abs().max()
        assert torch.allclose(whole.loss, less.loss, rtol=1e-5)
        for name in ("logps_N", "log_weight_N", "entropy_sum_N", "lengths_N"):
            one, other = getattr(whole.record, name), getattr(less.record, name)
            assert torch.allclose(one, other, rtol=1e-5, atol=1e-5), name


@pytest.mark.parametrize(
    "changes",
    [
        {"weight": "answer", "alpha": 0.1},  # which every completion weighs
        {"weight": "sequence", "alpha": 0.0},  # known after the forward pass
        {"weight": "answer", "alpha": 0.0, "skip_weight_below": 0.1},  # spares by itself
        {"weight": "answer", "alpha": 0.0, "zero_stage": 3},  # has no pass without gradient
    ],
)
def test_what_has_a_gradient_keeps_it(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert step(tmp_path, monkeypatch, **changes)[0] == 0
