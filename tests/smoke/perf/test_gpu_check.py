"""`make gpu-check` as far as it goes without a GPU: the same checks, with little work on a CPU."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.forked import start_server

ROOT = Path(__file__).parents[3]
PERF = ROOT / "perf"
HERE = "tests.smoke.perf.test_gpu_check"
TINY = ("--device", "cpu", "--tiny", "true", "--rounds", 1)


def check(*flags: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PERF / "gpu_check.py"), *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def rows(folder: Path) -> dict[str, list[dict[str, Any]]]:
    report = json.loads((folder / "gpu-check.json").read_text())
    return {one["check"]: one["rows"] for one in report["checks"]}


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PERF))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_a_line(tmp_path: Path) -> None:
    done = check("--output_dir", tmp_path / "out")
    assert done.returncode == 2
    assert "sees no CUDA GPU" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_check_that_there_is_not(tmp_path: Path) -> None:
    done = check("--output_dir", tmp_path / "out", "--checks", "equality,speed")
    assert done.returncode == 2
    assert "no checks of 'speed'" in done.stderr


@pytest.mark.slow  # eleven checks; the quick ones are in the test below
def test_on_a_cpu_all_is_equal_and_all_is_in_the_table(tmp_path: Path) -> None:
    done = check(*TINY, "--output_dir", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = rows(tmp_path)
    for dtype in ("float32", "bfloat16", "float16"):
        verdicts = [row["verdict"] for row in found[f"equality: {dtype}"]]
        assert verdicts == 7 * ["equal"]
        # Two ways, not one: they differ a little.
        assert any(row["value"] > 0 for row in found[f"equality: {dtype}"])
    for name in ("sampling: native", "sampling: generate"):
        assert found[name][0]["value"] > 0
    assert found["sampling: generate"][-1]["what"] == "native is faster by"
    trees = {row["what"]: row["value"] for row in found["step: token trees"]}
    ratio = trees["peak memory by rlsc plan"] / trees["peak memory"]
    assert trees["plan / measured"] == pytest.approx(ratio)
    padded = {row["what"]: row["value"] for row in found["step: padded rows"]}
    assert padded["update, in that of trees"] == pytest.approx(padded["update"] / trees["update"])
    assert padded["products of the update"] > 0
    table = (tmp_path / "gpu-check.md").read_text()
    assert table.count("| equal |") == 21
    assert "21 equal" in done.stdout


def test_quick_checks_by_the_command(tmp_path: Path) -> None:
    """Each subject but the slowest, on a model folder with random weights and no hub."""
    wanted = "products,decoding"
    done = check(*TINY, "--checks", wanted, "--output_dir", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = rows(tmp_path)
    assert list(found) == [
        *("products", "decoding: kernel by kernel", "decoding: CUDA graph"),
    ]
    for name in list(found)[:2]:
        assert found[name][0]["value"] > 0, name
    assert [row["verdict"] for row in found["decoding: CUDA graph"]] == ["skipped"]
    report = json.loads((tmp_path / "gpu-check.json").read_text())
    assert report["machine"]["device"] == "CPU"
    assert report["summary"] == "1 skipped"
    assert "| decoding: CUDA graph | " in (tmp_path / "gpu-check.md").read_text()


# The loop over the checks, with checks that end in every way. They run in other processes, which
# import this module.


def passes(setting: Any, earlier: Any, value: float = 0.5) -> list[Any]:
    from gpu_checks.rows import Row

    print("said by a check")
    return [Row("a difference", value, "nats", bound=1.0), Row("seen", float(len(earlier)))]


def fails(setting: Any, earlier: Any) -> list[Any]:
    raise RuntimeError("CUDA error: device-side assert\nmore of it")


def exits(setting: Any, earlier: Any) -> list[Any]:
    import os

    os._exit(7)


def hangs(setting: Any, earlier: Any) -> list[Any]:
    time.sleep(600)
    return []


def is_absent(setting: Any, earlier: Any) -> list[Any]:
    from gpu_checks.rows import NotHere

    raise NotHere("no such thing")


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    start_server()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PERF))
        from gpu_checks.isolation import Apart

        log = tmp_path_factory.mktemp("gpu") / "log"
        yield Apart(log, libraries=("torch", "pytest"))


def results(apart: Any, *checks: Any, seconds: float = 300, **more: Any) -> list[Any]:
    from gpu_checks.checks import run_checks
    from gpu_checks.rows import Check, Setting

    made = [Check(name, f"{HERE}:{name.partition(' ')[0]}", *rest) for name, *rest in checks]
    return list(run_checks(made, Setting("cpu", "none"), apart, seconds, **more))


def test_one_that_fails_does_not_stop_the_others(apart: Any) -> None:
    from gpu_checks.report import is_bad, summary

    found = results(
        apart,
        ("fails", 60),
        ("exits", 60),
        ("hangs", 1),
        ("gone", 60),
        ("is_absent", 60),
        ("passes", 60),
        ("passes as 2", 60, {"value": 2.0}),
    )
    verdicts = [one.rows[0].verdict for one in found]
    assert verdicts == [*4 * ["failed"], "skipped", "equal", "unequal"]
    assert [one.rows[0].note for one in found[:5]] == [
        "RuntimeError: CUDA error: device-side assert",
        "its process ended with code 7",
        "took more than 1 s",
        f"AttributeError: module '{HERE}' has no attribute 'gone'",
        "no such thing",
    ]
    # Each was told of those before it.
    assert [one.rows[1].value for one in found[5:]] == [5.0, 6.0]
    assert is_bad(found)
    assert summary(found) == "1 equal, 1 unequal, 4 failed, 1 skipped"
    assert not is_bad(found[4:6])
    log = apart._log.read_text()
    assert "said by a check" in log
    assert "more of it" in log


def test_checks_that_would_start_too_late_are_listed(apart: Any) -> None:
    from gpu_checks.report import is_bad, markdown

    times = iter([0.0, 0.0, 31.0, 31.0, 31.0])
    three = (("passes a", 60), ("passes b", 60), ("hangs", 60))
    found = results(apart, *three, seconds=30, clock=lambda: next(times))
    assert [one.rows[0].verdict for one in found] == ["equal", "not run", "not run"]
    assert "out of time" in found[1].rows[0].note
    assert not is_bad(found)
    settings = {"machine": {"device": "CPU"}, "model": "m", "precision": "bf16"}
    assert "1 equal, 2 not run" in markdown(settings, found)


def test_one_that_the_end_cuts_off_has_not_failed(apart: Any) -> None:
    (found,) = results(apart, ("hangs", 60), seconds=2)
    assert found.rows[0].verdict == "not run"
    assert "out of time after 2 s" in found.rows[0].note


def test_processes_started_from_nothing_do_the_same(tmp_path: Path) -> None:
    from gpu_checks.isolation import Apart

    (found,) = results(Apart(tmp_path / "log", "spawn"), ("passes", 120))
    assert found.rows[0].verdict == "equal"


@pytest.mark.parametrize("usable", [("forkserver", "spawn"), ("spawn",), ()])
def test_a_way_of_starting_processes_is_found_that_can_use_the_device(
    usable: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    import argparse

    import gpu_check
    from gpu_checks.isolation import Outcome

    class Fake:
        def __init__(self, log: Path, way: str) -> None:
            self.way = way

        def run(self, *_: object) -> Outcome:
            if self.way in usable:
                return Outcome(1.0, "a machine")
            return Outcome(1.0, error="RuntimeError: Cannot re-initialize CUDA")

    monkeypatch.setattr(gpu_check, "Apart", Fake)
    args = argparse.Namespace(device="cuda", model="tiny")
    if usable:
        apart, machine = gpu_check._prepared(args, tmp_path / "log", tmp_path)
        assert (apart.way, machine) == (usable[0], "a machine")
        return
    with pytest.raises(SystemExit) as ended:
        gpu_check._prepared(args, tmp_path / "log", tmp_path)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("cannot be used: RuntimeError: Cannot re-initialize CUDA")


# What the checks rest on.


def test_no_value_is_not_equal() -> None:
    from gpu_checks.rows import Row

    assert Row("a", float("nan"), bound=1.0).verdict == "unequal"
    assert Row("a", None, bound=1.0).verdict == "unequal"
    assert Row("a", 1.0, bound=1.0).verdict == "equal"


def test_a_random_model_depends_on_what_came_before_by_more_than_the_bounds() -> None:
    """Else a wrong mask or position would pass."""
    from gpu_checks.equality import BOUNDS
    from gpu_checks.models import random_model

    model = random_model("tiny", "cpu", torch.float32).eval()
    ids = torch.randint(3, 259, (1, 40), generator=torch.Generator().manual_seed(0))
    first, late = ids.clone(), torch.arange(40)[None]
    first[0, 0] += 1
    late[0, 20:] += 1

    @torch.no_grad()
    def logps(ids: torch.Tensor, **kwargs: torch.Tensor) -> torch.Tensor:
        return model(ids, **kwargs).logits[0, 20:].log_softmax(-1).amax(-1)

    most = max(bounds["log-probs"] for bounds in BOUNDS.values())
    for other in (logps(first), logps(ids, position_ids=late)):
        assert (other - logps(ids)).abs().mean() > 1.5 * most


@pytest.mark.parametrize(("off", "verdict"), [(0.0, "equal"), (0.1, "unequal")])
def test_a_graph_is_held_against_eager_steps(
    off: float, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for the graph: eager steps, which are right or off."""
    from gpu_checks import decoding
    from gpu_checks.models import save_random_model
    from gpu_checks.rows import EAGER, Setting

    save_random_model("tiny", "cpu", tmp_path)
    monkeypatch.setattr(decoding._Step, "captured", lambda step: lambda: step.eager() + off)
    setting = Setting("cpu", str(tmp_path), precision="fp32", rounds=1)
    logits, time, saved = decoding.decoding(setting, {EAGER: {"a step": 100.0}}, graph=True)
    assert logits.verdict == verdict
    assert saved.value == pytest.approx(100.0 - time.value)


