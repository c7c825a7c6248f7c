"""Two processes against one: the same completions, metrics and gradients."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rlsc import RLSCConfig
from rlsc.commands.main import _main
from rlsc.records.conversion import to_json
from rlsc.records.jsonl import read_jsonl
from tests.forked import LAUNCH, ranks, rlsc
from tests.smoke.commands.test_train import arguments, figures, results
from tests.smoke.training import two_processes
from tests.smoke.training.sharded import main as run_sharded

ROOT = Path(__file__).parents[3]
TIMED = {"seconds", "sample_seconds", "train_runtime", "epoch", "total_flos"}
HANGING = RLSCConfig.ddp_timeout
"""Seconds that a process waits for another one before it gives up."""


def start(command: list[str], cwd: Path = ROOT, cpu: str = "true") -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path, "ACCELERATE_USE_CPU": cpu}
    seconds = HANGING / 2
    return subprocess.run(
        command, env=env, capture_output=True, text=True, cwd=cwd, timeout=seconds
    )


def launched(
    processes: int,
    *script: str,
    how: tuple[str, ...] = ("--multi_gpu",),
    cwd: Path = ROOT,
    cpu: str = "true",
) -> subprocess.CompletedProcess:
    more = [*how, "--num_processes", str(processes), "--main_process_port", "0"]
    launcher = [sys.executable, "-m", "accelerate.commands.launch", *LAUNCH]
    return start([*launcher, *more, *script], cwd, cpu)


Case = tuple[str, dict, float, tuple[int, int]]
"""Objective, settings, bound of the relative difference, completions of each step."""

EXACT = {"dtype": "float64"}
WHOLE, CUT = {"dataloader_drop_last": False}, {"dataloader_drop_last": True}
CASES: dict[str, Case] = {
    "rlsc-fp32": ("rlsc", {}, 1e-5, (16, 16)),
    "rlsc-fp64": ("rlsc", EXACT, 1e-10, (16, 16)),
    "rlsc-kl-fp64": ("rlsc", EXACT | {"beta": 0.1, "tokens_per_microbatch": 64}, 1e-10, (16, 16)),
    "self_certainty-fp64": ("self_certainty", EXACT | {"num_iterations": 2}, 1e-10, (16, 16)),
    # Eight questions, six a step: in the second step the second process has none, or all are.
    "last-step-of-one-process": (
        *("rlsc", EXACT | WHOLE | {"tokens_per_microbatch": 64}, 1e-10),
        (24, 8),
    ),
    "left-out": ("rlsc", EXACT | CUT | {"skip_weight_below": 1e-30}, 1e-10, (24, 24)),
    # Weights that depend on all of a step; in the second the second process has no completion.
    "normalised-sum": (
        *("self_certainty,sequence_entropy", EXACT | WHOLE | {"normalise_sum": True}, 1e-10),
        (24, 8),
    ),
    "held-back": (
        "self_certainty,kl_cov",
        EXACT | {"num_iterations": 2, "kl_cov_share": 0.2, "objective_weights": "1,5"},
        *(1e-10, (16, 16)),
    ),
    "value-head": ("ppo", EXACT | WHOLE, 1e-10, (24, 8)),
}
QUICK = ("rlsc-fp32", "last-step-of-one-process", "normalised-sum", "value-head")
SHARDED: dict[str, Case] = {
    "rlsc": ("rlsc", {"tokens_per_microbatch": 64, "guard": "stop"}, 1e-5, (16, 16)),
    "last-step-of-one-process": (
        *("self_certainty", WHOLE | {"skip_weight_below": 0}, 1e-5),
        (24, 8),
    ),
}
FSDP2 = ("--config_file", str(ROOT / "recipes" / "accelerate" / "fsdp2.yaml"))


@pytest.fixture(autouse=True)
def on_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs in this process is compared with what `start` keeps to CPUs."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")


def trained(folder: Path, cases: dict[str, Case], how: tuple[str, ...]) -> Path:
    """Every case by this process alone, in `one`, and by two, in `two`."""

    def argument(name: str, processes: int) -> list:
        objective, settings, _, sizes = cases[name]
        questions = 6 if sizes[0] == 24 else 4  # of a step, of all processes
        where = folder / ("one" if processes == 1 else "two") / name
        return [str(where), questions // processes, objective, settings]

    for name in cases:
        two_processes.train(*argument(name, 1))
    done = ranks(2, two_processes.train_all, [argument(name, 2) for name in cases], how=how)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cases = {name: CASES[name] for name in QUICK}
    return trained(tmp_path_factory.mktemp("copied"), cases, ("--multi_gpu",))


@pytest.fixture(scope="module")
def others_copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cases = {name: case for name, case in CASES.items() if name not in QUICK}
    return trained(tmp_path_factory.mktemp("others"), cases, ("--multi_gpu",))


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("sharded"), SHARDED, FSDP2)


@pytest.mark.parametrize("name", QUICK)
def test_two_processes_are_one(name: str, copied: Path) -> None:
    _, _, bound, sizes = CASES[name]
    same_training(copied / "one" / name, copied / "two" / name, bound, sizes, shards=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASES if name not in QUICK])
def test_two_processes_are_one_in_the_other_cases(name: str, others_copied: Path) -> None:
    _, _, bound, sizes = CASES[name]
    folders = (others_copied / "one" / name, others_copied / "two" / name)
    same_training(*folders, bound, sizes, shards=False)


@pytest.mark.parametrize("name", SHARDED)
def test_fsdp2_is_one_process(name: str, sharded: Path) -> None:
    _, _, bound, sizes = SHARDED[name]
    same_training(sharded / "one" / name, sharded / "two" / name, bound, sizes, shards=True)


def same_training(
    alone: Path, shared: Path, bound: float, sizes: tuple[int, int], shards: bool
) -> None:
    """Of one process and of two: completions, gradients, weights, metrics and verdicts."""
    one, two = (torch.load(path / "state.pt", weights_only=True) for path in (alone, shared))
    assert two["sharded"] == shards  # or the comparison would be one of DDP
    pairs = zip(two["gradients"], one["gradients"], strict=True)
    for ours, theirs in [*pairs, (two["weights"], one["weights"])]:
        assert ours.keys() == theirs.keys()
        whole = torch.cat([value.flatten() for value in theirs.values()])
        difference = torch.cat([(ours[name] - theirs[name]).flatten() for name in theirs])
        assert difference.norm() <= bound * whole.norm()
        assert whole.norm() > 0
    for step, size in enumerate(sizes):
        name = f"completions/{step}.jsonl"
        rows = [read_jsonl(folder / name) for folder in (alone, shared)]
        texts = [[(row["id"], row["text"]) for row in part] for part in rows]
        assert texts[0] == texts[1]
        assert len(texts[0]) == size
    metrics = [read_jsonl(folder / "metrics.jsonl") for folder in (alone, shared)]
    for a, b in zip(*metrics, strict=True):
        assert a.keys() == b.keys()
        for key in a.keys() - TIMED:
            same = a[key] == b[key] or a[key] == pytest.approx(b[key], rel=1e-4, abs=1e-6)
            assert same, key
    guards = [read_jsonl(folder / "guard.jsonl") for folder in (alone, shared)]
    assert [row["verdict"] for row in guards[0]] == [row["verdict"] for row in guards[1]]


REWARD = """
import os

