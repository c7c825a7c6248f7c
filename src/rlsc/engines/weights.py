"""The weights that an engine in this process samples with, taken over from the policy."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from rlsc.engines.packed import PackedLinears
from rlsc.models import activate_as, adapter_is_off, adapter_off
from rlsc.runtime import unsharded


class SamplingWeights:
    """The weights that an engine samples with: the model itself, or a copy in another dtype.

    Training keeps float32 weights; sampling in bfloat16 from an explicit copy is several times
    faster than casting them at every token. The copy costs its size in memory, but for the time
    between `release` and `sync`. `packed` lays the linear layers out for the CPU's products.
    """

    def __init__(self, model: Any, dtype: torch.dtype, packed: bool = False) -> None:
        self._dtype = dtype
        self._is_copy = next(model.parameters()).dtype != dtype
        self._model = _frozen_copy(model, dtype) if self._is_copy else model
        self._adapter_is_off = self._is_released = False
        self._packed = PackedLinears.of(self._model) if packed else None
        self._unused: set[int] = set()
        # An adapter's layers may read the weights that they wrap.
        if self._packed and self._is_copy and not hasattr(model, "peft_config"):
            self._unused = self._packed.replaced(self._model)
            self._free(self._unused)

    @property
    def config(self) -> Any:
        """The language model's."""
        return self._model.config.get_text_config()

    @torch.no_grad()
    def sync(self, model: Any) -> None:
        """Copy the weights where a copy is kept, else take the model itself.

        An adapter that is switched off at this moment is off in the sampling too; of several it is
        the active one that samples.
        """
        self._adapter_is_off = adapter_is_off(model)
        with unsharded(model):
            self._take(model)
        self._is_released = False

    def _take(self, model: Any) -> None:
        if self._is_copy:
            activate_as(self._model, model)
            for copied, weight in zip(self._model.parameters(), model.parameters(), strict=True):
                if id(copied) in self._unused:
                    continue
                if self._is_released:
                    copied.data = torch.empty_like(weight, dtype=self._dtype)
                copied.copy_(weight)
        else:
            self._model = model
        if self._packed:
            self._packed.attach(self._model)
            self._packed.pack(model)

    def release(self) -> None:
        """Free what only sampling needs, until the next `sync`: an update has the memory."""
        if self._packed:
            self._packed.clear()
        if self._is_copy:
            self._free({id(parameter) for parameter in self._model.parameters()})
        self._is_released = True

    def _free(self, ids: set[int]) -> None:
        for parameter in self._model.parameters():
            if id(parameter) in ids:
                parameter.data = parameter.data.new_empty(0)

    @contextmanager
    def sampling(self) -> Iterator[Any]:
        """The model in eval mode, its training mode restored afterwards."""
        if self._is_released:
            raise RuntimeError("the engine's weights are released: call its sync(model) first")
        was_training = self._model.training
        self._model.eval()
        try:
            lent = self._packed.lent() if self._packed else nullcontext()
            off = adapter_off(self._model) if self._adapter_is_off else nullcontext()
            with unsharded(self._model), lent, off:
                yield self._model
        finally:
            self._model.train(was_training)


def _frozen_copy(model: Any, dtype: torch.dtype) -> Any:
    copied = copy.deepcopy(model).requires_grad_(False)
    for parameter in copied.parameters():
        parameter.data = parameter.data.to(dtype)
    # Floating-point buffers (rotary frequencies) keep their precision, as under autocast.
    copied.config.dtype = dtype
    return copied
