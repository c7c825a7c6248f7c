"""The part of a page that a self-play critic's game has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rlsc.records import ComparedMethod
from rlsc.report.page import Bullets, Curves, Table
from rlsc.report.sections.comparison import table_blocks
from rlsc.report.sections.games import compared_examined, game_section
from tests.unit.report import runs

METRICS: list[dict[str, Any]] = [
    {
        "step": step,
        "spc/valid_share": 0.8,
        "spc/noop_share": 0.6 if step > 7 else 0.1,
        "spc/critic_correct": 0.5,
        "spc/critic_wrong": 0.5 + step / 20,
        "spc/verdict_share": 0.95 if step > 7 else 0.5,
        "spc/error_calculation": 1.0,
        "spc/found_calculation": 0.5,
    }
    for step in range(10)
]
ROW = {"problem": "12 + 45 + 23", "done": ["12 + 45 = 57"], "original": "57 + 23 = 80"}
TASKS: list[dict[str, Any]] = [
    ROW
    | {"step": 0, "kind": "rewritten", "step_judged": "57 + 23 = 81", "fault": "calculation"}
    | {"verdicts": [True, None], "reason": "", "reward": 1.0},
    ROW
    | {"step": 1, "kind": "random", "step_judged": "57 + 45 = 102", "fault": "repeated"}
    | {"verdicts": [False, False], "reason": ""},
    ROW
    | {"step": 1, "kind": "untouched", "step_judged": "57 + 23 = 80", "fault": ""}
    | {"verdicts": [False, True], "reason": ""},
    ROW | {"step": 1, "kind": "rewritten", "text": "<b>no", "reason": "unreadable", "reward": -1},
]
EXAMINED = {0: {"spc/fixed_wrong": 0.5}, 10: {"spc/fixed_wrong": 0.4}}


def test_what_the_game_shows() -> None:
    blocks = list(game_section(TASKS, METRICS, EXAMINED))
    (curves,) = [block for block in blocks if isinstance(block, Curves)]
    titles = {chart.title: [series.name for series in chart.series] for chart in curves.charts}
    assert titles == {
        "What was rewritten": ["wrong steps", "right after all"],
        "Right verdicts": ["right steps", "wrong steps"],
        "Verdicts": ["verdicts that are Incorrect"],
        "Faults of wrong steps": ["calculation"],
        "Faults found": ["calculation"],
    }
    tables = {block.folded: block for block in blocks if isinstance(block, Table)}
    assert [row[3] for row in tables["Newest games"].rows] == ["57 + 45 = 102", "57 + 23 = 81"]
    (missed,) = tables["Errors that critics missed"].rows
    assert missed[3:] == ("57 + 23 = 81", "57 + 23 = 80", "calculation", "0 of 2", "1")
    (alarm,) = tables["Right steps called incorrect"].rows
    assert alarm[5:] == ("–", "1 of 2", "–")
    (refused,) = tables["Refused proposals"].rows
    assert refused[2] == "<b>no"
    examined = next(block for block in blocks if isinstance(block, Table) and not block.folded)
    assert examined.rows == [["0", "0.5"], ["10", "0.4"]]


def test_doubts_are_said() -> None:
    (doubts,) = [b.lines for b in game_section(TASKS, METRICS, EXAMINED) if isinstance(b, Bullets)]
    assert [line.split(" ")[0] for line in doubts] == ["95", "60", "100", "The"]
    healthy = [
        row | {"spc/noop_share": 0.1, "spc/verdict_share": 0.5, "spc/error_calculation": 0.5}
        for row in METRICS
    ]
    better = {0: {"spc/fixed_wrong": 0.5}, 10: {"spc/fixed_wrong": 0.6}}
    blocks = list(game_section(TASKS, healthy, better))
    assert not [block for block in blocks if isinstance(block, Bullets)]


def examined_by(method: ComparedMethod, *figures: dict[int, dict[str, float]]) -> ComparedMethod:
    given = [*figures, *[None] * (len(method.runs) - len(figures))]
    found = [replace(run, examined=of) for run, of in zip(method.runs, given, strict=True)]
    return replace(method, runs=tuple(found))


def test_a_comparison_shows_the_critic_before_and_after() -> None:
    """Means over seeds, whatever was examined between; the interval is Student's of two seeds."""
    results = runs.comparison()
    assert not list(compared_examined(results))
    first, second, *others = results.methods
    names = ("spc/fixed_correct", "spc/fixed_wrong", "spc/exploit_mean", "spc/exploit_max")
    ends = [
        {0: dict.fromkeys(names, 0.5), 50: {}, 100: dict.fromkeys(names, value) | {"spc/auc": 0.9}}
        for value in (0.6, 0.8)
    ]
    compared = (examined_by(first, *ends), examined_by(second, {0: {"spc/fixed_wrong": 0.25}}))
    blocks = list(table_blocks(replace(results, methods=(*compared, *others))))
    (table,) = (b for b in blocks if isinstance(b, Table) and "exploit, max" in b.header)
    assert [table.header[at] for at in table.brief] == [
        *("objective", "a", "b", "exploit, mean", "exploit, max")
    ]
    reach = 12.706 * 0.1  # t of one degree of freedom, times the standard error
    assert table.rows[0][1:5] == ["0.50 → 0.70 (2 of 3)"] * 4
    assert table.rows[0][5:] == [f"[{0.7 - reach:.2f}, {0.7 + reach:.2f}]"] * 4
    assert table.rows[1][1:5] == ["– → –", "0.25 → 0.25 (1 of 3)", "– → –", "– → –"]
    assert table.rows[2][1:] == ["– → –"] * 4 + ["–"] * 4


