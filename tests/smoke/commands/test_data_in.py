"""What users bring as questions, from the command line: found, said, or refused in a line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlsc.commands.main import _main
from tests.conftest import tiny_model, tiny_tokenizer

SMALL = "--max_completion_length 8 --per_device_train_batch_size 1".split()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_model(max_position_embeddings=512).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def lines(file: Path, *rows: dict[str, Any]) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def dry_run(model: Path, *flags: str) -> int:
    run = ["--output_dir", str(model.parent / "run"), "--model", str(model), "--dry_run"]
    return _main(["train", *run, *SMALL, *flags])


def test_a_conversation_is_asked_as_it_is(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    turns = [("user", "1?"), ("assistant", "1"), ("user", "2?"), ("assistant", "It")]
    messages = [{"role": role, "content": content} for role, content in turns]
    file = lines(tmp_path / "chats.jsonl", {"prompt": messages, "answer": 2})
    assert dry_run(model, "--questions", file) == 0
    out = capfd.readouterr().out
    assert f"{file}: questions are in its column prompt" in out
    assert "'<user>1?<assistant>1<end><user>2?<assistant>It'" in out
    assert dry_run(model, "--questions", file, "--template", "none") == 2
    assert "question 0 is a conversation, which needs a chat template" in capfd.readouterr().err
    both = [{"role": "system", "content": "+"}, *messages]
    file = lines(tmp_path / "chats.jsonl", {"prompt": both})
    assert dry_run(model, "--questions", file, "--system_prompt", "?") == 2
    assert "question 0 has a system message of its own" in capfd.readouterr().err


def test_arguments_of_the_chat_template_are_in_the_prompts_and_the_settings(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = lines(tmp_path / "mine.jsonl", {"question": "1?", "answer": 1})
    quiet = ("--chat_template_kwargs", '{"thinking": false}')
    assert dry_run(model, "--questions", file, *quiet) == 2
    assert "the chat template does not use 'thinking'" in capfd.readouterr().err
    own = tmp_path / "model"
    shutil.copytree(model, own)
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template += "{% if not thinking %}0{% endif %}"
    tokenizer.save_pretrained(own)
    for given, end in ((quiet, "0"), (("--chat_template_kwargs", "thinking=true"), "")):
        assert dry_run(own, "--questions", file, *given) == 0
        assert f"'<user>1?<assistant>{end}'" in capfd.readouterr().out
    assert dry_run(own, "--questions", file, *quiet, "--template", "none") == 2
    assert "chat_template_kwargs needs a chat template" in capfd.readouterr().err
    assert dry_run(own, "--questions", file, "--chat_template_kwargs", "[1]") == 2
    capfd.readouterr()
    assert dry_run(own, "--questions", file, "--chat_template_kwargs", '{"messages": []}') == 2
    assert "messages is the prompt's own: leave it out" in capfd.readouterr().err


def test_an_evaluation_records_the_arguments_of_the_chat_template(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = lines(tmp_path / "mine.jsonl", {"question": "1?", "answer": 1})
    own = tmp_path / "model"
    shutil.copytree(model, own)
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template += "{% if not thinking %}0{% endif %}"
    tokenizer.save_pretrained(own)
    quiet = ("--chat_template_kwargs", '{"thinking": false}')
    asked = ["--model", str(own), "--benchmarks", file, "--max_new_tokens", "2", *quiet]
    assert _main(["eval", *asked, "--output_dir", str(tmp_path / "out")]) == 0
    (rows,) = (tmp_path / "out").rglob("mine/*.jsonl")
    assert json.loads(rows.read_text())["prompt"] == "<user>1?<assistant>0"
    settings = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert settings["chat_template_kwargs"] == {"thinking": False}
    assert _main(["eval", "--template", "none", *asked, "--output_dir", str(tmp_path / "no")]) == 2
    assert "chat_template_kwargs needs a chat template" in capfd.readouterr().err


def test_a_tokenizer_of_another_model_is_found_before_its_weights_are_read(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "model"
    shutil.copytree(model, own)
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps(config | {"vocab_size": 5}))
    file = lines(tmp_path / "mine.jsonl", {"question": "9?"})
    assert dry_run(own, "--questions", file) == 2
    assert "the model's vocabulary ends at 4" in capfd.readouterr().err


def test_a_column_of_answers_must_be_where_they_are_looked_at(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bare = lines(tmp_path / "bare.jsonl", {"question": "1?"})
    labelled = lines(tmp_path / "labelled.jsonl", {"question": "2?", "sum": 2})
    column = ("--answer_column", "sum")
    assert dry_run(model, "--questions", bare, *column) == 2
    assert "no column 'sum' (it has question)" in capfd.readouterr().err
    assert dry_run(model, "--questions", labelled, "--eval_questions", bare, *column) == 2
    assert "no column 'sum' (it has question)" in capfd.readouterr().err
    assert dry_run(model, "--questions", bare, "--eval_questions", labelled, *column) == 0
    assert dry_run(model, "--questions", labelled, "--guard_questions", bare, *column) == 0


def test_a_home_folder_in_a_recipe(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    lines(tmp_path / "mine.jsonl", {"question": "1?"})
    (tmp_path / "recipe.yaml").write_text("questions: ~/mine.jsonl\nbase_evaluation: ~/no\n")
    assert dry_run(model, "--config=~/recipe.yaml", "--eval_questions=~/mine.jsonl") == 0
