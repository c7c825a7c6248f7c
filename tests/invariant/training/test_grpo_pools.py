"""Pools in place of groups: one question's siblings are GRPO's group, several are one group."""

from __future__ import annotations

import torch

from rlsc.objectives import Objective, PolicyGradient, PoolView
from rlsc.objectives.grpo import GRPO
from rlsc.objectives.shaping import standardised
from rlsc.training.auxiliary import AuxiliaryModels
from rlsc.training.weighing import Advantages, Forward, Source, advantages
from rlsc.types import AnswerKey, Completion, CompletionGroup, Pool, Prompt


class GameReward(PolicyGradient):
    """GRPO's advantages of rewards that the environment gives."""

    weights_need = frozenset({"environment"})

    def reward(self, pool: PoolView) -> torch.Tensor:
        return pool.environment_K


TEXTS = {"a": ["it is 1", "it is 2", "it is 1"], "b": ["it is 2", "it is 3", "it is 3"]}
KEY = AnswerKey({"a": "1", "b": "2"})
RIGHT = {"a": [1.0, 0.0, 1.0], "b": [1.0, 0.0, 0.0]}


def group(name: str) -> CompletionGroup:
    made = [Completion(text, (5, 6, 7), (-1.0,) * 3, "stop") for text in TEXTS[name]]
    return CompletionGroup(Prompt(name, f"question {name}", (1, 2)), made)


def weighed(pools: list[Pool], objective: Objective) -> Advantages:
    def nothing(*_: object) -> None:
        raise AssertionError("no forward pass is asked for")

    prompts = {name: f"question {name}" for name in TEXTS}
    forward = Forward(nothing, nothing, 1.0)  # type: ignore[arg-type]
    source = Source(prompts, KEY)
    return advantages(pools, objective, AuxiliaryModels(), forward, source, range(len(pools)))


def test_a_pool_of_one_questions_siblings_is_grpos_group_to_the_bit() -> None:
    alone = [Pool(name, (group(name),)) for name in TEXTS]
    judged = [Pool(name, (group(name),), (RIGHT[name],)) for name in TEXTS]
    by_hand = torch.cat([standardised(torch.tensor(r).double()) for r in RIGHT.values()])
    for found in (weighed(alone, GRPO()), weighed(judged, GameReward())):
        assert torch.equal(found.parts[0][:, 0], by_hand)
        assert found.metrics["reward"] == 0.5


def test_a_pool_over_several_prompts_is_normalised_over_all_its_completions() -> None:
    groups = tuple(group(name) for name in TEXTS)
    rewards = torch.tensor([r for name in TEXTS for r in RIGHT[name]]).double()
    pooled = Pool("solve", groups, tuple(RIGHT.values()))
    for found in (weighed([pooled], GameReward()), weighed([Pool("s", groups)], GRPO())):
        assert torch.equal(found.parts[0][:, 0], standardised(rewards))
        assert abs(float(found.parts[0].sum())) < 1e-12
    # Question by question both parts would have a mean of 0; here only the whole has.
    assert abs(float(weighed([pooled], GameReward()).parts[0][:3].sum())) > 0.1
