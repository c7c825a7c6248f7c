"""What a run computes on, in words."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Cpu:
    """The kind of a CPU: what a time that was measured on it cannot be read without.

    >>> str(Cpu("Intel(R) Xeon(R) Processor @ 2.50GHz", "AVX512", False, 2, 1))
    'Intel(R) Xeon(R) Processor @ 2.50GHz (AVX512, no bfloat16 of its own), 2 cores, 1 thread'
    """

    model: str
    capability: str
    """Of the instructions that torch's kernels use; ATEN_CPU_CAPABILITY lowers it."""
    bf16: bool
    """Whether it multiplies bfloat16 matrices itself: what decides the default of --bf16."""
    cores: int | None
    """Physical ones of the machine, where it tells."""
    threads: int
    """With which torch computes, in this process."""

    @classmethod
    def here(cls) -> Cpu:
        import psutil
        import torch

        capability = torch.backends.cpu.get_cpu_capability()
        cores = psutil.cpu_count(logical=False)
        return cls(_cpu_model(), capability, cpu_has_bf16(), cores, torch.get_num_threads())

    def __str__(self) -> str:
        bf16 = "bfloat16 of its own" if self.bf16 else "no bfloat16 of its own"
        counts = [] if self.cores is None else [_counted(self.cores, "core")]
        counts.append(_counted(self.threads, "thread"))
        return f"{self.model} ({self.capability}, {bf16}), {', '.join(counts)}"


def device_name() -> str:
    """The accelerator's name, or `cpu`."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices itself rather than emulating it."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _cpu_model() -> str:
    """As Linux names it; an ARM's has no name there, and torch may know it."""
    import torch

    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    # Not every torch has it.
    known: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return str(known.get("cpu_name") or platform.processor() or platform.machine())


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
