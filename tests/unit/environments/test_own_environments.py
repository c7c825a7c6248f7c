"""The game of docs/your_environment.md: played with scripted texts, and trained as it says."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rlsc.commands.main import _main
from rlsc.environments import create_environment, drive
from rlsc.records.jsonl import read_jsonl
from rlsc.types import Ask, Completion, CompletionGroup, Prompt
from tests.conftest import tiny_model, tiny_tokenizer

PAGE = Path(__file__).parents[3] / "docs" / "your_environment.md"


@pytest.fixture
def game(tmp_path: Path) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    file = tmp_path / "game.py"
    file.write_text(code)
    return str(file)


@dataclass
class Settings:
    environment: str
    environment_settings: dict[str, Any]
    sandbox: str | None = None


def test_the_pages_game_is_short(game: str) -> None:
    body = Path(game).read_text("utf-8").split("@dataclass")[1]
    assert len([line for line in body.splitlines() if line.strip()]) <= 30


def test_the_pages_game_is_played_in_two_turns(game: str) -> None:
    """In the first game the hint helps, in the second it makes the model lose its way."""
    environment = create_environment(Settings(f"{game}:GuessIt", {"games": 2, "largest": 9}), 8)
    hidden = [random.Random(n).randint(1, 9) for n in range(2)]
    texts = {"first/0": "I say 0", "second/0": f"So {hidden[0]}!", "first/1": f"{hidden[1]}"}
    waves: list[list[Ask]] = []

    def answer(asks: list[Ask]) -> list[CompletionGroup | None]:
        waves.append(asks)
        said = [texts.get(ask.id, "none") for ask in asks]
        return [
            CompletionGroup(
                Prompt(ask.id, str(ask.prompt), (1,)), [Completion(text, (1,), (-0.1,), "stop")]
            )
            for ask, text in zip(asks, said, strict=True)
        ]

    first, second = drive(environment.play(0, 0, []), answer)
    assert (first.rewards, second.rewards) == ([[1.0], [0.0]], [[1.0], [0.0]])
    assert [[ask.id for ask in wave] for wave in waves] == [
        ["first/0", "first/1"],
        ["second/0", "second/1"],
    ]
    talks = [ask.prompt for ask in waves[1]]
    assert [turn["content"] for turn in talks[0]] == [
        "Guess my number, 1 to 9.",
        "I say 0",
        "Higher. Guess again.",
    ]
    assert talks[1][-1]["content"] == "Not higher. Guess again."
    assert environment.metrics() == {"guess/right": 0.5}


REFUSED = {
    "--objective trr": "needs the environment's rewards, and DatasetEnvironment gives none",
    "--objective trr --environment GAME:Told": "Told gives none",
    "--environment GAME:Says": "Says gives rewards, which objective rlsc does not read",
    "--objective trr --environment GAME:Says --skip_unanimous true": "which gives rewards",
    **{
        f"--objective trr --environment GAME:Rows --{flag}": "and "
        "environment Rows, which may give (its class does not say gives_rewards = False)"
        for flag in (
            *("train_generations 2", "skip_unanimous true", "entropy_floor 0.1"),
            *("mask_truncated_completions true", "rollout_policy base"),
        )
    },
}
MORE = """

class Rows(GuessIt):
    needs_rows, gives_rewards = True, None


class Told(Rows):
    gives_rewards = False


class Says(Rows):
    gives_rewards = True
"""


@pytest.mark.parametrize("dry", [True, False])
@pytest.mark.parametrize("flags", REFUSED)
def test_what_excludes_each_other_is_said_before_a_model_is_loaded(
    game: str, tmp_path: Path, flags: str, dry: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with open(game, "a") as file:
        file.write(MORE)
    argv = ["train", "--questions", "arithmetic", "--model", str(tmp_path / "no model")]
    argv += ["--output_dir", str(tmp_path / "run"), *flags.replace("GAME", game).split()]
    assert _main([*argv, "--dry_run"] if dry else argv) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert REFUSED[flags] in said
    assert not (tmp_path / "run").exists()


def test_the_pages_command_trains(game: str, tmp_path: Path) -> None:
    command = re.findall(r"```sh\n(rlsc train .*?)```", PAGE.read_text("utf-8"), re.S)[0]
    flags = command.replace("\\\n", " ").replace("game.py", game).split()[1:]
    for name, value in (("--max_steps", "2"), ("--output_dir", str(tmp_path / "run"))):
        flags[flags.index(name) + 1] = value
    tiny_model(max_position_embeddings=512).save_pretrained(tmp_path / "model")
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    flags += ["--model", str(tmp_path / "model"), "--max_completion_length", "8", "--guard", "off"]
    assert _main([*flags, "--eval", "none", "--disable_tqdm", "true"]) == 0
    rows = read_jsonl(tmp_path / "run" / "completions" / "1.jsonl")
    assert {row["pool"] for row in rows} == {"turn 0", "turn 1"}
    assert len(rows) == 32
    assert all("guess/right" in row for row in read_jsonl(tmp_path / "run" / "metrics.jsonl"))
