"""The part of a page that a self-play critic's game has."""

from __future__ import annotations

from typing import Any

from rlsc.report.page import Bullets, Curves, Table
from rlsc.report.sections.games import game_section

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
