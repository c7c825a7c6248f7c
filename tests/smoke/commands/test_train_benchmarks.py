"""`rlsc train --benchmarks`: the same questions before and after, and what was trained on."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from rlsc.records.results import TaskResults, TrainingResults, read_results_of
from tests.smoke.conftest import (
    CAP,
    NEVER,
    Evaluate,
    arguments,
    command,
    evaluated,
    libraries_as_they_were,
    read_jsonl,
    timeless,
    write_jsonl,
)

FLAGS = f"""--eval none --max_steps 2 --num_generations 3 --max_completion_length {CAP}
    --per_device_train_batch_size 4 --save_steps 1 --learning_rate 0.05 --lr_scheduler_type constant
    --bf16 false --disable_tqdm true --benchmarks math500,gsm8k""".split()
BEFORE, AFTER = "before", "after"


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of math500, one of them typeset otherwise, and two of nobody's."""
    texts = ["What is 0 + 4?", "what is $3 + 5$ ?", "What is 100 + 1?", "What is 3 * 500?"]
    rows = [{"question": text} for text in texts]
    return write_jsonl(tmp_path_factory.mktemp("questions") / "train.jsonl", rows)


def train(model: Path, data: Path, questions: Path, folder: Path, *more: object) -> int:
    paths = ("--model", model, "--data_dir", data, "--questions", questions)
    with libraries_as_they_were():
        return command("train", *FLAGS, *paths, "--output_dir", folder, *more)


@pytest.fixture(scope="module")
def run(
    model_folder: Path, data: Path, questions: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run [1]"
    assert train(model_folder, data, questions, folder, "--benchmark_limit", 2) == 0
    return folder


def rows(folder: Path, step: str, name: str, setting: str = "chat-T0-k1") -> list[dict[str, Any]]:
    return read_jsonl(folder / "eval" / step / name / f"{setting}.jsonl")


def benchmarks(folder: Path) -> dict[str, TaskResults]:
    return dict(read_results_of(TrainingResults, folder).benchmarks)


def right(samples: list[dict[str, Any]]) -> list[bool]:
    return [row["verdict"] == "correct" for row in samples]


def test_scores_before_and_after_and_their_difference(run: Path, data: Path) -> None:
    tasks = benchmarks(run)
    assert list(tasks) == ["math500", "gsm8k"]
    for name, file in (("math500", "math500"), ("gsm8k", "gsm8k_test")):
        task = tasks[name]
        was, now = right(rows(run, BEFORE, name)), right(rows(run, AFTER, name))
        assert was == [row["answer"] != NEVER for row in read_jsonl(data / f"{file}.jsonl")][:2]
        assert any(was)
        assert (task.task.questions, task.task.complete) == (2, False)
        assert task.task.available > 2
        for side, flags in ((task.base, was), (task.tuned, now)):
            assert side.main.n == 2
            assert side.main.accuracy.value == sum(flags) / 2
            assert side.main.verdicts["correct"] == sum(flags)
        difference = task.difference
        assert difference.accuracy.value == (sum(now) - sum(was)) / 2
        assert difference.n == 2
        ids = [row["id"] for row in rows(run, BEFORE, name)]
        pairs = list(zip(ids, was, now, strict=True))
        assert difference.gained == tuple(i for i, a, b in pairs if b and not a)
        assert difference.lost == tuple(i for i, a, b in pairs if a and not b)


def test_the_model_after_is_the_trained_one(run: Path) -> None:
    texts = [[row["text"] for row in rows(run, step, "math500")] for step in (BEFORE, AFTER)]
    assert texts[0] != texts[1]
    assert read_results_of(TrainingResults, run).steps == 2


def test_questions_that_were_trained_on_make_it_transductive(run: Path) -> None:
    math, gsm8k = (task.task for task in benchmarks(run).values())
    assert math.trained_on == ("math500/0", "math500/1")
    assert math.transductive is True
    assert (gsm8k.trained_on, gsm8k.transductive) == ((), False)


def test_the_report_has_the_benchmarks_and_says_what_was_trained_on(run: Path) -> None:
    report = (run / "report.md").read_text()
    assert "math500/0, math500/1" in report
    section = report.partition("## Benchmarks")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if re.match(r"\| .*(math500|gsm8k)", line)]
    assert len(table) == 4  # two benchmarks, base and tuned
    for line in table:
        assert ("transductive" in line or "*" in line) == ("math500" in line)
    for name, task in benchmarks(run).items():
        assert f"### {name}" in section
        assert f"{100 * task.difference.accuracy.value:+.1f} points" in section


