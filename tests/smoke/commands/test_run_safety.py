"""What may not happen to a user's files, and what a run that died may not mix up."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from rlsc.commands import train
from rlsc.commands.arguments import parse
from rlsc.commands.main import _main
from rlsc.commands.train import run
from rlsc.environments import DatasetEnvironment
from rlsc.errors import ConfigError, OutputError
from rlsc.planning import check_fits, plan
from rlsc.planning.memory import Device, footprint
from rlsc.records.environment import without_secrets
from rlsc.records.jsonl import read_jsonl
from rlsc.records.run_folder import check_writable
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.commands.test_train import arguments, figures, results


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run [1]"  # brackets are markup to some consoles


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def finished_once(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    run(*parse(arguments(model, folder)))
    return folder


@pytest.fixture
def finished(finished_once: Path, folder: Path) -> Path:
    """A run that came to its end, for each test its own copy."""
    return shutil.copytree(finished_once, folder)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "mistake",
    [
        ("--eval_max_new_tokens", "1000"),
        ("--eval_questions", "nowhere.jsonl"),
        ("--max_completion_length", "500"),
        ("--per_device_train_batch_size", "500"),
        ("--report_to", "junk"),
    ],
    ids=str,
)
def test_a_mistake_with_overwrite_costs_nothing(
    model: Path, finished: Path, capsys, mistake: tuple[str, str]
) -> None:
    before = files(finished)
    capsys.readouterr()
    assert _main(["train", *arguments(model, finished, "--overwrite", *mistake)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert files(finished) == before


def test_a_gpu_too_small_for_the_plan_is_refused_before_all_else(
    model: Path, finished: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(train, "this_device", lambda _: Device("cuda", memory=20_000))
    monkeypatch.setattr(train, "load_policy", refuse)
    monkeypatch.setattr(plan, "advice", lambda *_: [("--optim adafactor", 10**9, True)])
    before = files(finished)
    capsys.readouterr()
    assert _main(["train", *arguments(model, finished, "--overwrite")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the run would take" in line
    assert line.endswith("enough: --optim adafactor saves 1.0 GB")
    assert files(finished) == before


@pytest.mark.parametrize(
    ("room", "printed"),
    [(1.02, "the memory may not suffice"), (2.0, "")],
)
def test_a_gpu_with_little_room_is_told(
    model: Path, folder: Path, capsys, monkeypatch: pytest.MonkeyPatch, room: float, printed: str
) -> None:
    device = Device("cuda", memory=10**9)

    def with_room(config, training, model_config, _, length: int) -> str | None:
        peak = footprint(config, training, model_config, device, length).peak
        memory = replace(device, memory=int(room * peak))
        return check_fits(config, training, model_config, memory, length)

    monkeypatch.setattr(train, "this_device", lambda _: device)
    monkeypatch.setattr(train, "check_fits", with_room)
    config, training = parse(arguments(model, folder))
    train._check_memory(config, training, train.training_questions(config, DatasetEnvironment(2)))
    out = capsys.readouterr().out
    assert printed in out
    assert bool(out) == bool(printed)


def test_a_model_that_cannot_be_planned_is_told(
    model: Path, folder: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: object) -> None:
        raise NotImplementedError("no meta kernel")

    monkeypatch.setattr(train, "this_device", lambda _: Device("cuda", memory=10**9))
    monkeypatch.setattr(train, "check_fits", unable)
    config, training = parse(arguments(model, folder))
    train._check_memory(config, training, train.training_questions(config, DatasetEnvironment(2)))
    assert "cannot be planned (NotImplementedError: no meta kernel)" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["model/weights", "eval/mine", "checkpoint-3/x", "report.md"])
def test_files_that_no_run_left_are_never_deleted(
    tiny_folder: Path, folder: Path, name: str
) -> None:
    path = folder / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    for more in ((), ("--overwrite",), ("--resume",)):
        with pytest.raises(OutputError, match="but no run"):
            run(*parse(arguments(tiny_folder, folder, *more)))
    assert path.read_text() == "mine"


def test_runs_that_look_at_a_folder_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Parts of one comparison are started side by side: the folder may be new, too."""
    for folder in (tmp_path, tmp_path / "new" / "er"):
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(check_writable, [folder] * 400))
    assert list(tmp_path.iterdir()) == []


def test_overwrite_spares_its_own_input(tiny_folder: Path, folder: Path) -> None:
    run(*parse(arguments(tiny_folder, folder, "--eval", "none")))
    with pytest.raises(OutputError, match="would delete --model"):
        run(*parse(arguments(folder / "model", folder, "--overwrite")))


def test_questions_that_changed_are_not_resumed(tiny_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    rows = [{"question": f"What is {i}?", "answer": str(i)} for i in range(6)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = arguments(tiny_folder, tmp_path / "run", "--questions", str(file))
    run(*parse(flags))
    (tmp_path / "run" / "results.json").unlink()
    file.write_text(file.read_text().replace("What is 3?", "What is 4+4?"))
    with pytest.raises(OutputError, match="is of other training questions"):
        run(*parse([*flags, "--resume"]))


def test_more_steps_after_the_end_are_trained_and_evaluated_anew(
    tiny_folder: Path, folder: Path, tmp_path: Path
) -> None:
    run(*parse(arguments(tiny_folder, folder, "--learning_rate", "0.01")))
    more = ("--learning_rate", "0.01", "--max_steps", "4")
    run(*parse(arguments(tiny_folder, folder, *more, "--resume")))
    run(*parse(arguments(tiny_folder, tmp_path / "whole", *more)))
    assert results(folder).steps == 4
    assert figures(folder) == figures(tmp_path / "whole")


def test_a_death_before_the_report_is_made_good(model: Path, finished: Path) -> None:
    (finished / "report.md").unlink()
    run(*parse(arguments(model, finished, "--resume")))
    assert (finished / "report.md").exists()


@pytest.mark.parametrize("missing", ["trainer_state.json", "optimizer.pt", "model.safetensors"])
def test_a_half_written_checkpoint_is_passed_over(
    model: Path, finished: Path, missing: str
) -> None:
    expected = figures(finished)
    (finished / "results.json").unlink()
    shutil.rmtree(finished / "model")
    (finished / "checkpoint-2" / missing).unlink()
    run(*parse(arguments(model, finished, "--resume")))
    assert figures(finished) == expected
    assert len(read_jsonl(finished / "metrics.jsonl")) == 2


@pytest.mark.parametrize("content", ["", "[1", "- 1", "\0"])
def test_a_damaged_config_is_said_in_a_line(model: Path, finished: Path, content: str) -> None:
    (finished / "config.yaml").write_text(content)
    with pytest.raises((OutputError, ConfigError), match=r"damaged"):
        run(*parse(arguments(model, finished, "--resume")))


def test_secrets_stay_out_of_the_records() -> None:
    command = ["rlsc", "--hub_token", "hf_1", "--hub_token=hf_2", "--seed", "1"]
    assert without_secrets(command) == [
        "rlsc",
        "--hub_token",
        "***",
        "--hub_token=***",
        "--seed",
        "1",
    ]


def test_a_run_of_an_older_version_is_refused_in_a_line(tiny_folder: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "config.yaml").write_text("questions: arithmetic\n")
    (folder / "results.json").write_text('{"steps": 2}')
    for more in ((), ("--overwrite",), ("--resume",)):
        with pytest.raises(OutputError, match="holds a run of an older rlsc: choose another"):
            run(*parse(arguments(tiny_folder, folder, *more)))
    assert (folder / "results.json").read_text() == '{"steps": 2}'
