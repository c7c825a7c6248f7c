"""Sample a benchmark's answers into a JSONL file that can be cut off anywhere and gone on with.

Questions go in blocks of fixed composition, each written when it is done. A resumed evaluation
drops a block that is not whole and samples it again: with seeds by question and the same
neighbours in the batch, it gets the very rows that an uninterrupted one gets.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlsc.engines import Engine, SamplingParams, seed_for
from rlsc.engines.base import Progress
from rlsc.errors import OutputError
from rlsc.evaluation.token_spans import token_ends
from rlsc.grading import Grader, Item, Judgement
from rlsc.runtime.memory import release_freed_memory
from rlsc.runtime.processes import from_main
from rlsc.types import AnswerKey, Completion, CompletionGroup, Prompt

Row = dict[str, Any]


def collect_samples(
    engine: Engine,
    grader: Grader,
    prompts: Sequence[Prompt],
    references: References,
    params: SamplingParams,
    samples: int,
    seed: int,
    file: Path,
    block_rows: int = 64,
    on_progress: Progress | None = None,
    tokenizer: Any = None,
) -> list[Row]:
    """Rows of all prompts, `samples` each, in order; those that `file` already holds are kept.

    With a tokenizer, the first sample of each question has its tokens' log-probs too. Raises
    `OutputError` where the file holds the answers to other prompts. Of several processes the main
    one reads, grades and writes, and all have the rows.
    """
    block = max(1, block_rows // samples)
    rows = from_main(lambda: _kept_rows(file, prompts, samples, block))
    if on_progress and rows:
        on_progress(len(rows))
    for start in range(len(rows) // samples, len(prompts), block):
        part = prompts[start : start + block]
        clock = time.monotonic()
        seeds = [seed_for(seed, "benchmark", params.temperature, one.id) for one in part]
        groups = engine.generate(part, samples, params, seeds, on_progress)
        release_freed_memory()
        seconds = (time.monotonic() - clock) / (len(part) * samples)
        graded = (groups, references, grader, params, tokenizer, seconds)
        rows += from_main(functools.partial(_write_block, file, *graded))
    return rows


def _write_block(
    file: Path,
    groups: Sequence[CompletionGroup],
    references: References,
    grader: Grader,
    params: SamplingParams,
    tokenizer: Any,
    seconds: float,
) -> list[Row]:
    pairs = [(g.prompt, number, c) for g in groups for number, c in enumerate(g.completions)]
    items = [references.item(prompt.id, c.text) for prompt, _, c in pairs]
    judged = list(grader.grade_all(items))
    rows = [
        _row(*pair, params.max_new_tokens, seconds, one)
        | by_token(tokenizer if not pair[1] else None, pair[2])
        for pair, one in zip(pairs, judged, strict=True)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        out.write("".join(json.dumps(row) + "\n" for row in rows))
        out.flush()
        os.fsync(out.fileno())
    return rows


def by_token(tokenizer: Any, completion: Completion) -> Row:
    """Where each token ends in the text, and its log-prob, for a reader; nothing without both."""
    ends = token_ends(tokenizer, completion.token_ids, completion.text) if tokenizer else None
    if ends is None:
        return {}
    return {"token_ends": ends, "token_logps": [round(one, 3) for one in completion.logps]}


class References:
    """The answers of a benchmark's questions, for grading alone."""

    def __init__(self, answers: AnswerKey, kind: str, choices: Mapping[str, Sequence[str]]) -> None:
        self._answers, self._kind, self._choices = answers, kind, choices

    def item(self, question_id: str, text: str) -> Item:
        """What grading `text` as an answer to this question takes."""
        choices = self._choices.get(question_id)
        return Item(text, self._answers[question_id], self._kind, choices)

    def unreadable(self, grader: Grader) -> list[str]:
        """Ids whose reference cannot be read as mathematics: only its own text equals it."""
        if self._kind == "choice":
            return []
        ids = list(self._answers)
        return [one for one in ids if not grader.readable(self._answers[one])]


def regrade(rows: Sequence[Row], references: References, grader: Grader) -> Iterator[Row]:
    """The same samples with verdicts from the grader as it is now."""
    items = [references.item(row["id"], row["text"]) for row in rows]
    for row, judged in zip(rows, grader.grade_all(items), strict=True):
        yield row | _graded(judged)


def _row(
    prompt: Prompt,
    number: int,
    completion: Completion,
    cap: int,
    seconds: float,
    judged: Judgement,
) -> Row:
    return {
        "id": prompt.id,
        "sample": number,
        "prompt": prompt.text,
        "text": completion.text,
        "tokens": len(completion.token_ids),
        "logprob": sum(completion.logps),
        "finish_reason": completion.finish_reason,
        "max_new_tokens": cap,
        "seconds": round(seconds, 4),
    } | _graded(judged)


def _graded(judged: Judgement) -> Row:
    return {
        "answer": judged.answer,
        "verdict": judged.verdict.value,
        "grading_seconds": round(judged.seconds, 4),
    }


_NEEDED = {"id", "sample", "prompt", "text", "tokens", "logprob", "answer", "verdict"}


def read_rows(file: Path) -> list[Row]:
    """The rows of whole lines; one cut off by a kill is not one. Raises `OutputError`."""
    if not file.exists():
        return []
    rows: list[Row] = []
    with file.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                break
            try:
                row = json.loads(line)
                if not isinstance(row, dict) or not row.keys() >= _NEEDED:
                    raise ValueError("not a sample")
                rows.append(row)
            except ValueError as error:
                raise OutputError(
                    f"{file}, line {len(rows) + 1} is damaged ({error}): "
                    "start again with --overwrite, or cut the file before it"
                ) from error
    return rows


def _kept_rows(file: Path, prompts: Sequence[Prompt], samples: int, block: int) -> list[Row]:
    """Rows of whole blocks; what comes after them is cut off the file."""
    rows = read_rows(file)
    expected = [(prompt, number) for prompt in prompts for number in range(samples)]
    for row, (prompt, number) in zip(rows, expected, strict=False):
        if (row["id"], row["prompt"], row["sample"]) != (prompt.id, prompt.text, number):
            raise OutputError(
                f"{file} holds answers to other prompts, first at {row['id']}: "
                "the questions or the template have changed; start again with --overwrite"
            )
    whole = len(expected)
    if len(rows) < whole:
        whole = len(rows) // (block * samples) * (block * samples)
    if file.exists():
        lines = file.read_bytes().split(b"\n")[:whole]
        with file.open("rb+") as out:
            out.truncate(sum(len(line) + 1 for line in lines))
    return rows[:whole]
