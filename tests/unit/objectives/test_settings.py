"""Settings that objectives declare: a user's own, the shipped ones', and what they exclude."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from rlsc import RLSCConfig
from rlsc.config.fields import setting
from rlsc.errors import ConfigError
from rlsc.objectives import PolicyGradient, PoolView, create_objective
from rlsc.objectives.registry import OBJECTIVES, load_objective

DOCS = Path(__file__).parents[3] / "docs"
INVARIANT = Path(__file__).parents[2] / "invariant" / "objectives"


@dataclass(frozen=True)
class Tempered(PolicyGradient):
    """r = τ."""

    tau: float = setting(0.5, "Its temperature.", above=0)
    mode: str = setting("slow", "How.", choices=("slow", "fast"))
    strict: bool = False
    depth: int | None = None

    def reward(self, pool: PoolView) -> torch.Tensor:
        return pool.zeros() + self.tau


MINE = f"{__name__}:Tempered"


def made(**settings):
    return create_objective(RLSCConfig(output_dir="x", **settings))


def test_a_users_class_has_settings_of_its_own() -> None:
    given = {"tau": 2, "mode": "fast", "strict": True, "depth": None}
    assert made(objective=MINE) == Tempered()
    assert made(objective=MINE, objective_settings=given) == Tempered(
        tau=2.0, mode="fast", strict=True
    )
    both = made(objective=f"{MINE},rlsc", objective_settings={"tau": 0.7}, epsilon=0.3)
    assert both.parts[0][0] == Tempered(tau=0.7, epsilon=0.3)
    assert made(objective="ttrl", objective_settings={"vote_threshold": 0.5}).vote_threshold == 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"taa": 1}, "taa is no setting of objective .*; did you mean tau?"),
        ({"tau": "hot"}, "tau must be a number, not 'hot'"),
        ({"tau": True}, "tau must be a number, not True"),
        ({"depth": 1.5}, "depth must be a whole number, not 1.5"),
        ({"strict": "maybe"}, "strict must be true or false, not 'maybe'"),
        ({"tau": 0}, "tau must be above 0, not 0"),
        ({"mode": "odd"}, "mode must be one of slow, fast, not 'odd'"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_said_in_one_line(given: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        made(objective=MINE, objective_settings=given)
    assert "\n" not in str(caught.value)


def test_a_setting_is_not_given_twice() -> None:
    with pytest.raises(ConfigError, match="epsilon is given twice"):
        made(objective=MINE, epsilon=0.3, objective_settings={"epsilon": 0.1})


class OldNames(PolicyGradient):
    needs = ("scores",)

    def reward(self, pool: PoolView) -> torch.Tensor:
        return pool.zeros()


def old_function(pool: PoolView) -> torch.Tensor:
    return pool.zeros()


old_function.needs = ("scores",)  # type: ignore[attr-defined]


Sparing = type("Sparing", (PolicyGradient,), {"spares_idle": True, "reward": OldNames.reward})
Word = type("Word", (PolicyGradient,), {"weights_need": "scores", "reward": OldNames.reward})
Score = type("Score", (PolicyGradient,), {"weights_need": ("score",), "reward": OldNames.reward})
Judged = type(
    "Judged", (PolicyGradient,), {"weights_need": ("reward_model",), "reward": OldNames.reward}
)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("OldNames", "needs is now weights_need .* and loss_needs"),
        ("Sparing", "spares_idle is now zero_weight_is_zero_gradient"),
        ("old_function", "are now its weights_need"),
        ("Word", "weights_need is a set of names"),
        ("Score", "weights_need has 'score'; known are scores"),
        ("Judged", "needs a reward model"),
    ],
)
def test_needs_that_there_are_not_are_said(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(objective=f"{__name__}:{name}")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "ttrl,dpo", "train_generations": 2}, "num_iterations are not for dpo"),
        ({"objective": "dpo", "mask_truncated_completions": True}, "are not for dpo"),
        ({"objective": "dpo", "rollout_policy": "base"}, "not for dpo"),
        ({"objective": "ppo", "rollout_policy": "base"}, "not for ppo"),
        ({"objective": "kl", "rollout_policy": "base"}, "a KL divergence exclude"),
        ({"objective": "ttrl", "beta": 0.1, "rollout_policy": "base"}, "a KL divergence exclude"),
        ({"beta": 0.1, "rollout_policy": "base"}, "a KL divergence exclude"),
        ({"objective": "dpo,rlsc", "dpo_pairs": "given", "num_generations": 2}, "no other can"),
        ({"objective": "dpo", "dpo_pairs": "given"}, "num_generations 2"),
        ({"objective": "empo", "entropy_low": 2.0, "entropy_high": 1.0}, "is above entropy_high"),
        ({"objective": "dpo", "alpha": 0.1}, "alpha is no setting of objective dpo"),
        ({"beta": -1.0}, "beta must be 0 or more"),
        ({"objective": "ttrl", "normalise_sum": True}, "is for a sum of two or more"),
        ({"objective": "ttrl,rlsc", "normalise_sum": True}, "is for a sum of two or more"),
        ({"objective": "rlsc,kl_cov", "num_iterations": 5}, "by the advantages of another part"),
        ({"objective": "kl_cov", "num_iterations": 5}, "by the advantages of another part"),
        ({"objective": "ttrl,kl_cov"}, "nothing at the first update"),
        ({"objective": "scrl", "num_generations": 4}, "is no smaller share"),
    ],
    ids=str,
)
def test_what_an_objective_excludes_it_says_itself(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(**settings)


def test_an_objective_of_the_library_is_a_file_a_row_a_page_and_a_proof() -> None:
    page = (DOCS / "objectives.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", page, re.MULTILINE))
    proofs = "".join(path.read_text("utf-8") for path in INVARIANT.glob("test_*.py"))
    for name, place in OBJECTIVES.items():
        module, _, _ = place.partition(":")
        file = f"{module.rpartition('.')[2]}.py"
        assert f"`{file}`" in rows[name], f"{name} has no row with its file in docs/objectives.md"
        assert re.search(rf"\b{load_objective(name).__name__}\b", proofs), f"{name} has no proof"


def test_a_setting_without_effect_is_refused() -> None:
    """`alpha` counts for the shaping plus_alpha alone; in a sum it is enough that one reads it."""
    message = "alpha 0.7 has no effect on objective ttrl here .*plus_alpha"
    with pytest.raises(ConfigError, match=message):
        RLSCConfig(objective="ttrl", alpha=0.7)
    assert RLSCConfig(objective="ttrl", alpha=0.7, shaping="plus_alpha").alpha == 0.7
    assert RLSCConfig(objective="ttrl", alpha=0.1).alpha == 0.1
    create_objective(RLSCConfig(objective="rlsc,ttrl", alpha=0.7))