def test_static_steps_are_the_models_own(tmp_path: Path) -> None:
    from gpu_checks.decoding import _Step
    from gpu_checks.models import random_model

    model = random_model("tiny", "cpu", torch.float32).eval()
    ids = torch.randint(3, 259, (1, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        step = _Step(model, "cpu")
        logits = []
        for position in step.positions():
            step._token_11.fill_(int(ids[0, position]))
            logits.append(step.eager())
        whole = model(ids).logits[0]
    assert len(logits) == 32
    assert torch.allclose(torch.stack(logits), whole, atol=1e-4)


def test_the_byte_tokenizer_writes_what_it_read() -> None:
    from gpu_checks.models import PRESETS, byte_tokenizer

    tokenizer = byte_tokenizer()
    text = "Why – 7 × 8?\n"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert len(tokenizer) <= min(shape["vocab_size"] for shape in PRESETS.values())
    chat = [{"role": "user", "content": "Hi"}]
    shown = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert shown == "<|user|>Hi<|end|><|assistant|>"


def test_presets_have_their_models_parameters() -> None:
    from gpu_check import MODELS
    from gpu_checks.models import PRESETS
    from transformers import AutoConfig

    from rlsc.models import empty_model

    sizes = {"qwen2.5-0.5b": 494_032_768, "smollm2-135m": 134_515_008}
    assert set(MODELS) == set(PRESETS)
    for name, size in sizes.items():
        model = empty_model(AutoConfig.for_model(**PRESETS[name]), torch.float32)
        assert sum(weight.numel() for weight in model.parameters()) == size


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-40GB", 312),
        ("NVIDIA A10G", 70),
        ("NVIDIA A10", 125),
        ("NVIDIA L40S", 362),
        ("NVIDIA L4", 121),
        ("Tesla T4", 65),
        ("Tesla V100-SXM2-16GB", 125),
        ("NVIDIA GeForce GT 710", None),
    ],
)
def test_peaks_by_name(name: str, peak: float | None) -> None:
    from gpu_checks.machine import peak_tflops

    assert peak_tflops(name) == peak


@pytest.mark.parametrize(
    ("native", "emulated", "word"),
    [(True, True, "native"), (False, True, "emulated"), (False, False, "none")],
)
def test_emulated_bf16_is_not_called_native(
    native: bool, emulated: bool, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_checks.machine import cuda_bf16

    def supported(including_emulation: bool = True) -> bool:
        return emulated if including_emulation else native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert cuda_bf16() == word
