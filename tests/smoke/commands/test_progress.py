"""Where there is no terminal, whatever may take long is told of while it goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from rlsc.commands import compare, train
from rlsc.engines.native.engine import NativeEngine
from rlsc.environments import DatasetEnvironment
from rlsc.evaluation import asking
from rlsc.evaluation import outcome as scoring
from rlsc.grading import Grader
from rlsc.models import loading
from rlsc.planning import plan
from rlsc.report import files
from rlsc.runtime import display
from rlsc.training import preparation
from rlsc.training.update import Update
from tests.smoke.commands.child import long_run
from tests.smoke.conftest import command, libraries_as_they_were

TRAIN = """--questions arithmetic --max_steps 1 --num_generations 2 --max_completion_length 4
    --per_device_train_batch_size 2 --eval_samples 1 --eval_limit 3 --guard_probe_size 2
    --guard_pool_size 3 --bf16 false""".split()


class Tickers:
    """In place of the threads: what each would say, at any moment."""

    def __init__(self) -> None:
        self.live: list[Any] = []
        self.heard: dict[str, list[str]] = {}

    def create(self, say: Callable[[], None]) -> Any:
        ticker = type("Ticker", (), {"say": staticmethod(say)})
        ticker.stop = lambda: self.live.remove(ticker)
        self.live.append(ticker)
        return ticker

    def listen(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        """Note, whenever this function is called, what a log would get by now."""
        function = getattr(owner, name)

        def listened(*args: Any, **kwargs: Any) -> Any:
            lines: list[str] = []
            with monkeypatch.context() as patch:
                patch.setattr(display.console, "print", lambda line, **how: lines.append(line))
                for ticker in self.live:
                    ticker.say()
            self.heard.setdefault(name, []).append("; ".join(lines))
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, listened)

    def phases(self, name: str) -> set[str]:
        """What was told of while the function was called, without counts."""
        return {line.split("  ")[0] for line in self.heard[name]}


@pytest.fixture
def tickers(data: Path, monkeypatch: pytest.MonkeyPatch) -> Tickers:
    """After `data`, which samples too."""
    made = Tickers()
    monkeypatch.setattr(display, "Ticker", made.create)
    for owner, name in (
        (NativeEngine, "generate"),
        (Update, "backward"),
        (loading.AutoModelForCausalLM, "from_pretrained"),
        (Grader, "grade_all"),
        (Grader, "readable"),
        (asking, "_render"),
        (preparation, "render"),
        (scoring, "score"),
        (train.RLSCTrainer, "save_model"),
        (train, "save_merged"),
        (plan, "footprint"),
        (files, "page_of"),
    ):
        made.listen(monkeypatch, owner, name)
    return made


def test_all_of_a_training_run_is_told_of(
    tickers: Tickers, model_folder: Path, tmp_path: Path
) -> None:
    flags = ["--model", model_folder, "--output_dir", tmp_path / "run", "--use_peft", "true"]
    with libraries_as_they_were():
        assert command("train", *TRAIN, *flags) == 0
    assert tickers.live == []
    assert tickers.phases("from_pretrained") == {f"loading {model_folder}"}
    asked = {
        "evaluation greedy",
        "evaluation sampled",
        "evaluation sampled_at_training_temperature",
    }
    sampled = tickers.phases("generate")
    assert asked <= sampled
    lines = "\n".join(tickers.heard["generate"])
    assert "sampling  0/1 steps" in lines  # the rollouts of the step
    assert "guard's pool  0/24 completions" in lines
    assert "starting the engine" in sampled  # it tries itself on a few tokens
    assert "" not in sampled
    assert tickers.phases("backward") == {"sampling"}  # it then names and counts its micro-batches
    assert "rendering the prompts of evaluation" in tickers.phases("_render")
    assert tickers.phases("render") == {
        "rendering the prompts of train_dataset",
        "rendering the prompts of probe_dataset",
    }
    assert tickers.phases("grade_all") <= asked
    assert tickers.phases("readable") == {"reading the answers of evaluation"}
    assert tickers.phases("score") == {"scoring evaluation"}
    assert tickers.phases("save_model") == {"updating", "saving the model"}  # a checkpoint too
    assert tickers.phases("save_merged") == {"merging the adapter"}
    assert tickers.phases("page_of") == {"writing the report"}


def test_all_of_an_evaluation_is_told_of(
    tickers: Tickers, evaluate: Callable[..., int], model_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "eval"
    assert evaluate(folder, "--benchmarks", "math500") == 0
    assert tickers.phases("from_pretrained") == {f"loading {model_folder}"}
    assert tickers.phases("generate") == {"starting the engine", "math500 chat-T0-k1"}
    assert tickers.phases("_render") == {"rendering the prompts of math500"}
    assert tickers.phases("score") == {"scoring math500"}
    tickers.heard.clear()
    assert command("eval", "--regrade", folder) == 0
    assert tickers.phases("grade_all") == {"math500"}
    assert "verdicts" in tickers.heard["grade_all"][0]


def test_all_of_a_plan_is_told_of(
    tickers: Tickers, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = plan._changes
    monkeypatch.setattr(plan, "_changes", lambda *args: [next(changes(*args))])  # one will do
    flags = ["--model", model_folder, "--output_dir", "unused", "--device_memory_gb", "0.001"]
    assert command("plan", *TRAIN, *flags) == 0
    assert tickers.phases("footprint") == {"planning", "planning what to change"}


def test_a_data_set_that_is_read_from_the_hub_is_told_of(
    tickers: Tickers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_dataset(*args: Any, **kwargs: Any) -> list[dict[str, str]]:
        return [{"question": "What is 1 + 1?"}]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    tickers.listen(monkeypatch, datasets, "load_dataset")
    assert (
        len(
            train.training_questions(
                train.RunConfig(questions="someone/questions"), DatasetEnvironment(2)
            ).train
        )
        == 1
    )
    assert tickers.phases("load_dataset") == {"reading someone/questions"}


def test_a_comparison_shows_what_its_child_says_while_it_runs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen, problems = tmp_path / "seen", []
    child = threading.Thread(
        target=lambda: problems.append(compare._in_process(long_run, seen)), daemon=True
    )
    child.start()
    said = ""
    while child.is_alive() and "in the child" not in said:
        said += capfd.readouterr().out
        time.sleep(0.05)
    assert child.is_alive()
    assert "in the child  0:00:0" in said
    seen.touch()
    child.join()
    assert problems == [None]