def test_another_game_s_figures_have_their_own_names() -> None:
    results = runs.comparison()
    first, *others = results.methods
    figures = {0: {"azr/probe_deduction": 0.1}, 9: {"azr/probe_deduction": 0.4}}
    with_game = replace(results, methods=(examined_by(first, figures), *others))
    (table,) = (b for b in compared_examined(with_game) if isinstance(b, Table))
    assert table.header[1] == "probe_deduction"
    assert table.rows[0][1] == "0.10 → 0.40 (1 of 3)"


@pytest.mark.parametrize(
    ("ends", "shown"),
    [
        (((0.5, 0.6), (0.5, 0.7), (0.5, 0.8)), "0.50 → 0.70"),
        (((0.5, 0.6), (0.5, 0.8), (0.5, None)), "0.50 → 0.70 (2 of 3)"),
        (((0.4, 0.6), (0.6, 0.7), (None, 0.8)), "0.50 (2 of 3) → 0.70"),
        (((0.4, 0.6), (0.6, None), (None, None)), "0.50 (2 of 3) → 0.60 (1 of 3)"),
        (((0.5, None), (None, None), (None, None)), "0.50 (1 of 3) → –"),
    ],
)
def test_a_mean_over_some_seeds_says_how_many(ends: Any, shown: str) -> None:
    """Each seed's figure before and after, where there is one."""
    results = runs.comparison()
    first, *others = results.methods
    known = [
        {
            at: {} if value is None else {"game/right": value}
            for at, value in zip((0, 9), both, strict=True)
        }
        for both in ends
    ]
    with_game = replace(results, methods=(examined_by(first, *known), *others))
    (table,) = (b for b in compared_examined(with_game) if isinstance(b, Table))
    assert table.rows[0][1] == shown


def test_the_figures_are_kept_with_the_comparison() -> None:
    from rlsc.records.conversion import from_json, to_json
    from rlsc.records.results import ComparisonResults

    results = runs.comparison()
    first, *others = results.methods
    results = replace(results, methods=(examined_by(first, {0: {"a": 0.5}}), *others))
    content = to_json(results)
    assert from_json(ComparisonResults, content) == results
    del content["methods"][0]["runs"][0]["examined"]  # of an older version
    assert from_json(ComparisonResults, content).methods[0].runs[0].examined is None
