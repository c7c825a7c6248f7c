"""`rlsc compare` on a tiny model: runs, failures, resumption, table and plot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from rlsc.commands import compare
from rlsc.records.results import ComparisonResults, read_results_of
from tests.ascii_model import save_ascii_model
from tests.smoke.conftest import command, in_this_process

SETTINGS = {
    "questions": "arithmetic",
    "max_steps": 2,
    "eval_steps": 1,
    "num_generations": 3,
    "max_completion_length": 6,
    "per_device_train_batch_size": 4,
    "save_strategy": "no",
    "eval_samples": 2,
    "eval_limit": 5,
    "guard_pool_size": 8,
    "guard_probe_size": 4,
    "bf16": False,
    "disable_tqdm": True,
    "temperatures": [0, 0.5],
    "seeds": [0],
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_ascii_model(tmp_path_factory.mktemp("models") / "tiny", seed=3)


def recipe(file: Path, model: Path, **changes: object) -> Path:
    content = SETTINGS | {"model": str(model), "output_dir": str(file.parent / "out")} | changes
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


@pytest.fixture
def few_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of ten in a process of its own, as all are for a user: starts take longer than runs."""
    in_process, calls = compare._in_process, []

    def few(function: Callable[..., None], *arguments: object) -> str | None:
        calls.append(function)
        if len(calls) == 4:  # the first run that fails
            return in_process(function, *arguments)
        return in_this_process(function, *arguments)

    monkeypatch.setattr(compare, "_in_process", few)


def test_a_comparison_from_end_to_end(
    model: Path, tmp_path: Path, few_processes: None, capfd
) -> None:
    objectives = [
        "rlsc",
        {"K = 2": {"objective": "constant", "num_generations": 2}},
        {"broken": {"objective": "rlhf", "reward_model": "/nowhere"}},
    ]
    file = recipe(tmp_path / "compare.yaml", model, objectives=objectives)
    assert command("compare", "--config", file) == 1  # a run failed; the others are done
    said, error = capfd.readouterr()
    assert "1 of 3 runs failed (broken, seed 0): the table says why" in error
    out = tmp_path / "out"
    found = read_results_of(ComparisonResults, out)
    rlsc, variant, broken = found.methods
    for method in (rlsc, variant):
        (run,) = method.runs
        assert [point.step for point in run.curve] == [0, 1, 2]
        assert run.curve[0].greedy == found.untrained[0.0].accuracy.value
        assert run.curve[0].seconds == 0 < run.curve[1].seconds
        assert run.final.step == 2
    assert "cannot load the reward model" in broken.runs[0].failed
    assert list(found.untrained) == [0, 0.5]
    assert (out / "plot.svg").read_text("utf-8").startswith("<svg")
    text = (out / "report.md").read_text()
    for part in ("untrained, T = 0 (greedy)", "K = 2", "0 of 1; failed: cannot load"):
        assert part in text
    assert "run 3 of 3: broken, seed 0" in said
    assert "minutes left" in said
    # The untrained model was evaluated once.
    base = (out / "base" / "samples" / "evaluation" / "sampled.jsonl").read_text()
    before = out / "rlsc" / "seed-0" / "eval" / "before" / "evaluation" / "sampled.jsonl"
    assert before.read_text() == base
    assert not (out / "rlsc" / "seed-0" / "model").exists()
    # A second call makes what is missing alone.
    kept = (out / "rlsc" / "seed-0" / "results.json").stat().st_mtime_ns
    assert command("compare", "--config", file, "--seeds", "0,1") == 1
    assert (out / "rlsc" / "seed-0" / "results.json").stat().st_mtime_ns == kept
    again = read_results_of(ComparisonResults, out)
    assert len(again.methods[0].runs) == 2
    assert again.methods[0].summary["greedy"].interval is not None
    # With other settings they would not compare.
    for flags in (("--learning_rate", "0.1"), ("--max_steps", "3"), ("--seed", "7")):
        assert command("compare", "--config", file, *flags) == 2
        assert flags[0].removeprefix("--") in capfd.readouterr().err
    # A run that failed is made anew with what the recipe says by now.
    broken = {"broken": {"objective": "rlsc", "alpha": 0.0}}
    file = recipe(tmp_path / "compare.yaml", model, objectives=[*objectives[:2], broken])
    assert command("compare", "--config", file, "--temperatures", "0,1") == 0
    mended = read_results_of(ComparisonResults, out)
    assert mended.methods[2].runs[0].final.step == 2
    assert list(mended.untrained) == [0, 1]


def test_commands_for_a_launcher(model: Path, tmp_path: Path, capfd) -> None:
    file = recipe(tmp_path / "compare.yaml", model, objectives=["rlsc", "ttrl"])
    assert command("compare", "--config", file, "--print_commands") == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("rlsc train --") for line in lines)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objectives": []}, "needs objectives"),
        ({"objectives": ["rlsc", "rlsc"]}, "is there twice"),
        ({"objectives": ["rlcs"]}, "rlcs: objective must be one of"),
        ({"objectives": ["grpo/../x"]}, "no name for a folder"),
        ({"objectives": [{"a": {"seed": 3}}]}, "seed must be the same for all"),
        ({"objectives": ["rlsc"], "seeds": [0.5]}, "seeds must be"),
        ({"objectives": ["rlsc"], "temperatures": ["a"]}, "temperatures must be"),
        ({"objectives": ["rlsc"], "temprature": 1}, "did you mean temperature"),
        ({"objectives": ["rlsc"], "max_steps": 0}, "max_steps"),
        ({"objectives": ["rlsc"], "seed": 3}, "seed is set by the comparison"),
        ({"objectives": [{"a": {"model": "x"}}]}, "model must be the same for all"),
        ({"objectives": [{"..": {"alpha": 0.1}}]}, "no name for a folder"),
        ({"objectives": ["rlsc"], "seeds": [float("inf")]}, "seeds must be"),
        ({"objectives": ["rlsc"], "seeds": [10**400]}, "seeds must be"),
        ({"objectives": ["rlsc"], "seeds": [True]}, "seeds must be"),
        ({"objectives": [{"results.json": {"alpha": 0.1}}]}, "no name for a folder"),
        ({"objectives": ["rlsc"], "output_dir": ["a"]}, "output_dir must be a folder"),
        ({"objectives": ["rlhf"]}, "rlhf: objective RLHF needs a reward model"),
        ({"objectives": ["ttrl"], "num_generations": 1}, "num_generations must be 2 or more"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(
    changes: dict, message: str, model: Path, tmp_path: Path, capfd
) -> None:
    file = recipe(tmp_path / "compare.yaml", model, **changes)
    assert command("compare", "--config", file) == 2
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--print_commands", "maybe"], "print_commands: true or false, not 'maybe'"),
        (["--num_generations", "2"], "--num_generations is what 'K = 4' sets itself"),
    ],
)
def test_flags_do_not_belie_the_rows(
    flags: list[str], message: str, model: Path, tmp_path: Path, capfd
) -> None:
    rows = {"objectives": [{"K = 4": {"objective": "rlsc", "num_generations": 4}}]}
    file = recipe(tmp_path / "compare.yaml", model, **rows)
    assert command("compare", "--config", file, *flags) == 2
    assert message in capfd.readouterr().err


def test_a_recipe_is_needed(capfd) -> None:
    assert command("compare") == 2
    assert "--config is missing" in capfd.readouterr().err
