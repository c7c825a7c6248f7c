"""The public API: every name is there, and commands are functions."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import rlsc
from rlsc.errors import RLSCError
from rlsc.records.results import EvaluationResults, read_results_of
from tests.smoke.conftest import libraries_as_they_were


def test_every_public_name_is_there() -> None:
    assert all(getattr(rlsc, name) is not None for name in rlsc.__all__)
    with pytest.raises(AttributeError, match="no attribute 'magic'"):
        _ = rlsc.magic


def test_train_takes_a_recipe_and_settings(tiny_folder: Path, tmp_path: Path, capfd) -> None:
    recipe = tmp_path / "recipe.yaml"
    content = {"model": str(tiny_folder), "questions": "arithmetic", "max_completion_length": 6}
    recipe.write_text(yaml.safe_dump(content))
    folder = rlsc.train(recipe, output_dir=str(tmp_path / "run"), dry_run=True, bf16=False)
    assert folder == tmp_path / "run"
    assert "dry run: all input is in order" in capfd.readouterr().out
    with pytest.raises(ValueError, match="did you mean temperature"):
        rlsc.train(recipe, temprature=1)


def test_compare_takes_a_recipe_and_settings(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("objectives: [rlsc]\noutput_dir: out\n")
    with pytest.raises(ValueError, match="seeds must be"):
        rlsc.compare(recipe, seeds=[-1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"benchmark": "x"}, "unknown setting benchmark; did you mean benchmarks?"),
        ({"benchmarks": "math500", "samples": 0}, "samples must be"),
    ],
)
def test_evaluate_refuses_what_it_does_not_take(settings: dict, message: str) -> None:
    with pytest.raises(RLSCError) as caught:
        rlsc.evaluate(**settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_evaluate_takes_the_commands_settings(
    model_folder: Path, data: Path, tmp_path: Path
) -> None:
    settings = {"benchmarks": "minerva", "data_dir": str(data), "max_new_tokens": 4}
    out = str(tmp_path / "eval")
    with libraries_as_they_were():
        folder = rlsc.evaluate(
            model=str(model_folder), dtype="float32", output_dir=out, limit=2, **settings
        )
    assert read_results_of(EvaluationResults, folder).tasks["minerva"].task.questions == 2
    task = rlsc.load_task("minerva", data_dir=str(data), limit=2)
    assert len(task.questions) == 2
    with pytest.raises(ValueError, match="names 2 tasks"):
        rlsc.load_task("minerva,math500", data_dir=str(data))