def test_the_screen_has_them_too(
    model_folder: Path, data: Path, questions: Path, tmp_path: Path, capsys
) -> None:
    """With samples, a template of the benchmarks' own, and weights copied for sampling."""
    more = "--benchmark_limit 1 --benchmark_samples 2 --benchmark_temperature 1 --max_steps 1"
    more += " --bf16 true"
    capsys.readouterr()
    template = ("--benchmark_template", "none", *more.split())
    assert train(model_folder, data, questions, tmp_path / "run", *template) == 0
    printed = capsys.readouterr().out
    task = benchmarks(tmp_path / "run")["gsm8k"]
    for side in (task.base, task.tuned):
        assert (side.main.setting.label, side.main.setting.samples) == ("none-T1-k2", 2)
    was, now = (rows(tmp_path / "run", step, "gsm8k", "none-T1-k2") for step in (BEFORE, AFTER))
    assert was[0]["prompt"] == "What is 0 * 4?"
    assert [row["text"] for row in was] != [row["text"] for row in now]
    after_training = printed.rpartition("completions")[2]
    assert "math500" in after_training
    assert "gsm8k" in after_training
    assert re.search(r"transductive|trained on", after_training)


def test_a_run_that_died_in_its_last_evaluation_resumes(
    model_folder: Path, data: Path, questions: Path, run: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    for name in ("results.json", "report.md"):
        (folder / name).unlink()
    shutil.rmtree(folder / "model")
    file = folder / "eval" / AFTER / "gsm8k" / "chat-T0-k1.jsonl"
    file.write_bytes(file.read_bytes()[:-40])
    more = ("--benchmark_limit", 2, "--resume")
    assert train(model_folder, data, questions, folder, *more) == 0
    assert timeless(benchmarks(folder)) == timeless(benchmarks(run))


def test_the_tuned_models_evaluation_knows_what_it_was_trained_on(
    evaluate: Evaluate, run: Path, tmp_path: Path
) -> None:
    """Without a word from the user, and it is the model that was evaluated after training."""
    more = ("--model", run / "model", "--limit", 2, "--rollout_batch_size", 12)
    assert evaluate(tmp_path / "eval", *more) == 0
    after = benchmarks(run)
    for name, task in evaluated(tmp_path / "eval").tasks.items():
        assert task.task.trained_on == after[name].task.trained_on
        assert task.tuned.main.verdicts == after[name].tuned.main.verdicts
        texts = [row["text"] for row in rows(run, AFTER, name)]
        file = tmp_path / "eval" / "samples" / name / "chat-T0-k1.jsonl"
        assert [row["text"] for row in read_jsonl(file)] == texts
    assert "transductive" in (tmp_path / "eval" / "report.md").read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--benchmarks math50", "did you mean math500?"),
        ("--benchmark_samples 4", "benchmark_samples 4 at benchmark_temperature 0"),
        ("--benchmark_limit -1", "benchmark_limit must be 0 or more"),
        ("--benchmark_template qwen", "template must be one of"),
        ("--data_dir nowhere", "there is no folder nowhere"),
    ],
)
def test_a_mistake_costs_nothing(
    model_folder: Path,
    data: Path,
    questions: Path,
    tmp_path: Path,
    flags: str,
    message: str,
    capsys,
) -> None:
    capsys.readouterr()
    assert train(model_folder, data, questions, tmp_path / "run", *flags.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "run").exists()


def test_compared_to_a_training_run_is_a_mistake(
    run: Path, model_folder: Path, data: Path, tmp_path: Path, capsys
) -> None:
    capsys.readouterr()
    argv = arguments(model_folder, data, tmp_path / "eval", "--compare_to", run, "--limit", 2)
    assert command(*argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no finished evaluation" in line
