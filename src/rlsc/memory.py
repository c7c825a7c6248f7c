"""The C library's memory, on CPUs: kept within a phase of a step, handed back between phases."""

from __future__ import annotations

import ctypes
from typing import Any


def keep_freed_memory() -> None:
    """Let glibc reuse big blocks rather than hand them back to Linux and fetch them again.

    Training on a CPU frees and allocates the same tensors at every layer; zeroing their pages
    anew took a quarter of a step's time. See mallopt(3). Elsewhere than on glibc, nothing.
    """
    libc = _libc()
    if libc is not None:
        m_trim_threshold, m_mmap_max = -1, -4
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)


def release_freed_memory() -> None:
    """Hand free blocks back: sampling and the update need blocks of other sizes. malloc_trim(3)."""
    libc = _libc()
    if libc is not None:
        libc.malloc_trim(0)


def _libc() -> Any:
    try:
        libc = ctypes.CDLL(None)
        return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
    except (OSError, TypeError):  # not on Windows
        return None
