"""Environments by name: the registered one, a user's own with its settings, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlsc.config.run import RunConfig
from rlsc.environments.dataset import DatasetEnvironment
from rlsc.environments.registry import create_environment
from rlsc.errors import ConfigError

OWN = """
from dataclasses import dataclass
from rlsc.environments.base import Environment

@dataclass
class Game(Environment):
    rounds: int = 2

    def play(self, step, seed, rows):
        return []
        yield
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_game.py"
    path.write_text(OWN, "utf-8")
    return path


def run(**settings: object) -> RunConfig:
    return RunConfig(questions="arithmetic", **settings)  # type: ignore[arg-type]


def test_a_data_set_is_the_default_with_the_runs_siblings() -> None:
    assert create_environment(run(), 7) == DatasetEnvironment(7)


def test_a_users_own_has_settings_of_its_own(file: Path) -> None:
    name = f"{file}:Game"
    assert create_environment(run(environment=name), 7).rounds == 2  # type: ignore[attr-defined]
    made = create_environment(run(environment=name, environment_settings={"rounds": 5}), 7)
    assert made.rounds == 5  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("arz", {}, "environment must be one of dataset, azr, spc, or FILE.py:Class"),
        ("nowhere.py:Game", {}, "no such file"),
        ("FILE:Environment2", {}, "has no attribute"),
        ("FILE:dataclass", {}, "must be a subclass of rlsc.Environment"),
        ("FILE:Game", {"round": 1}, "round is no setting of environment .*did you mean rounds"),
        ("FILE:Game", {"rounds": "many"}, "rounds must be a whole number, not 'many'"),
        ("dataset", {"k": 1}, "k is no setting of environment dataset"),
    ],
)
def test_what_cannot_work_is_said_in_a_line(
    file: Path, name: str, settings: dict[str, object], message: str
) -> None:
    name = name.replace("FILE", str(file))
    with pytest.raises(ConfigError, match=message) as caught:
        create_environment(run(environment=name, environment_settings=settings), 2)
    assert "\n" not in str(caught.value)
