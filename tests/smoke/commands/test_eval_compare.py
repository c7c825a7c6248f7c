"""What an evaluation is held against: controls, another evaluation, and a second judgement."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlsc.types import Estimate
from tests.ascii_model import save_ascii_model
from tests.smoke.conftest import (
    Evaluate,
    arguments,
    command,
    evaluated,
    libraries_as_they_were,
    read_jsonl,
    results,
    samples,
    timeless,
    write_jsonl,
)

TEMPLATES = ("chat", "qwen2.5-math", "evalchemy", "none", "few-shot")
TEMPERATURES = (0, 0.5, 0.7, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "eval [1]"


@pytest.fixture
def copy(sampled: Path, folder: Path) -> Path:
    """A finished evaluation, four samples a question, that may be changed."""
    return Path(shutil.copytree(sampled, folder))


def accuracy(rows: list[dict[str, Any]]) -> float:
    return sum(row["verdict"] == "correct" for row in rows) / len(rows)


def right(rows: list[dict[str, Any]]) -> dict[str, list[bool]]:
    found: dict[str, list[bool]] = {}
    for row in rows:
        found.setdefault(row["id"], []).append(row["verdict"] == "correct")
    return found


# Controls.


LIMIT = 4


@pytest.fixture(scope="module")
def searched(model_folder: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("controls") / "eval"
    more = ("--controls", "--benchmarks", "math500", "--limit", LIMIT)
    with libraries_as_they_were():
        more += ("--samples", 2, "--temperature", 0.7)
        assert command(*arguments(model_folder, data, folder, *more)) == 0
    return folder


def test_controls_are_every_template_at_every_temperature(searched: Path) -> None:
    scores = evaluated(searched).tasks["math500"].tuned.scores
    ways = [each.setting for each in scores]
    asked = [(way.template, way.temperature, way.samples) for way in ways]
    # Greedy answers are all alike: one sample. The others at equal compute.
    expected = {(name, t, 2 if t else 1) for name in TEMPLATES for t in TEMPERATURES}
    assert asked[0] == ("chat", 0.7, 2)
    assert (len(asked), set(asked)) == (20, expected)
    assert len(samples(searched)) == 20


def test_each_control_is_scored_on_its_own_samples_and_the_best_is_named(searched: Path) -> None:
    model = evaluated(searched).tasks["math500"].tuned
    rows = samples(searched)
    figures = {each.setting.label: each.accuracy.value for each in model.scores}
    assert len(figures) == 20
    for label, figure in figures.items():
        assert figure == pytest.approx(accuracy(rows[f"math500/{label}"]))
    assert len(set(figures.values())) > 1
    # The vote of two samples is an answer too, and where they differ either may win.
    assert model.best.figure.value == max(
        *figures.values(), *(each.majority.value for each in model.scores if each.majority)
    )
    # What is reported stays what was asked for.
    assert model.main.setting.label == "chat-T0.7-k2"
    prompts = {
        each.setting.template: rows[f"math500/{each.setting.label}"][0]["prompt"]
        for each in model.scores
    }
    assert len(set(prompts.values())) == 5
    assert prompts["none"] == "What is 0 + 4?"


def test_the_report_has_the_controls_with_the_best_in_bold(searched: Path) -> None:
    report = (searched / "report.md").read_text()
    section = report.partition("## Controls: the model at its best")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if " greedy" in line or "T = " in line]
    assert len(rows) == 20
    assert "### math500, n = 4" in section
    assert sum(line.startswith("| **") for line in rows) == 1


def test_a_base_model_has_no_chat_control(evaluate: Evaluate, folder: Path, tmp_path: Path) -> None:
    model = save_ascii_model(tmp_path / "base", chat=False, seed=3)
    more = ("--controls", "--benchmarks", "math500", "--limit", 1, "--model", model)
    assert evaluate(folder, *more) == 0
    scores = evaluated(folder).tasks["math500"].tuned.scores
    assert scores[0].setting.template == "none"
    assert {each.setting.template for each in scores} == set(TEMPLATES) - {"chat"}
    assert len(scores) == 16


@pytest.mark.slow  # what the search does with any template; that it is read is test_data_in.py
def test_a_template_of_ones_own_is_searched_too(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    """Under a name of its own, even if the file has that of a template that comes along."""
    mine = tmp_path / "none.jinja"
    mine.write_text("Mine: {{ question }}")
    more = ("--controls", "--benchmarks", "math500", "--limit", 1, "--template", mine)
    assert evaluate(folder, *more) == 0
    assert len(evaluated(folder).tasks["math500"].tuned.scores) == 24
    prompts = {rows[0]["prompt"] for rows in samples(folder).values()}
    assert prompts >= {"Mine: What is 0 + 4?", "What is 0 + 4?"}


# Against another evaluation.


def test_a_comparison_is_paired_by_question(
    evaluate: Evaluate, finished: Path, sampled: Path, folder: Path, capsys
) -> None:
    capsys.readouterr()
    more = ("--samples", 4, "--temperature", 1, "--compare_to", finished)
    assert evaluate(folder, *more) == 0
    assert timeless(samples(folder)) == timeless(samples(sampled))
    found = evaluated(folder)
    assert found.compared_to.folder == str(finished)
    assert found.compared_to.model == evaluated(finished).model
    for name, n in (("math500", 12), ("gsm8k", 6)):
        one = found.tasks[name].difference
        before = right(samples(finished)[f"{name}/chat-T0-k1"])
        after = right(samples(folder)[f"{name}/chat-T1-k4"])
        assert (one.before, one.after, one.n) == ("chat-T0-k1", "chat-T1-k4", n)
        change = [sum(after[q]) / 4 - before[q][0] for q in before]
        assert one.accuracy.value == pytest.approx(sum(change) / n)
        assert one.accuracy.value < 0  # the references are what it says greedily
        assert one.accuracy.interval[0] < one.accuracy.value < one.accuracy.interval[1]
        # One answer against the mean of four: their majority's flips could say the opposite.
        assert (one.gained, one.lost, one.mcnemar_p) == ((), (), None)
    report = (folder / "report.md").read_text()
    assert f"## Against {finished}" in report
    assert "- lost: " not in report
    assert "McNemar's exact p" not in " ".join(capsys.readouterr().out.split())


def test_flips_are_of_single_answers(evaluate: Evaluate, finished: Path, folder: Path) -> None:
    assert evaluate(folder, "--temperature", 1, "--compare_to", finished) == 0
    one = evaluated(folder).tasks["math500"].difference
    before, after = (
        right(samples(each)[f"math500/chat-T{t}-k1"]) for each, t in ((finished, 0), (folder, 1))
    )
    assert one.lost
    assert set(one.lost) == {q for q in before if before[q][0] and not after[q][0]}
    flips = len(one.lost) + len(one.gained)
    assert not one.gained
    assert one.mcnemar_p == pytest.approx(min(1, 2 * 0.5**flips))
    assert f"- lost: {', '.join(one.lost)}" in (folder / "report.md").read_text()


def test_an_evaluation_equals_itself(evaluate: Evaluate, finished: Path, folder: Path) -> None:
    assert evaluate(folder, "--compare_to", finished) == 0
    for task in evaluated(folder).tasks.values():
        one = task.difference
        assert (one.accuracy, one.mcnemar_p) == (Estimate(0, (0, 0)), 1)
        assert (one.gained, one.lost) == ((), ())


def test_where_both_searched_their_best_are_compared_too(
    evaluate: Evaluate, searched: Path, folder: Path
) -> None:
    more = ("--controls", "--benchmarks", "math500", "--limit", LIMIT, "--compare_to", searched)
    assert evaluate(folder, *more) == 0
    task = evaluated(folder).tasks["math500"]
    assert (task.difference.before, task.difference.after) == ("chat-T0.7-k2", "chat-T0-k1")
    assert task.base == evaluated(searched).tasks["math500"].tuned
    best = task.best_against_best
    names = [b.setting + " majority" * b.majority for b in (task.base.best, task.tuned.best)]
    assert [best.before, best.after] == names
    expected = task.tuned.best.figure.value - task.base.best.figure.value
    assert best.accuracy.value == pytest.approx(expected)


def test_what_is_overwritten_is_not_compared_to(evaluate: Evaluate, copy: Path) -> None:
    """The new samples would be held against themselves."""
    more = ("--samples", 4, "--temperature", 1, "--seed", 1, "--overwrite")
    before = contents(copy)
    assert evaluate(copy, *more, "--compare_to", copy) == 2
    assert contents(copy) == before


# Judged anew.


def spoil(file: Path) -> None:
    """Verdicts as an older grader might have left them."""
    rows = read_jsonl(file)
    for place, row in enumerate(rows):
        row["verdict"] = ("wrong", "timeout", "unparsed", "correct")[place % 4]
        row["answer"] = f"{place}"
    write_jsonl(file, rows)


@pytest.mark.parametrize("flags", [("--regrade", "{}"), ("--regrade={}",)], ids=len)
def test_regrading_restores_verdicts_scores_and_report(
    evaluate: Evaluate, sampled: Path, copy: Path, flags: tuple[str, ...], capsys
) -> None:
    file = copy / "samples" / "math500" / "chat-T1-k4.jsonl"
    spoil(file)
    for name in ("report.md", "plot.svg"):
        (copy / name).write_text("old")
    wrong = timeless(samples(copy))
    capsys.readouterr()
    assert command("eval", *(flag.format(copy) for flag in flags)) == 0
    assert timeless(samples(copy)) == timeless(samples(sampled)) != wrong
    assert timeless(results(copy)) == timeless(results(sampled))
    assert "## By number of samples" in (copy / "report.md").read_text()
    assert (copy / "plot.svg").read_text("utf-8").startswith("<svg")
    changed = sum(
        row["verdict"] != ("wrong", "timeout", "unparsed", "correct")[place % 4]
        for place, row in enumerate(samples(sampled)["math500/chat-T1-k4"])
    )
    printed = capsys.readouterr().out
    assert f"{file}: {changed} of 48 verdicts or votes changed" in printed
    assert "chat-T1-k4.jsonl: 0 of 24 verdicts or votes changed" in printed


def test_regrading_keeps_the_comparison_and_the_controls(
    evaluate: Evaluate, searched: Path, folder: Path
) -> None:
    shutil.copytree(searched, folder)
    spoil(folder / "samples" / "math500" / "none-T0.5-k2.jsonl")
    assert command("eval", "--regrade", folder) == 0
    assert timeless(results(folder)) == timeless(results(searched))


@pytest.mark.parametrize("lost", ["sample", "question", "file", "torn"])
def test_what_is_not_whole_is_not_regraded(
    evaluate: Evaluate, copy: Path, lost: str, capsys
) -> None:
    """One sample short would be a smaller denominator."""
    spoil(copy / "samples" / "math500" / "chat-T1-k4.jsonl")
    file = copy / "samples" / "gsm8k" / "chat-T1-k4.jsonl"
    rows = read_jsonl(file)
    if lost == "file":
        file.unlink()
    elif lost == "torn":
        file.write_bytes(file.read_bytes()[:-9])
    else:
        write_jsonl(file, rows[: -1 if lost == "sample" else -4])
    before = contents(copy)
    capsys.readouterr()
    assert command("eval", "--regrade", copy) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "gsm8k" in line
    assert "--resume" in line
    assert contents(copy) == before
    assert evaluate(copy, "--samples", 4, "--temperature", 1, "--resume") == 0
    assert timeless(samples(copy)["gsm8k/chat-T1-k4"]) == timeless(rows)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_regrading_needs_no_model(evaluate: Evaluate, copy: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((copy / "config.yaml").read_text())
    config["model"] = str(tmp_path / "gone")
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    before = timeless(json.loads((copy / "results.json").read_text()))
    assert command("eval", "--regrade", copy) == 0
    assert timeless(results(copy)) == before
