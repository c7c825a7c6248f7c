"""fp16 autocast with a loss scale, on a CPU: overflows are computed again, and no step is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rlsc import RLSCTrainer
from rlsc.errors import ConfigError, NonFiniteError
from rlsc.records.jsonl import read_jsonl
from rlsc.training import loss_scaling
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.training.test_trainer import CHATS, config, weights

ROWS = [{"id": f"q{index}", "prompt": chat} for index, chat in enumerate(CHATS)]


def run(folder: Path, scale: float | None, **changes: Any) -> RLSCTrainer:
    """Two steps in fp16 from this loss scale; None: in float32.

    Set up as accelerate does it on CUDA; on a CPU it refuses, though torch has all of it there.
    """
    trainer = RLSCTrainer(
        model=tiny_model(),
        args=config(folder, max_steps=2, learning_rate=1e-3, optim="sgd", engine="hf", **changes),
        train_dataset=ROWS,
        processing_class=tiny_tokenizer(),
    )
    if scale is not None:
        trainer.args.fp16 = True
        accelerator = trainer.accelerator
        accelerator.state._mixed_precision = "fp16"
        accelerator.native_amp = True
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    try:
        trainer.train()
    finally:
        trainer.accelerator.state._mixed_precision = "no"
    return trainer


def metrics(folder: Path) -> list[dict[str, Any]]:
    return read_jsonl(folder / "metrics.jsonl")


def test_fp16_trains_as_float32_to_its_rounding(tmp_path: Path) -> None:
    start = torch.cat([weight.flatten() for weight in tiny_model().parameters()])
    exact, half = run(tmp_path / "float32", None), run(tmp_path / "fp16", 2.0**4)
    first, second = metrics(tmp_path / "float32")[0], metrics(tmp_path / "fp16")[0]
    for name in ("loss", "grad_norm"):  # float16 keeps 11 bits
        assert second[name] == pytest.approx(first[name], rel=2e-3)
        assert second[name] != first[name]
    changes = weights(exact) - start, weights(half) - start
    assert torch.nn.functional.cosine_similarity(*changes, dim=0) > 0.9  # two steps' samples differ


def test_gradients_that_overflow_are_computed_again_and_no_step_is_lost(tmp_path: Path) -> None:
    """From a scale of 2³⁰ it takes several halvings; all else is as from one that fits."""
    fits, large = run(tmp_path / "fits", 2.0**12), run(tmp_path / "large", 2.0**30)
    rows, others = metrics(tmp_path / "fits"), metrics(tmp_path / "large")
    assert [row["overflows"] for row in rows] == [0, 0]
    assert others[0]["overflows"] > 3
    assert large.accelerator.scaler.get_scale() < 2.0**30
    assert large.state.global_step == 2
    for row, other in zip(rows, others, strict=True):
        assert row["learning_rate"] == other["learning_rate"]
        assert other["loss"] == pytest.approx(row["loss"], rel=1e-5)
        assert other["grad_norm"] == pytest.approx(row["grad_norm"], rel=2e-3)
    assert torch.allclose(weights(large), weights(fits), atol=1e-5)
    first, second = (
        (tmp_path / name / "completions" / "0.jsonl").read_text() for name in ("fits", "large")
    )
    assert len(first.splitlines()) == len(second.splitlines())


def test_what_no_scale_mends_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scaling, "_LEAST", 2.0**29)
    with pytest.raises(NonFiniteError, match="step 0: the gradient is not finite"):
        run(tmp_path, 2.0**30)


def test_fp16_is_refused_where_it_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="fp16 is for CUDA"):
        config(tmp_path, fp16=True, bf16=False)
    with pytest.raises(ConfigError, match="fp16 and bf16 exclude each other"):
        config(tmp_path, fp16=True, bf16=True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ConfigError, match="not for sharded weights"):
        config(tmp_path, fp16=True, bf16=False)
