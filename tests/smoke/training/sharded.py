"""`rlsc` with FSDP2 on CPUs, where accelerate would take DDP silently: it keeps FSDP2 to GPUs."""

from __future__ import annotations

import os
import sys
from typing import Any

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from torch.distributed import fsdp

sharded: list[type] = []
"""The classes of what torch has sharded: tests look whether it has."""


def on_cpus() -> None:
    """Where the launcher asks for FSDP, have it."""
    if os.environ.get("ACCELERATE_USE_FSDP") != "true":
        return
    init, shard = AcceleratorState.__init__, fsdp.fully_shard

    def with_fsdp(self: Any, *args: Any, fsdp_plugin: Any = None, **more: Any) -> None:
        init(self, *args, fsdp_plugin=fsdp_plugin, **more)
        if fsdp_plugin is not None:
            self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP
            if self._mixed_precision != "no":
                fsdp_plugin.set_mixed_precision(self._mixed_precision)

    def noted(module: Any, *args: Any, **more: Any) -> Any:
        sharded.append(type(module))
        return shard(module, *args, **more)

    AcceleratorState.__init__ = with_fsdp
    fsdp.fully_shard = noted


def main(*argv: str) -> None:
    """`rlsc ARGV`."""
    from rlsc.commands.main import _main

    on_cpus()
    code = _main(argv)
    print(f"{len(sharded)} units sharded")
    sys.exit(code)
