"""The rows of a comparison, from settings and folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlsc.commands.compared import _method, _run
from rlsc.records import ComparedRun, CurvePoint, GuardResults, GuardVerdict, TrainingFolder
from tests.unit.report import runs


@pytest.mark.parametrize(
    ("label", "settings", "is_control"),
    [
        ("random", {}, True),  # a bare name in a recipe
        ("coin", {"objective": "random"}, True),
        ("random", {"objective": "ttrl"}, False),
        ("both", {"objective": "rlsc,random"}, False),
        ("mine", {"objective": "mine.py:Mine"}, False),
    ],
)
def test_a_control_is_known_by_its_objective(
    label: str, settings: dict[str, object], is_control: bool
) -> None:
    method = _method(label, settings, [ComparedRun(0), ComparedRun(1, failed="out of memory")])
    assert (method.is_control, method.summary) == (is_control, {})


def test_a_run_says_when_it_collapsed_and_what_was_before(tmp_path: Path) -> None:
    """By labels at step 15, where pass@1 is 0.1 after 0.6; by the guard at step 10."""
    curve = tuple(
        CurvePoint(step, (runs.score(runs.GREEDY, 0.5, 20), runs.score(runs.SAMPLED, value, 20)))
        for step, value in ((0, 0.3), (10, 0.6), (15, 0.1), (20, 0.0))
    )
    words = {5: "narrowing", 10: "collapsed", 15: "collapsed"}
    guard = GuardResults(
        "observe", 10, verdicts={n: GuardVerdict(w, False, True, ()) for n, w in words.items()}
    )
    results = runs.training(curve=curve, guard=guard)
    found = _run(TrainingFolder(runs.write_run(tmp_path / "run", results)), 0)
    assert (found.collapse, found.guard_collapse) == (15, 10)
    assert found.mean_until == pytest.approx((4.5 + 1.75) / 15)
    method = _method("ttrl", {}, [found])
    assert method.summary["until_collapse"].value == found.mean_until
    whole = _run(TrainingFolder(runs.write_run(tmp_path / "whole", runs.training(guard=None))), 0)
    assert (whole.collapse, whole.guard_collapse) == (None, None)


def test_hours_are_of_all_legs_and_of_failed_runs(tmp_path: Path) -> None:
    """190 s in the results are the last leg's; of a run made elsewhere there is no more."""
    done = TrainingFolder(runs.write_run(tmp_path / "run", runs.training()))
    assert _run(done, 0, took=500.0).total_seconds == 500
    assert _run(done, 0).total_seconds == 190
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / "failure.txt").write_text("no memory\n")
    failed = _run(TrainingFolder(tmp_path / "failed"), 0, took=20.0)
    assert (failed.failed, failed.total_seconds) == ("no memory", 20)
