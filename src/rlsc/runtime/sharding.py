"""Weights that are spread over the processes: whole where something needs them so.

FSDP2's can be had whole for a while; ZeRO-3's only one by one, so that what needs forward passes
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
    return any(isinstance(one, DTensor) for one in model.parameters())


def in_step(model: Any) -> bool:
    """Whether a forward or backward pass waits for one of every other process."""
    return is_sharded(model) or any(hasattr(one, "ds_id") for one in model.parameters())


def full(tensor: Tensor) -> Tensor:
    """The whole of a tensor, on every process."""
    if hasattr(tensor, "ds_id"):
        import deepspeed

        with deepspeed.zero.GatheredParameters([tensor]):
            return tensor.detach().clone()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def fill(parameter: Tensor, value: Tensor) -> None:
    """Write a whole tensor into a parameter, which may be a part of it."""
    if isinstance(parameter, DTensor):
        whole = value.to(parameter.device)
        value = distribute_tensor(whole, parameter.device_mesh, parameter.placements)
    parameter.copy_(value)


def local(tensor: Tensor) -> Tensor:
    """What this process holds of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@contextmanager
def whole(model: Any) -> Iterator[None]:
    """Within, the model's own modules hold whole weights, and its forward waits for nobody.

    It costs the memory of the whole weights, in the dtype that FSDP computes in, until the end.
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

    Left alone, FSDP2 goes by the forward passes since the last backward one. Those within `whole`
    count too, and a process that had no questions made none: it would wait for another gathering.
    """
    root, *layers = units
    before = dict(zip(layers[1:], layers, strict=False))
    for layer in layers:  # the first has none before it: itself, which is there already
        layer.set_modules_to_backward_prefetch([before.get(layer, layer)])
    root.set_modules_to_backward_prefetch(layers[-1:] or [root])
