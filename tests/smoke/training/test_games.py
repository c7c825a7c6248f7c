"""Games: begun once, resumed where they stood, examined, and refused what has no meaning there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rlsc import RLSCTrainer
from rlsc.commands.main import _main
from rlsc.errors import ConfigError, OutputError
from rlsc.records.jsonl import read_jsonl
from rlsc.records.results import TrainingResults, read_results_of
from rlsc.records.run_folder import TrainingFolder
from rlsc.types import AnswerKey
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.objectives.test_objectives import Forbidden
from tests.smoke.training.count_up import CountUp, Quiet, Tuples, texts
from tests.smoke.training.test_trainer import completions, config, weights

FILE = Path(__file__).with_name("count_up.py")
PLAIN = {"per_device_train_batch_size": 8, "num_generations": 16}


def trainer(folder: Path, environment: CountUp | None = None, **changes: Any) -> RLSCTrainer:
    given = {"answer_key": changes.pop("answer_key", None)}
    settings = {"objective": "trr", "temperature": 1.0, "guard": "off", **PLAIN} | changes
    return RLSCTrainer(
        model=tiny_model(),
        args=config(folder, **settings),
        processing_class=tiny_tokenizer(),
        environment=environment or CountUp(),
        **given,
    )


def same_game(ours: tuple[Path, RLSCTrainer], theirs: tuple[Path, RLSCTrainer]) -> None:
    """To the bit: tasks.jsonl, completions, weights, what was examined, the game's state."""
    (folder, run), (other, another) = ours, theirs
    assert (folder / "tasks.jsonl").read_bytes() == (other / "tasks.jsonl").read_bytes()
    assert completions(folder) == completions(other)
    assert torch.equal(weights(run), weights(another))
    assert run.kept.examined == another.kept.examined
    assert sorted(run.kept.examined) == [0, 2, 4]
    assert run.environment.state() == another.environment.state()


def cut_and_whole(make: Callable[..., RLSCTrainer], folder: Path) -> Path:
    """The folder of a run of four steps, which one cut after two has gone on to be."""
    whole, cut = folder / "whole", folder / "cut"
    run = make(whole)
    run.train()
    make(cut, max_steps=2).train()
    resumed = make(cut)
    resumed.train(resume_from_checkpoint=True)
    same_game((cut, resumed), (whole, run))
    return whole


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RLSCTrainer]:
    """Four steps, examined before, in the middle and after; answers may not be looked at."""
    folder = tmp_path_factory.mktemp("games") / "whole"
    run = trainer(folder, eval_steps=2, answer_key=Forbidden({}))
    run.train()
    return folder, run


def test_a_game_is_begun_once_and_grows(whole: tuple[Path, RLSCTrainer]) -> None:
    folder, run = whole
    tasks = read_jsonl(folder / "tasks.jsonl")
    assert [row["step"] for row in tasks] == [-1, -1, 0, 1, 2, 3]
    assert texts(tasks) == run.environment.state()["sums"]
    metrics = read_jsonl(folder / "metrics.jsonl")
    assert [row["count/sums"] for row in metrics] == [3, 4, 5, 6]
    rows = read_jsonl(folder / "completions" / "3.jsonl")
    assert [row["pool"] for row in rows] == ["name"] * 2 + ["solve"] * 4
    assert [row["reward"] for row in rows[:2]] == [1, 0]
    assert [row["reward"] for row in rows[2:]] == [len(row["text"]) for row in rows[2:]]
    assert run.environment.closed == 1
    assert {step: figures["probe/sums"] for step, figures in run.kept.examined.items()} == {
        0: 2,
        2: 4,
        4: 6,
    }


def test_a_game_that_goes_on_is_the_uninterrupted_one(
    whole: tuple[Path, RLSCTrainer], tmp_path: Path
) -> None:
    trainer(tmp_path, eval_steps=2, max_steps=3).train()  # a step past the checkpoint
    (tmp_path / "checkpoint-3").rename(tmp_path / "away")
    resumed = trainer(tmp_path, eval_steps=2)
    resumed.train(resume_from_checkpoint=True)
    same_game((tmp_path, resumed), whole)