def reward(siblings):
    if os.environ["RANK"] == "1":
        raise ValueError("no such text")
    return [0.0] * len(siblings.texts)
"""


def test_a_rank_that_fails_ends_the_run(tiny_folder: Path, tmp_path: Path) -> None:
    """In a reward of the user's, with the other process in the middle of the step."""
    (tmp_path / "mine.py").write_text(REWARD)
    flags = arguments(tiny_folder, tmp_path / "run", "--objective", "mine:reward")
    done = launched(2, "--module", "rlsc", "train", *flags, cwd=tmp_path)  # before it gives up
    assert done.returncode != 0
    lines = [one for one in done.stderr.splitlines() if "ends the run on all" in one]
    assert len(lines) == 1, done.stderr[-3000:]
    assert lines[0].startswith("rlsc: error: process 1 of 2: ValueError: no such text;")
    assert not (tmp_path / "run" / "results.json").exists()


@pytest.mark.parametrize("launcher", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_whole_run_of_two_processes(tiny_folder: Path, tmp_path: Path, launcher: bool) -> None:
    """`accelerate launch -m rlsc train …`: evaluation, model and report are one process's."""
    one, two = tmp_path / "one", tmp_path / "two"
    batch = ("--per_device_train_batch_size", "2")
    command = ("train", *arguments(tiny_folder, two, *batch))
    done = launched(2, "--module", "rlsc", *command) if launcher else ranks(2, rlsc, *command)
    assert done.returncode == 0, done.stderr[-3000:]
    assert _main(["train", *arguments(tiny_folder, one)]) == 0
    assert alike(figures(two), figures(one))
    for name in ("completions/0.jsonl", "completions/1.jsonl"):
        texts = [[row["text"] for row in read_jsonl(folder / name)] for folder in (one, two)]
        assert texts[0] == texts[1]
    assert (two / "report.html").exists()
    assert (two / "model" / "README.md").exists()
    again = ranks(2, rlsc, "train", *arguments(tiny_folder, two, *batch, "--resume"))
    assert again.returncode == 0
    assert "nothing to do" in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", [(), ("--use_peft", "true", "--lora_r", "2")], ids=["weights", "lora"]
)
def test_fsdp2_saves_the_model_whole_and_resumes(
    more: tuple[str, ...], tiny_folder: Path, tmp_path: Path
) -> None:
    """An evaluated run of one process, one of two, and one of two that is cut and goes on."""
    one, two, cut = tmp_path / "one", tmp_path / "two", tmp_path / "cut"
    flags = ("--learning_rate", "0.001", "--lr_scheduler_type", "constant", *more)
    assert _main(["train", *arguments(tiny_folder, one, *flags)]) == 0
    flags += (*SIZE, "2")
    for folder, last in ((two, ()), (cut, ("--max_steps", "1")), (cut, ("--resume",))):
        argv = arguments(tiny_folder, folder, *flags, *last)
        done = ranks(2, run_sharded, "train", *argv, how=FSDP2)
        assert done.returncode == 0, done.stderr[-3000:]
        assert "5 units sharded" in done.stdout  # two layers, embedding, head and norm, the rest
        if last == ("--max_steps", "1"):
            (cut / "results.json").unlink()
    for folder in (two, cut):
        assert results(folder).steps == 2
        assert alike(figures(folder), figures(one))
    weights = [load_file(folder / "model" / "model.safetensors") for folder in (one, two, cut)]
    base = load_file(tiny_folder / "model.safetensors")
    assert all(torch.equal(weights[2][name], weights[1][name]) for name in base)
    update, difference = (
        torch.cat([(weights[1][name] - other[name]).flatten() for name in base]).norm()
        for other in (base, weights[0])
    )
    # AdamW makes a step of a gradient that is 0 but for rounding.
    assert difference <= 0.02 * update
    assert update > 0


