"""A supervised start of a game: resumed on both sides of its end, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rlsc import RLSCTrainer
from rlsc.commands.main import _main
from rlsc.config import SupervisedArguments
from rlsc.errors import ConfigError, QuestionError
from rlsc.records.jsonl import read_jsonl
from rlsc.training.supervised import SupervisedStart, supervised_groups, supervised_rows
from tests.ascii_model import save_ascii_model
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.conftest import write_jsonl
from tests.smoke.training.count_up import CountUp, texts
from tests.smoke.training.test_games import trainer
from tests.smoke.training.test_trainer import completions, config, weights
from tests.smoke.training.test_trainer import trainer as of_questions

ROWS = [{"prompt": f"{n} + 1 =", "completion": f" {n + 1}"} for n in range(5)]
ROWS += [{"prompt": [{"role": "user", "content": "1 + 1?"}], "completion": "2"}]
ROWS += [{"prompt": "3 =", "completion": "3", "stop": "="}]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("rows") / "rows.jsonl", ROWS)


def started(folder: Path, file: Path, steps: int, **changes: Any) -> RLSCTrainer:
    settings = {"sft_rows": str(file), "sft_steps": steps, "sft_batch_size": 3, "eval_steps": 4}
    return trainer(folder, **settings | changes)


@pytest.mark.parametrize("steps", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_a_run_goes_on_over_the_border(file: Path, tmp_path: Path, steps: int) -> None:
    """Cut after two of four steps, of which two or three are given: to the bit the whole one."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run = started(whole, file, steps)
    run.train()
    started(cut, file, steps, max_steps=3).train()
    (cut / "checkpoint-3").rename(tmp_path / "away")  # it died a step past the checkpoint
    resumed = started(cut, file, steps)
    resumed.train(resume_from_checkpoint=True)
    assert torch.equal(weights(resumed), weights(run))
    assert completions(cut) == completions(whole)
    assert (cut / "tasks.jsonl").read_bytes() == (whole / "tasks.jsonl").read_bytes()
    assert resumed.kept.examined == run.kept.examined
    assert sorted(run.kept.examined) == [0, steps, 4]
    # The game begins when the start is over, with the policy that it has made.
    tasks = read_jsonl(whole / "tasks.jsonl")
    assert [row["step"] for row in tasks] == [-1, -1, *range(steps, 4)]
    assert texts(tasks) == run.environment.state()["sums"]
    assert run.kept.examined[0]["probe/sums"] == 0
    metrics = read_jsonl(whole / "metrics.jsonl")
    assert [row.get("supervised") for row in metrics] == [1.0] * steps + [None] * (4 - steps)
    asked = [row["prompt"] for row in read_jsonl(whole / "completions" / "0.jsonl")]
    assert len(asked) == 3
    assert set(asked) <= {group.prompt.text for group in run.supervised._groups}


def test_the_loss_of_a_step_is_that_of_its_rows(file: Path, tmp_path: Path) -> None:
    """By the model's own logits: tokens of the completion and what ends it, none of the prompt."""
    started(tmp_path, file, 1, max_steps=1, save_strategy="no").train()
    (logged,) = read_jsonl(tmp_path / "metrics.jsonl")
    model, nll = tiny_model(), []
    for row in read_jsonl(tmp_path / "completions" / "0.jsonl"):
        prompt, ids = row["prompt_token_ids"], row["completion_token_ids"]
        logits = model(torch.tensor([[*prompt, *ids]])).logits[0].double()
        logps = logits.log_softmax(-1)[len(prompt) - 1 : -1]
        nll.append(-float(logps.gather(1, torch.tensor(ids)[:, None]).sum()))
    assert len(nll) == 3
    assert logged["loss"] == pytest.approx(sum(nll) / 3, rel=1e-5)


