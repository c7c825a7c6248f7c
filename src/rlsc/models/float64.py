"""Forward passes in float64 of a model that is stored in a narrower type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def in_float64(model: nn.Module) -> Iterator[None]:
    """Within, each module computes in float64, for passes without gradient.

    Its own weights are widened for its call alone, so that there is never more than the largest
    module's beside the model. What a module narrows by itself stays narrow: most norms are computed
    in float32. Raises `TypeError` for quantised weights, which cannot be widened.
    """
    if not all(weight.is_floating_point() for weight in model.parameters()):
        raise TypeError("its weights are quantised")
    stored: dict[nn.Module, dict[str, nn.Parameter | None]] = {}

    def widen(module: nn.Module, args: Any, kwargs: Any) -> Any:
        stored[module] = dict(module._parameters)
        for name, weight in stored[module].items():
            if weight is not None:
                module._parameters[name] = nn.Parameter(weight.double(), requires_grad=False)
        return _widened(args), _widened(kwargs)

    def restore(module: nn.Module, *_: Any) -> None:
        module._parameters.update(stored.pop(module, {}))

    hooks = []
    for module in model.modules():
        hooks.append(module.register_forward_pre_hook(widen, with_kwargs=True))
        hooks.append(module.register_forward_hook(restore, always_call=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module in list(stored):
            restore(module)


def _widened(value: Any) -> Any:
    """Tensors of it, in tuples and keyword arguments too, in float64 where they are of floats."""
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if type(value) is tuple:
        return tuple(map(_widened, value))
    if type(value) is dict:
        return {name: _widened(each) for name, each in value.items()}
    return value
