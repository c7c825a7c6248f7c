"""Whole runs with an environment of one's own, on a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rlsc import RLSCTrainer
from rlsc.engines import Engine, ScriptedEngine
from rlsc.environments.base import Environment, Play
from rlsc.errors import ConfigError
from rlsc.objectives import Objective
from rlsc.objectives.grpo import GRPO
from rlsc.records.jsonl import read_jsonl
from rlsc.types import AnswerKey, Ask, Completion, Pool
from tests.conftest import tiny_model, tiny_tokenizer
from tests.invariant.training.test_grpo_pools import GameReward
from tests.smoke.training.test_trainer import CHATS, config, weights

ROWS = [{"id": f"q{index}", "prompt": chat} for index, chat in enumerate(CHATS)]
WRONG = ("it is 2", "dunno")


def scripted() -> Engine:
    """Of each question another share is right: none to three of four."""
    tokenizer, script = tiny_tokenizer(), {}
    for index, row in enumerate(ROWS):
        texts = ["it is 1" if k < index % 4 else WRONG[k % 2] for k in range(4)]
        ids = [(*tokenizer(text, add_special_tokens=False)["input_ids"], 0) for text in texts]
        pairs = zip(texts, ids, strict=True)
        script[row["id"]] = [Completion(t, i, (-0.5,) * len(i), "stop") for t, i in pairs]
    return ScriptedEngine(script)


def trainer(folder: Path, environment: Environment | None, **changes: object) -> RLSCTrainer:
    objective: Objective = GRPO() if environment is None else GameReward()
    given = {"objective": objective, "engine": scripted()} | {
        name: changes.pop(name) for name in ("objective", "engine") if name in changes
    }
    return RLSCTrainer(
        model=tiny_model(),
        args=config(folder, max_completion_length=12, **changes),
        train_dataset=ROWS,
        processing_class=tiny_tokenizer(),
        answer_key=AnswerKey({row["id"]: "1" for row in ROWS}),
        environment=environment,
        **given,
    )


class Quiz(Environment):
    """Asks the rows' questions, and judges the answers itself."""

    def __init__(self, together: bool) -> None:
        self.together, self.right = together, 0

    def play(self, step, seed, rows) -> Play:
        groups = yield [Ask(row.id, row.prompt, 4) for row in rows]
        rewards = [[float("1" in c.text) for c in group.completions] for group in groups]
        self.right = sum(map(sum, rewards))
        if self.together:
            return [Pool("quiz", groups, rewards)]
        pairs = zip(groups, rewards, strict=True)
        return [Pool(group.prompt.id, [group], [reward]) for group, reward in pairs]

    def metrics(self) -> dict[str, float]:
        return {"quiz/right": self.right}


def test_a_pool_for_each_question_trains_as_grpo_does_to_the_bit(tmp_path: Path) -> None:
    labelled = trainer(tmp_path / "grpo", None)
    judged = trainer(tmp_path / "alone", Quiz(together=False))
    pooled = trainer(tmp_path / "together", Quiz(together=True))
    for run in (labelled, judged, pooled):
        run.train()
    assert torch.equal(weights(judged), weights(labelled))
    for step in range(4):
        alone, grpo = (
            read_jsonl(tmp_path / name / "completions" / f"{step}.jsonl")
            for name in ("alone", "grpo")
        )
        assert alone == [
            {**row, "pool": row["id"], "reward": float("1" in row["text"])} for row in grpo
        ]
    assert not torch.equal(weights(pooled), weights(labelled))
    rows = read_jsonl(tmp_path / "together" / "completions" / "0.jsonl")
    assert sum(row["weight"] for row in rows) == pytest.approx(0, abs=1e-6)  # float32
    assert [sum(row["weight"] for row in rows[at : at + 4]) for at in (0, 4, 8)] != [0, 0, 0]
    metrics = read_jsonl(tmp_path / "together" / "metrics.jsonl")
    assert metrics[0]["quiz/right"] == 12 * metrics[0]["reward"]


class Declared(Quiz):
    """Says that it gives no rewards, as the data set does."""

    gives_rewards = False


class Unjudged(Declared):
    def play(self, step, seed, rows) -> Play:
        groups = yield [Ask(row.id, row.prompt, 4) for row in rows]
        if self.together:
            return [Pool("quiz", groups)]
        return [Pool(group.prompt.id, [group]) for group in groups]


