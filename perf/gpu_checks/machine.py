"""The machine: its device, what that can do by itself, and what its maker says it can."""

from __future__ import annotations

import re
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from rlsc.runtime import device_name

_PEAKS: tuple[tuple[str, float], ...] = (
    ("B200", 2250),
    ("GH200|H200|H100 80GB HBM3|H100 SXM", 989),
    ("H100 NVL", 835),
    ("H100 PCIe", 756),
    ("A100", 312),
    ("L40S|RTX 6000 Ada", 362),
    ("L40", 181),
    ("L4", 121),
    ("A40", 150),
    ("A30", 165),
    ("A10G", 70),
    ("A10", 125),
    ("RTX A6000", 155),
    ("RTX 5090", 210),
    ("RTX 4090", 165),
    ("RTX 3090", 71),
    ("T4", 65),
    ("V100", 125),
)
"""10¹² operations a second in 16 bits, sums in 32, without sparsity: the makers' data sheets."""


@dataclass(frozen=True)
class Machine:
    """Of one device. `bf16`: native, emulated or none."""

    device: str
    capability: str
    memory_gb: float
    torch: str
    cuda: str
    driver: str
    bf16: str
    peak_tflops: float | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"memory_gb": round(self.memory_gb, 1)}


def prepare(device: str, model: str, folder: Path) -> Machine:
    """What the machine is; and a random model's folder, where `model` is the name of one."""
    from gpu_checks.models import PRESETS, save_random_model

    facts = machine(device)
    if model in PRESETS:
        save_random_model(model, device, folder)
    return facts


def machine(device: str) -> Machine:
    """What is there; uses the device, and so raises where it cannot be used."""
    torch.ones(2, device=device).sum().item()
    if device != "cuda":
        import psutil

        memory = psutil.virtual_memory().total / 1e9
        return Machine("CPU", "", memory, torch.__version__, "", "", _cpu_bf16(), None)
    name = device_name()
    major, minor = torch.cuda.get_device_capability()
    return Machine(
        device=name,
        capability=f"{major}.{minor}",
        memory_gb=torch.cuda.mem_get_info()[1] / 1e9,
        torch=torch.__version__,
        cuda=str(torch.version.cuda or torch.version.hip),
        driver=_driver(),
        bf16=cuda_bf16(),
        peak_tflops=peak_tflops(name),
    )


def cuda_bf16() -> str:
    """torch alone says yes also where it emulates it: on a T4 or V100."""
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return "native"
    return "emulated" if torch.cuda.is_bf16_supported() else "none"


def peak_tflops(name: str) -> float | None:
    """By the device's name; None for one that is not in the table."""
    for pattern, peak in _PEAKS:
        if re.search(rf"\b(?:{pattern})\b", name):
            return peak
    return None


def _cpu_bf16() -> str:
    from rlsc.training.arguments import cpu_has_bf16

    return "native" if cpu_has_bf16() else "emulated"


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.splitlines()[0].strip() if done.stdout.strip() else "unknown"
