"""The rollout benchmark runs, and its JSON holds what its users read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlsc.runtime import Cpu
from tests.forked import Done, Forked, script

SCRIPT = Path(__file__).parents[3] / "perf" / "rollout.py"


def bench(*arguments: object) -> Done:
    return Forked(script, str(SCRIPT), *map(str, arguments)).wait()


@pytest.mark.slow  # five processes; the step benchmark's test is of the same workers
def test_engines_are_compared(tiny_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    engines = "native,hf,hf_continuous"
    done = bench(
        *("--case", "demo", "--dtype", "fp32", "--engines", engines, "--rounds", 1),
        *("--model", tiny_folder, "--json", file),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert report["case"] == "demo"
    assert report["dtype"] == "fp32"
    assert Cpu.here().capability in report["machine"]
    assert [one["engine"] for one in report["results"]] == engines.split(",")
    for one in report["results"]:
        assert one["tokens"] > 8 * 16
        assert one["tokens_per_second"] == one["tokens_per_second_by_round"][0] > 0
        assert one["peak_memory_gb"] > one["added_memory_gb"] >= 0
        share = one["tokens_per_second"] / one["bound_tokens_per_second"]
        assert one["share_of_bound"] == pytest.approx(share)
        assert one["engine"] in done.stdout


def test_an_unknown_engine_is_named() -> None:
    done = bench("--engines", "native,sglang")
    assert done.returncode == 2
    assert "no engine 'sglang'" in done.stderr


@pytest.mark.slow
def test_an_engine_that_fails_ends_the_benchmark(tmp_path: Path) -> None:
    done = bench("--model", tmp_path / "nowhere", "--engines", "native")
    assert done.returncode == 1
    assert "native failed" in done.stderr
