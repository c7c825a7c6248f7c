"""The analysis of the guard: on a comparison that real code has made, and on values made up."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from types import ModuleType

import pytest
import yaml

from rlsc.commands import compare
from rlsc.guard.rule import COLLAPSED, Observation
from rlsc.records.jsonl import read_jsonl, write_jsonl
from tests.ascii_model import save_ascii_model
from tests.forked import Done, Forked, script
from tests.smoke.conftest import command, in_this_process

SCRIPT = Path(__file__).parents[3] / "studies" / "guard" / "guard.py"
SETTINGS = {
    "objectives": ["rlsc", {"constant": {"objective": "constant"}}],
    "seeds": [0],
    "temperatures": [0],
    "questions": "arithmetic",
    "max_steps": 3,
    "eval_steps": 1,
    "num_generations": 3,
    "max_completion_length": 6,
    "per_device_train_batch_size": 4,
    "learning_rate": 0.01,
    "save_strategy": "no",
    "eval_samples": 2,
    "eval_limit": 8,
    "guard_interval": 1,
    "bf16": False,
    "disable_tqdm": True,
}
NAMES = ("truncated", "repetition", "same_answer", "copied", "answered", "support")


@pytest.fixture(scope="module")
def analysis() -> Iterator[ModuleType]:
    sys.path.insert(0, str(SCRIPT.parent))  # where a script finds the modules beside it
    spec = importlib.util.spec_from_file_location("guard_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(SCRIPT.parent))


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    model = save_ascii_model(folder / "model", seed=3)
    recipe = SETTINGS | {"model": str(model), "output_dir": str(folder / "out")}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "_in_process", in_this_process)
        assert command("compare", "--config", folder / "recipe.yaml") == 0
    return folder / "out"


def analyse(*arguments: object) -> Done:
    return Forked(script, str(SCRIPT), *map(str, arguments)).wait()


def right(folder: Path, name: str, kind: str) -> float:
    """The share of right answers, in points."""
    rows = read_jsonl(folder / "eval" / name / "evaluation" / f"{kind}.jsonl")
    return 100 * fmean(row["verdict"] == "correct" for row in rows)


def test_runs_of_a_comparison_are_judged(compared: Path, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    done = analyse(compared, "--interval", 1, "--json", file)
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())
    assert [row["run"].split("/")[1] for row in rows] == ["constant", "rlsc"]
    assert [row["fitted"] for row in rows] == [True, True]
    for row in rows:
        folder = compared / row["run"].split("/", 1)[1]
        result = json.loads((folder / "results.json").read_text())
        assert (row["n"], row["last_step"]) == (8, 3)
        stopped = row["stopped"] is not None  # the run itself has gone on
        assert stopped or row["kept"] == result["guard"]["advised_step"]
        for metric, kind in (("greedy", "greedy"), ("pass@1", "sampled")):
            found = row["accuracy"][metric]
            steps = {0: "before", 1: "step-1", 2: "step-2", 3: "after"}
            assert found["base"] == pytest.approx(right(folder, "before", kind))
            assert found["last"] == pytest.approx(right(folder, "after", kind))
            assert found["kept"] == pytest.approx(right(folder, steps[row["kept"]], kind))
            assert set(found) == {
                *("base", "best", "kept", "last"),
                *("latest without harm", "highest score", "undominated"),
            }
    assert "fitted on" in done.stdout
    assert "reported on" in analyse(compared, "--fitted", 1).stdout


@pytest.mark.slow
def test_the_archive_has_the_figures_of_the_experiment(tmp_path: Path) -> None:
    """experiments/2026-11-24-guard-mended.md, on the sixteen runs of seed 1."""
    with tarfile.open(SCRIPT.parent / "guard-study.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    file = tmp_path / "outcomes.json"
    done = analyse(tmp_path / "guard-three_terms", tmp_path / "guard-two_digit", "--json", file)
    assert done.returncode == 0, done.stderr
    runs = [run for run in json.loads(file.read_text()) if not run["fitted"]]
    below_best = [run["accuracy"]["greedy"] for run in runs]
    assert fmean(points["best"] - points["kept"] for points in below_best) == pytest.approx(3.65625)
    assert [run["caught"] for run in runs].count(True) == 9
    assert sum(run["onset"] is not None for run in runs) == 14


@pytest.mark.slow
def test_a_collapse_in_the_records_is_found(compared: Path, tmp_path: Path) -> None:
    """Real records with answers lost from step 2 on, asked at every step or at every second."""
    source = compared / "rlsc" / "seed-0"
    folder = tmp_path / "study" / "rlsc" / "seed-0"
    folder.mkdir(parents=True)
    (folder / "results.json").write_bytes((source / "results.json").read_bytes())
    shutil.copytree(source / "eval", folder / "eval")
    rows = read_jsonl(source / "guard.jsonl")
    for row in rows:
        row["questions"] = {name: [0.0] * 16 for name in NAMES}
        row["questions"]["support"] = [0.0 if row["step"] >= 2 else 0.7] * 16
    write_jsonl(folder / "guard.jsonl", rows)
    for interval in (1, 2, 3):
        file = tmp_path / "found.json"
        done = analyse(folder.parents[1], "--interval", interval, "--json", file)
        assert done.returncode == 0, done.stderr
        (row,) = json.loads(file.read_text())
        assert (row["stopped"], row["kept"]) == (3 if interval < 2 else None, 1)


@pytest.mark.slow
def test_a_run_that_was_stopped_is_refused(compared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study" / "rlsc" / "seed-0"
    folder.mkdir(parents=True)
    source = compared / "rlsc" / "seed-0"
    result = json.loads((source / "results.json").read_text())
    result["guard"]["mode"] = "stop"
    (folder / "results.json").write_text(json.dumps(result))
    (folder / "guard.jsonl").write_bytes((source / "guard.jsonl").read_bytes())
    done = analyse(folder.parents[1])
    assert done.returncode == 2
    assert "made with --guard stop" in done.stderr


def answers(right: int, n: int = 100) -> list[float]:
    return [1.0] * right + [0.0] * (n - right)


def test_the_onset_is_where_half_of_the_drop_is_passed_for_good(analysis: ModuleType) -> None:
    assert analysis.onset({s: answers(r) for s, r in enumerate((50, 80, 59, 78, 61, 40))}) == 5
    assert analysis.onset({s: answers(r) for s, r in enumerate((50, 80, 59, 59, 40))}) == 2
    assert analysis.onset({s: answers(r) for s, r in enumerate((50, 80, 76))}) is None


def test_the_best_in_hindsight_is_scored_on_the_other_half(analysis: ModuleType) -> None:
    """Even questions say step 1, odd ones step 0; each is scored where it was not chosen."""
    values = {0: [0.0, 1.0] * 4, 1: [1.0, 0.0] * 4}
    assert analysis.cross_scored_best(values) == 0
    assert analysis.cross_scored_best({0: answers(3, 8), 1: answers(6, 8)}) == 0.75


def seen(step: int, **shares: int) -> Observation:
    """Of 16 questions so many have 1."""
    return Observation(step, 0.9, {name: answers(shares.get(name, 8), 16) for name in NAMES}, True)


def chosen(analysis: ModuleType, found: Sequence[Observation]) -> list[int]:
    return [by(found) for by in analysis.CHOICES.values()]


def test_other_choices(analysis: ModuleType) -> None:
    """In the order latest, highest score, undominated."""
    assert chosen(analysis, [seen(0), seen(1), seen(2)]) == [2, 2, 2]
    better = seen(1, support=12, answered=12)
    assert chosen(analysis, [seen(0), better, seen(2)]) == [2, 1, 1]
    assert chosen(analysis, [seen(0), seen(1, support=12), seen(2)]) == [2, 1, 2]
    mixed = seen(1, support=12, answered=12, truncated=12)
    assert chosen(analysis, [seen(0), mixed, seen(2)]) == [2, 1, 2]


def test_a_replay_stops_at_the_collapse(analysis: ModuleType) -> None:
    history = [seen(0), seen(1), *(seen(step, support=0) for step in (2, 3, 4))]
    found, verdicts = analysis.replay(history, 2, 1)
    assert [one.step for one in found] == [0, 1, 2, 3]
    assert verdicts[-1].verdict == COLLAPSED
    _, verdicts = analysis.replay(history, 2, 3)
    assert [one.asked for one in verdicts] == [True, True, False, False, True]
