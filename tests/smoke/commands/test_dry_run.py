"""`rlsc train --dry_run`: every recipe, and what is wrong in a line, without weights or traces."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from rlsc.commands.main import _main, recipes_folder
from rlsc.models import loading as models
from tests.conftest import tiny_model, tiny_tokenizer

RECIPES = {
    "demo-smollm2": "llama",
    "qwen2.5-math-1.5b": "qwen2",
    "qwen2.5-math-1.5b-lora": "qwen2",
    "qwen2.5-math-7b": "qwen2",
    "qwen2.5-math-7b-lora": "qwen2",
    "llama-3.2-1b": "llama",
    "gemma-3-1b": "gemma3",
    "qwen3-0.6b": "qwen3",
    "qwen3-1.7b-lora": "qwen3",
    "qwen3-4b-lora": "qwen3",
    "smollm3-3b-lora": "smollm3",
}

LIKE_ANOTHER = {"qwen2.5-math-1.5b", "qwen2.5-math-1.5b-lora", "llama-3.2-1b", "qwen3-4b-lora"}


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a dry run must load no weights")

    monkeypatch.setattr(models.AutoModelForCausalLM, "from_pretrained", refuse)


@pytest.fixture
def model(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A tiny model of the recipe's family, with its context."""
    family = getattr(request, "param", "llama")
    folder = tmp_path / "model"
    tiny_model(family, max_position_embeddings=4096).save_pretrained(folder)
    tokenizer = tiny_tokenizer()
    if family in ("qwen3", "smollm3"):  # their templates have a switch that the recipes turn off
        tokenizer.chat_template += "{% if enable_thinking %}<think>{% endif %}"
    tokenizer.save_pretrained(folder)
    return folder


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_every_recipe_of_train_is_here() -> None:
    recipes = recipes_folder().glob("*.yaml")
    others = re.compile("^(?:objectives|environment):", re.MULTILINE)  # comparisons and games
    assert {one.stem for one in recipes if not others.search(one.read_text())} == set(RECIPES)


@pytest.mark.parametrize(
    ("recipe", "model"),
    [
        pytest.param(*one, marks=pytest.mark.slow if one[0] in LIKE_ANOTHER else ())
        for one in RECIPES.items()
    ],
    indirect=["model"],
)
def test_recipes(
    recipe: str,
    model: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a tiny model of the family and questions that are there; the rest is the recipe's.

    But for the size of a micro-batch: large ones are long to plan.
    """
    monkeypatch.setattr("rlsc.engines.vllm.VLLMEngine.check_installed", lambda: None)
    before = files(tmp_path)
    flags = ["--config", str(recipes_folder() / f"{recipe}.yaml"), "--model", str(model)]
    flags += ["--questions", "arithmetic", "--output_dir", str(tmp_path / "run"), "--dry_run"]
    flags += ["--tokens_per_microbatch", "512"]
    assert _main(["train", *flags]) == 0, capfd.readouterr().err
    printed = capfd.readouterr().out
    assert "dry run: all input is in order" in printed
    assert "42 questions" in printed
    assert f"engine  {'vllm' if recipe == 'qwen2.5-math-7b' else 'native'}\n" in printed
    assert "activations of the update" in printed
    assert files(tmp_path) == before


BAD = {
    "--adam_beta1 2": "Invalid beta parameter",
    "--model ./nowhere": "no model folder at ./nowhere",
    "--questions nowhere.jsonl": "no such file",
    "--max_completion_length 4096": "no room for a prompt",
    "--max_completion_length 4090": "question",
    "--per_device_train_batch_size 100": "too few for 100 distinct ones",
    "--use_peft true --lora_target_modules nosuch": "nosuch",
    "--objective rlhf": "reward model",
    "--template nothing.jinja": "nothing.jinja",
    "--optim adamw_apex_fused": "apex",
    "--max_step 3": "did you mean max_steps?",
}


def test_columns_of_questions_without_any_are_noted(model: Path, capfd) -> None:
    flags = ["--model", str(model), "--questions", "arithmetic", "--answer_column", "solution"]
    assert _main(["train", *flags, "--output_dir", "run", "--dry_run"]) == 0
    assert "note: answer_column solution has no effect on arithmetic\n" in capfd.readouterr().out


@pytest.mark.parametrize(("flags", "message"), BAD.items())
def test_bad_input_is_one_line(
    flags: str, message: str, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = files(tmp_path)
    given = ["--model", str(model), "--questions", "arithmetic", "--max_completion_length", "8"]
    given += ["--output_dir", str(tmp_path / "run"), "--dry_run", *flags.split()]
    assert _main(["train", *given]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("rlsc: error: ")
    assert message in line
    assert files(tmp_path) == before


def test_vllm_must_be_there(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    missing = lambda name: None if name == "vllm" else find(name)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", missing)
    given = ["--model", str(model), "--questions", "arithmetic", "--max_completion_length", "8"]
    given += ["--output_dir", str(tmp_path / "run"), "--engine", "vllm", "--dry_run"]
    assert _main(["train", *given]) == 2
    assert "engine vllm needs vLLM" in capfd.readouterr().err


@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_an_adapter_with_vllm_names_what_works_instead(
    mode: str, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ["--model", str(model), "--questions", "arithmetic", "--max_completion_length", "8"]
    given += ["--output_dir", str(tmp_path / "run"), "--engine", "vllm", "--use_peft", "true"]
    given += ["--vllm_mode", mode, "--vllm_server_base_url", "http://there:1"] * (mode == "server")
    assert _main(["train", *given, "--dry_run"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith("engine vllm takes no adapters yet: use --engine native")


def test_a_folder_without_weights_and_one_that_holds_a_run(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ["train", "--model", str(model), "--questions", "arithmetic", "--dry_run"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("seed: 1\n")
    assert _main([*given, "--output_dir", str(tmp_path / "run")]) == 2
    assert "holds a run of an older rlsc" in capfd.readouterr().err
    kind = {"kind": "training", "schema_version": 2}
    (tmp_path / "run" / "run.json").write_text(json.dumps(kind))
    assert _main([*given, "--output_dir", str(tmp_path / "run")]) == 2
    assert "holds a training run (unfinished)" in capfd.readouterr().err
    (model / "model.safetensors").unlink()
    assert _main([*given, "--output_dir", str(tmp_path / "other")]) == 2
    assert "has no weights" in capfd.readouterr().err