def test_a_fresh_run_drops_what_one_that_died_has_left(tmp_path: Path) -> None:
    (tmp_path / "tasks.jsonl").write_text('{"step": -1, "text": "of another"}\n')
    trainer(tmp_path, max_steps=1).train()
    assert "of another" not in texts(read_jsonl(tmp_path / "tasks.jsonl"))


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (None, OutputError, "has no state of environment CountUp"),
        ({"version": 0}, OutputError, "not of this version's environment CountUp"),
        ({"state": {"sums": ["forbidden"]}}, ConfigError, "cannot go on from here"),
    ],
)
def test_a_checkpoint_that_cannot_be_gone_on_with(
    whole: tuple[Path, RLSCTrainer], tmp_path: Path, content: Any, error: type, said: str
) -> None:
    checkpoint = tmp_path / "checkpoint-2"
    checkpoint.mkdir()
    if content is not None:
        stored = json.loads((whole[0] / "checkpoint-4" / "environment.json").read_text())
        (checkpoint / "environment.json").write_text(json.dumps(stored | content))
    run = trainer(tmp_path)
    run.state.global_step = 2
    with pytest.raises(error, match=said):
        run.kept.on_train_begin(run.args, run.state, run.control)


def test_a_state_that_json_would_change_is_refused_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Tuples.state\(\) is another one once it was JSON"):
        trainer(tmp_path, Tuples()).train()
    assert not read_jsonl(tmp_path / "metrics.jsonl")


def test_a_step_counts_all_tokens_of_its_completions(tmp_path: Path) -> None:
    run = trainer(tmp_path, max_steps=1)
    run.sampler.begin(run.environment, run.progress.aside)
    rollout = run.sampler.collect(run.environment, 0, [])
    batch = run.update.cut(rollout.groups, run._weigh(0, rollout, {}))
    lengths = [len(c.token_ids) for pool in rollout.pools for c in pool.completions]
    assert (batch.divisor, batch.mean_length) == (len(lengths), sum(lengths) / len(lengths))


def test_a_divergence_goes_with_an_environments_rewards(tmp_path: Path) -> None:
    """Its reference is read in the loss, and none of the texts."""
    free, held = (
        trainer(tmp_path / str(beta), max_steps=2, beta=beta, learning_rate=1e-2)
        for beta in (0.0, 1.0)
    )
    for run in (free, held):
        run.train()
    assert (free.auxiliary.reference is None, held.auxiliary.reference is None) == (True, False)
    assert not torch.equal(weights(free), weights(held))


def test_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="CountUp makes its own prompts: leave train_dataset"):
        RLSCTrainer(
            tiny_model(),
            config(tmp_path, objective="trr", **PLAIN),
            [{"prompt": "1 + 1"}],
            tiny_tokenizer(),
            environment=CountUp(),
            answer_key=AnswerKey({}),
        )


def test_a_game_without_questions_for_the_guard_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trainer(tmp_path / "off", guard="observe")
    assert run.guard is None
    assert "no guard: it sees a game by --guard_questions alone" in capsys.readouterr().out
    probed = RLSCTrainer(
        tiny_model(),
        config(tmp_path / "on", objective="trr", max_steps=2, guard_probe_size=1, **PLAIN),
        None,
        tiny_tokenizer(),
        environment=CountUp(),
        probe_dataset=[{"prompt": "1 + 2 ="}],
    )
    probed.train()
    assert "guard/support" in read_jsonl(tmp_path / "on" / "metrics.jsonl")[0]


# By the command line.


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model(max_position_embeddings=512).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


