"""`rlsc eval` from flags to report, on a tiny model and invented questions."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rlsc.data.templates import TEMPLATES
from rlsc.statistics.intervals import share
from tests.ascii_model import CONTEXT
from tests.smoke.conftest import (
    CAP,
    NEVER,
    Evaluate,
    evaluated,
    main_scores,
    read_jsonl,
    results,
    samples,
    timeless,
)
from tests.smoke.conftest import write_jsonl as write

GREEDY = "math500/chat-T0-k1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "eval [1]"  # brackets are markup to some consoles


@pytest.fixture
def copy(finished: Path, folder: Path) -> Path:
    """A finished evaluation that may be changed."""
    return Path(shutil.copytree(finished, folder))


# What it leaves.


def test_results_are_those_of_the_samples(finished: Path, data: Path) -> None:
    tasks = evaluated(finished).tasks
    assert list(tasks) == ["math500", "gsm8k"]
    for name, file in (("math500", "math500"), ("gsm8k", "gsm8k_test")):
        facts, score = tasks[name].task, tasks[name].tuned.main
        rows = samples(finished)[f"{name}/chat-T0-k1"]
        questions = read_jsonl(data / f"{file}.jsonl")
        known = [row["answer"] != NEVER for row in questions]
        assert any(known)
        assert [row["verdict"] == "correct" for row in rows] == known
        assert score.n == len(rows) == len(questions)
        assert score.accuracy == share([float(each) for each in known])
        low, high = score.accuracy.interval
        assert 0 <= low < score.accuracy.value < high <= 1
        assert list(score.verdicts) == ["correct", "wrong", "unparsed", "timeout"]
        assert sum(score.verdicts.values()) == len(rows)
        assert score.verdicts["correct"] == sum(known)
        assert score.mean_length == pytest.approx(sum(r["tokens"] for r in rows) / len(rows))
        assert (facts.kind, facts.available, facts.complete) == ("math", len(rows), False)
        assert "sha256 " in facts.source
        assert facts.transductive is False
    assert tasks["math500"].task.expected == 500


def test_every_sample_is_there_with_its_prompt(finished: Path, data: Path) -> None:
    assert list(samples(finished)) == ["gsm8k/chat-T0-k1", GREEDY]
    questions = read_jsonl(data / "math500.jsonl")
    for row, question in zip(samples(finished)[GREEDY], questions, strict=True):
        assert (row["id"], row["sample"]) == (question["id"], 0)
        assert row["prompt"] == f"<user>{question['question']}<assistant>"
        assert 1 <= row["tokens"] <= CAP
        assert row["logprob"] < 0
        assert row["finish_reason"] == ("length" if row["tokens"] == CAP else "stop")
        assert row.keys() >= {"text", "answer", "verdict", "seconds", "grading_seconds"}


def test_a_report_a_plot_and_the_settings(finished: Path) -> None:
    report = (finished / "report.md").read_text()
    for text in (
        "| MATH-500 (12 of 500 questions) | 12 | chat, greedy |",
        "## What to distrust",
        "math500: 12 of its 500 questions.",
        "## Does confidence predict correctness?",
        "## How it was made",
        "timeout",
    ):
        assert text in report
    for absent in ("transductive", "## Controls", "## Against", "## By number of samples"):
        assert absent not in report
    assert (finished / "plot.svg").read_text("utf-8").startswith("<svg")
    config = yaml.safe_load((finished / "config.yaml").read_text())
    assert (config["benchmarks"], config["max_new_tokens"]) == ("math500,gsm8k", CAP)
    environment = json.loads((finished / "environment.json").read_text())
    assert {name: one["n"] for name, one in environment["questions"].items()} == {
        "math500": 12,
        "gsm8k": 6,
    }


def test_what_is_said_on_the_screen(evaluate: Evaluate, folder: Path, capsys) -> None:
    capsys.readouterr()
    assert evaluate(folder, "--limit", 2) == 0
    printed = capsys.readouterr()
    assert f"report  {folder / 'report.html'}" in printed.out
    assert "chat, greedy; 95 % intervals" in printed.out
    assert printed.err == ""


# How it is asked.


def test_a_cap_beyond_the_context_is_lowered(evaluate: Evaluate, folder: Path) -> None:
    assert evaluate(folder, "--max_new_tokens", CONTEXT, "--limit", 1) == 0
    caps = {name: each.setting.max_new_tokens for name, each in main_scores(folder).items()}
    assert set(caps) == {"math500", "gsm8k"}
    assert all(CONTEXT // 2 <= cap < CONTEXT for cap in caps.values())
    report = (folder / "report.md").read_text()
    for name, cap in caps.items():
        assert f"{name}: the model's context leaves room for {cap} new tokens" in report


def test_limit_takes_the_first_of_each(evaluate: Evaluate, finished: Path, folder: Path) -> None:
    assert evaluate(folder, "--limit", 4) == 0  # the first block
    for name, rows in samples(folder).items():
        assert timeless(rows) == timeless(samples(finished)[name])[:4]
    facts = [each.task for each in evaluated(folder).tasks.values()]
    assert [(each.questions, each.available) for each in facts] == [(4, 12), (4, 6)]


def test_several_samples(sampled: Path) -> None:
    rows = samples(sampled)["math500/chat-T1-k4"]
    assert [row["sample"] for row in rows] == [0, 1, 2, 3] * 12
    assert len({row["text"] for row in rows}) > 40
    score = main_scores(sampled)["math500"]
    setting = score.setting
    assert (setting.samples, setting.temperature, setting.label) == (4, 1.0, "chat-T1-k4")
    right = [row["verdict"] == "correct" for row in rows]
    assert 0 < score.accuracy.value == pytest.approx(sum(right) / 48)
    passed = sum(any(right[start : start + 4]) for start in range(0, 48, 4)) / 12
    assert score.pass_at[4].value == pytest.approx(passed)
    assert score.pass_at.keys() == score.majority_at.keys() == {1, 2, 4}
    assert "## By number of samples" in (sampled / "report.md").read_text()


def test_a_setting_goes_by_its_templates_whole_name(evaluate: Evaluate, folder: Path) -> None:
    assert evaluate(folder, "--template", "qwen2.5-math", "--limit", 1) == 0
    assert list(samples(folder)) == [f"{name}/qwen2.5-math-T0-k1" for name in ("gsm8k", "math500")]
    assert main_scores(folder)["gsm8k"].setting.label == "qwen2.5-math-T0-k1"
    assert "| qwen2.5-math, greedy |" in (folder / "report.md").read_text()


def test_options_come_with_the_question(evaluate: Evaluate, folder: Path) -> None:
    assert evaluate(folder, "--benchmarks", "mmlu_stem,minerva", "--template", "none") == 0
    rows = samples(folder)["mmlu_stem/none-T0-k1"]
    assert rows[0]["prompt"] == (
        "Star 0?\n\nA. Mars\nB. Sirius\nC. Pluto\nD. Venus\n\n"
        "Answer with the letter of the correct option."
    )
    assert samples(folder)["minerva/none-T0-k1"][0]["prompt"] == "What is 0 / 4?"
    kinds = {name: each.task.kind for name, each in evaluated(folder).tasks.items()}
    assert kinds == {"mmlu_stem": "choice", "minerva": "numeric"}


def test_few_shots_are_of_the_benchmarks_kind(evaluate: Evaluate, folder: Path) -> None:
    more = ("--benchmarks", "mmlu_stem,math500", "--template", "few-shot", "--shots", 2)
    assert evaluate(folder, *more, "--limit", 1) == 0
    choice, other = (samples(folder)[f"{name}/few-shot-T0-k1"][0]["prompt"] for name in NAMES)
    assert choice.count("Question: ") == other.count("Question: ") == 3
    assert "Which of these is a prime number?" in choice
    assert "A gardener plants" in other


NAMES = ("mmlu_stem", "math500")


def test_a_template_of_ones_own_and_a_system_message(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.jinja"
    mine.write_text("{{ kind }}: {{ question }}\n")
    assert evaluate(folder, "--template", mine, "--limit", 1) == 0
    (name,) = [name for name in samples(folder) if name.startswith("math500/mine")]
    assert samples(folder)[name][0]["prompt"] == "math: What is 0 + 4?\n"
    assert "| mine" in (folder / "report.md").read_text()
    more = ("--overwrite", "--system_prompt", "Be brief.\nBe | kind.", "--limit", 1)
    assert evaluate(folder, *more) == 0
    assert list(samples(folder)) == ["gsm8k/chat-T0-k1", GREEDY]
    assert samples(folder)[GREEDY][0]["prompt"].startswith("<system>Be brief.\nBe | kind.<user>")


def test_a_table_survives_what_a_user_sets(evaluate: Evaluate, folder: Path) -> None:
    more = ("--system_prompt", "Be brief.\nBe | kind.", "--limit", 1)
    assert evaluate(folder, *more) == 0
    (line,) = [
        li for li in (folder / "report.md").read_text().splitlines() if "| system_prompt |" in li
    ]
    assert line.endswith("|")
    assert "Be \\| kind." in line


def test_both_engines_answer_alike_and_heed_stop_strings(
    evaluate: Evaluate, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny model never writes evalchemy's own, so it is given one that it does write."""
    stopped = replace(TEMPLATES["evalchemy"], stop_strings=("5",))
    monkeypatch.setitem(TEMPLATES, "evalchemy", stopped)
    more = ("--template", "evalchemy", "--limit", 4)
    assert evaluate(folder, *more) == 0
    assert evaluate(tmp_path / "hf", *more, "--engine", "hf") == 0
    for name, rows in samples(folder).items():
        theirs = samples(tmp_path / "hf")[name]
        for key in ("id", "prompt", "text", "tokens", "finish_reason", "answer", "verdict"):
            assert [row[key] for row in rows] == [row[key] for row in theirs]
    found = [row for rows in samples(folder).values() for row in rows]
    assert not any("5" in row["text"] for row in found)
    cut = [row for row in found if len(row["text"]) < row["tokens"] < CAP]
    assert cut
    assert {row["finish_reason"] for row in cut} == {"stop"}


