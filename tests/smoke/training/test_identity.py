"""A trainer goes on with its own run alone: the same model, prompts, code and settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from rlsc import RLSCConfig, RLSCTrainer
from rlsc.errors import ConfigError, OutputError
from rlsc.records.jsonl import read_jsonl
from rlsc.types import AnswerKey
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.training.test_trainer import config

ROWS = [{"id": str(n), "prompt": f"What is {n} + 1?"} for n in range(3)]
SMALL = {"num_generations": 2, "max_completion_length": 4, "max_steps": 2, "save_steps": 1}


def trainer(folder: Path, model: Any = None, **more: Any) -> RLSCTrainer:
    answers = more.pop("answer_key", None)
    rows, tokenizer = more.pop("rows", ROWS), more.pop("tokenizer", tiny_tokenizer())
    args = config(folder, **SMALL | more)
    return RLSCTrainer(model or tiny_model(), args, rows, tokenizer, answer_key=answers)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with checkpoints; whoever may not go on with it leaves it as it is."""
    folder = tmp_path_factory.mktemp("begun")
    trainer(folder).train()
    return folder


def test_more_steps_and_what_is_only_shown_may_differ(begun: Path) -> None:
    changes = {"save_steps": 5, "max_steps": 2, "run_name": "another"}
    assert trainer(begun, **changes).train(resume_from_checkpoint=True).global_step == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 1e-2}, "learning_rate was 0.001 in .* and is 0.01 now"),
        ({"num_generations": 3}, "num_generations was 2 in .* and is 3 now"),
        ({"seed": 1}, "seed was 42 in .* and is 1 now"),
        ({"alpha": 0.5}, "alpha was 0.1 in .* and is 0.5 now"),
    ],
)
def test_other_settings_are_refused(begun: Path, changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=f"resume_from_checkpoint.* other settings: {message}"):
        trainer(begun, **changes).train(resume_from_checkpoint=True)


def other_template() -> Any:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template += " "
    return tokenizer


@pytest.mark.parametrize(
    ("changes", "of"),
    [
        ({"model": tiny_model(seed=1)}, "model weights"),
        ({"tokenizer": other_template()}, "chat template"),
        ({"rows": [*ROWS[:2], {"id": "2", "prompt": "What is 9?"}]}, "training prompts"),
    ],
)
def test_another_model_or_other_prompts_are_refused(begun: Path, changes: dict, of: str) -> None:
    """Also by the name of a checkpoint."""
    before = read_jsonl(begun / "metrics.jsonl")
    said = f"is of other {of}: give the same again"
    with pytest.raises(OutputError, match=said):
        trainer(begun, **changes).train(resume_from_checkpoint=str(begun / "checkpoint-1"))
    with pytest.raises(OutputError, match=said):
        trainer(begun, **changes).train(resume_from_checkpoint=True)
    assert read_jsonl(begun / "metrics.jsonl") == before


def test_other_answers_are_refused_where_they_are_rewards(tmp_path: Path) -> None:
    answers = {row["id"]: "1" for row in ROWS}
    grpo = {"objective": "grpo", "max_steps": 1}
    trainer(tmp_path, answer_key=AnswerKey(answers), **grpo).train()
    changed = AnswerKey(answers | {"1": "7"})
    with pytest.raises(OutputError, match="is of other training references"):
        trainer(tmp_path, answer_key=changed, **grpo).train(resume_from_checkpoint=True)


OBJECTIVE = """
from rlsc.objectives import RLSC
from beside_it import SCALE
class Own(RLSC):
    pass
"""


@pytest.mark.parametrize("edited", ["own.py", "beside_it.py"])
def test_an_edited_objective_is_refused(
    tmp_path: Path, edited: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / edited.partition(".")[0]  # of one name a process: modules are loaded once
    own.mkdir()
    beside = f"beside_{own.name}"
    (own / "own.py").write_text(OBJECTIVE.replace("beside_it", beside))
    (own / f"{beside}.py").write_text("SCALE = 1\n")
    named = {"objective": f"{own}/own.py:Own", "max_steps": 1}
    trainer(tmp_path / "run", **named).train()
    file = own / (beside + ".py" if edited == "beside_it.py" else edited)
    file.write_text(file.read_text() + "# edited\n")
    with pytest.raises(OutputError, match="is of other objective source"):
        trainer(tmp_path / "run", **named).train(resume_from_checkpoint=True)


def test_checkpoints_without_the_optimizer_are_not_gone_on_with(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trainer(tmp_path, save_only_model=True, max_steps=1).train()
    assert "no run can go on from these checkpoints" in capfd.readouterr().out
    with pytest.raises(OutputError, match=r"checkpoint-1 holds no optimizer's state \(--save_only"):
        trainer(tmp_path).train(resume_from_checkpoint=True)


def test_questions_may_not_begin_anew(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ignore_data_skip must be false"):
        RLSCConfig(output_dir=str(tmp_path), ignore_data_skip=True)


# A notebook, in which a cell is run twice.


def records(folder: Path) -> list[Any]:
    return read_jsonl(folder / "metrics.jsonl")


def test_a_second_train_never_counts_a_tuned_model_as_untrained(tmp_path: Path) -> None:
    model = tiny_model()
    first = trainer(tmp_path, model, save_strategy="no")
    first.train()
    kept, tuned = records(tmp_path), torch.cat([p.flatten() for p in model.parameters()])
    said = "no longer the one that the run in .* began with: for another run load it anew and"
    for again in (first, trainer(tmp_path, model, save_strategy="no")):
        for resume in (None, True):  # there is no checkpoint to go on from
            with pytest.raises(OutputError, match=f"{said} choose another output_dir$"):
                again.train(resume_from_checkpoint=resume)
    assert records(tmp_path) == kept
    assert torch.equal(torch.cat([p.flatten() for p in model.parameters()]), tuned)


def test_more_steps_go_on_from_the_checkpoint(tmp_path: Path) -> None:
    run = trainer(tmp_path, max_steps=1)
    with pytest.raises(OutputError, match=r"no checkpoint at .*checkpoint-7: True goes on from"):
        run.train(resume_from_checkpoint=str(tmp_path / "checkpoint-7"))
    run.train()
    with pytest.raises(OutputError, match=r"for more steps raise max_steps and call train\(resume"):
        run.train()
    run.args.max_steps = 2
    assert run.train(resume_from_checkpoint=True).global_step == 2
    assert [row["step"] for row in records(tmp_path)] == [0, 1]


def test_a_fresh_model_into_a_folder_with_records(tmp_path: Path) -> None:
    """Going on is advised only where there is something to go on from."""
    trainer(tmp_path, save_strategy="no", max_steps=1).train()
    with pytest.raises(OutputError, match=r"records of a run: choose another output_dir$"):
        trainer(tmp_path, save_strategy="no", max_steps=1).train()
    trainer(tmp_path, max_steps=1).train(resume_from_checkpoint=True)  # afresh, to the same end
    with pytest.raises(OutputError, match=r"another output_dir, or go on with train\(resume_from"):
        trainer(tmp_path, max_steps=1).train()


@pytest.mark.skipif(os.name == "nt", reason="locked by flock")
def test_a_folder_that_another_run_has_is_refused(tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "run.lock").write_text("process 7 on elsewhere\n")
    with (tmp_path / "run.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match=r"in use by another run \(process 7 on elsewhere\)"):
            trainer(tmp_path, max_steps=1).train()
        assert {path.name for path in tmp_path.iterdir()} == {"run.lock"}
    trainer(tmp_path, max_steps=1).train()
