"""The step benchmark runs, and its JSON holds what its users read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from rlsc.runtime import Cpu
from rlsc.training import device_has_bf16
from tests.forked import Done, Forked, script

SCRIPT = Path(__file__).parents[3] / "perf" / "step.py"


def bench(*arguments: object) -> Done:
    return Forked(script, str(SCRIPT), *map(str, arguments)).wait()


@pytest.mark.parametrize(
    "peers", [("plain",), pytest.param(("plain", "no_sharing"), marks=pytest.mark.slow)], ids=len
)
def test_systems_take_turns_at_the_same_work(
    peers: tuple[str, ...], tiny_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "bench.json"
    flags = ("--peers", ",".join(peers), "--steps", 2, "--model", tiny_folder, "--json", file)
    done = bench(*flags)
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert report["case"] == "demo"
    assert report["dtype"] == ("bf16" if device_has_bf16() else "fp32")
    assert str(dataclasses.replace(Cpu.here(), threads=1)) in report["machine"]
    assert [one["system"] for one in report["results"]] == ["rlsc", *peers]
    for one in report["results"]:
        assert min(one["sample_seconds"], one["update_seconds"]) > 0
        assert one["peak_memory_gb"] > 0.1
        # The learning rate is 0: all sample from the base, with the same seeds.
        assert one["tokens"] == report["results"][0]["tokens"]
        assert f"{one['system']} " in done.stdout


@pytest.mark.slow
def test_a_past_run_is_replayed(tiny_folder: Path, tmp_path: Path) -> None:
    rows = [
        {"id": str(q), "prompt": "What?", "text": "", "completion_token_ids": ids}
        for q in range(2)
        for ids in ([4, 5, 6], [4, 5, 0], [4, 7, 8, 9])
    ]
    file = tmp_path / "run" / "completions" / "3.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("".join(json.dumps(row | {"finish_reason": "stop"}) + "\n" for row in rows))
    replay = (
        "--run",
        tmp_path / "run",
        "--model",
        tiny_folder,
        "--peers",
        "",
        "--steps",
        1,
        *("--dtype", "bf16", "--json", tmp_path / "bench.json"),
        "--at",
    )
    done = bench(*replay, 3)
    assert done.returncode == 0, done.stderr
    assert "20 tokens" in done.stdout
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["dtype"] == "bf16"
    for words in ("step 3, bf16", *report["machine"].split()):
        assert words in " ".join(done.stdout.split())  # in the table's title, in several lines
    missing = bench(*replay, 4)
    assert missing.returncode == 1
    assert "4.jsonl is missing or empty" in missing.stderr


def test_peers_are_checked() -> None:
    for arguments, message in (
        (("--peers", "verl"), "no peer 'verl'"),
        (("--peers", "trl", "--run", "runs/x"), "TRL samples for itself"),
    ):
        done = bench(*arguments)
        assert done.returncode == 2
        assert message in done.stderr
