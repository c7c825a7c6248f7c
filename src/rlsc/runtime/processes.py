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


def _together() -> bool:
    if "torch" not in sys.modules:  # a command that only reads: it has started no process
        return False
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized()


def count() -> int:
    if not _together():
        return 1
    from torch import distributed

    return distributed.get_world_size()


def rank() -> int:
    if not _together():
        return 0
    from torch import distributed

    return distributed.get_rank()


def is_main() -> bool:
    """Whether this process writes the files and talks to the console."""
    return rank() == 0


def gathered(value: T) -> list[T]:
    """Every process's value, in order of rank; all of them must call it."""
    if count() == 1:
        return [value]
    from torch import distributed

    found: list[T | None] = [None] * count()
    distributed.all_gather_object(found, value)
    return found  # type: ignore[return-value]


def from_main(make: Callable[[], T]) -> T:
    """What the main process makes, on all of them; what it raises, too."""
    if count() == 1:
        return make()
    from torch import distributed

    found: list[Any] = [None, None]
    if is_main():
        try:
            found[0] = make()
        except Exception as error:
            found[1] = error
    distributed.broadcast_object_list(found)
    if found[1] is not None:
        raise found[1]
    return found[0]


def summed(tensor: torch.Tensor) -> torch.Tensor:
    """In place, over the processes."""
    if count() > 1:
        from torch import distributed

        distributed.all_reduce(tensor)
    return tensor


def wait() -> None:
    """Until all processes have come here."""
    if count() > 1:
        from torch import distributed

        distributed.barrier()
