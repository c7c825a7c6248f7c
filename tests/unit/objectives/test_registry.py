"""Objectives by name, with the settings that are theirs."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from rlsc import RLSCConfig
from rlsc.errors import ConfigError
from rlsc.objectives import RLSC, PolicyGradient, create_objective
from rlsc.objectives.base import weighted_likelihood
from rlsc.objectives.combined import Combined
from rlsc.objectives.dpo import DPO
from rlsc.objectives.empo import EMPO
from rlsc.objectives.grpo import GRPO
from rlsc.objectives.registry import OBJECTIVES, load_objective, registered
from rlsc.objectives.settings import declared_settings, settings_of
from rlsc.objectives.shaping import RELATIVE, shape
from rlsc.objectives.ttrl import TTRL
from rlsc.types import AnswerKey

R = torch.tensor([3.0, 1.0, 1.0, -1.0], dtype=torch.float64)


def made(**settings):
    return create_objective(RLSCConfig(output_dir="x", **settings))


def test_settings_reach_the_fields_of_their_name() -> None:
    assert made() == RLSC("sequence", 0.1)
    assert made(weight="answer", alpha=0.0) == RLSC("answer", 0.0)
    assert made(objective="ttrl", vote_threshold=0.4) == TTRL(vote_threshold=0.4)
    assert made(objective="empo", entropy_low=0.1, entropy_high=2.0) == EMPO(
        entropy_low=0.1, entropy_high=2.0
    )
    dr_grpo = made(objective="grpo", shaping="centred", loss_type="dr_grpo", beta=0.1)
    assert dr_grpo == GRPO(shaping="centred", loss_type="dr_grpo", beta=0.1)
    assert (dr_grpo.weights_need, dr_grpo.loss_needs) == ({"labels"}, {"reference"})
    assert made(objective="dpo", dpo_pairs="majority") == DPO(dpo_pairs="majority")


def test_controls_are_registered_objectives_that_say_so() -> None:
    controls = {name for name in OBJECTIVES if (kind := registered(name)) and kind.is_control}
    assert controls == {"constant", "random", "format_only", "inverse_majority"}
    assert [name for name in OBJECTIVES if registered(name).on_a_card] == ["rlsc"]  # type: ignore[union-attr]
    assert registered("rlsc,grpo") is None
    assert registered("mine.py:Mine") is None


class Mine(PolicyGradient):
    def reward(self, siblings):
        return siblings.zeros()


class Silent(PolicyGradient):
    pass


class OwnLoss(Mine):
    def loss(self, rows):
        return weighted_likelihood(rows)


class OwnRLSC(RLSC):
    def loss(self, rows):
        loss = super().loss(rows)
        return dataclasses.replace(loss, loss_B=loss.loss_B + rows.logps_BT.sum(-1))


def test_a_loss_of_ones_own_keeps_the_gradient_of_what_weighs_nothing() -> None:
    settings = {"weight": "answer", "alpha": 0.0}
    assert made(objective="rlsc", **settings).zero_weight_is_zero_gradient
    assert not made(objective=f"{__name__}:OwnRLSC", **settings).zero_weight_is_zero_gradient
    assert not made(objective="rlsc", weight="answer").zero_weight_is_zero_gradient


def test_settings_reach_a_class_of_the_users_own() -> None:
    here = f"{__name__}:Mine"
    assert made(objective=here).alpha == 0.1
    assert made(objective=here, shaping="plus_alpha", alpha=0.7).alpha == 0.7
    assert made(objective=here).zero_weight_is_zero_gradient
    assert not made(objective=f"{__name__}:OwnLoss").zero_weight_is_zero_gradient


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": f"{__name__}:Silent"}, "has neither a reward"),
        ({"objective": "ppo,ppo"}, "one value head"),
        ({"objective": "rlsc,ttrl", "objective_weights": "0,0"}, "trains nothing"),
        ({"objective": "ttrl", "beta": math.inf}, "beta must be"),
    ],
)
def test_what_cannot_train_is_said(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(**settings)


@pytest.mark.parametrize("name", ["ttrl", "sequence_entropy", "dpo", "rlsc,grpo"])
def test_comparing_siblings_takes_two(name: str) -> None:
    with pytest.raises(ConfigError, match="num_generations must be 2 or more"):
        made(objective=name, num_generations=1)
    made(objective=name, num_generations=2)
    made(num_generations=1)


def test_several_objectives_are_a_sum() -> None:
    both = made(objective="rlsc, format_only", objective_weights="1,0.5", shaping="centred")
    assert isinstance(both, Combined)
    assert [type(one).__name__ for one, _ in both.parts] == ["RLSC", "FormatOnly"]
    assert [c for _, c in both.parts] == [1.0, 0.5]
    assert both.parts[1][0].shaping == "centred"


def test_every_setting_of_an_objective_is_a_flag_with_its_range() -> None:
    """And of one type and range where several objectives have it."""
    flags = {field.name: field for field in dataclasses.fields(RLSCConfig)}
    seen = set()
    for name in OBJECTIVES:
        for field, kind in settings_of(load_objective(name)).values():
            flag, declared = flags[field.name], declared_settings()[field.name]
            assert name in declared.of
            assert kind == declared.type
            for key in ("least", "above", "most", "below", "choices"):
                assert flag.metadata.get(key) == field.metadata.get(key), (name, field.name)
            assert flag.default is None
            seen.add(field.name)
    assert seen == set(declared_settings())
    assert {"alpha", "weight", "shaping", "epsilon", "beta", "dpo_beta", "gae_lambda"} <= seen


def test_a_run_says_the_settings_that_its_objective_has() -> None:
    rlsc, grpo = RLSCConfig(output_dir="x"), RLSCConfig(output_dir="x", objective="grpo")
    assert (rlsc.weight, rlsc.alpha, rlsc.shaping) == ("sequence", 0.1, None)
    assert (grpo.weight, grpo.shaping, grpo.epsilon, grpo.beta) == (None, "standardised", 0.2, 0)
    again = RLSCConfig(
        output_dir="x", objective="grpo", **{f: getattr(grpo, f) for f in declared_settings()}
    )
    assert create_objective(again) == create_objective(grpo) == GRPO()


def test_every_objective_says_where_it_is_from_and_what_was_left_out() -> None:
    for name in OBJECTIVES:
        text = load_objective(name).__doc__ or ""
        controls = ("constant", "random", "format_only", "inverse_majority")
        assert "=" in text.splitlines()[0], name
        if name not in controls:
            assert "arXiv" in text, name
            assert "Left out:" in text, name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("raw", [3, 1, 1, -1]),
        ("plus_alpha", [3.5, 1.5, 1.5, -0.5]),
        ("centred", [2, 0, 0, -2]),
        ("standardised", [2 / (math.sqrt(8 / 3) + 1e-4), 0, 0, -2 / (math.sqrt(8 / 3) + 1e-4)]),
        ("leave_one_out", [3 - 1 / 3, 0, 0, -1 - 5 / 3]),
    ],
)
def test_shaping(name: str, expected: list[float]) -> None:
    assert shape(name, R, 0.5, torch.ones(len(R))).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", RELATIVE)
def test_equal_rewards_and_single_completions_weigh_nothing(name: str) -> None:
    for rewards in (torch.full((5,), 0.1), torch.tensor([7.0])):
        lengths = torch.arange(1, len(rewards) + 1)
        assert shape(name, rewards.double(), 0.1, lengths).abs().max() < 1e-15


def test_labels_are_there_and_text() -> None:
    """A number from Python would be found out by the grader alone, after a whole rollout."""
    grpo = made(objective="grpo")
    grpo.check_labels(["7"], AnswerKey({7: "11"}))  # type: ignore[dict-item] # numbers as ids
    grpo.check_labels(["a"], AnswerKey({"a": "11", "b": None}))  # type: ignore[dict-item]
    for key, message in ((None, "1 of 1 training"), ({"a": 11}, "question 'a' is 11, not text")):
        with pytest.raises(ConfigError, match=message):
            grpo.check_labels(["a"], None if key is None else AnswerKey(key))  # type: ignore[arg-type]
    made(objective="ttrl").check_labels(["a"], None)
