"""Several processes of one run, as `accelerate launch` starts them: what they tell each other.

With one process everything here does nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def _group() -> Any:
    """`torch.distributed` where this process is one of an initialised group, else None."""
    if "torch" not in sys.modules:  # a command that only reads: it has started no process
        return None
    from torch import distributed

    return distributed if distributed.is_available() and distributed.is_initialized() else None


def count() -> int:
    """How many processes the run has."""
    group = _group()
    return group.get_world_size() if group else 1


def rank() -> int:
    """This process's number, from 0."""
    group = _group()
    return group.get_rank() if group else 0


def is_main() -> bool:
    """Whether this process writes the files and talks to the console."""
    return rank() == 0


def gathered(value: T) -> list[T]:
    """Every process's value, in order of rank; all of them must call it."""
    if count() == 1:
        return [value]
    values: list[T | None] = [None] * count()
    _group().all_gather_object(values, value)
    return values  # type: ignore[return-value]


def from_main(make: Callable[[], T]) -> T:
    """What the main process makes, on all of them; what it raises, too."""
    if count() == 1:
        return make()
    outcome: list[Any] = [None, None]  # what was made, what was raised
    if is_main():
        try:
            outcome[0] = make()
        except Exception as error:
            outcome[1] = error
    _group().broadcast_object_list(outcome)
    made, raised = outcome
    if raised is not None:
        raise raised
    return made


def summed(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor, summed in place over the processes."""
    if count() > 1:
        _group().all_reduce(tensor)
    return tensor


def wait() -> None:
    """Until all processes have come here."""
    if count() > 1:
        _group().barrier()
