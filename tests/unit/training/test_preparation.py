"""Rows in Python made ready for training: ids, prompts, preference pairs."""

from __future__ import annotations

from typing import Any

import pytest

from rlsc import RLSCConfig
from rlsc.data import rows_of
from rlsc.environments.spc.environment import SPC
from rlsc.errors import ConfigError, QuestionError
from rlsc.objectives import create_objective
from rlsc.objectives.task_relative import TaskRelative
from rlsc.training.preparation import check_environment, examples_of, given_pairs
from rlsc.types import Example, Prompt
from tests.conftest import tiny_model, tiny_tokenizer


def read(*rows: dict[str, Any]) -> list[Example]:
    return examples_of(rows_of(rows, "train_dataset"))


def test_rows_without_an_id_have_their_number() -> None:
    """A column of None is as none: no two rows share a random stream, a pair or an answer."""
    rows: list[dict[str, Any]] = [
        {"id": None, "prompt": f"What is {n}?", "chosen": f"{n}", "rejected": "?"} for n in "012"
    ]
    rows.append({"id": float("nan"), "prompt": "What is 3?", "chosen": "3", "rejected": "?"})
    examples = read(*rows)
    assert [example.id for example in examples] == ["0", "1", "2", "3"]
    model = tiny_model()
    engine = given_pairs(examples, rows_of(rows, "train_dataset"), model, tiny_tokenizer(), 8)
    prompts = [Prompt(example.id, str(example.prompt), (1,)) for example in examples]
    groups = engine.generate(prompts, 2, None, [0] * 4)  # type: ignore[arg-type]
    assert [[c.text for c in group.completions] for group in groups] == [[n, "?"] for n in "0123"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"prompt": "1?", "id": 7}, {"prompt": "2?", "id": "7"}],
            "row 1: the id '7' is used twice",
        ),
        ([{"prompt": "1?", "id": "1"}, {"prompt": "2?"}], "row 1: .*have their number"),
        ([{"prompt": "1?", "id": {"a": 1}}], "row 0: the id {'a': 1} is neither text nor"),
        ([{"prompt": "1?", "id": ""}], "row 0: the id is empty"),
        ([{"question": "1?"}], r"row 0 has no 'prompt' \(it has question\)"),
        ([{"prompt": None}], "row 0 has no 'prompt'"),
        ([{"prompt": 7}], "row 0: its prompt is 7: it must be text, or a list of messages"),
        ([{"prompt": " "}], "row 0: its prompt is empty"),
        ([{"prompt": []}], r"row 0: its prompt is \[\]"),
        ([{"prompt": ["1?"]}], r"row 0: its prompt, message 0 is '1\?'"),
        ([{"prompt": [{"role": "user"}]}], "message 0: its content is None, not text"),
        ([{"prompt": [{"role": "user", "content": 7}]}], "message 0: its content is 7"),
        (
            [{"prompt": [{"role": "user", "content": [{"type": "image", "image": "x"}]}]}],
            "message 0: a part of its content is 'image': only text can be read",
        ),
    ],
)
def test_a_row_that_cannot_be_asked_is_named_in_a_line(rows: Any, message: str) -> None:
    with pytest.raises(QuestionError, match="train_dataset .*" + message) as caught:
        read(*rows)
    assert "\n" not in str(caught.value)


def test_parts_of_a_content_are_its_text() -> None:
    parts = [{"type": "text", "text": "What "}, {"type": "text", "text": "is 1?", "extra": None}]
    (example,) = read({"prompt": [{"role": "user", "content": parts, "name": None}]})
    assert example.prompt == [{"role": "user", "content": "What is 1?"}]


def check_solutions(roles: str, **settings: Any) -> None:
    args = RLSCConfig(output_dir="x", **({"objective": "trr"} | settings))
    solver = "base" if roles == "adapters" else "current"
    game = SPC(source="solutions", roles=roles, solver=solver)
    check_environment(game, create_objective(args), args)


@pytest.mark.parametrize("roles", ["shared", "adapters"])
def test_a_game_of_questions_counts_steps_as_they_do(roles: str) -> None:
    """It plays the loader's rows, so their number and passes over them have a meaning."""
    check_solutions(roles)
    check_solutions(roles, per_device_train_batch_size=2, max_steps=-1, num_train_epochs=1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_generations": 8}, "num_generations 8 is of plain questions"),
        ({"objective": "trr,grpo"}, "trr,grpo needs labels, which completions of env"),
        ({"objective": "trr,ttrl"}, "trr,ttrl needs answers"),
    ],
)
def test_what_a_game_of_questions_has_no_use_for(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_solutions("shared", **settings)


def test_adapters_of_a_game_of_questions_are_not_weighed_by_one_policy() -> None:
    class Referred(TaskRelative):
        weights_need = frozenset({"environment", "reference"})

    args = RLSCConfig(output_dir="x", objective="trr")
    check_environment(SPC(source="solutions"), Referred(), args)
    game = SPC(source="solutions", roles="adapters", solver="base")
    with pytest.raises(ConfigError, match="looks at all completions with one policy"):
        check_environment(game, Referred(), args)


def test_a_game_of_questions_is_played_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said with the other settings, before a model is loaded."""
    monkeypatch.setattr(RLSCConfig, "world_size", 2)
    with pytest.raises(ConfigError, match="SPC is played in one process, not 2"):
        check_solutions("shared")
