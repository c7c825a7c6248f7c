"""Linear layers with their weights in oneDNN's own layout, for sampling on a CPU.

A plain product lays its weight out anew at every call, which at the few rows of a decoding step
costs as much as the product. The operators are those that torch's compiler uses for a frozen
model; the results are the same to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from transformers.pytorch_utils import Conv1D

from rlsc.models import embedded_weights
from rlsc.runtime import free_memory

_ROWS = 128  # the layout is chosen for products of about as many rows
_SHARE = 0.25  # of the free memory: the most that packed weights may take


class PackedLinears:
    """Packs the weights of a model's linear layers, and lends them to it.

    It stands aside (`of` gives None) off the CPU, in dtypes that oneDNN does not multiply, and
    where memory is short.
    """

    def __init__(self, model: Any) -> None:
        self._layers = _linears(model)
        self._dtypes = [layer.weight.dtype for layer in self._layers]
        self._packed: list[Tensor] = []
        self.pack(model)

    @classmethod
    def of(cls, model: Any) -> PackedLinears | None:
        layers = _linears(model)
        if not layers or not all(_supported(layer.weight) for layer in layers):
            return None
        size = sum(layer.weight.nbytes for layer in layers)
        return cls(model) if size <= _SHARE * free_memory(layers[0].weight.device) else None

    @torch.no_grad()
    def pack(self, source: Any) -> None:
        """Take over the weights of `source`, a model of the same layers in any dtype."""
        self.clear()
        for layer, dtype in zip(_linears(source), self._dtypes, strict=True):
            weight = layer.weight.detach().to(dtype)
            # GPT-2's Conv1D is a linear layer that keeps its weight the other way round.
            weight = weight.t().contiguous() if isinstance(layer, Conv1D) else weight
            self._packed.append(torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS))

    def clear(self) -> None:
        """Free them, until they are packed again."""
        self._packed.clear()

    def replaced(self, model: Any) -> set[int]:
        """The ids of the plain weights that `model` does not read while these are lent to it."""
        return {id(layer.weight) for layer in self._layers} - embedded_weights(model)

    def attach(self, model: Any) -> None:
        """Lend to `model` from now on, in place of the one before."""
        self._layers = _linears(model)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Within, the model's own linear layers multiply by the packed weights."""
        own = [vars(layer).get("forward") for layer in self._layers]  # accelerate may set one
        for layer, packed in zip(self._layers, self._packed, strict=True):
            layer.forward = partial(_linear, packed, layer.bias)  # type: ignore[method-assign]
        try:
            yield
        finally:
            for layer, forward in zip(self._layers, own, strict=True):
                del layer.forward
                if forward is not None:
                    layer.forward = forward  # type: ignore[method-assign]


def _linear(weight: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    if x.numel() == x.shape[-1]:
        # A single row's sums run in another order than those of a row among others.
        twice = torch.cat([x, x])
        return torch.ops.mkldnn._linear_pointwise(twice, weight, bias, "none", [], "")[:1]
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def _linears(model: Any) -> list[nn.Linear | Conv1D]:
    return [module for module in model.modules() if _kind(module) in (nn.Linear, Conv1D)]


def _kind(module: nn.Module) -> type:
    """Its class; below the one that FSDP2 puts in front of it."""
    return type(module).__mro__[2] if isinstance(module, FSDPModule) else type(module)


def _supported(weight: Tensor) -> bool:
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32
