"""Votes of others: a teacher that follows the policy, and paraphrases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback

from rlsc import RLSCTrainer
from rlsc.environments import Environment
from rlsc.errors import ConfigError, OutputError, QuestionError
from rlsc.objectives.co_rewarding import CoRewarding
from rlsc.records.jsonl import read_jsonl
from rlsc.types import Ask, Pool
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.training.test_trainer import CHATS, config, weights

SHARED = {"objective": "co_rewarding", "temperature": 1.0, "max_completion_length": 12}
ROWS = [
    {"id": str(n), "prompt": chat, "paraphrase": other}
    for n, (chat, other) in enumerate(zip(CHATS, [*CHATS[1:], CHATS[0]], strict=True))
]


def trainer(folder: Path, rows=ROWS, environment=None, **changes) -> RLSCTrainer:
    return RLSCTrainer(
        model=tiny_model(),
        args=config(folder, **(SHARED | {"weight_decay": 0.0} | changes)),
        train_dataset=rows,
        processing_class=tiny_tokenizer(),
        environment=environment,
    )


def own(run: RLSCTrainer) -> torch.Tensor:
    assert run.auxiliary.teacher is not None
    return torch.cat([part.flatten() for part in run.auxiliary.teacher._own.values()])


def trained(run: RLSCTrainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters() if p.requires_grad])


class Watch(TrainerCallback):
    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look

    def on_step_end(self, *args: object, **kwargs: object) -> None:
        self._look()


def test_the_teacher_follows_and_the_run_goes_on_to_the_bit(tmp_path: Path) -> None:
    shared = {"objective": "co_rewarding,sequence_entropy"}  # whose second part always moves it
    shared |= {"teacher_rate": 0.25, "learning_rate": 1e-2, "save_steps": 1, "max_steps": 2}
    whole = trainer(tmp_path / "whole", **shared)
    steps = [trained(whole).clone()]
    whole.add_callback(Watch(lambda: steps.append(trained(whole).clone())))
    whole.train()
    expected = steps[0].clone()
    for policy in steps[1:]:
        expected = 0.75 * expected + 0.25 * policy
    assert len(steps) == 3
    assert torch.allclose(own(whole), expected, atol=1e-6)
    assert not torch.equal(own(whole), trained(whole))
    trainer(tmp_path / "cut", **(shared | {"max_steps": 1})).train()
    resumed = trainer(tmp_path / "cut", **shared)
    resumed.train(resume_from_checkpoint=True)
    last = [(tmp_path / name / "completions/1.jsonl").read_text() for name in ("cut", "whole")]
    assert last[0] == last[1]
    assert torch.equal(weights(resumed), weights(whole))
    assert torch.equal(own(resumed), own(whole))
    (tmp_path / "whole/checkpoint-1/teacher.pt").unlink()
    lost = trainer(tmp_path / "whole", **shared)
    with pytest.raises((OutputError, ConfigError)):
        lost.train(resume_from_checkpoint=str(tmp_path / "whole/checkpoint-1"))


def test_voting_leaves_the_policy_as_it_was(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    before = trained(run).clone()
    run.auxiliary.teacher._own = {n: v + 1 for n, v in run.auxiliary.teacher._own.items()}
    with run.auxiliary.teacher.in_place_of_policy():
        assert torch.equal(trained(run), before + 1)
    assert torch.equal(trained(run), before)


def test_a_paraphrase_is_asked_and_its_answers_count(tmp_path: Path) -> None:
    """The completions are the question's own; of a paraphrase as of a teacher that is the policy
    the first step's votes differ, and so the rewards."""
    runs = {}
    for votes_of in ("paraphrase", "teacher"):
        run = trainer(tmp_path / votes_of, votes_of=votes_of, max_steps=1)
        asked = []
        generate = run.engine.generate
        run.engine.generate = lambda prompts, *rest, g=generate, a=asked: (
            a.append([p.token_ids for p in prompts]) or g(prompts, *rest)
        )
        run.train()
        runs[votes_of] = asked
        others = [prompt.token_ids for prompt in run._paraphrases.values()]
        assert bool(others) == (votes_of == "paraphrase")
        if others:
            assert {tuple(ids) for ids in asked[1]} <= {tuple(ids) for ids in others}
        rows = read_jsonl(tmp_path / votes_of / "completions" / "0.jsonl")
        assert len(rows) == 12
    (first, votes), (again, teachers) = (runs[name][:2] for name in ("paraphrase", "teacher"))
    assert first == again == teachers
    assert votes != first


class Alone(Environment):
    def play(self, step, seed, rows):
        groups = yield [Ask("x", "Hello", n=2)]
        return [Pool("x", groups)]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {
                "votes_of": "paraphrase",
                "rows": [{"id": "a", "prompt": c} for c in CHATS[:1]] + ROWS,
            },
            QuestionError,
            "1 of .* have no 'paraphrase'",
        ),
        ({"environment": Alone()}, ConfigError, "which environment Alone does not ask"),
        ({"rollout_policy": "base"}, ConfigError, "not for co_rewarding"),
        ({"teacher_rate": 0.0}, ConfigError, "teacher_rate must be above 0"),
        ({"votes_of": "paraphrase", "teacher_rate": 0.5}, ConfigError, "no effect"),
    ],
    ids=["none", "game", "base", "still", "unread"],
)
def test_what_cannot_vote_is_said(changes: dict, error, message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message) as caught:
        trainer(tmp_path, **changes)
    assert "\n" not in str(caught.value)


def test_an_adapter_has_a_teacher_of_its_own_weights(tmp_path: Path) -> None:
    from peft import LoraConfig

    run = RLSCTrainer(
        model=tiny_model(),
        args=config(tmp_path, **SHARED),
        train_dataset=ROWS,
        processing_class=tiny_tokenizer(),
        peft_config=LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear"),
        objective=CoRewarding(),
    )
    assert own(run).shape == trained(run).shape
    assert own(run).numel() < weights(run).numel()
