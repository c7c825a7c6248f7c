"""The figures of an evaluation, from answers written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlsc.engines import SamplingParams, ScriptedEngine, seed_for
from rlsc.evaluation.evaluate import Pass, differences, evaluate, standard_passes
from rlsc.types import AnswerKey, Completion, Prompt

PROMPTS = [Prompt(name, f"prompt {name}", (1, 2)) for name in "abc"]
ANSWERS = AnswerKey({"a": "7", "b": "7"})  # c has no reference
PASSES = [Pass("greedy", 0.0, 1), Pass("sampled", 1.0, 4)]
# What is said to each question: first the greedy answer, then four samples.
BASE = {"a": "7 / 7 1 2 7", "b": "3 / 3 7 7.0 ?!", "c": "1 / 1 1 1 1"}
TUNED = {"a": "7 / 7 7 7 7", "b": "7 / 7 3 3 3", "c": "2 / 2 2 2 2"}


class Recorder(ScriptedEngine):
    """Answers from a script by pass, and keeps what it was asked."""

    def __init__(self, script: dict[str, str]) -> None:
        self.calls: list[tuple[float, int, list[int]]] = []
        self._texts = script

    def generate(self, prompts, n, params, seeds, on_progress=None):
        self.calls.append((params.temperature, n, list(seeds)))
        part = 0 if params.temperature == 0 else 1
        self._script = {
            prompt.id: [
                Completion(
                    text, (5,) * (len(text) + 1), (-0.5,), "stop" if text != "?!" else "length"
                )
                for text in self._texts[prompt.id].split(" / ")[part].split()
            ]
            for prompt in prompts
        }
        return super().generate(prompts, n, params, seeds, on_progress)


def run(script: dict[str, str], folder: Path):
    engine = Recorder(script)
    params = SamplingParams(9, (0,))
    return engine, evaluate(engine, PROMPTS, ANSWERS, PASSES, params, 3, folder / "rows.jsonl")


def test_accuracies_count_what_they_say(tmp_path: Path) -> None:
    _, result = run(BASE, tmp_path)
    greedy, sampled = result.summary["greedy"], result.summary["sampled"]
    assert (greedy["accuracy"], greedy["n"], result.summary["questions"]) == (0.5, 2, 3)
    assert sampled["pass@1"] == pytest.approx((2 / 4 + 2 / 4) / 2)
    assert sampled["majority"] == 1.0  # a: 7 twice; b: 7 and 7.0 are one answer
    assert (sampled["n"], sampled["samples"], sampled["temperature"]) == (2, 4, 1.0)
    assert sampled["unparsed"] == 1
    assert sampled["truncation_rate"] == pytest.approx(1 / 12)
    assert result.summary["mean_length"] == 2.0
    assert result.summary["max_new_tokens"] == 9


def test_differences_are_after_minus_before_by_question(tmp_path: Path) -> None:
    before, after = run(BASE, tmp_path)[1], run(TUNED, tmp_path)[1]
    delta = differences(before, after)
    assert delta["greedy"]["difference"] == 0.5
    assert delta["greedy"]["n"] == 2
    assert delta["sampled/pass@1"]["difference"] == pytest.approx((0.5 - 0.25) / 2)
    assert delta["sampled/majority"]["difference"] == -0.5
    low, high = delta["greedy"]["interval"]
    assert (low, high) == (0.0, 1.0)
    assert delta["mean_length"]["n"] == 3


def test_every_pass_is_sampled_as_it_says_with_seeds_of_its_own(tmp_path: Path) -> None:
    engine, _ = run(BASE, tmp_path)
    assert [call[:2] for call in engine.calls] == [(0.0, 1), (1.0, 4)]
    seeds = [seed for call in engine.calls for seed in call[2]]
    assert len(set(seeds)) == 6
    assert engine.calls[1][2][0] == seed_for(3, "evaluate", "sampled", "a")


def test_the_standard_passes() -> None:
    assert standard_passes(8, 0.5) == [
        Pass("greedy", 0.0, 1),
        Pass("sampled", 1.0, 8),
        Pass("sampled_at_training_temperature", 0.5, 8),
    ]


def test_every_sample_is_written(tmp_path: Path) -> None:
    run(BASE, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert len(rows) == 3 * (1 + 4)
    assert {row["verdict"] for row in rows if row["id"] == "c"} == {None}
    assert [row["verdict"] for row in rows if row["id"] == "b" and row["pass"] == "sampled"] == [
        "wrong",
        "correct",
        "correct",
        "unparsed",
    ]
