"""The kind of the CPU, which every figure of time rests on."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from rlsc.runtime import Cpu, cpu_has_bf16, hardware

ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"


def test_it_is_this_machine_and_this_process() -> None:
    cpu = Cpu.here()
    assert cpu.capability == torch.backends.cpu.get_cpu_capability()
    assert cpu.bf16 == cpu_has_bf16()
    assert cpu.cores == psutil.cpu_count(logical=False)
    assert cpu.threads == torch.get_num_threads()
    threads = cpu.threads + 1
    torch.set_num_threads(threads)
    try:
        assert Cpu.here().threads == threads
    finally:
        torch.set_num_threads(threads - 1)


@pytest.mark.parametrize(
    ("avx512", "amx", "has"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_bf16_is_what_the_default_of_training_rests_on(
    avx512: bool, amx: bool, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert Cpu.here().bf16 is has
    assert ("no bfloat16" in str(Cpu.here())) is not has


@pytest.mark.parametrize(
    ("cpuinfo", "known", "name"),
    [
        ("processor\t: 0\nmodel name\t: Xeon: one\n", {"cpu_name": "Other"}, "Xeon: one"),
        (ARM, {"cpu_name": "Neoverse-V1"}, "Neoverse-V1"),
        (ARM, {}, "aarch64"),
        (None, {}, "aarch64"),
    ],
)
def test_a_cpu_has_a_name_wherever_it_is_told(
    cpuinfo: str | None, known: dict, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        file.write_text(cpuinfo)
    monkeypatch.setattr(hardware, "_CPUINFO", file)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    monkeypatch.setattr(hardware.platform, "processor", lambda: "")
    monkeypatch.setattr(hardware.platform, "machine", lambda: "aarch64")
    assert Cpu.here().model == name


def test_cores_that_a_machine_does_not_tell_are_left_out() -> None:
    assert str(Cpu("A", "NEON", True, None, 3)) == "A (NEON, bfloat16 of its own), 3 threads"
