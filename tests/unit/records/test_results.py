"""results.json: what is written is read back, and nothing else is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rlsc.errors import OutputError
from rlsc.records.results import (
    RESULTS,
    Best,
    ComparedMethod,
    ComparedRun,
    ComparedTo,
    ComparisonPoint,
    ComparisonResults,
    CurvePoint,
    EvaluationResults,
    GuardResults,
    GuardVerdict,
    ModelScores,
    Results,
    TaskFacts,
    TaskResults,
    TrainingResults,
    read_results,
    read_results_of,
    write_results,
)
from rlsc.types import (
    Calibration,
    Difference,
    Estimate,
    LengthChange,
    ReliabilityBin,
    Score,
    Setting,
)

SCORE = Score(
    setting=Setting("chat", 0.0, 1, 64, name="greedy", stop_strings=("\n\n", "Q:")),
    questions=3,
    n=2,
    accuracy=Estimate(0.5, (0.1, 0.9)),
    pass_at={1: Estimate(0.5, None), 10: Estimate(1.0)},
    majority_at={1: Estimate(0.5)},
    verdicts={"correct": 1, "wrong": 1, "unparsed": 0, "timeout": 0},
    timeouts=("ü/1",),
    mean_length=3.0,
    median_length=3.0,
    truncation_rate=0.0,
    boxed_rate=1.0,
    repetition=0.0,
    calibration=Calibration(2, None, 0.25, (ReliabilityBin(0.0, 0.1, 2, 0.05, 0.5),)),
    seconds=1.5,
)
FACTS = TaskFacts("gsm8k", "GSM8K", "math", "hub@1", 1, 3, 5, 1319, False, 64, 7, trained_on=("a",))
DIFFERENCE = Difference(
    *("greedy", "greedy", 2, Estimate(0.1, (-0.1, 0.3)), None, 1.0, ("a",), ()),
    {"all": LengthChange(3, 4.0, 3.0, Estimate(-1.0), None, 0.0, 0.5)},
)
SIDE = ModelScores((SCORE,), Best("greedy", False, Estimate(0.5)))
TASK = TaskResults(FACTS, SIDE, SIDE, (DIFFERENCE,), DIFFERENCE)
GUARD = GuardResults(
    "stop", 8, 24, {1: GuardVerdict("healthy", False, True, ("why",))}, {1: 0.5}, 8, None, "so", 2.0
)
TRAINING = TrainingResults(
    *("SmolLM2", "arithmetic", 200, ("x",), 10, {"total": 3.0}, True, GUARD, "held-out"),
    TASK,
    (CurvePoint(0, (SCORE,)),),
    {"gsm8k": TASK},
)
EVALUATION = EvaluationResults(
    "SmolLM2", {"gsm8k": TASK}, ComparedTo("runs/a", "b", ("seed 0 → 1",))
)
COMPARISON = ComparisonResults(
    "arithmetic",
    EvaluationResults("SmolLM2", {"evaluation": TaskResults(FACTS, SIDE)}),
    (0.0,),
    (0, 1),
    (
        ComparedMethod(
            "rlsc",
            {"objective": "rlsc", "beta": 0.1},
            (
                ComparedRun(0, (ComparisonPoint(0, 0.0, 0.5, 0.5, 0.5, 9.0),), 0.5),
                ComparedRun(1, failed="out of memory"),
            ),
            {"greedy": Estimate(0.5)},
        ),
    ),
)
ALL = [TRAINING, EVALUATION, COMPARISON, replace(TRAINING, evaluation=None, guard=None)]


@pytest.mark.parametrize("results", ALL, ids=lambda results: results.kind)
def test_what_is_written_is_read_back(tmp_path: Path, results: Results) -> None:
    write_results(tmp_path, results)
    assert read_results(tmp_path) == results
    assert json.loads((tmp_path / RESULTS).read_text("utf-8"))["kind"] == results.kind


def test_what_an_older_file_does_not_say_is_not_known(tmp_path: Path) -> None:
    """Where a field says so by its default of None; any other is lacking."""
    write_results(tmp_path, TRAINING)
    content = json.loads((tmp_path / RESULTS).read_text("utf-8"))
    del content["labels_used"]
    (tmp_path / RESULTS).write_text(json.dumps(content), "utf-8")
    found = read_results(tmp_path)
    assert isinstance(found, TrainingResults)
    assert found.labels_used is None
    assert found.tasks == TRAINING.tasks


def test_figures_are_found_by_their_names() -> None:
    assert list(TRAINING.tasks) == ["evaluation", "gsm8k"]
    assert TASK.difference == DIFFERENCE
    assert SIDE.of("greedy") == SCORE
    assert COMPARISON.untrained == {0.0: SCORE}
    assert [run.done for run in COMPARISON.runs] == [True, False]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("schema_version"), "is of an older rlsc, .* make the run again"),
        (lambda c: c.update(schema_version=99), "schema version 99"),
        (lambda c: c.pop("kind"), "says no kind"),
        (lambda c: c.update(kind="song"), "says no kind"),
        (lambda c: c.pop("steps"), "TrainingResults lacks 'steps'"),
        (lambda c: c.update(steps="ten"), "TrainingResults.steps is 'ten', not int"),
        (lambda c: c.update(steps=True), "TrainingResults.steps is True, not int"),
        (lambda c: c.update(extra=1), "has no field 'extra'"),
        (lambda c: c["evaluation"].update(tuned=[]), "tuned is .*, not an object"),
        (lambda c: c["guard"].update(verdicts={"one": {}}), "damaged"),
    ],
)
def test_another_version_and_damage_are_refused_in_a_line(tmp_path: Path, change, says) -> None:
    write_results(tmp_path, TRAINING)
    content = json.loads((tmp_path / RESULTS).read_text("utf-8"))
    change(content)
    (tmp_path / RESULTS).write_text(json.dumps(content), "utf-8")
    with pytest.raises(OutputError, match=says) as raised:
        read_results(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("text", "says"), [("{", "damaged"), ("[]", "damaged: it holds no res")])
def test_what_is_no_results_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(OutputError, match=r"no finished run: there is no results\.json"):
        read_results(tmp_path)
    (tmp_path / RESULTS).write_text(text, "utf-8")
    with pytest.raises(OutputError, match=says):
        read_results(tmp_path)


def test_a_kind_that_is_not_expected_is_refused(tmp_path: Path) -> None:
    write_results(tmp_path, EVALUATION)
    assert read_results_of(EvaluationResults, tmp_path) == EVALUATION
    with pytest.raises(OutputError, match="of kind evaluation, not of training"):
        read_results_of(TrainingResults, tmp_path)
