"""What a run computes on, in words."""

from __future__ import annotations


def device_name() -> str:
    """The accelerator's name, or `cpu`."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def cpu_threads() -> int:
    """How many threads torch computes with on the CPU."""
    import torch

    return torch.get_num_threads()
