"""Absolute Zero on `python` at the command line: the sandbox comes before a model."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlsc import RLSCTrainer
from rlsc.commands.arguments import parse
from rlsc.commands.compare import _runs, parse_compare
from rlsc.commands.main import _main, recipes_folder
from rlsc.commands.train import check_together
from rlsc.engines.native.engine import NativeEngine
from rlsc.environments import make_executor
from rlsc.environments.azr.environment import AZR
from rlsc.environments.azr.python import language
from rlsc.errors import ConfigError
from rlsc.records.jsonl import read_jsonl
from rlsc.types import Completion, CompletionGroup
from tests.ascii_model import ascii_model, ascii_tokenizer
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.objectives.test_objectives import Forbidden
from tests.smoke.training.test_games import cut_and_whole
from tests.smoke.training.test_trainer import config


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model("llama", max_position_embeddings=16_384).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def backend() -> str:
    try:
        return make_executor("auto").name
    except ConfigError as error:
        pytest.skip(str(error))


FLAGS = "train --environment azr --objective trr --max_steps 1 --max_completion_length 8"
FLAGS += " --environment_settings language=python,kinds=deduction,seed_size=4,seed_attempts=6"


def test_a_dry_run_tries_the_sandbox_and_names_it(
    model: Path, backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = f"{FLAGS} --model {model} --output_dir {tmp_path / 'run'} --dry_run"
    assert _main(flags.split()) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert f"sandbox {backend}, Python 3." in said
    for part in ("propose/deduction", "solve/deduction", "nothing can be run"):
        assert part in said
    assert not (tmp_path / "run").exists()


def test_without_a_sandbox_no_model_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(_: str) -> None:
        raise ConfigError("no sandbox (bwrap: it is not there). Install one")

    monkeypatch.setattr(language, "executor_of", none)
    for more in ("", " --dry_run"):
        flags = f"{FLAGS} --model {tmp_path / 'none'} --output_dir {tmp_path / 'run'}{more}"
        assert _main(flags.split()) == 2
        assert "no sandbox (bwrap" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_model_that_writes_no_programs_ends_in_a_line(
    model: Path, backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = f"{FLAGS} --model {model} --output_dir {tmp_path / 'run'} --temperature 1"
    assert _main(flags.split()) == 2
    error = capsys.readouterr().err
    assert "the model proposed 1 different deduction tasks of 4 in 6 attempts" in error
    assert len(error.splitlines()) == 1


def test_what_runs_no_programs_refuses_a_sandbox(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = "train --environment azr --objective trr --max_steps 1 --sandbox auto"
    assert _main([*flags.split(), "--output_dir", str(tmp_path / "run")]) == 2
    assert "language=sums runs no programs" in capsys.readouterr().err
    flags = "train --questions arithmetic --max_steps 1 --sandbox auto"
    assert _main([*flags.split(), "--output_dir", str(tmp_path / "run")]) == 2
    assert "environment dataset runs no programs" in capsys.readouterr().err


PLAIN = {"per_device_train_batch_size": 8, "num_generations": 16}


class Playing(NativeEngine):
    """Samples as ever, and says programs where a random model says nothing; tokens are its own."""

    def generate(self, *args: Any, **kwargs: Any) -> list[CompletionGroup]:
        return [
            replace(group, completions=tuple(map(_played, group.completions)))
            for group in super().generate(*args, **kwargs)
        ]


def _played(completion: Completion) -> Completion:
    """A task, its input and an output, which is that of some tasks and not of others."""
    number = zlib.crc32(bytes(completion.token_ids)) % 7
    program = f"def f(x):\n    return x * {number % 3} + {number}"
    if number == 6:
        program = "def f(x):\n    return ("
    blocks = {"python": program, "input": "3", "output": f"{number}"}
    text = "\n".join(f"```{name}\n{content}\n```" for name, content in blocks.items())
    return replace(completion, text=text, finish_reason="stop")


def test_a_run_that_goes_on_is_the_uninterrupted_one(backend: str, tmp_path: Path) -> None:
    """To the bit: tasks.jsonl, completions, weights, the probe, the state with its verdicts."""
    game = {"language": "python", "batch": 2, "seed_size": 3, "estimates": 2, "probe_tasks": 1}

    def trainer(folder: Path, **changes: Any) -> RLSCTrainer:
        model, tokenizer = ascii_model(), ascii_tokenizer()
        settings = {"objective": "trr", "temperature": 1.0, "guard": "off", **PLAIN}
        return RLSCTrainer(
            model=model,
            args=config(folder, eval_steps=2, **(settings | changes)),
            processing_class=tokenizer,
            environment=AZR(**game),
            engine=Playing(model, tokenizer, model.dtype),
            answer_key=Forbidden({}),
        )

    whole = cut_and_whole(trainer, tmp_path)
    tasks = read_jsonl(whole / "tasks.jsonl")
    assert {task["step"] for task in tasks} > {-1, 0}
    assert len({task.get("program") for task in tasks}) > 3
    files = [whole / "completions" / f"{step}.jsonl" for step in range(4)]
    rows = [row for file in files for row in read_jsonl(file)]
    assert {"propose/deduction", "solve/abduction"} <= {row["pool"] for row in rows}
    assert len({row["reward"] for row in rows}) > 2


def test_every_row_of_the_recipe_is_ready_to_run(
    model: Path, backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a tiny model and a benchmark file of one row; the rest is the recipe's."""
    recipe = recipes_folder() / "azr-python.yaml"
    compared, _ = parse_compare(["--config", str(recipe)])
    runs = [run for run in _runs(compared, []) if run.seed == 0]
    assert [run.label for run in runs] == list(compared.methods)
    games = [check_together(*parse([*run.flags])) for run in runs]
    assert len({repr(game) for game in games}) == len(runs) == 4
    row = {"id": "s", "code": "def f(x):\n    return x + 1", "input": "3", "output": "4"}
    (tmp_path / "cruxeval.jsonl").write_text(json.dumps(row))
    flags = [*runs[0].flags, "--model", str(model), "--data_dir", str(tmp_path)]
    assert _main(["train", *flags, "--output_dir", str(tmp_path / "run"), "--dry_run"]) == 0
    said = capsys.readouterr().out
    for part in ("input is in order", f"sandbox {backend}", "solve/abduction", "propose/deduction"):
        assert part in said