@pytest.mark.parametrize(
    ("environment", "changes", "said"),
    [
        (Quiz(together=False), {"objective": GRPO()}, "Quiz gives rewards, which objective"),
        (
            Declared(together=False),
            {"objective": GRPO(), "skip_unanimous": True},
            "Declared gives rewards, which objective",
        ),
        (
            Unjudged(together=True),
            {"objective": GRPO(), "entropy_floor": 0.1},
            "--entropy_floor and pool 'quiz' of several questions exclude each other",
        ),
    ],
)
def test_pools_that_the_run_has_no_use_for_are_refused_at_the_first_step(
    tmp_path: Path, environment: Quiz, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        trainer(tmp_path, environment, **changes).train()
    assert read_jsonl(tmp_path / "metrics.jsonl") == []


def test_filters_are_for_pools_of_one_question_each_without_rewards(tmp_path: Path) -> None:
    changes: dict[str, object] = {"objective": GRPO(), "mask_truncated_completions": True}
    own = trainer(tmp_path / "own", Unjudged(together=False), **changes)
    plain = trainer(tmp_path / "plain", None, mask_truncated_completions=True)
    for run in (own, plain):
        run.train()
    assert torch.equal(weights(own), weights(plain))


def test_waves_follow_each_other_and_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    class Game(Environment):
        def play(self, step, seed, rows) -> Play:
            long = Ask("long", "1" * 125, n=2)
            first, none = yield [Ask("first", "1 + 1", n=2, max_new_tokens=3), long]
            assert none is None
            assert max(len(c.token_ids) for c in first.completions) <= 3
            (second,) = yield [Ask("second", "2 + 2" + first.completions[0].text, n=4)]
            rewards = [[float(len(c.text)) for c in g.completions] for g in (first, second)]
            return [Pool("first", [first], rewards[:1]), Pool("second", [second], rewards[1:])]

    run = trainer(tmp_path, Game(), engine=None, max_steps=2)
    run.train()
    rows = read_jsonl(tmp_path / "completions" / "1.jsonl")
    assert [row["id"] for row in rows] == ["first"] * 2 + ["second"] * 4
    assert [row["prompts_too_long"] for row in read_jsonl(tmp_path / "metrics.jsonl")] == [1, 1]


@pytest.mark.parametrize("declared", [True, False])
def test_the_model_before_training_is_asked_where_that_is_declared(
    tmp_path: Path, declared: bool
) -> None:
    said: list[tuple[str, str]] = []

    class Game(Environment):
        asks_base = declared

        def play(self, step, seed, rows) -> Play:
            base, policy = yield [Ask("base", "1 +", policy="base"), Ask("policy", "1 +", n=2)]
            (again,) = yield [Ask("again", "1 +", n=2)]
            said.append((base.completions[0].logps[0], policy.completions[0].logps[0]))
            rewards = [[0.0, 1.0]]
            return [Pool("policy", [policy], rewards), Pool("again", [again], rewards)]

    run = trainer(tmp_path, Game(), engine=None, temperature=1.0, learning_rate=0.1, guard="off")
    start = weights(run).clone()
    if not declared:
        with pytest.raises(ConfigError, match="set asks_base = True"):
            run.train()
        return
    run.train()
    assert not torch.equal(weights(run), start)
    assert run.auxiliary.reference is not None
    kept = torch.cat([p.flatten() for p in run.auxiliary.reference._model.parameters()])
    assert torch.equal(kept, start)
    assert len({policy for _, policy in said}) == 4  # it moves


def test_a_cap_above_the_runs_is_refused(tmp_path: Path) -> None:
    class Game(Environment):
        def play(self, step, seed, rows) -> Play:
            yield [Ask("a", "1", max_new_tokens=13)]
            return []

    with pytest.raises(ConfigError, match="asks 'a' for 13 new tokens"):
        trainer(tmp_path, Game(), engine=None).train()


def test_a_step_without_a_completion_is_refused(tmp_path: Path) -> None:
    class Game(Environment):
        def play(self, step, seed, rows) -> Play:
            yield []
            return []

    with pytest.raises(ConfigError, match="step 0: the environment gave no completion"):
        trainer(tmp_path, Game(), engine=None, guard="off").train()


def test_labels_of_a_question_that_is_not_in_the_data_set(tmp_path: Path) -> None:
    class Game(Environment):
        def play(self, step, seed, rows) -> Play:
            groups = yield [Ask("made up", "1 + 1", n=4)]
            return [Pool("made up", groups)]

    run = trainer(tmp_path, Game(), engine=None, objective=GRPO(), guard="off")
    with pytest.raises(ConfigError, match="'made up', which is no question of the data set"):
        run.train()
