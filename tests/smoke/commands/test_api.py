"""The public API: every name is there, and commands are functions."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import rlsc


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
