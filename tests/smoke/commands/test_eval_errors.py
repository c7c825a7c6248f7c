"""Mistakes with `rlsc eval`: exit code 2, one line that helps, and nothing touched."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rlsc.records.run_folder import TrainingFolder
from tests.ascii_model import CONTEXT, save_ascii_model
from tests.smoke.conftest import Evaluate, arguments, command, read_jsonl, write_jsonl

Refused = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "eval"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def only_line(capsys: pytest.CaptureFixture[str], code: int) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    assert code == 2
    assert line.startswith("rlsc: error: ")
    return line


@pytest.fixture
def refused(evaluate: Evaluate, folder: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """The one line of `rlsc eval` with more flags; its folder is as it was."""

    def run(*more: object) -> str:
        before = contents(folder) if folder.exists() else None
        capsys.readouterr()
        line = only_line(capsys, evaluate(folder, *more))
        assert (contents(folder) if folder.exists() else None) == before
        return line

    return run


# Settings.


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--samples 4", "samples 4 at temperature 0: greedy answers are all alike"),
        ("--samples 0 --temperature 1", "samples must be from 1 to 10000, not 0"),
        ("--temperature -1", "temperature must be 0"),
        ("--temperature nan", "temperature"),
        ("--temperature inf", "temperature must be 0 or more, not inf"),
        ("--limit -1", "limit must be 0 or more, not -1"),
        ("--limit some", "--limit"),
        ("--max_new_tokens 0", "max_new_tokens must be 1 or more"),
        ("--rollout_batch_size 0", "rollout_batch_size must be 1 or more"),
        ("--top_p 0", "top_p must be above 0 and at most 1, not 0"),
        ("--top_k -1", "top_k must be 0 or more"),
        ("--seed -1", "seed must be 0 or more"),
        ("--shots 5 --template few-shot", "shots must be from 1 to 4, not 5"),
        ("--shots 0", "shots must be from 1 to 4, not 0"),
        ("--dtype float64", "dtype must be one of auto, float32, bfloat16, float16"),
        pytest.param(
            *("--dtype float16", "dtype float16 is for CUDA"),
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        ("--engine sglang", "engine must be"),
        ("--vllm_mode remote", "vllm_mode must be one of colocate, server"),
        ("--rollout_memory_gb 0", "rollout_memory_gb must be above 0"),
        ("--resume --overwrite", "exclude each other"),
        ("--output_dir=", "output_dir is empty"),
        ("--benchmarks gsm8", "no benchmark 'gsm8' (did you mean gsm8k?); choose from: aime24"),
        ("--benchmarks gsm8k,gsm8k", "named twice: gsm8k"),
        ("--benchmarks ,", "no benchmark is named"),
        ("--benchmarks=", "no benchmark is named"),
        ("--benchmark math500", "unknown setting --benchmark; did you mean benchmarks?"),
        ("--tempreature 1", "did you mean temperature?"),
        ("--template qwen", "template must be one of auto, chat, qwen2.5-math"),
        ("--template nowhere.jinja", "template nowhere.jinja cannot be read"),
        ("--system_prompt Hi --template none", "system_prompt needs a chat template"),
        ("--data_dir nowhere", "benchmark math500: there is no folder nowhere"),
        ("--benchmarks aime24", "benchmark aime24: no aime24.jsonl in"),
        ("--benchmarks gpqa_diamond", "it is gated: accept its terms at https://huggingface.co/"),
        ("--model nowhere/at/all/", "nowhere/at/all"),
        ("--trained_on nowhere.jsonl", "no such file"),
        ("--config nowhere.yaml", "no such config file: nowhere.yaml"),
    ],
)
def test_bad_settings(refused: Refused, flags: str, message: str) -> None:
    assert message in refused(*flags.split())


def test_no_benchmarks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = command("eval", "--output_dir", folder)
    assert "--benchmarks is missing: a comma list, such as math500" in only_line(capsys, code)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ question }} {{ answer }}", "'answer' is undefined"),
        ("{{ question", "template mine: "),
        ("Solve it.", "does not contain {{ question }}"),
        ("{{ question + 1 }}", "template mine: "),
    ],
)
def test_a_template_of_ones_own_that_fails(
    refused: Refused, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "mine.jinja").write_text(text)
    assert message in refused("--template", tmp_path / "mine.jinja")


def test_a_model_without_a_chat_template(refused: Refused, tmp_path: Path) -> None:
    model = save_ascii_model(tmp_path / "base", chat=False)
    line = refused("--model", model, "--template", "chat")
    assert "no chat template; use --template none" in line
    assert "system_prompt needs" in refused("--model", model, "--system_prompt", "Hi")


# What does not fit.


def test_a_prompt_that_is_too_long_is_named_with_what_helps(
    refused: Refused, data: Path, tmp_path: Path
) -> None:
    rows = read_jsonl(data / "gsm8k_test.jsonl")
    rows[2]["question"] += " 1" * CONTEXT
    write_jsonl(tmp_path / "gsm8k_test.jsonl", rows)
    flags = ("--data_dir", tmp_path, "--benchmarks", "gsm8k")
    line = refused(*flags)
    assert "question gsm8k_test/2: its prompt has" in line
    assert f"context of {CONTEXT}" in line
    helps_with_flags_of_eval(line)


def test_a_cap_that_leaves_no_room_for_a_prompt(refused: Refused) -> None:
    line = refused("--max_new_tokens", 4 * CONTEXT)
    assert f"{4 * CONTEXT} new tokens leave no room" in line
    helps_with_flags_of_eval(line)


def helps_with_flags_of_eval(line: str) -> None:
    assert "--max_new_tokens" in line
    for other in ("--max_completion_length", "--skip_long_prompts", "--eval_max_new_tokens"):
        assert other not in line


# Another evaluation.


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"benchmarks": 1}'])
def test_compared_to_what_is_no_evaluation(
    refused: Refused, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    assert f"--compare_to {tmp_path}: no finished evaluation" in refused("--compare_to", tmp_path)


def test_compared_to_other_questions(refused: Refused, finished: Path, data: Path) -> None:
    line = refused("--compare_to", finished, "--limit", 2)
    assert "its 12 questions of math500 are not the 2 of this evaluation" in line
    line = refused("--compare_to", finished, "--benchmarks", "math500,minerva")
    assert f"--compare_to {finished} was not evaluated on minerva" in line


def test_compared_to_other_questions_under_the_same_ids(
    refused: Refused, finished: Path, data: Path, tmp_path: Path
) -> None:
    """Files without ids are numbered, so that ids say little."""
    shutil.copytree(data, tmp_path / "data")
    rows = read_jsonl(data / "gsm8k_test.jsonl")
    rows[3]["question"] = "What is 1 + 1?"
    write_jsonl(tmp_path / "data" / "gsm8k_test.jsonl", rows)
    line = refused("--compare_to", finished, "--data_dir", tmp_path / "data")
    assert "gsm8k" in line


def test_compared_to_one_whose_samples_are_gone(
    refused: Refused, finished: Path, tmp_path: Path
) -> None:
    base = shutil.copytree(finished, tmp_path / "base")
    (base / "samples" / "gsm8k" / "chat-T0-k1.jsonl").unlink()
    assert "gsm8k" in refused("--compare_to", base)


# Judging anew.


@pytest.mark.parametrize("files", [{}, {"config.yaml": ""}, {"config.yaml": "questions: a"}])
def test_regrading_what_is_no_evaluation(
    tmp_path: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    line = only_line(capsys, command("eval", "--regrade", tmp_path))
    assert f"--regrade {tmp_path}: it holds no finished evaluation" in line
    line = only_line(capsys, command("eval", "--regrade", tmp_path / "nowhere"))
    assert "it holds no finished evaluation" in line
    assert contents(tmp_path) == {name: text.encode() for name, text in files.items()}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"benchmarks": {}}'])
def test_regrading_a_damaged_evaluation(
    finished: Path, folder: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, folder)
    (folder / "results.json").write_text(content)
    capsys.readouterr()
    assert "it holds no finished evaluation" in only_line(
        capsys, command("eval", "--regrade", folder)
    )


def test_regrading_takes_its_settings_from_the_folder(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(finished)
    for flags in (("--regrade",), ("--regrade", finished, "--limit", 1)):
        line = only_line(capsys, command("eval", *flags))
        assert "--regrade DIR takes no other flags" in line
    assert contents(finished) == before


# A folder in use.


def test_a_folder_that_holds_an_evaluation_is_refused(
    refused: Refused, finished: Path, folder: Path
) -> None:
    shutil.copytree(finished, folder)
    line = refused()
    assert "holds an evaluation" in line
    assert all(way in line for way in ("--resume", "--overwrite", "another --output_dir"))
    # A mistake with --overwrite costs nothing either.
    for mistake in (("--template", "qwen"), ("--max_new_tokens", 4 * CONTEXT), ("--model", "no/")):
        refused("--overwrite", *mistake)


def test_other_settings_are_not_resumed(refused: Refused, finished: Path, folder: Path) -> None:
    shutil.copytree(finished, folder)
    for flags in (("--seed", 1), ("--template", "none"), ("--limit", 2), ("--temperature", 1)):
        line = refused("--resume", *flags)
        assert f"--resume with other settings: {flags[0][2:]} was" in line


def test_questions_that_have_changed_are_not_resumed(
    refused: Refused, evaluate: Evaluate, data: Path, folder: Path, tmp_path: Path
) -> None:
    own = shutil.copytree(data, tmp_path / "data")
    assert evaluate(folder, "--data_dir", own) == 0
    rows = read_jsonl(own / "math500.jsonl")
    rows[4]["question"] = "What is 1 + 1?"
    write_jsonl(own / "math500.jsonl", rows)
    assert "--overwrite" in refused("--data_dir", own, "--resume")


@pytest.mark.parametrize("name", ["report.md", "samples/mine", "environment.json"])
def test_files_that_no_evaluation_left_are_never_deleted(
    refused: Refused, folder: Path, name: str
) -> None:
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("mine")
    for more in ((), ("--overwrite",), ("--resume",)):
        assert "but no run" in refused(*more)


def test_a_training_run_is_never_replaced(refused: Refused, folder: Path) -> None:
    """Not even one that died before it had written anything else."""
    TrainingFolder(folder).prepare({"questions": "arithmetic"}, overwrite=False)
    for more in ((), ("--overwrite",), ("--resume",)):
        assert "holds a training run" in refused(*more)


def test_an_evaluation_of_an_older_version_is_never_replaced(
    refused: Refused, folder: Path
) -> None:
    folder.mkdir()
    for name in ("config.yaml", "settings.json", "results.json"):
        (folder / name).write_text("{}")
    for more in ((), ("--overwrite",), ("--resume",)):
        assert "holds a run of an older rlsc" in refused(*more)


def test_a_folder_that_cannot_be_written(
    model_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("precious")
    code = command(*arguments(model_folder, data, tmp_path / "file"))
    assert f"cannot write into --output_dir {tmp_path / 'file'}" in only_line(capsys, code)
    assert (tmp_path / "file").read_text() == "precious"
