"""Processes, sharded weights, the console, memory."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.runtime.children import quiet_start, started
    from rlsc.runtime.display import (
        Advance,
        console,
        make_progress,
        quiet_libraries,
        waiting,
        without_missing_data_warning,
    )
    from rlsc.runtime.hardware import Cpu, cpu_has_bf16, device_name
    from rlsc.runtime.memory import (
        free_memory,
        is_out_of_memory,
        keep_freed_memory,
        nbytes,
        release_freed_memory,
    )
    from rlsc.runtime.processes import count, from_main, gathered, is_main, rank, summed, wait
    from rlsc.runtime.renamed import check_renamed
    from rlsc.runtime.sharding import fill, full_tensor, in_step, is_sharded, local, unsharded
    from rlsc.runtime.user_code import SYNTAX, is_user_code, load_user_code, user_files
    from rlsc.runtime.worker import Job, Workers

__getattr__ = lazy_face(__name__)
