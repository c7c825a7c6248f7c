"""What changed between two sets of answers: flips, lengths, calibration, the base at its best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from rlsc.evaluation.changes import (
    answer_changes,
    best_control,
    compare_scores,
    length_changes,
    run_changes,
)


def row(name: str, right: bool | None, tokens: int = 5, answer: str = "1", **more: Any) -> dict:
    verdict = None if right is None else "correct" if right else "wrong"
    found = {"id": name, "verdict": verdict, "tokens": tokens, "answer": answer, "logprob": -0.1}
    return found | {"finish_reason": "stop"} | more


def test_the_change_of_length_is_tested_by_pairs() -> None:
    old, new = [10, 20, 30, 40, 50, 26], [5, 11, 31, 12, 13, 7]
    before = [row(str(i), True, n) for i, n in enumerate(old)]
    after = [row(str(i), True, n) for i, n in enumerate(new)]
    found = length_changes(before, after)["all"]
    assert found["n"] == 6
    assert found["before"] == pytest.approx(29.333, abs=1e-3)
    assert found["difference"] == pytest.approx(-16.1667, abs=1e-3)
    assert found["wilcoxon_p"] == stats.wilcoxon(old, new).pvalue
    assert length_changes(before, before)["all"]["wilcoxon_p"] is None


def test_lengths_are_compared_where_both_sides_are_right_and_where_neither_is() -> None:
    before = [row("a", True, 10), row("b", False, 40), row("c", True, 8), row("d", None, 99)]
    after = [row("a", True, 4), row("b", False, 50), row("c", False, 6), row("d", None, 1)]
    found = length_changes(before, after)
    assert {name: one["n"] for name, one in found.items()} == {"all": 4, "right": 1, "not_right": 1}
    assert found["right"]["difference"] == -6
    assert found["not_right"]["difference"] == 10


def test_several_samples_of_a_question_are_one_pair() -> None:
    before = [row("a", True, 10), row("a", False, 30), row("a", True, 20)]
    after = [row("a", True, 9), row("a", True, 11), row("a", False, 50, finish_reason="length")]
    found = length_changes(before, after)
    assert (found["right"]["before"], found["right"]["after"]) == (15, 10)
    assert found["not_right"]["difference"] == 20
    assert found["all"]["cut_off"] == [0, pytest.approx(1 / 3)]


def test_answers_without_references_have_lengths_alone() -> None:
    found = answer_changes([row("a", None, 3)], [row("a", None, 5)])
    assert found["flips"] is None
    assert found["calibration"] is None
    assert list(found["lengths"]) == ["all"]


def test_scores_are_held_against_the_base_and_against_its_best() -> None:
    rows = {
        "main": [row("a", False), row("b", True)],
        "best": [row("a", True), row("b", True)],
        "tuned": [row("a", True), row("b", False)],
    }
    base = {"setting": "main", "best": "best", "n": 2, "controls": [{"setting": "best", "x": 1}]}
    found = compare_scores(base, rows.__getitem__, {"setting": "tuned"}, rows.__getitem__)
    assert (found["gained"], found["lost"]) == (["a"], ["b"])
    assert found["against_base_best"]["difference"] == -0.5
    assert found["against_base_best"]["lost"] == ["b"]
    assert "best" not in found
    assert best_control(base) == {"setting": "best", "x": 1, "n": 2}
    assert best_control({"setting": "main"}) is None


def summary(greedy: float, pass1: float, majority: float) -> dict[str, Any]:
    sampled = {"pass@1": pass1, "interval": None, "majority": majority, "majority_interval": None}
    one = {"temperature": 1.0, "samples": 3} | sampled
    return {
        "greedy": {"accuracy": greedy, "interval": None},
        "sampled": one,
        "sampled_at_training_temperature": one | {"temperature": 0.5},
    }


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    (folder / "eval").mkdir(exist_ok=True)
    text = "".join(json.dumps(one) + "\n" for one in rows)
    (folder / "eval" / f"{name}.jsonl").write_text(text)


@pytest.mark.parametrize(("terse", "name"), [(0.5, "majority at T = 1"), (1.0, "base, terse")])
def test_a_run_is_held_against_the_untrained_model_at_its_best(
    tmp_path: Path, terse: float, name: str
) -> None:
    greedy = [row("a", False), row("b", False)]
    votes = [("a", True, "7"), ("a", False, "8"), ("a", True, "7"), ("b", False, "9")]
    sampled = [row(q, right, 4, answer) for q, right, answer in votes]
    sampled += [row("b", False, 4, "9"), row("b", True, 4, "5")]
    passes = {"greedy": greedy, "sampled": sampled, "sampled_at_training_temperature": sampled}
    before = [one | {"pass": group} for group, rows in passes.items() for one in rows]
    after = [one | {"pass": group} for group, rows in passes.items() for one in rows]
    for one in after:
        if one["pass"] == "greedy":
            one["verdict"] = "correct"
    write(tmp_path, "before", before)
    write(tmp_path, "after", after)
    own = [row("a", True, 2), row("b", terse == 1, 2)]
    write(tmp_path, "base-terse", [one | {"pass": "greedy"} for one in own])
    other = {"name": "base, terse", "file": "base-terse"}
    other |= {"greedy": {"accuracy": terse, "interval": None}}
    results = {"before": summary(0.0, 0.4, 0.5), "baselines": [other]}
    found = run_changes(tmp_path, results)
    assert found["greedy"]["flips"]["gained"] == ["a", "b"]
    best = found["untrained_best"]
    assert (best["name"], best["n"]) == (name, 2)
    against = best["against_tuned_greedy"]
    assert against["gained"] == ([] if terse == 1 else ["b"])
    assert against["difference"] == (0 if terse == 1 else 0.5)
    json.dumps(found)


def test_a_run_without_evaluation_has_no_changes(tmp_path: Path) -> None:
    assert run_changes(tmp_path, {}) == {}
