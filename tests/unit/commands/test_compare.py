"""`rlsc compare` around its runs: which are made, in which order, until when."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from rlsc.commands import compare, finished
from rlsc.commands.compare import Run
from rlsc.commands.compared import FAILURE
from rlsc.config import CompareConfig
from rlsc.records import ComparisonFolder, EvaluationFolder, write_results
from tests.unit.report import runs as written


def config(folder: Path, **more: object) -> CompareConfig:
    content = {"objectives": ["rlsc", "grpo", "ttrl"], "output_dir": str(folder)}
    return CompareConfig.of(content | more)


def runs(folder: Path) -> list[Run]:
    names = ("rlsc", "grpo", "ttrl")
    return [Run(name, 0, folder / name / "seed-0", [name]) for name in names]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The flags of every run that is made; nothing is."""
    found: list[object] = []

    def note(function: object, *arguments: object) -> str:
        if function is compare.train:
            found.append(arguments[0])
        return "no memory"

    monkeypatch.setattr(compare, "_in_process", note)
    monkeypatch.setattr(compare, "_is_asked", lambda *_: True)
    monkeypatch.setattr(compare, "_ask_base", lambda *_: None)
    monkeypatch.setattr(compare, "_write", lambda *_: None)
    monkeypatch.setattr(compare, "print_results", lambda _: None)
    return found


def test_failed_runs_are_made_anew_once_and_last(tmp_path: Path, made: list[object]) -> None:
    first = runs(tmp_path)[0]
    first.folder.mkdir(parents=True)
    (first.folder / FAILURE).write_text("no memory\n")
    for run in runs(tmp_path)[1:]:
        run.folder.mkdir(parents=True)
    compare._make(ComparisonFolder(tmp_path), config(tmp_path), runs(tmp_path), [])
    assert made == [["grpo", "--resume"], ["ttrl", "--resume"], ["rlsc", "--overwrite"]]


@pytest.mark.parametrize(("minutes", "count"), [(0, 1), (9.5, 1), (10.5, 2), (None, 3)])
def test_no_run_is_begun_once_the_time_is_over_but_one_always_is(
    minutes: float | None,
    count: int,
    tmp_path: Path,
    made: list[object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A run takes ten minutes here."""
    monkeypatch.setattr(compare.time, "monotonic", lambda: 600.0 * len(made))
    for run in runs(tmp_path):
        run.folder.mkdir(parents=True)
    limited = replace(config(tmp_path), minutes=minutes)
    compare._make(ComparisonFolder(tmp_path), limited, runs(tmp_path), [])
    assert len(made) == count
    left = [f"{run.label}, seed 0" for run in runs(tmp_path)[count:]]
    said = f"the time is over; left for the same command: {'; '.join(left)}\n"
    assert (said in capsys.readouterr().out) == bool(left)


def test_checkpoints_of_a_run_that_was_killed_at_its_end_are_dropped(
    tmp_path: Path, made: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others, one that goes on and one that saves its model, keep theirs."""
    done, kept, going_on = runs(tmp_path)
    for run in (done, kept):
        written.write_run(run.folder, replace(written.training(), model_saved=False))
    for run in (done, kept, going_on):
        (run.folder / "checkpoint-5").mkdir(parents=True)
    saves = {"rlsc": False, "grpo": True, "ttrl": False}
    settings = {name: (SimpleNamespace(save_model=saves[name]), None) for name in saves}
    monkeypatch.setattr(compare, "parse", lambda flags: settings[flags[0]] if flags else None)
    monkeypatch.setattr(compare, "_flags_of_base", lambda *_: [])
    compare._make(ComparisonFolder(tmp_path), config(tmp_path), runs(tmp_path), [])
    assert made == [["ttrl", "--resume"]]
    left = [(run.folder / "checkpoint-5").is_dir() for run in (done, kept, going_on)]
    assert left == [False, True, True]


@pytest.mark.parametrize("other", [True, False])
def test_a_finished_comparison_says_that_the_weights_are_others(
    other: bool,
    tmp_path: Path,
    made: list[object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for run in runs(tmp_path):
        written.write_run(run.folder, replace(written.training(), model_saved=False))
    settings = SimpleNamespace(save_model=True, adapter=None, model="m")
    monkeypatch.setattr(compare, "parse", lambda _: (settings, None))
    monkeypatch.setattr(compare, "_flags_of_base", lambda *_: [])
    monkeypatch.setattr(finished, "of_weights", lambda *_: "others" if other else None)
    compare._make(ComparisonFolder(tmp_path), config(tmp_path), runs(tmp_path), [])
    assert not made
    assert (": others" in capsys.readouterr().out) == other


@pytest.mark.parametrize(
    ("wanted", "temperatures", "expected"),
    [
        ({"eval_baselines": True}, [0.5], True),
        ({"eval_baselines": True, "seed": 3}, [], True),  # of a run, not of the base
        ({"eval_baselines": True}, [0.9], False),
        ({}, [0.5], False),
        ({"eval_baselines": True, "validation_questions": "q.jsonl"}, [0.5], False),
    ],
)
def test_the_untrained_model_is_asked_anew_where_other_things_are_asked_of_it(
    wanted: dict[str, object],
    temperatures: list[float],
    expected: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked before: its best way; at T = 0, 0.5 and 1."""
    base = EvaluationFolder(tmp_path)
    monkeypatch.setattr(compare, "resolved", lambda *_: wanted)
    assert not compare._is_asked(base, (), [])  # type: ignore[arg-type]
    base.prepare({"eval_baselines": True}, overwrite=False)
    base.release()
    write_results(tmp_path, written.comparison().base)
    assert compare._is_asked(base, (), temperatures) == expected  # type: ignore[arg-type]