@pytest.mark.slow
def test_benchmarks_of_two_processes_are_those_of_one(
    model_folder: Path, data: Path, tmp_path: Path
) -> None:
    """Three questions a benchmark, which two processes share unevenly; then resumed."""
    one, two = tmp_path / "one", tmp_path / "two"
    flags = ("--model", model_folder, "--data_dir", data, "--questions", "arithmetic", *BENCHMARKS)
    argv = [str(flag) for flag in flags]
    assert _main(["train", *argv, *OUT, str(one), *SIZE, "4"]) == 0
    command = ["train", *argv, *OUT, str(two), *SIZE, "2"]
    done = ranks(2, rlsc, *command)
    assert done.returncode == 0, done.stderr[-3000:]
    assert alike(to_json(results(two).benchmarks), to_json(results(one).benchmarks))
    names = [str(file.relative_to(one)) for file in sorted((one / "eval").rglob("*.jsonl"))]
    assert len(names) == 4
    for name in names:
        assert alike(read_jsonl(two / name), read_jsonl(one / name))
        assert len(read_jsonl(two / name)) == 3
    (two / "results.json").unlink()
    last = two / names[-1]
    last.write_text(last.read_text()[:-20])
    done = ranks(2, rlsc, *command, "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    assert alike(to_json(results(two).benchmarks), to_json(results(one).benchmarks))


def alike(ours: object, theirs: object) -> bool:
    """Equal but for seconds and the rounding of log-probs, whose sums are of another company."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = {name for name in ours | theirs if not name.endswith("seconds")}
        return all(name in ours and name in theirs for name in names) and all(
            alike(ours[name], theirs[name]) for name in names
        )
    if isinstance(ours, list) and isinstance(theirs, list):
        pairs = zip(ours, theirs, strict=False)
        return len(ours) == len(theirs) and all(alike(*pair) for pair in pairs)
    close = isinstance(ours, float) and ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)
    return bool(close or ours == theirs)


BENCHMARKS = """--eval none --max_steps 1 --num_generations 3 --max_completion_length 24
    --save_steps 1 --learning_rate 0.01 --bf16 false --disable_tqdm true
    --benchmarks math500,gsm8k --benchmark_limit 3 --guard off""".split()
OUT, SIZE = ("--output_dir",), ("--per_device_train_batch_size",)
