"""A few labels: which questions keep theirs."""

from __future__ import annotations

import pytest

from rlsc import RLSCConfig
from rlsc.environments.spc.environment import SPC
from rlsc.errors import ConfigError
from rlsc.objectives import create_objective
from rlsc.training.labels import (
    check_judged,
    judge_by,
    labels_in_use,
    labels_used,
    reads_labels,
)
from rlsc.types import AnswerKey

KEY = AnswerKey({str(n): str(2 * n) for n in range(400)})


def config(**changes) -> RLSCConfig:
    return RLSCConfig(output_dir="x", **({"objective": "grpo"} | changes))


def test_a_share_is_drawn_by_id() -> None:
    few = labels_in_use(KEY, config(label_share=0.25))
    assert few is not None
    assert 60 < len(few) < 140  # 100 expected, 8.7 a standard deviation
    assert all(few[name] == KEY[name] for name in few)
    some = AnswerKey({name: KEY[name] for name in list(KEY)[::-3]})  # fewer, another order
    again = labels_in_use(some, config(label_share=0.25))
    assert again is not None
    assert set(again) == set(few) & set(some)
    assert set(few) < set(labels_in_use(KEY, config(label_share=0.5)) or ())
    assert set(few) != set(labels_in_use(KEY, config(label_share=0.25, seed=1)) or ())


def test_all_are_kept_where_none_is_left_out() -> None:
    assert labels_in_use(KEY, config()) is KEY
    assert labels_in_use(KEY, config(label_share=1)) is KEY
    assert labels_in_use(None, config(label_share=0.5)) is None


def test_what_is_used_is_counted() -> None:
    grpo, ttrl = (create_objective(config(objective=name)) for name in ("grpo", "ttrl"))
    sums, solutions = SPC(), SPC(source="solutions")
    assert [reads_labels(grpo, sums), reads_labels(ttrl, sums)] == [True, False]
    assert reads_labels(ttrl, solutions)
    assert labels_used(True, ["1", "2", "x"], KEY) == 2
    assert labels_used(True, ["1"], None) == labels_used(False, ["1"], KEY) == 0


def test_an_environment_that_judges_is_given_verdicts_alone() -> None:
    judge = judge_by(AnswerKey({"a": "12", "b": "5"}))
    assert judge([("b", "So it is 5."), ("a", "5"), ("a", "= 12")]) == [True, False, True]
    assert judge([]) == []
    assert judge([("a", "I do not know."), ("a", "So it is 13."), ("a", "12")]) == [
        None,
        False,
        True,
    ]
    check_judged(SPC(), ["a"], None)
    check_judged(SPC(source="solutions"), ["1", "2"], KEY)
    with pytest.raises(ConfigError, match="1 of 2 training questions have none"):
        check_judged(SPC(source="solutions"), ["1", "x"], KEY)


def test_references_that_nobody_can_read_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    key = AnswerKey(
        {"a": "7", "b": r"\frac{1}{2}", "c": r"\begin{", "d": "x + 1", "e": r"\begin{a"}
    )
    game, ids = SPC(source="solutions"), ["a", "b", "c", "d"]
    check_judged(game, ids, key)
    assert capsys.readouterr().out == (
        "note: 1 of 4 reference answers do not parse, so that only the same text equals them: c\n"
    )
    check_judged(game, ids, key)  # as the command and its trainer do
    assert not capsys.readouterr().out
    check_judged(game, ["e", "c"], key)
    assert "2 of 2 reference answers do not parse" in capsys.readouterr().out
    check_judged(game, ["a", "b"], key)
    check_judged(SPC(), ["c"], key)  # this game judges no answers
    assert not capsys.readouterr().out


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(ConfigError, match="label_share is for objectives with labels"):
        config(objective="ttrl", label_share=0.5)
    config(objective="ttrl,grpo", label_share=0.5)
    with pytest.raises(ConfigError, match="label_share must be above 0"):
        config(label_share=0)
    grpo = create_objective(config())
    grpo.check_labels(["1", "x"], KEY, some=True)
    with pytest.raises(ConfigError, match="none of 2 training questions keeps"):
        grpo.check_labels(["x", "y"], KEY, some=True)
    with pytest.raises(ConfigError, match=r"1 of 2 .* set label_share"):
        grpo.check_labels(["1", "x"], KEY)
