"""A comparison's recipe: the order, an objective's own seeds, a transductive one."""

from __future__ import annotations

import pytest

from rlsc.config import CompareConfig
from rlsc.errors import ConfigError

ROWS = ["rlsc", {"grpo": {"seeds": [1]}}, {"t": {"objective": "rlsc", "transductive": "q.jsonl"}}]


def config(**changes: object) -> CompareConfig:
    return CompareConfig.of({"objectives": ROWS, "output_dir": "out", "seeds": [0, 1]} | changes)


def test_seed_by_seed_or_objective_by_objective() -> None:
    assert config().pairs == [("rlsc", 0), ("t", 0), ("rlsc", 1), ("grpo", 1), ("t", 1)]
    by_objective = config(order="objectives").pairs
    assert by_objective == [("rlsc", 0), ("rlsc", 1), ("grpo", 1), ("t", 0), ("t", 1)]
    assert config(seeds=[0]).pairs == [("rlsc", 0), ("t", 0), ("grpo", 1)]


def test_what_is_no_setting_of_a_run_is_none_of_its_settings() -> None:
    found = config()
    assert found.methods["grpo"] == {"objective": "grpo"}
    assert found.methods["t"] == {"objective": "rlsc"}
    assert (found.own_seeds, found.transductive) == ({"grpo": (1,)}, {"t": "q.jsonl"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minutes": -1}, "minutes must be a number, 0 or more, not -1"),
        ({"minutes": True}, "minutes must be a number"),
        ({"order": "alphabet"}, "order must be one of seeds, objectives, not 'alphabet'"),
        ({"objectives": [{"a": {"seeds": []}}]}, "a: seeds must be a list"),
        ({"objectives": [{"a": {"seeds": [0.5]}}]}, "a: seeds must be"),
        ({"objectives": ["rlsc", {"a": {"transductive": 3}}]}, "a: transductive names questions"),
        ({"objectives": [{"a": {"transductive": "q"}}]}, "one at least must not be transductive"),
        ({"objectives": [{"a": {"eval_baselines": True}}]}, "eval_baselines must be the same"),
        ({"objectives": [{"a": {"benchmarks": "svamp"}}]}, "benchmarks must be the same for all"),
    ],
)
def test_mistakes(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        config(**changes)
    assert "\n" not in str(caught.value)
