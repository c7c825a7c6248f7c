"""Weights kept in 16 bits: how many of them a step moves at all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from rlsc.runtime import console, gathered, local

SHORT = (torch.bfloat16, torch.float16)
_SAMPLED = 2**16


class MovedWeights(TrainerCallback):
    """`metrics`: the share of weights that the last step changed, of a sample spread over all.

    A step of AdamW is about the learning rate, and bfloat16 has 8 bits: of a weight of 0.02 the
    next value is 0.0001 away, so that a rate of 1e-5 leaves most as they were.
    """

    def __init__(self, model: torch.nn.Module, learning_rate: float) -> None:
        trained = [p for p in model.parameters() if p.requires_grad]
        self._short = [p for p in trained if p.dtype in SHORT]
        self._stride = max(1, sum(p.numel() for p in self._short) // _SAMPLED)
        self._before: list[Tensor] = []
        self.metrics: dict[str, float] = {}
        if self._short:
            kind = str(self._short[0].dtype).removeprefix("torch.")
            console.print(
                f"note: the trained weights are {kind}, and most steps of {learning_rate:g} round "
                "to nothing in it (metric moved_weights): --model_dtype float32, or --use_peft true"
            )

    def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self._before = [part.clone() for part in self._sampled()]

    def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        if not self._short:
            return
        pairs = zip(self._before, self._sampled(), strict=True)
        moved = sum(int((before != after).sum()) for before, after in pairs)
        parts = gathered((moved, sum(len(part) for part in self._before)))
        share = sum(part[0] for part in parts) / max(1, sum(part[1] for part in parts))
        self.metrics = {"moved_weights": share}

    def _sampled(self) -> list[Tensor]:
        return [local(p.detach()).flatten()[:: self._stride] for p in self._short]
