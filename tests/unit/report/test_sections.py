"""From typed results to a page: what it claims, and what each kind of run shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rlsc.errors import OutputError
from rlsc.records import write_jsonl
from rlsc.records.results import (
    AS_TRAINED,
    AT_BEST,
    AT_TRAINING_TEMPERATURE,
    EVALUATION,
    VOTE,
    Best,
    Results,
)
from rlsc.report.files import page_of, write_html_of_several, write_report
from rlsc.report.page import Table
from rlsc.report.sections import comparison
from rlsc.report.sections import training as training_section
from rlsc.report.sections.scores import verdict, verdict_of_several
from rlsc.report.sections.words import change
from rlsc.report.terminal_summary import print_results
from rlsc.runtime.display import console
from rlsc.types import Estimate
from tests.unit.report import runs

BETTER, LITTLE, WORSE = 0.3, 0.0, -0.3


@pytest.mark.parametrize(
    ("to_base", "to_best", "says"),
    [
        (BETTER, BETTER, "Better than the base, also at its best."),
        (BETTER, LITTLE, "Not shown to differ from the base at its best; better than the base as"),
        (BETTER, WORSE, "Worse than the base at its best; better than the base asked in the same"),
        (LITTLE, LITTLE, "Not shown to differ from the base."),
        (WORSE, WORSE, "Worse than the base."),
    ],
)
def test_the_verdict_claims_what_the_intervals_show(
    to_base: float, to_best: float, says: str
) -> None:
    task = runs.own_evaluation(to_base, to_best)
    assert task.against_base_best
    task = replace(task, against_base_best=replace(task.against_base_best, mcnemar_p=0.001))
    assert verdict(task).startswith(says)


def test_a_narrow_interval_of_few_single_answers_is_no_verdict() -> None:
    """Of three questions that are all gained the bootstrap has no width, and McNemar's p is 0.25"""
    task = runs.own_evaluation()
    assert task.difference
    unsure = replace(task.difference, mcnemar_p=0.25)
    task = replace(task, differences=(unsure,), against_base_best=None)
    assert verdict(task) == "Not shown to differ from the base asked in the same way."


def test_several_tasks_are_counted() -> None:
    tasks = {"a": runs.own_evaluation(BETTER, BETTER), "b": runs.benchmark()}
    assert tasks["a"].against_base_best
    shown = replace(tasks["a"].against_base_best, mcnemar_p=0.001)
    tasks["a"] = replace(tasks["a"], against_base_best=shown)
    assert verdict_of_several(tasks) == (
        "Of 2 tasks: better on 1, worse on 0, no difference to the base shown on 1."
    )


