"""The command line on bad input: exit code 2, one line, no traceback, and no model loaded."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers.utils import logging

import rlsc
from rlsc.commands.main import COMMANDS, _main
from rlsc.models import loading as models

COMMAND = [sys.executable, "-c", "from rlsc.commands.main import main; main()"]


@pytest.fixture(autouse=True)
def keep_process(monkeypatch: pytest.MonkeyPatch):
    """What the command line sets for its whole process is undone, and no model is read."""

    def no_model(*args, **kwargs):
        raise AssertionError("bad input must be found before a model is loaded")

    monkeypatch.setattr(models.AutoModelForCausalLM, "from_pretrained", no_model)
    verbosity = logging.get_verbosity()
    yield
    logging.set_verbosity(verbosity)
    logging.enable_progress_bar()


@pytest.fixture
def refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Runs `rlsc train` with flags that must fail, and returns the one line it printed."""

    def run(*flags: str, output_dir: Path = tmp_path / "run") -> str:
        code = _main(["train", "--output_dir", str(output_dir), *flags])
        return only_line(code, capfd.readouterr().err)

    return run


def only_line(code: int, errors: str) -> str:
    assert code == 2
    (line,) = errors.splitlines()
    assert line.startswith("rlsc: error: ")
    return line


@pytest.mark.parametrize("flag", ["--help", "-h", "help", None])
def test_help(flag: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert _main([flag] if flag else []) == 0
    printed = capsys.readouterr()
    assert "rlsc demo" in printed.out
    assert "rlsc train" in printed.out
    assert printed.err == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(["--version"]) == 0
    assert capsys.readouterr().out == f"rlsc {rlsc.__version__}\n"


HELP = {
    "train": ("--questions", "--alpha", "--num_generations", "--learning_rate", "--adam_beta1"),
    "plan": ("--device_memory_gb", "--alpha"),
    "eval": ("--benchmarks", "--samples", "--engine"),
    "compare": ("--objectives", "--seeds", "--print_commands", "rlsc train --help"),
    "report": ("DIR", "--output_file", "--watch"),
}


@pytest.mark.parametrize("command", HELP)
def test_the_help_of_a_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _main([command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: rlsc {command} ")
    assert all(flag in printed for flag in HELP[command])
    assert max(len(line) for line in printed.splitlines()) <= 80
    # Own settings come before those of transformers, with default and range.
    if command == "train":
        assert printed.index("--num_generations") < printed.index("--adam_beta1")
        assert "Completions of a question, K. [default 16; 1 or more]" in printed


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    code = _main(["fly"])
    line = only_line(code, capsys.readouterr().err)
    assert all(word in line for word in ("'fly'", "demo", "train"))


@pytest.mark.parametrize("command", ["", "compare", "report"])
def test_help_needs_neither_torch_nor_transformers(command: str) -> None:
    code = (
        "import sys; from rlsc.commands.main import _main; _main(sys.argv[1:]); "
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    flags = [*command.split(), "--help"]
    call = [sys.executable, "-c", code, *flags]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert "usage: rlsc" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"


def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    arguments = ["train", "--questions", str(tmp_path / "no.jsonl"), "--output_dir", str(tmp_path)]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert "no such file" in only_line(done.returncode, done.stderr)
    assert done.stdout == ""


# Settings.


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("", "--questions is missing"),
        ("--questions arithmetic --alfa 1", "unknown setting --alfa; did you mean alpha?"),
        ("--questions arithmetic --parallelism_config 1", "are set by accelerate launch"),
        ("--questions arithmetic --num_generations 0", "num_generations must be 1 or more"),
        ("--questions arithmetic --temperature 0", "temperature must be above 0"),
        ("--questions arithmetic --alpha -1", "alpha must be 0 or more"),
        ("--questions arithmetic:roman", "no arithmetic kind 'roman'"),
        ("--config nowhere.yaml", "no such config file: nowhere.yaml"),
    ],
)
def test_bad_settings(refused, flags: str, message: str) -> None:
    assert message in refused(*flags.split())


def test_an_unknown_key_in_a_recipe(refused, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("temprature: 1\n")
    assert "did you mean temperature?" in refused("--config", str(recipe))


def test_the_demo_takes_flags_too(capfd: pytest.CaptureFixture[str]) -> None:
    code = _main(["demo", "--num_generations", "0"])
    assert "num_generations" in only_line(code, capfd.readouterr().err)


@pytest.mark.parametrize("left", ["comparison.json", "results.json"])
def test_a_base_evaluation_of_an_older_version(refused, left: str, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / left).write_text("{}")
    line = refused("--questions", "arithmetic", "--base_evaluation", str(old))
    assert f"--base_evaluation: {old} holds a run of an older rlsc" in line
    assert "make the run again" in line


@pytest.mark.parametrize(
    ("left", "content", "message"),
    [
        ("comparison.json", "{}", "an older rlsc, which left no run.json: read it with the rlsc"),
        ("results.json", "{}", "an older rlsc, which left no run.json: read it with the rlsc"),
        ("run.json", '{"kind": "training", "schema_version": 3}', "a newer rlsc .*: update rlsc"),
        ("run.json", '{"kind": "training", "schema_version": 1}', "an older rlsc .*: read it"),
    ],
)
def test_a_report_of_another_version(
    left: str, content: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / left).write_text(content)
    line = only_line(_main(["report", str(tmp_path)]), capfd.readouterr().err)
    assert re.search(message, line)
    assert "--output_dir" not in line


# Questions.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("", "is empty"),
        ('{"text": "a"}', "no column question, prompt, problem or messages (it has text)"),
        ('{"question": "a"}\n{"question"', "line 2: not valid JSON"),
    ],
    ids=["missing", "empty", "column", "broken"],
)
@pytest.mark.parametrize("flag", ["--questions", "--eval_questions"])
def test_bad_question_files(refused, tmp_path: Path, flag: str, content, message: str) -> None:
    file = tmp_path / "questions.jsonl"
    if content is not None:
        file.write_text(content)
    line = refused("--questions", "arithmetic", flag, str(file))
    assert message in line
    assert "questions.jsonl" in line


def test_a_question_name_too_long_for_a_path(refused) -> None:
    assert "xxx" in refused("--questions", "x" * 300)


# Model and output folders.


def test_model_folders_that_hold_no_model(refused, tmp_path: Path) -> None:
    train = ("--questions", "arithmetic", "--model")
    folder = tmp_path / "model"
    assert f"no model folder at {folder}" in refused(*train, str(folder))
    folder.mkdir()
    assert f"{folder} has no config.json" in refused(*train, str(folder))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    assert f"{folder} has no weights" in refused(*train, str(folder))
    (folder / "model.safetensors").write_text("")
    # Weights, but no tokenizer: the library's own words, cut to one line.
    assert f"cannot load the model '{folder}'" in refused(*train, str(folder))
    file = tmp_path / "weights.bin"
    file.write_text("")
    assert f"no model folder at {file}" in refused(*train, str(file))


def test_an_output_folder_that_cannot_be_written(refused, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    for folder in (file, file / "run", Path("/proc/rlsc-run")):
        line = refused("--questions", "arithmetic", output_dir=folder)
        assert f"cannot write into --output_dir {folder}" in line
    assert file.read_text() == "precious"


def test_a_gpu_that_is_full_ends_a_run_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(argv: list[str]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has")

    monkeypatch.setitem(COMMANDS, "train", ("", full))
    assert _main(["train"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rlsc: error: CUDA out of memory; rlsc plan says")


def test_a_real_allocation_that_fails_on_the_cpu(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(argv: list[str]) -> None:
        torch.empty(2**60)

    monkeypatch.setitem(COMMANDS, "train", ("", full))
    assert _main(["train"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "can't allocate memory" in line
    assert line.endswith("rlsc plan says what takes how much, and what to change")
