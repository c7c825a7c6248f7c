"""A run that is killed at any moment goes on to the very same end."""

from __future__ import annotations

import errno
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from rlsc.commands.main import _main
from rlsc.errors import OutputError
from rlsc.records.checkpoints import SEAL, damage, last_checkpoint
from rlsc.records.checkpoints import checkpoints as saved
from rlsc.records.jsonl import read_jsonl
from rlsc.training import checkpoints
from tests.conftest import tiny_model, tiny_tokenizer
from tests.forked import Forked, rlsc
from tests.smoke.commands.test_train import arguments, figures, results, timeless

STEPS = 10
FLAGS = ("--max_steps", str(STEPS), "--save_steps", "2", "--guard", "stop", "--eval_limit", "2")
TIMED = {"seconds", "sample_seconds", "train_runtime", "total_flos"}


def started(model: Path, folder: Path) -> Forked:
    return Forked(rlsc, "train", *arguments(model, folder, *FLAGS))


def same_end(folder: Path, whole: Path) -> None:
    """Weights to the bit, metrics, completions, guard, evaluation."""
    ours, theirs = (load_file(one / "model" / "model.safetensors") for one in (folder, whole))
    assert ours.keys() == theirs.keys()
    assert all(bool((ours[name] == theirs[name]).all()) for name in ours)
    for name in ("metrics.jsonl", "guard.jsonl"):
        rows = [
            [{k: v for k, v in row.items() if k not in TIMED} for row in read_jsonl(one / name)]
            for one in (folder, whole)
        ]
        assert rows[0] == rows[1]
        assert len(rows[0]) >= STEPS
    for step in range(STEPS):
        name = f"completions/{step}.jsonl"
        assert (folder / name).read_text() == (whole / name).read_text()
    assert figures(folder) == figures(whole)


@pytest.fixture(scope="module")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> tuple[Path, float]:
    """An uninterrupted run, and how long it took from its first record on."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    process = started(tiny_model_folder, folder)
    began = wait_for(folder / "config.yaml", process)
    assert process.wait().returncode == 0
    return folder, time.monotonic() - began


def wait_for(file: Path, process: Forked) -> float:
    while not file.exists() and process.poll() is None:
        time.sleep(0.02)
    return time.monotonic()


@pytest.mark.parametrize("kill", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_a_random_moment(
    whole: tuple[Path, float], tiny_model_folder: Path, tmp_path: Path, kill: int
) -> None:
    """RLSC_KILLS=20 for more of them, each another moment."""
    check_kill(whole, tiny_model_folder, tmp_path, kill)


@pytest.mark.skipif("RLSC_KILLS" not in os.environ, reason="set RLSC_KILLS for more kills")
def test_killed_at_many_moments(
    whole: tuple[Path, float], tiny_model_folder: Path, tmp_path: Path
) -> None:
    for kill in range(2, 2 + int(os.environ["RLSC_KILLS"])):
        check_kill(whole, tiny_model_folder, tmp_path / str(kill), kill)


def check_kill(whole: tuple[Path, float], model: Path, tmp_path: Path, kill: int) -> None:
    folder = tmp_path / "run"
    process = started(model, folder)
    wait_for(folder / "config.yaml", process)
    time.sleep(random.Random(kill).random() * whole[1])
    process.kill()
    process.wait()
    assert _main(["train", *arguments(model, folder, *FLAGS, "--resume")]) == 0
    same_end(folder, whole[0])


@pytest.mark.parametrize("name", [pytest.param("seal", marks=pytest.mark.slow), "_put_in_place"])
def test_a_kill_while_a_checkpoint_is_written(
    name: str, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the seal, and between the seal and the new name."""
    expected = tmp_path / "whole"
    flags = ("--save_steps", "1", "--max_steps", "3")
    assert _main(["train", *arguments(tiny_folder, expected, *flags)]) == 0
    folder, die = tmp_path / name, dies_second(getattr(checkpoints, name))
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, name, die)
        assert _main(["train", *arguments(tiny_folder, folder, *flags)]) == 130
    assert {one.name for one in saved(folder)} == {"checkpoint-1"}
    assert _main(["train", *arguments(tiny_folder, folder, *flags, "--resume")]) == 0
    assert figures(folder) == figures(expected)
    assert not (folder / checkpoints.UNFINISHED).exists()


def dies_second(function):
    """The function, which at its second call is interrupted."""
    calls = []

    def wrapped(*rest):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return function(*rest)

    return wrapped