GAME = f"--environment {FILE}:CountUp --objective trr"
REFUSED = {
    f"{GAME} --questions arithmetic": "makes its own questions: leave --questions out",
    f"{GAME} --max_steps -1 --num_train_epochs 1": "max_steps -1 counts passes over questions",
    f"{GAME} --num_generations 4": "num_generations 4 is of plain questions",
    f"{GAME} --per_device_train_batch_size 2": "per_device_train_batch_size 2 is of plain",
    f"{GAME} --guard stop": "guard stop sees nothing of a game: name --guard_questions",
    f"{GAME} --guard stop --guard_questions arithmetic --guard_probe_size 0": "guard stop sees",
    f"{GAME} --train_generations 2": "--train_generations and environment CountUp",
    f"{GAME} --rollout_policy base": "--rollout_policy base and environment CountUp",
    f"{GAME} --skip_unanimous true": "--skip_unanimous and environment CountUp",
    f"{GAME} --entropy_floor 0.1": "--entropy_floor and environment CountUp",
    f"{GAME} --mask_truncated_completions true": "--mask_truncated_completions and environment",
    **{
        f"--environment {FILE}:CountUp --objective {name}": f"which objective {name} does not read"
        for name in ("rlsc", "ttrl", "grpo", "ppo", "dpo", "inverse_majority", "kl")
    },
    **{
        f"--environment {FILE}:CountUp --objective trr,{name}": f"trr,{name} needs {need}"
        for name, need in (("grpo", "labels"), ("ttrl", "answers"), ("ppo", "labels"))
    },
    f"--environment {FILE}:Quiet --objective grpo": "objective grpo needs labels",
    "--environment dataset --questions arithmetic --objective trr": "objective trr needs the "
    "environment's rewards, and DatasetEnvironment gives none",
    f"{GAME} --environment_settings answers=1": "answers must be 2 or more, not 1",
    f"{GAME} --environment_settings answer=2": "did you mean answers?",
}


@pytest.mark.parametrize("flags", REFUSED)
def test_what_has_no_meaning_in_a_game_is_said_before_a_model_is_loaded(
    flags: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", "--model", str(tmp_path / "no model"), "--output_dir", str(tmp_path / "run")]
    assert _main([*argv, *flags.split()]) == 2
    error = capsys.readouterr().err
    assert REFUSED[flags] in " ".join(error.split())
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("objective", ["random", "constant"])
def test_controls_that_see_nothing_go_with_a_game(tmp_path: Path, objective: str) -> None:
    trainer(tmp_path, objective=objective, max_steps=1).train()
    assert (tmp_path / "checkpoint-1" / "environment.json").exists()


def test_a_game_is_trained_and_reported_from_the_command_line(model: Path, tmp_path: Path) -> None:
    argv = (
        f"train {GAME} --model {model} --output_dir {tmp_path / 'run'} --bf16 false --save_steps 1"
    )
    argv += " --max_completion_length 6 --disable_tqdm true --eval_steps 1 --save_model false"
    assert _main([*argv.split(), "--max_steps", "1"]) == 0
    assert _main([*argv.split(), "--max_steps", "2", "--resume"]) == 0
    found = read_results_of(TrainingResults, tmp_path / "run")
    assert (found.training_questions, found.evaluation, found.guard) == (0, None, None)
    assert {step: figures["probe/sums"] for step, figures in found.examined.items()} == {
        0: 2,
        1: 3,
        2: 4,
    }
    page = (tmp_path / "run" / "report.md").read_text("utf-8")
    assert f"trr on {FILE}:CountUp" in page
    assert f"made by the game: environment {FILE}:CountUp" in page
    folder = TrainingFolder(tmp_path / "run")
    folder._clear()
    assert not (tmp_path / "run" / "tasks.jsonl").exists()


def test_a_dry_run_shows_a_prompt_of_each_role(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = f"train {GAME} --model {model} --output_dir {tmp_path / 'run'} --dry_run"
    argv += " --max_completion_length 6 --environment_settings answers=3"
    assert _main(argv.split()) == 0
    said = capsys.readouterr().out
    assert "name (7 tokens): '12 + 12'" in said
    assert "solve (14 tokens): '12 + 12 = 24 ='" in said
    assert "at most 8 completions × 6 tokens, of which 8 are trained on; 6 sampled" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_game_that_says_nothing_beforehand_is_planned_as_questions(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = f"train --environment {FILE}:Quiet --objective trr --model {model} --dry_run"
    argv += f" --max_completion_length 6 --output_dir {tmp_path / 'run'}"
    assert _main(argv.split()) == 0
    said = capsys.readouterr().out
    assert "the environment does not say how much it samples" in said
    assert Quiet().bounds() is None


def test_a_prompt_that_leaves_no_room_is_said_by_a_dry_run(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = f"train {GAME} --model {model} --dry_run --max_completion_length 500"
    assert _main([*argv.split(), "--output_dir", str(tmp_path / "run")]) == 2
    assert "its prompt has 14 tokens" in capsys.readouterr().err
