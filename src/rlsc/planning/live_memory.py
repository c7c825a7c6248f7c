"""How much memory tensors would take: code runs on tensors without data, and is watched.

Within `LiveMemory()` tensors of real numbers have shapes alone (torch's FakeTensor), so that a
model of any size is made and differentiated in seconds and next to no memory; those of whole
numbers, such as token ids and indices, are real. Counted is every storage while it lives: weights,
gradients, what autograd keeps, temporary results. Not counted is what a kernel takes within itself.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):
    """Bytes of all tensors without data: `live` now, and `peak` since it was last set."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _of_whole_numbers(func, args, kwargs):
            return func(*args, **kwargs)
        with self._fake:
            output = func(*args, **kwargs)
        for leaf in tree_leaves(output):
            if isinstance(leaf, FakeTensor):
                self._count(leaf.untyped_storage())
        return output

    def _count(self, storage: Any) -> None:
        if storage in self._seen:
            return
        self._seen.add(storage)
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.live -= size


def _of_whole_numbers(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether a call only handles whole numbers and truth values, and may be made in earnest."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    if any(isinstance(leaf, FakeTensor) or leaf.is_floating_point() for leaf in tensors):
        return False
    dtype = kwargs.get("dtype")
    if dtype is None:
        return bool(tensors) or func._schema.name == "aten::arange"
    return not (dtype.is_floating_point and not tensors)


def give_shapes(model: torch.nn.Module, dtype: torch.dtype | None = None) -> None:
    """Within `LiveMemory`: put tensors without data in place of a meta model's, tied ones once."""
    made: dict[Tensor, torch.nn.Parameter] = {}
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is None:
                continue
            if weight not in made:
                zeros = torch.zeros(weight.shape, dtype=dtype or weight.dtype)
                made[weight] = torch.nn.Parameter(zeros, requires_grad=weight.requires_grad)
            module._parameters[name] = made[weight]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.zeros(buffer.shape, dtype=buffer.dtype)