def test_the_order_of_a_pass_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 3 of 7 rows, over the border of two passes; a step by itself, as on a resume."""
    drawn: list[int] = []
    order = SupervisedStart._order
    monkeypatch.setattr(SupervisedStart, "_order", lambda *of: (drawn.append(of[1]), order(*of))[1])
    given: Any = (list(range(7)), {}, *[None] * 4)

    def start() -> SupervisedStart:
        args: Any = SimpleNamespace(seed=3, sft_batch_size=3)
        return SupervisedStart(args, *given)

    rows = [of for first in [start()] for step in range(7) for of in first.groups_of(step)]
    assert drawn == [0, 1, 2]
    passes = [rows[at : at + 7] for at in (0, 7, 14)]
    assert all(sorted(one) == list(range(7)) for one in passes)
    assert len(set(map(tuple, passes))) == 3
    for step in (5, 2):
        assert start().groups_of(step) == rows[3 * step : 3 * step + 3]


def test_what_ends_a_completion(file: Path, tmp_path: Path) -> None:
    """The end of a text, of a turn, or the row's own stop, which is then its last token."""
    args = config(tmp_path, sft_rows=str(file), sft_steps=1)
    tokenizer = tiny_tokenizer()
    groups = supervised_groups(supervised_rows(args, CountUp()), tiny_model(), tokenizer, args)
    ids = [group.completions[0].token_ids for group in groups]
    (stop,) = tokenizer("=", add_special_tokens=False)["input_ids"]
    assert [one[-1] for one in ids] == [0] * 6 + [stop]
    assert tokenizer.decode(ids[0][:-1]) == " 1"
    assert tokenizer.decode(ids[6]) == "3="


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"prompt": "1"}], "line 1 has no 'completion' (it has prompt)"),
        ([ROWS[0], {"completion": "1"}], "line 2 has no 'prompt'"),
        ([{"prompt": "1", "completion": " "}], "line 1: its completion is empty"),
        ([{"prompt": 3, "completion": "1"}], "line 1: its prompt is 3"),
        ([ROWS[0] | {"stop": 5}], "line 1: its stop is 5, not text"),
        ([ROWS[0] | {"id": 1}, ROWS[1] | {"id": 1}], "the id '1' is used twice"),
        ([ROWS[0] | {"completion": "1" * 9}], "line 1: its completion has 10 tokens: raise"),
        ([{"prompt": "1" * 250, "completion": "1" * 7}], "line 1: prompt and completion have 258"),
    ],
)
def test_bad_rows_are_a_line(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    args = config(tmp_path, sft_rows=str(write_jsonl(tmp_path / "a.jsonl", rows)), sft_steps=1)

    def read() -> None:
        found = supervised_rows(args, CountUp())
        supervised_groups(found, tiny_model(), tiny_tokenizer(), args)

    with pytest.raises(QuestionError) as raised:
        read()
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sft_rows": "x.jsonl"}, "sft_rows and sft_steps belong together"),
        ({"sft_steps": 2}, "sft_rows and sft_steps belong together"),
        ({"sft_batch_size": 2}, "sft_batch_size is of --sft_rows"),
        ({"sft_rows": "x.jsonl", "sft_steps": 5}, "the first of max_steps 4"),
        (
            {"sft_rows": "x.jsonl", "sft_steps": 1, "num_iterations": 2},
            "must be a multiple of num_iterations 2",
        ),
    ],
)
def test_settings_that_do_not_fit_together(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        config(tmp_path, **settings)


def test_where_there_is_nothing_to_begin(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="CountUp writes none of its own: name a file"):
        started(tmp_path, Path("environment"), 1)
    with pytest.raises(ConfigError, match="environment DatasetEnvironment asks questions"):
        of_questions(tmp_path, sft_rows=str(file), sft_steps=1)


def test_the_command_line_begins_by_the_game_s_own_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "rlsc.environments.spc.prompts._rendered", lambda role, *of: f"{role} {of}:"
    )
    model = save_ascii_model(tmp_path / "tiny")
    flags = f"train --model {model} --environment spc --objective trr --max_steps 1 --guard off"
    flags += " --max_completion_length 24 --eval none --bf16 false --disable_tqdm --sft_steps 1"
    flags += " --environment_settings sft_places=2,held_out=1,exploit_places=0 --no_save_model"
    out = ["--output_dir", str(tmp_path / "run"), "--save_strategy", "no"]
    argv = [*flags.split(), *out, "--sft_rows"]
    assert _main([*argv, "environment", "--dry_run"]) == 0
    assert _main([*argv, "environment"]) == 0, capsys.readouterr().err
    (row,) = read_jsonl(tmp_path / "run" / "metrics.jsonl")
    assert row["supervised"] == 1
    assert math.isfinite(row["loss"])
    said = read_jsonl(tmp_path / "run" / "completions" / "0.jsonl")
    assert len(said) == SupervisedArguments().sft_batch_size  # several passes over six rows
    assert {" Correct", " Incorrect"} < {one["text"] for one in said}
    examined = json.loads((tmp_path / "run" / "results.json").read_text())["examined"]
    assert sorted(examined) == ["0", "1"]
    (tmp_path / "rows.jsonl").write_text('{"prompt": "1"}\n')
    capsys.readouterr()
    for more in ([], ["--dry_run"]):
        assert _main([*argv, str(tmp_path / "rows.jsonl"), *more, "--overwrite"]) == 2
        error = capsys.readouterr().err
        assert "rows.jsonl, line 1 has no 'completion'" in error
        assert len(error.splitlines()) == 1
