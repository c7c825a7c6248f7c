"""Under fp16 autocast: gradients that overflow are computed again at a smaller loss scale.

float16 ends at 65,504, so a loss is scaled up for the small gradients and may be scaled too far.
transformers would leave such a step out and count it as made; here its passes are made again, so
that a run's steps, its schedule and its weights are those of a run that did not overflow.
"""

from __future__ import annotations

from typing import Any

import torch

from rlsc.errors import NonFiniteError
from rlsc.runtime import gathered, local

_LEAST = 2.0**-10
"""A scale under which no gradient of finite values overflows: the model's own are not finite."""


def overflowed(scaler: torch.amp.GradScaler | None, model: Any, message: str) -> bool:
    """Whether a gradient is not finite on any process; then the scale is halved, gradients are 0.

    False without a scaler. Raises `NonFiniteError` with `message` where a smaller scale is no help.
    """
    if scaler is None or not scaler.is_enabled():
        return False
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    finite = all(bool(torch.isfinite(local(gradient)).all()) for gradient in gradients)
    if all(gathered(finite)):
        return False
    if scaler.get_scale() <= _LEAST:
        raise NonFiniteError(message)
    scaler.update(scaler.get_scale() / 2)
    model.zero_grad(set_to_none=True)
    return True
