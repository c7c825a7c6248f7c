"""Processes, sharded weights, the console, memory."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.runtime.display import (
        console,
        make_progress,
        quiet_libraries,
        without_missing_data_warning,
    )
    from rlsc.runtime.hardware import cpu_threads, device_name
    from rlsc.runtime.memory import free_memory, keep_freed_memory, nbytes, release_freed_memory
    from rlsc.runtime.processes import count, from_main, gathered, is_main, rank, summed, wait
    from rlsc.runtime.sharding import fill, full_tensor, in_step, is_sharded, local, unsharded
    from rlsc.runtime.user_code import SYNTAX, is_user_code, load_user_code

__all__ = [
    "SYNTAX",
    "console",
    "count",
    "cpu_threads",
    "device_name",
    "fill",
    "free_memory",
    "from_main",
    "full_tensor",
    "gathered",
    "in_step",
    "is_main",
    "is_sharded",
    "is_user_code",
    "keep_freed_memory",
    "load_user_code",
    "local",
    "make_progress",
    "nbytes",
    "quiet_libraries",
    "rank",
    "release_freed_memory",
    "summed",
    "unsharded",
    "wait",
    "without_missing_data_warning",
]
__getattr__ = lazy_face(__name__)
