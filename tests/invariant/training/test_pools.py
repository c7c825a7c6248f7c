"""Pools: whose rewards are compared with whose, and what an objective sees of them."""

from __future__ import annotations

import pytest
import torch

from rlsc.errors import ConfigError
from rlsc.objectives import PolicyGradient, PoolView
from rlsc.objectives.combined import Combined
from rlsc.objectives.grpo import GRPO
from rlsc.objectives.self_certainty import SelfCertainty
from rlsc.objectives.ttrl import TTRL
from rlsc.training.auxiliary import AuxiliaryModels
from rlsc.training.weighing import Advantages, Forward, Source, advantages
from rlsc.types import AnswerKey, Completion, CompletionGroup, Pool, Prompt


def group(name: str, *texts: str) -> CompletionGroup:
    completions = [Completion(text, (1,) * (at + 1), (), "stop") for at, text in enumerate(texts)]
    return CompletionGroup(Prompt(name, name, (1,)), completions)


A, B = group("a", "\\boxed{1}", "\\boxed{2}"), group("b", "\\boxed{2}", "\\boxed{2}", "\\boxed{3}")
SOURCE = Source({"a": "first", "b": "second"}, AnswerKey({"a": "1", "b": "3"}))


def never(*_: object) -> None:
    raise AssertionError("a forward pass")


NO_FORWARD = Forward(never, never, 1.0)  # type: ignore[arg-type]


class Given(PolicyGradient):
    """r = the environment's."""

    weights_need = frozenset({"environment"})

    def reward(self, pool: PoolView) -> torch.Tensor:
        return pool.environment_K


class Looks(PolicyGradient):
    """r = 0; keeps what it saw."""

    seen: list[PoolView] = []  # noqa: RUF012

    def reward(self, pool: PoolView) -> torch.Tensor:
        self.seen.append(pool)
        return pool.zeros()


def weighed(objective, *pools: Pool) -> Advantages:
    return advantages(pools, objective, AuxiliaryModels(), NO_FORWARD, SOURCE, range(len(pools)))


def test_a_pool_of_two_questions_is_one_comparison() -> None:
    """Its weights are those of all five rewards together; two pools are two comparisons."""
    together = weighed(GRPO(shaping="centred"), Pool("both", (A, B)))
    right = torch.tensor([1.0, 0, 0, 0, 1], dtype=torch.float64)
    assert together.parts[0][:, 0].tolist() == (right - right.mean()).tolist()
    apart = weighed(GRPO(shaping="centred"), Pool("a", (A,)), Pool("b", (B,)))
    expected = torch.cat([r - r.mean() for r in right.split([2, 3])])
    assert apart.parts[0][:, 0].tolist() == expected.tolist()


def test_pools_depend_on_no_other_pool() -> None:
    alone = weighed(TTRL(), Pool("b", (B,)))
    beside = weighed(TTRL(), Pool("a", (A,)), Pool("b", (B,)))
    assert torch.equal(beside.parts[0][2:], alone.parts[0])


def test_an_environments_rewards_are_seen_by_who_asks() -> None:
    pool = Pool("solve", (A, B), rewards=((1.0, 2.0), (3.0, 4.0, 5.0)))
    weights = weighed(Given(shaping="raw"), pool)
    assert weights.parts[0][:, 0].tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(ConfigError, match="Given needs 'environment', which this run has not"):
        weighed(Given(), Pool("b", (B,)))


def test_what_a_pool_shows() -> None:
    both = Combined(((Looks(), 1.0), (GRPO(), 1.0)))
    weighed(both, Pool("both", (A, B)), Pool("b", (B,)))
    mixed, single = Looks.seen[-2:]
    assert (mixed.id, mixed.prompt, mixed.texts[0]) == ("both", "", "\\boxed{1}")
    assert (single.id, single.prompt) == ("b", "second")
    assert mixed.mask_KT.sum(-1).tolist() == [1, 2, 1, 2, 3]
    assert mixed.mask_KT.shape[1] == single.mask_KT.shape[1] == 3
    with pytest.raises(ConfigError, match=r"Looks reads correct_K .* 'labels' in weights_need"):
        _ = mixed.correct_K


def test_nothing_sampled_weighs_nothing() -> None:
    nothing = weighed(SelfCertainty())
    assert [part.shape for part in nothing.parts] == [(0, 1)]
    assert nothing.kept_N.shape == (0,)
