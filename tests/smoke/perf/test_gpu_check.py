"""`make gpu-check` as far as it goes without a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "perf" / "gpu_check.py"


def check(*flags: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_a_line(tmp_path: Path) -> None:
    done = check("--output_dir", tmp_path / "out")
    assert done.returncode == 2
    assert "sees no CUDA GPU" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_on_a_cpu_all_is_equal_and_both_benchmarks_are_in_the_table(
    model_folder: Path, tmp_path: Path
) -> None:
    flags = ("--device", "cpu", "--model", model_folder, "--questions", 2, "--output_dir", tmp_path)
    done = check(*flags, "--rollout_cases", "demo", "--step_cases", "demo", "--rounds", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "gpu-check.json").read_text())
    assert len(report["equality"]) == 10
    assert all(one["passed"] for one in report["equality"])
    assert {one["dtype"] for one in report["equality"]} == {"float32", "bfloat16"}
    # Two ways, not one: in bf16 they differ a little.
    assert any(one["difference"] > 0 for one in report["equality"])
    assert [one["engine"] for one in report["rollout"][0]["results"]] == ["native", "hf"]
    assert len(report["step"][0]["results"]) == 4
    table = (tmp_path / "gpu-check.md").read_text()
    assert table.count("| yes |") == 10
    assert f"on {report['machine']}" in table
    for text in ("| demo | native |", "| demo | rlsc |", "tokens/s"):
        assert text in table


def test_what_is_not_equal_is_told(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import gpu_check

    monkeypatch.setitem(gpu_check.BOUNDS, "bfloat16", {"log-probs": -1.0, "gradient": 1.0})
    flags = ["--device", "cpu", "--model", model_folder, "--output_dir", tmp_path, "--questions"]
    argv = ["gpu_check.py", *flags, 2, "--rollout_cases", "", "--step_cases", ""]
    monkeypatch.setattr(sys, "argv", [str(one) for one in argv])
    with pytest.raises(SystemExit) as caught:
        gpu_check.main()
    assert caught.value.code == 1
    assert capsys.readouterr().out.count("**no**") == 3
