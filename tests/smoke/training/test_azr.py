"""Absolute Zero on `sums` through the trainer and the command line, with a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rlsc import RLSCTrainer
from rlsc.commands.arguments import parse
from rlsc.commands.compare import _runs, parse_compare
from rlsc.commands.main import _main, recipes_folder
from rlsc.commands.train import check_together
from rlsc.environments.azr.environment import AZR
from rlsc.records.jsonl import read_jsonl
from tests.ascii_model import ascii_model, ascii_tokenizer, save_ascii_model
from tests.smoke.conftest import in_this_process
from tests.smoke.objectives.test_objectives import Forbidden
from tests.smoke.training.test_games import cut_and_whole
from tests.smoke.training.test_trainer import config

PLAIN = {"per_device_train_batch_size": 8, "num_generations": 16}
GAME = {"batch": 2, "seed_size": 4, "seeds": "uniform", "kinds": "deduction+induction"}
GAME |= {"estimates": 2, "inputs": 4, "probe_tasks": 2}


def trainer(folder: Path, scale: float = 0.4, **changes: Any) -> RLSCTrainer:
    settings = {"objective": "trr", "temperature": 1.0, "guard": "off", "eval_steps": 2, **PLAIN}
    return RLSCTrainer(
        model=ascii_model(scale=scale),
        args=config(folder, **(settings | changes)),
        processing_class=ascii_tokenizer(),
        environment=AZR(**GAME),
        answer_key=Forbidden({}),
    )


def test_a_run_that_goes_on_is_the_uninterrupted_one(tmp_path: Path) -> None:
    """To the bit, without a look at any answer: tasks.jsonl, completions, weights, the probe."""
    whole = cut_and_whole(trainer, tmp_path)
    rows = read_jsonl(whole / "completions" / "0.jsonl")
    assert {row["pool"] for row in rows} == {
        f"{role}/{kind}" for role in ("propose", "solve") for kind in ("deduction", "induction")
    }
    metrics = read_jsonl(whole / "metrics.jsonl")
    assert metrics[0]["azr/proposals"] == 4
    assert len({str(row) for row in read_jsonl(whole / "tasks.jsonl")}) > 12


def test_solutions_end_at_the_line(tmp_path: Path) -> None:
    """Which is a stop of the sampler's, and the token that completes it is trained on."""
    run = trainer(tmp_path, scale=0.02, max_completion_length=100)
    run.sampler.begin(run.environment, run.progress.aside)
    rollout = run.sampler.collect(run.environment, 0, [])
    newline = ascii_tokenizer()("\n", add_special_tokens=False)["input_ids"][0]
    ended = [one for pool in rollout.pools for one in pool.completions]
    lines = [one for one in ended if newline in one.token_ids]
    assert lines
    assert all(one.token_ids.index(newline) == len(one.token_ids) - 1 for one in lines)
    assert all(one.finish_reason == "stop" and "\n" not in one.text for one in lines)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_ascii_model(tmp_path_factory.mktemp("models") / "tiny")


def test_every_row_of_the_recipe_is_ready_to_run(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = recipes_folder() / "azr-sums.yaml"
    compared, _ = parse_compare(["--config", str(recipe)])
    runs = [run for run in _runs(compared, []) if run.seed == 0]
    assert len(runs) == len(compared.methods) == 7
    games = [check_together(*parse([*run.flags])) for run in runs]
    assert len({repr(game) for game in games}) == 6  # `constant` plays as `azr` does
    flags = [*runs[0].flags, "--model", str(model), "--output_dir", str(tmp_path / "run")]
    assert _main(["train", *flags, "--dry_run"]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    for part in ("dry run: all input is in order", "solve/abduction", "Exercise 1: 23 + 9"):
        assert part in said
    assert "evaluated on arithmetic:two_digit" in said


def test_a_model_that_cannot_play_ends_in_a_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = f"train --model {model} --environment azr --objective trr --max_steps 1"
    flags += " --environment_settings seed_size=8,seed_attempts=10 --max_completion_length 8"
    assert _main([*flags.split(), "--output_dir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "different deduction tasks of 8 in 10 attempts" in error
    assert len(error.splitlines()) == 1


@pytest.mark.slow
def test_a_comparison_of_games(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A game's row beside the untrained model, which is evaluated without playing."""
    monkeypatch.setattr("rlsc.commands.compare._in_process", in_this_process)
    game = {**GAME, "kinds": "deduction", "probe_tasks": 0, "proposer": "none"}
    content: dict[str, Any] = {
        **{"model": str(model), "output_dir": str(tmp_path / "out"), "environment": "azr"},
        "objectives": [{"azr, seeds only": {"objective": "trr", "environment_settings": game}}],
        **{"eval_questions": "arithmetic", "max_steps": 1, "max_completion_length": 6},
        **{"eval_limit": 3, "eval_samples": 1, "eval_steps": 1, "save_strategy": "no"},
        **{"bf16": False, "disable_tqdm": True, "temperatures": [0], "guard": "off"},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    assert _main(["compare", "--config", str(tmp_path / "recipe.yaml")]) == 0
    page = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "environment azr" in page
    assert "azr, seeds only" in page
    assert capsys.readouterr().err == ""
