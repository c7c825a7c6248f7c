"""Weights that are sharded over the processes: gathered where something needs all of them.

FSDP2's can be gathered for a while; ZeRO-3's only one by one, so that what needs forward passes
of a process's own is refused with it.

With a plain model everything here does nothing. All processes must come to each call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.state import AcceleratorState
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor


def is_sharded(model: Any) -> bool:
    """Whether a process holds only its part of some weight, at this moment."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def in_step(model: Any) -> bool:
    """Whether a forward or backward pass waits for one of every other process."""
    return is_sharded(model) or any(hasattr(weight, "ds_id") for weight in model.parameters())


def full_tensor(tensor: Tensor) -> Tensor:
    """All of a tensor, gathered from its shards, on every process."""
    if hasattr(tensor, "ds_id"):
        import deepspeed

        with deepspeed.zero.GatheredParameters([tensor]):
            return tensor.detach().clone()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def fill(parameter: Tensor, value: Tensor) -> None:
    """Write a full tensor into a parameter, which may hold a shard of it."""
    if isinstance(parameter, DTensor):
        value = value.to(parameter.device)
        value = distribute_tensor(value, parameter.device_mesh, parameter.placements)
    parameter.copy_(value)


def local(tensor: Tensor) -> Tensor:
    """What this process holds of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@contextmanager
def unsharded(model: Any) -> Iterator[None]:
    """Within, the model's own modules hold full weights, and its forward waits for nobody.

    It costs the memory of the full weights, in the dtype that FSDP computes in, until the end.
    Weights must not be changed within: the parts are what stays.
    """
    if not is_sharded(model):
        yield
        return
    units = [module for module in model.modules() if isinstance(module, FSDPModule)]
    _prefetch_alike(units)
    model.set_reshard_after_forward(False)
    # Never as inference tensors, though sampling may ask: the update uses the same storage.
    with torch.inference_mode(False):
        for unit in units:
            unit.unshard()
    try:
        yield
    finally:
        reshards = bool(AcceleratorState().fsdp_plugin.reshard_after_forward)
        for unit in units:
            # The root's are needed first thing in the backward pass: torch keeps them too.
            unit.set_reshard_after_forward(reshards and unit is not model, recurse=False)
            unit.reshard()


def _prefetch_alike(units: Sequence[FSDPModule]) -> None:
    """Each unit of a backward pass gathers the one before it, on every process.

    Left alone, FSDP2 goes by the forward passes since the last backward one. Those within
    `unsharded` count too, and a process that had no questions made none: it would wait for another
    gathering.
    """
    root, *layers = units
    before = dict(zip(layers[1:], layers, strict=False))
    for layer in layers:  # the first has none before it: itself, which is there already
        layer.set_modules_to_backward_prefetch([before.get(layer, layer)])
    root.set_modules_to_backward_prefetch(layers[-1:] or [root])