KINDS: dict[str, Results | None] = {
    "training": runs.training(),
    "no-evaluation": runs.training(evaluation=None, curve=(), benchmarks={}, guard=None),
    "under-way": None,
    "evaluation": runs.evaluation(names=("gsm8k", "math500")),
    "alone": runs.evaluation(base=False),
    "comparison": runs.comparison(),
    "comparison-under-way": runs.comparison(missing=2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_has_its_three_files(tmp_path: Path, kind: str) -> None:
    folder = runs.write_run(tmp_path / "run", KINDS[kind])
    write_report(folder)
    page, text = (folder / "report.html").read_text("utf-8"), (folder / "report.md").read_text()
    headline = page_of(folder).headline
    assert headline.verdict in text
    for number in headline.numbers:
        assert f"{number.value:.1f}" in page
        assert str(number) in text
    assert (folder / "plot.svg").read_text("utf-8").startswith("<svg")
    assert ('http-equiv="refresh"' in page) == kind.endswith("under-way")


def test_the_first_screen_has_the_number_its_competitor_and_the_curves(tmp_path: Path) -> None:
    page = (write_report(runs.write_run(tmp_path / "run", runs.training()))).read_text("utf-8")
    lead = page.split('<div class="lead">')[1].split("<section")[0]
    assert "61.5 %</b> <span>[49.5, 73.5]</span>" in lead
    assert "base at its best: majority, T = 0.5" in lead
    assert lead.count('<figure class="chart">') == 4
    assert "<table" not in lead


def test_what_the_plots_showed_is_in_the_file(tmp_path: Path) -> None:
    folder = runs.write_run(tmp_path / "run", runs.comparison())
    write_report(folder)
    svg = (folder / "plot.svg").read_text("utf-8")
    assert svg.count("base at its best</text>") == 5  # the shares, and a level in four charts
    assert svg.count('class="shade') == 4 * 9
    assert svg.count("dashed") > 4  # the control
    for label in ("seconds of training", "updates made", "Greedy accuracy, by time"):
        assert label in svg


def test_a_comparison_says_when_its_runs_collapsed() -> None:
    results = runs.comparison()
    (first, *others) = results.methods
    seeds = [
        replace(run, collapse=step) for run, step in zip(first.runs, (20, None, 15), strict=True)
    ]
    seeds[0] = replace(seeds[0], guard_collapse=10)
    area = first.summary | {"until_collapse": Estimate(0.4)}
    first = replace(first, runs=tuple(seeds), summary=area)
    blocks = list(comparison.table_blocks(replace(results, methods=(first, *others))))
    (table,) = (b for b in blocks if isinstance(b, Table) and "step, by labels" in b.header)
    assert table.rows[0] == ("rlsc", "20, –, 15", "10, –, –", "40.0")
    assert table.rows[1][1:3] == ("–, –, –", "–, –, –")


@pytest.mark.parametrize(
    ("used", "words"),
    [
        (None, "42, labels not counted"),  # by an older version
        (0, "42, without labels"),
        (1, "42, with 1 label, the others judged by their answers' majority"),
        (42, "42, with 42 labels"),
    ],
)
def test_the_report_says_how_many_labels_were_used(used: int | None, words: str) -> None:
    facts = dict(training_section.headline(runs.training(labels_used=used)).facts)
    assert facts["questions"] == words


def test_runs_side_by_side(tmp_path: Path) -> None:
    names = ("training", "evaluation", "under-way", "comparison")
    folders = [runs.write_run(tmp_path / name, KINDS[name]) for name in names]
    page = write_html_of_several(folders, tmp_path / "all.html").read_text("utf-8")
    assert all(str(folder) in page for folder in folders)
    assert "61.5 % [49.5, 73.5]" in page


@pytest.mark.parametrize("kind", [kind for kind, results in KINDS.items() if results])
def test_the_terminal_has_room(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    results = KINDS[kind]
    assert results
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "_width", 80)
        patch.setattr(console, "_file", None)  # the property would be set for good afterwards
        print_results(results)
    said = capsys.readouterr().out
    assert re.search(r"\d\d\.\d", said) or kind == "no-evaluation"
    tables = [line for line in said.splitlines() if line.startswith((" ", "─"))]
    assert all(len(line) <= 80 for line in tables)


def test_damage_and_what_is_no_run_are_told_in_a_line(tmp_path: Path) -> None:
    for folder, says in (
        (tmp_path / "none", "no such folder"),
        (tmp_path, "holds no run of rlsc"),
        (runs.write_run(tmp_path / "broken", runs.training()), "damaged"),
    ):
        if folder.name == "broken":
            (folder / "results.json").write_text("{")
        with pytest.raises(OutputError, match=says) as raised:
            page_of(folder)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("column", ["step", "sampled_tokens"])
def test_a_number_that_is_missing_is_not_taken_for_0(tmp_path: Path, column: str) -> None:
    folder = runs.write_run(tmp_path / "run", runs.training())
    first, *others = runs.metrics()
    write_jsonl(folder / "metrics.jsonl", [{**first, column: None}, *others])
    with pytest.raises(OutputError, match=rf"damaged .*{column} is no number"):
        page_of(folder)


def test_a_report_loads_neither_torch_nor_transformers(tmp_path: Path) -> None:
    folder = runs.write_run(tmp_path / "run", runs.training())
    code = (
        "import sys\nfrom rlsc.commands.main import main\n"
        f"sys.argv = ['rlsc', 'report', {str(folder)!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(sorted({'torch', 'transformers', 'matplotlib'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "[]"


CPU = "Invented (AVX512, no bfloat16 of its own), 4 cores, 2 threads"


@pytest.mark.parametrize(
    ("changed", "row"),
    [
        ({}, f"| CPU | {CPU} |"),
        ({"device": "NVIDIA T4"}, f"| device | NVIDIA T4 |\n| CPU | {CPU} |"),
        # As it was before the kind of the CPU was noted.
        ({"cpu": None, "cpu_threads": 2}, "| device | cpu, 2 CPU threads |"),
    ],
)
def test_how_it_was_made_has_the_kind_of_the_cpu(
    changed: dict[str, object], row: str, tmp_path: Path
) -> None:
    folder = runs.write_run(tmp_path / "run", runs.training())
    write_environment(folder, changed)
    page = write_report(folder).read_text("utf-8")
    assert row in (folder / "report.md").read_text("utf-8")
    assert row.removesuffix(" |").split(" | ")[-1] in page


def test_a_comparison_says_which_runs_were_on_other_machines(tmp_path: Path) -> None:
    folder = runs.write_run(tmp_path / "run", runs.comparison())
    for label in ("rlsc", "ttrl"):
        runs.write_run(folder / label / "seed-0", runs.training())
    write_report(folder)
    text = (folder / "report.md").read_text("utf-8")
    assert f"| CPU | {CPU} |" in text
    assert "the same machine" not in text
    other = runs.ENVIRONMENT["cpu"] | {"capability": "AVX2"}
    write_environment(folder / "ttrl" / "seed-0", {"cpu": other})
    write_report(folder)
    text = (folder / "report.md").read_text("utf-8")
    assert "Not all runs were on the same machine" in text
    assert f"| {CPU} | rlsc, seed 0 |" in text
    assert f"| {CPU.replace('AVX512', 'AVX2')} | ttrl, seed 0 |" in text


def write_environment(folder: Path, changed: dict[str, object]) -> None:
    """A run's, with other values; None: without."""
    content = {k: v for k, v in (runs.ENVIRONMENT | changed).items() if v is not None}
    (folder / "environment.json").write_text(json.dumps(content), "utf-8")


def test_a_comparisons_base_at_its_best_is_that_of_its_evaluation() -> None:
    results = runs.comparison()
    rows = [row[0] for row in comparison._base_rows(results)]
    assert [row for row in rows if "best" in row] == ["untrained, T = 0.5 ← its best"]
    base = results.base.tasks["evaluation"]
    trained = replace(
        base.tuned.scores[1],
        setting=replace(base.tuned.scores[1].setting, name=AT_TRAINING_TEMPERATURE),
    )
    asked = replace(
        base.tuned,
        scores=(*base.tuned.scores, trained),
        best=Best(AT_TRAINING_TEMPERATURE, True, Estimate(0.47)),
    )
    tasks = {"evaluation": replace(base, tuned=asked)}
    results = replace(results, base=replace(results.base, tasks=tasks))
    last = list(comparison._base_rows(results))[-1][0]
    assert last == "untrained, as in training, T = 0.5, majority ← its best"
    assert comparison._numbers(results)[1].value == pytest.approx(47)
    above = sum(method.summary["greedy"].value > 0.47 for method in results.methods)
    assert comparison.headline(results).verdict.startswith(f"{above} of 9 objectives end above")


def test_much_that_the_cap_cut_off_is_said_beside_every_figure() -> None:
    """At 5 % nothing is said. The benchmark's own share stands beside its row."""
    results = runs.comparison()
    difference = replace(runs.training().evaluation.difference, mcnemar_p=None)
    names = (AS_TRAINED, VOTE, AT_BEST, f"svamp, {AS_TRAINED}", f"svamp, {AT_BEST}")
    run = replace(
        results.methods[0].runs[0],
        differences=dict.fromkeys(names, difference),
        cut={EVALUATION: (0.2, 0.11), "svamp": (0.05, 0.05)},
    )
    method = replace(results.methods[0], runs=(run,))
    results = replace(results, methods=(method,), transductive=(method,))
    _, paired, *_ = comparison._paired(results)
    both, after = " (cut off: 20 % → 11 %)", " (cut off: 11 %)"
    said = [both, both, after, "", ""]
    figures = [change(difference.majority if n == VOTE else difference.accuracy) for n in names]
    assert [row[4] for row in paired.rows] == [f + s for f, s in zip(figures, said, strict=True)]
    assert {row[5] for row in paired.rows} == {"–"}  # no question can flip
    _, transductive, *_ = comparison._transductive(results)
    assert transductive.rows[0][6].endswith(both)
    assert comparison._method_row(method, 1)[1].endswith(after)
    assert all("cut off: 10 %" in "".join(row) for row in comparison._base_rows(results))
