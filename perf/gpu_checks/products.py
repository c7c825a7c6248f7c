"""What the device does of large matrix products: the other measure of a share of its peak."""

from __future__ import annotations

import statistics
import time

import torch

from gpu_checks.rows import Figures, Row, Setting

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def products(setting: Setting, earlier: Figures) -> list[Row]:
    """Ten products of square matrices, in the precision that training uses."""
    size, repeats = (256, 2) if setting.tiny else (8192, 10)
    device, dtype = setting.device, DTYPES[setting.precision]
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    left @ right
    times = []
    for _ in range(setting.rounds):
        synchronize(setting.device)
        start = time.perf_counter()
        for _ in range(repeats):
            left @ right
        synchronize(setting.device)
        times.append((time.perf_counter() - start) / repeats)
    rate = 2 * size**3 / statistics.median(times)
    rows = [Row("speed", rate / 1e12, "TFLOP/s", note=f"{size} × {size}, {setting.precision}")]
    if setting.peak_flops:
        share = 100 * rate / setting.peak_flops
        rows.append(Row("of the data sheet's peak", share, "%"))
    return rows


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
