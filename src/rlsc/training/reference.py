"""The model before training, whose log-probs KL divergences and DPO refer to."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from rlsc.logprobs import Batch, Layout, Scorer, TokenStats
from rlsc.models import adapter_is_new, adapter_off


class Reference:
    """A frozen copy; with an adapter that is new, the model itself with the adapter off."""

    def __init__(self, model: Any, layout: Layout) -> None:
        self._adapted = hasattr(model, "disable_adapter") and adapter_is_new(model)
        self._model = model if self._adapted else copy.deepcopy(model).requires_grad_(False).eval()
        self._scorer = Scorer(self._model, layout)

    @contextmanager
    def untrained(self) -> Iterator[Any]:
        """Within, the model as it was before training."""
        with adapter_off(self._model) if self._adapted else nullcontext():
            yield self._model

    @torch.no_grad()
    def __call__(self, batch: Batch, temperature: float) -> Tensor:
        """Log-probs, [B, T], 0 outside. With an adapter the caller has attached the attention."""
        return self.scores(batch, temperature).logps_BT

    @torch.no_grad()
    def scores(self, batch: Batch, temperature: float, states: bool = False) -> TokenStats:
        """Log-probs and what else is known of each token, as the trainer's own scores are."""
        with adapter_off(self._model) if self._adapted else self._scorer.attached():
            return self._scorer(batch, temperature, states=states)