def test_another_seed_gives_other_samples(evaluate: Evaluate, sampled: Path, folder: Path) -> None:
    more = ("--samples", 4, "--temperature", 1, "--limit", 3)
    assert evaluate(folder, *more, "--seed", 1) == 0
    first = samples(sampled)["math500/chat-T1-k4"][:12]
    other = samples(folder)["math500/chat-T1-k4"]
    assert [row["id"] for row in other] == [row["id"] for row in first]
    assert sum(a["text"] == b["text"] for a, b in zip(first, other, strict=True)) < 2


# Questions that were trained on.


def test_questions_that_were_trained_on_are_flagged_everywhere(
    evaluate: Evaluate, folder: Path, tmp_path: Path, capsys
) -> None:
    texts = ["what  is $0 + 4$ ?", "What is 3 + 5?", "What is 999 + 999?"]
    trained = write(tmp_path / "trained.jsonl", [{"question": text} for text in texts])
    capsys.readouterr()
    assert evaluate(folder, "--trained_on", trained) == 0
    math, gsm8k = (each.task for each in evaluated(folder).tasks.values())
    assert math.trained_on == ("math500/0", "math500/1")
    assert math.transductive is True
    assert (gsm8k.trained_on, gsm8k.transductive) == ((), False)
    assert main_scores(folder)["math500"].n == 12  # flagged, not left out
    report = (folder / "report.md").read_text()
    assert "MATH-500 (2 of 12 trained on: transductive; 12 of 500 questions)" in report
    assert "math500: trained on math500/0, math500/1. Read it as transductive." in report
    printed = capsys.readouterr().out
    assert "* transductive: trained on some of these questions" in printed


