"""The game of docs/your_environment.md: played with scripted texts, and trained as it says."""

from __future__ import annotations

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


def test_the_pages_game_is_played_in_two_waves(game: str) -> None:
    texts = {"name": ["I say 21", "none"], "double/0": ["42", "It is 42.", "21"]}

    def answer(asks: list[Ask]) -> list[CompletionGroup | None]:
        return [
            CompletionGroup(
                Prompt(ask.id, str(ask.prompt), (1,)),
                [Completion(t, (1,), (-0.1,), "stop") for t in texts.get(ask.id, ["14"] * ask.n)],
            )
            for ask in asks
        ]

    settings = Settings(f"{game}:DoubleIt", {"attempts": 3})
    environment = create_environment(settings, num_generations=8)
    first, second = drive(environment.play(0, 107, []), answer)
    assert (first.name, first.rewards) == ("double/0", [[1.0, 1.0, 0.0]])
    assert (second.name, second.rewards) == ("double/1", [[1.0, 1.0, 1.0]])  # 107 % 100 is 7
    assert environment.metrics() == {"double/right": pytest.approx(5 / 6)}


REFUSED = {
    "--objective GAME:Given": "needs the environment's rewards, and DatasetEnvironment gives none",
    "--objective GAME:Given --environment GAME:Told": "Told gives none",
    "--environment GAME:Says": "Says gives rewards, which objective rlsc does not read",
    "--objective GAME:Given --environment GAME:Says --skip_unanimous true": "which gives rewards",
    **{
        f"--objective GAME:Given --environment GAME:DoubleIt --{flag}": "and "
        "environment DoubleIt, which may give (its class does not say gives_rewards = False)"
        for flag in (
            *("train_generations 2", "skip_unanimous true", "entropy_floor 0.1"),
            *("mask_truncated_completions true", "rollout_policy base"),
        )
    },
}
MORE = """

class Told(DoubleIt):
    gives_rewards = False


class Says(DoubleIt):
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
    assert {row["id"] for row in rows} == {"double/0", "double/1"}
    assert len(rows) == 16
    assert all("double/right" in row for row in read_jsonl(tmp_path / "run" / "metrics.jsonl"))
