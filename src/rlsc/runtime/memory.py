"""Memory: what is free, and the C library's on CPUs, kept during an update, handed back after."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    import torch

# From malloc.h, with glibc's own defaults.
_M_TRIM_THRESHOLD, _DEFAULT_TRIM_THRESHOLD = -1, 128 * 1024
_M_MMAP_THRESHOLD, _DEFAULT_MMAP_THRESHOLD = -3, 128 * 1024
_MOST = 32 * 2**20  # that mallopt takes


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Within it, glibc reuses big blocks rather than hand them back to Linux and fetch them anew.

    An update frees and allocates the same tensors at every layer; zeroing their pages each time
    took a quarter of it. Sampling needs blocks that grow at every token, which would pile up: so
    afterwards all that is free goes back. See mallopt(3). Elsewhere than on glibc, nothing.
    """
    libc = _libc()
    if libc is None:
        yield
        return
    # The few blocks that are larger, such as gradients of the vocabulary head, would leave holes.
    libc.mallopt(_M_MMAP_THRESHOLD, _MOST)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        libc.mallopt(_M_MMAP_THRESHOLD, _DEFAULT_MMAP_THRESHOLD)
        libc.mallopt(_M_TRIM_THRESHOLD, _DEFAULT_TRIM_THRESHOLD)
        libc.malloc_trim(0)


_SIGNS = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
# All that oneDNN says of it, in a product on a CPU. What it does not support it names, and ends
# with "a primitive descriptor for …".
_OF_ONEDNN = re.compile(r"could not create a (primitive|memory|memory object)")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had, of a device or of the machine."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if not isinstance(error, RuntimeError):
        return False
    said = str(error)
    return any(sign in said for sign in _SIGNS) or bool(_OF_ONEDNN.fullmatch(said.strip()))


def release_freed_memory() -> None:
    """Hand freed memory back to Linux, e.g. what sampling took before an update needs its own."""
    libc = _libc()
    if libc is not None:
        libc.malloc_trim(0)


def free_memory(device: torch.device) -> int:
    """Bytes that can still be had on the device."""
    if device.type == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return psutil.virtual_memory().available


def nbytes(module: torch.nn.Module) -> int:
    """Bytes of a model's parameters and buffers, tied ones once."""
    return sum(tensor.nbytes for tensor in {*module.parameters(), *module.buffers()})


def _libc() -> Any:
    try:
        libc = ctypes.CDLL(None)
    except (OSError, TypeError):  # not on Windows
        return None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