# A folder that holds one.


def test_overwrite_replaces_an_evaluation_and_nothing_else(evaluate: Evaluate, copy: Path) -> None:
    (copy / "mine.txt").write_text("not the evaluation's")
    assert evaluate(copy, "--overwrite", "--benchmarks", "gsm8k", "--limit", 2) == 0
    assert list(samples(copy)) == ["gsm8k/chat-T0-k1"]
    assert list(evaluated(copy).tasks) == ["gsm8k"]
    assert (copy / "mine.txt").exists()


def test_resuming_what_is_finished_changes_nothing(
    evaluate: Evaluate, finished: Path, copy: Path
) -> None:
    before = samples(copy)
    (copy / "results.json").unlink()
    (copy / "report.md").unlink()
    assert evaluate(copy, "--resume") == 0
    assert samples(copy) == before
    assert results(copy) == results(finished)
    assert "## What to distrust" in (copy / "report.md").read_text()


def test_a_task_of_ones_own_is_asked_as_the_others(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    mine = write(tmp_path / "mine.jsonl", [{"question": "What is 0 + 4?", "answer": "4"}])
    code = "from rlsc import Item, UserTask\n\n\nclass Sums(UserTask):\n"
    code += "    def items(self):\n        return [Item('0', 'What is 3 + 5?', '8')]\n"
    (tmp_path / "sums.py").write_text(code)
    names = f"math500,{mine},{tmp_path / 'sums.py'}:Sums"
    assert evaluate(folder, "--benchmarks", names, "--limit", 2) == 0
    assert {name: each.n for name, each in main_scores(folder).items()} == {
        **{"math500": 2, "mine": 1, "Sums": 1}
    }
    rows = samples(folder)
    assert rows["Sums/chat-T0-k1"][0]["prompt"] == "<user>What is 3 + 5?<assistant>"
    first = rows["mine/chat-T0-k1"][0]
    assert first["text"] == rows[GREEDY][0]["text"]


def test_resume_where_nothing_is_starts_afresh(
    evaluate: Evaluate, finished: Path, folder: Path
) -> None:
    assert evaluate(folder, "--resume") == 0
    assert timeless(samples(folder)) == timeless(samples(finished))
    assert timeless(results(folder)) == timeless(results(finished))