def test_a_damaged_checkpoint_is_found_and_the_one_before_it_used(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert _main(["train", *arguments(tiny_folder, folder)]) == 0
    file = folder / "checkpoint-2" / "optimizer.pt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1  # a single bit
    file.write_bytes(content)
    assert damage(folder / "checkpoint-2") == "optimizer.pt is not what was written"
    capsys.readouterr()
    assert last_checkpoint(folder) == folder / "checkpoint-1"
    assert (
        "checkpoint-2 is damaged: optimizer.pt is not what was written" in capsys.readouterr().out
    )
    (folder / "checkpoint-1" / SEAL).unlink()
    assert last_checkpoint(folder) is None


def stopped(
    model: Path, tmp_path: Path, patches: pytest.MonkeyPatch, owner: Any, name: str, broken: Any
) -> Any:
    """A run that `broken` ends with code 2; what an undisturbed one of the same scores."""
    assert _main(["train", *arguments(model, tmp_path / "whole")]) == 0
    with patches.context() as patch:
        patch.setattr(owner, name, broken)
        assert _main(["train", *arguments(model, tmp_path / "run")]) == 2
    return timeless(results(tmp_path / "whole").evaluation)


def resumed(model: Path, tmp_path: Path) -> Any:
    """What the stopped run scores after it went on."""
    assert _main(["train", *arguments(model, tmp_path / "run", "--resume")]) == 0
    return timeless(results(tmp_path / "run").evaluation)


def test_a_full_disk_is_said_in_a_line_and_loses_nothing(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    import torch

    save, calls = torch.save, []

    def full(*rest, **more):
        calls.append(1)
        if len(calls) > 4:
            raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")
        return save(*rest, **more)

    expected = stopped(tiny_folder, tmp_path, monkeypatch, torch, "save", full)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "checkpoint-2 could not be written" in line
    assert "--resume" in line
    assert resumed(tiny_folder, tmp_path) == expected


def test_what_torch_says_of_a_full_disk_is_not_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda _: full)
    with (
        pytest.raises(OutputError, match=r"\(the disk is full\); those before it stand: make room"),
        checkpoints._errors_in_one_line(tmp_path / "checkpoint-2"),
    ):
        raise RuntimeError("[enforce fail] unexpected pos 98112 vs 98004")


def test_true_goes_on_from_the_newest_whole_checkpoint_in_python_too(tmp_path: Path) -> None:
    from tests.smoke.training.test_trainer import trainer

    trainer(tmp_path, max_steps=4).train()
    (tmp_path / "checkpoint-4" / SEAL).unlink()
    run = trainer(tmp_path, max_steps=4)
    run.train(resume_from_checkpoint=True)
    assert run.state.global_step == 4
    assert damage(tmp_path / "checkpoint-4") is None


@pytest.mark.slow  # as a full disk
def test_a_folder_that_becomes_read_only_is_said_in_a_line_and_loses_nothing(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    place, calls = checkpoints._put_in_place, []

    def read_only(*rest):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        place(*rest)

    owner, name = checkpoints, "_put_in_place"
    expected = stopped(tiny_folder, tmp_path, monkeypatch, owner, name, read_only)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "checkpoint-2 could not be written (Read-only file system)" in line
    assert resumed(tiny_folder, tmp_path) == expected


@pytest.mark.slow
def test_a_clock_that_goes_back_changes_nothing(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither which checkpoint is the newest, nor which is dropped, nor how long a run took."""
    flags = ("--max_steps", "4", "--save_total_limit", "2")
    folder, expected = tmp_path / "run", tmp_path / "whole"
    assert _main(["train", *arguments(tiny_folder, expected, *flags)]) == 0
    cut = ("--max_steps", "2", "--save_total_limit", "2")
    assert _main(["train", *arguments(tiny_folder, folder, *cut)]) == 0
    (folder / "results.json").unlink()
    future = time.time() + 86_400
    os.utime(folder / "checkpoint-1", (future, future))
    clock = iter(range(2_000_000_000, 0, -3600))
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: float(next(clock)))
        assert _main(["train", *arguments(tiny_folder, folder, *flags, "--resume")]) == 0
    assert figures(folder) == figures(expected)
    assert min(results(folder).seconds.values()) >= 0
    names = {path.name for path in saved(folder)}
    assert names == {"checkpoint-3", "checkpoint-4"}
