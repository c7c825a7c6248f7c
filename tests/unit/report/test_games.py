"""The part of a page that a game has, with what its tasks are."""

from __future__ import annotations

import json
from pathlib import Path

from rlsc.report import write_report
from rlsc.report.page import Bullets, Curves, Paragraph, Table
from rlsc.report.sections.games import game_section
from rlsc.report.sections.steps import step_charts
from tests.unit.report import runs

HOSTILE = "<script>alert(1)</script>"
METRICS = [
    {
        "step": step,
        "azr/valid_share": 0.5,
        "azr/refused_bad_format": 0.5 - step / 100,
        "azr/learnability_deduction": 0.4,
        "azr/solve_rate_deduction": 0.5,
        "azr/best_rate": 0.37,
        "azr/solver_accuracy_deduction_new": 0.6,
        "azr/solver_accuracy_deduction_buffer": 0.7,
        "azr/duplicates": 0.1 * step,
        "azr/mastered_deduction": 0.9 if step > 7 else 0.0,
        "azr/distinct_programs": 0.8,
        "guess/right": 0.3,
        "guard/support": 0.5,
    }
    for step in range(10)
]
TASKS = [
    {
        "step": step,
        "kind": "deduction",
        "program": f"x + {step}",
        "input": "4",
        "output": str(4 + step),
        "rate": step / 10,
        "reward": 1 - step / 10,
        "reason": "",
    }
    for step in range(10)
]
TASKS += [
    {"step": 9, "kind": "deduction", "text": HOSTILE, "reason": "bad_format", "reward": -1.0},
    {
        "step": -1,
        "kind": "induction",
        "program": "x * 2",
        "pairs": [["1", "2"], ["3", "6"]],
        "rate": 0.25,
        "reason": "",
    },
]
EXAMINED = {0: {"azr/probe_accuracy_deduction": 0.25}, 10: {"azr/probe_accuracy_deduction": 0.5}}


def test_what_a_game_shows() -> None:
    blocks = list(game_section(TASKS, METRICS, EXAMINED))
    (curves,) = [block for block in blocks if isinstance(block, Curves)]
    titles = {chart.title: [series.name for series in chart.series] for chart in curves.charts}
    assert titles["What was proposed"] == ["valid", "bad_format"]
    assert titles["Solved, of new and of older tasks"] == ["deduction, new", "deduction, older"]
    assert titles["Solve rate of new tasks"] == ["deduction", "paid most"]
    assert titles["The environment's figures"] == ["guess/right"]
    (doubts,) = [block.lines for block in blocks if isinstance(block, Bullets)]
    assert [line.split(" ", 2)[0] for line in doubts] == ["85", "90"]
    tables = {block.folded: block for block in blocks if isinstance(block, Table)}
    assert tables["Newest tasks"].rows[0][2] == "x * 2: 1 → 2, 3 → 6"
    assert tables["Hardest tasks that were solved"].rows[0][2:4] == ("x + 1: 4 → 5", "10 %")
    assert tables["Easiest tasks"].rows[0][3] == "90 %"
    assert tables["Refused proposals"].rows == [
        ("9", "deduction", HOSTILE, "–", "-1", "bad_format")
    ]
    examined, rates = (block for block in blocks if isinstance(block, Table) and not block.folded)
    assert examined.rows == [["0", "0.25"], ["10", "0.5"]]
    assert rates.rows[0] == [
        *("deduction, first fifth", "100 %", "0 %", "0 %", "0 %", "0 %"),
        *("5 %", "2"),
    ]
    said = " ".join(block.text for block in blocks if isinstance(block, Paragraph))
    assert "1 of 12 rows of tasks.jsonl are refused: bad_format 1." in said


def test_a_prompt_with_one_completion_has_no_signals_of_siblings() -> None:
    row = {"step": 0, "distinct_completions": 1.0, "effective_sample_size": 1.0, "entropy": 0.5}
    row |= {"truncation_rate": 0.1}
    alone = {chart.title: len(chart.series) for chart in step_charts([row | {"f_hat": None}], [])}
    assert alone == {"Entropy": 1, "Diversity": 1}
    several = {chart.title for chart in step_charts([row | {"f_hat": 0.5}], [])}
    assert "Effective sample size" in several


def test_a_run_on_questions_has_none() -> None:
    assert list(game_section([], [{"step": 0, "loss": 1.0, "guard/support": 0.5}], {})) == []


PROGRAM = f"def f(x):\n    a = '{HOSTILE} `` | $x$'\n    return [x, a]"
PROGRAMS = [
    {
        **{"step": step, "kind": "deduction", "program": PROGRAM, "input": str(step)},
        **{"output": "[1, 'a']" if step % 2 else "{1: 2}", "rate": 0.5, "reason": ""},
    }
    for step in range(-1, 10)
]
RAN = [
    {**row, "azr/near_limit": 2.0, "azr/program_lines": 3.0, "azr/timeouts": 0} for row in METRICS
]


def test_programs_have_their_size_and_values_and_slow_calls() -> None:
    blocks = list(game_section(PROGRAMS, RAN))
    (curves,) = [block for block in blocks if isinstance(block, Curves)]
    titles = {chart.title: [series.name for series in chart.series] for chart in curves.charts}
    assert titles["Size of new programs"] == ["lines"]
    assert titles["Slow calls in the sandbox"] == ["timed out", "over half of their time"]
    (doubts,) = [block.lines for block in blocks if isinstance(block, Bullets)]
    assert doubts[-1].startswith("4 of the last calls took more than half")
    (values,) = [b for b in blocks if isinstance(b, Table) and "distinct" in b.header]
    shares = [dict(zip(values.header, row, strict=True)) for row in values.rows]
    assert [row[""] for row in shares] == ["seeds", "first fifth", "last fifth"]
    assert [row["list"] for row in shares] == ["100 %", "50 %", "50 %"]
    assert [row["dict"] for row in shares] == ["0 %", "50 %", "50 %"]
    assert shares[1]["lines"] == "3.0"
    assert [row["tasks"] for row in shares] == ["1", "2", "2"]


def test_a_program_is_shown_as_text_line_by_line(tmp_path: Path) -> None:
    results = runs.training(training_questions=0, questions="azr")
    folder = runs.write_run(tmp_path / "run", results)
    (folder / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PROGRAMS))
    page = write_report(folder).read_text("utf-8")
    assert HOSTILE not in page
    assert "<code>def f(x):\n    a = " in page
    assert "f(9) → [1, &#39;a&#39;]</code>" in page
    text = (folder / "report.md").read_text("utf-8")
    line = next(line for line in text.splitlines() if "def f(x): ↵     a = " in line)
    assert "``` def f(x): ↵" in line
    assert "`` \\| $x$" in line


def test_a_page_of_a_game_is_escaped(tmp_path: Path) -> None:
    results = runs.training(examined=EXAMINED, training_questions=0, questions="azr")
    folder = runs.write_run(tmp_path / "run", results)
    (folder / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TASKS))
    page = write_report(folder).read_text("utf-8")
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "The game" in page
    assert "made by the game: environment azr" in page
    assert "x * 2: 1 → 2, 3 → 6" in (folder / "report.md").read_text("utf-8")
