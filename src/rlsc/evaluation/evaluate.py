"""Evaluate a model on questions: greedy, and sampled at temperature 1 and at training's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsc.engines import Engine, SamplingParams, seed_for
from rlsc.engines.base import Progress
from rlsc.evaluation.samples import by_token
from rlsc.grading import Grader, Item, Judgement, answer_key, extract_answer
from rlsc.records.jsonl import write_jsonl
from rlsc.runtime.memory import release_freed_memory
from rlsc.statistics.estimates import bootstrap_interval, majority, wilson_interval
from rlsc.types import AnswerKey, Completion, CompletionGroup, Prompt, Verdict

Values = list[float]
"""One value per graded question, in the order of the questions."""


@dataclass(frozen=True)
class Pass:
    """One way to answer every question. Temperature 0 is greedy and takes one sample."""

    name: str
    temperature: float
    samples: int


@dataclass(frozen=True)
class Evaluation:
    """`summary` goes into results.json; `values` holds what paired comparisons need."""

    summary: dict[str, Any]
    values: dict[str, Values]


def standard_passes(samples: int, training_temperature: float) -> list[Pass]:
    """Greedy; `samples` at temperature 1; the same at the temperature trained at."""
    return [
        Pass("greedy", 0.0, 1),
        Pass("sampled", 1.0, samples),
        Pass("sampled_at_training_temperature", training_temperature, samples),
    ]


def evaluate(
    engine: Engine,
    prompts: Sequence[Prompt],
    answers: AnswerKey,
    passes: Sequence[Pass],
    params: SamplingParams,
    seed: int,
    file: Path,
    on_progress: Progress | None = None,
    tokenizer: Any = None,
) -> Evaluation:
    """Answer every prompt in every pass, write each sample to `file`, and summarise.

    Questions without a reference answer count in lengths and truncation, not in accuracies;
    `n` is the number graded. With a tokenizer, greedy answers have their tokens' log-probs too.
    """
    rows: list[dict[str, Any]] = []
    # One worker, and not kept: training needs its memory.
    with Grader(workers=1) as grader:
        for one in passes:
            groups = engine.generate(
                prompts,
                one.samples,
                SamplingParams(params.max_new_tokens, params.stop_token_ids, one.temperature),
                [seed_for(seed, "evaluate", one.name, prompt.id) for prompt in prompts],
                on_progress,
            )
            release_freed_memory()
            rows += _rows(one, groups, answers, grader, tokenizer if not one.temperature else None)
            write_jsonl(file, rows)
    return summarise(rows, passes, params.max_new_tokens)


def _rows(
    one: Pass,
    groups: Sequence[CompletionGroup],
    answers: AnswerKey,
    grader: Grader,
    tokenizer: Any,
) -> list[dict[str, Any]]:
    pairs = [(group.prompt, completion) for group in groups for completion in group.completions]
    known = [(prompt, completion) for prompt, completion in pairs if prompt.id in answers]
    items = [Item(completion.text, answers[prompt.id]) for prompt, completion in known]
    judged = grader.grade_all(items)
    return [
        _row(one, prompt, completion, next(judged) if prompt.id in answers else None)
        | by_token(tokenizer, completion)
        for prompt, completion in pairs
    ]


def _row(
    one: Pass, prompt: Prompt, completion: Completion, judged: Judgement | None
) -> dict[str, Any]:
    answer = judged.answer if judged else extract_answer(completion.text)
    return {
        "pass": one.name,
        "id": prompt.id,
        "prompt": prompt.text,
        "text": completion.text,
        "answer": answer,
        "verdict": judged.verdict.value if judged else None,
        "tokens": len(completion.token_ids),
        "logprob": sum(completion.logps),
        "finish_reason": completion.finish_reason,
    }


def summarise(
    rows: Sequence[dict[str, Any]], passes: Sequence[Pass], max_new_tokens: int
) -> Evaluation:
    """Accuracies with intervals, lengths and truncation from the rows of `evaluate`."""
    summary: dict[str, Any] = {"max_new_tokens": max_new_tokens}
    values: dict[str, Values] = {}
    for one in passes:
        by_question: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if row["pass"] == one.name:
                by_question.setdefault(row["id"], []).append(row)
        groups = list(by_question.values())
        if one.temperature == 0:
            summary[one.name] = _greedy_summary(groups, values)
            lengths = [float(row["tokens"]) for row, *_ in groups]
            values["mean_length"] = lengths
            summary["mean_length"] = _mean(lengths)
        else:
            summary[one.name] = _sampled_summary(one, groups, values)
        summary["questions"] = len(groups)
    return Evaluation(summary, values)


def _greedy_summary(
    groups: list[list[dict[str, Any]]], values: dict[str, Values]
) -> dict[str, Any]:
    rows = [group[0] for group in groups]
    correct = [_correct(row) for row in rows if row["verdict"] is not None]
    values["greedy"] = correct
    return {
        "accuracy": _mean(correct),
        "n": len(correct),
        "interval": wilson_interval(int(sum(correct)), len(correct)) if correct else None,
        "unparsed": sum(row["verdict"] == Verdict.UNPARSED.value for row in rows),
        "timeouts": sum(row["verdict"] == Verdict.TIMEOUT.value for row in rows),
        "truncation_rate": _truncation(rows),
    }


def _sampled_summary(
    one: Pass, groups: list[list[dict[str, Any]]], values: dict[str, Values]
) -> dict[str, Any]:
    graded = [group for group in groups if group[0]["verdict"] is not None]
    pass_at_1 = [_mean([_correct(row) for row in group]) or 0.0 for group in graded]
    voted = [_majority_correct(group) for group in graded]
    values[f"{one.name}/pass@1"] = pass_at_1
    values[f"{one.name}/majority"] = voted
    rows = [row for group in groups for row in group]
    return {
        "temperature": one.temperature,
        "samples": one.samples,
        "n": len(graded),
        "pass@1": _mean(pass_at_1),
        "interval": bootstrap_interval(pass_at_1) if graded else None,
        "majority": _mean(voted),
        "majority_interval": wilson_interval(int(sum(voted)), len(voted)) if graded else None,
        "unparsed": sum(row["verdict"] == Verdict.UNPARSED.value for row in rows),
        "timeouts": sum(row["verdict"] == Verdict.TIMEOUT.value for row in rows),
        "mean_length": _mean([float(row["tokens"]) for row in rows]),
        "truncation_rate": _truncation(rows),
    }


def _majority_correct(group: list[dict[str, Any]]) -> float:
    """Vote by equal value; the winner is graded through one of its own samples."""
    keys = [None if row["answer"] is None else answer_key(row["answer"]) for row in group]
    winner = majority(keys)
    return 0.0 if winner is None else _correct(group[keys.index(winner)])


def differences(before: Evaluation, after: Evaluation) -> dict[str, Any]:
    """After minus before, question by question, with bootstrap intervals."""
    result = {}
    for name, base in before.values.items():
        deltas = [b - a for a, b in zip(base, after.values[name], strict=True)]
        if deltas:
            result[name] = {
                "difference": _mean(deltas),
                "interval": bootstrap_interval(deltas),
                "n": len(deltas),
            }
    return result


def _correct(row: dict[str, Any]) -> float:
    return float(row["verdict"] == Verdict.CORRECT.value)


def _truncation(rows: Sequence[dict[str, Any]]) -> float | None:
    return _mean([float(row["finish_reason"] == "length") for row in rows])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
