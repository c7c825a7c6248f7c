"""Which precision a run takes by itself, by what the device has of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rlsc import RLSCConfig
from rlsc.training import arguments


def test_on_mps_training_goes_there_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(arguments, "cpu_has_bf16", lambda: True)
    config = RLSCConfig(output_dir=str(tmp_path))
    assert not config.use_cpu
    assert config.autocast_dtype is None
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    config = RLSCConfig(output_dir=str(tmp_path))
    assert config.use_cpu
    assert config.autocast_dtype == torch.bfloat16


@pytest.mark.parametrize("native", [True, False])
def test_bf16_that_is_emulated_is_not_taken(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A T4 or V100 says yes where it is not asked about emulation."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: including_emulation or native,
    )
    assert arguments.device_has_bf16() == native
