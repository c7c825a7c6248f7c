"""Sample a task's answers into a JSONL file that can be cut off anywhere and gone on with.

Questions go in blocks of fixed composition, each written when it is done. What was interrupted
drops a block that is not whole and samples it again: with seeds by question and the same
neighbours in the batch, it gets the very rows that an uninterrupted one gets. Ways to ask that
are sampled together (`collect_ways`) are one block.

Beside each file of rows lies its key: what the rows depend on. Rows of another key are never
taken for these.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlsc.engines import Engine, seed_for
from rlsc.errors import OutputError
from rlsc.evaluation.asking import Asked
from rlsc.evaluation.programs import PYTHON_KINDS, graded_python, unreadable_python
from rlsc.evaluation.token_spans import token_ends
from rlsc.evaluation.voting import with_votes
from rlsc.grading import VERSION, Grader, Item, after_prompt, extract_answer
from rlsc.records import (
    AnswerRow,
    append_rows,
    as_line,
    content_hash,
    read_json,
    read_rows,
    rows_file,
    to_json,
    write_json,
    write_rows,
)
from rlsc.runtime import console, from_main, make_progress, release_freed_memory, waiting
from rlsc.types import Completion, CompletionGroup, Task


@dataclass(frozen=True)
class Collecting:
    """What all tasks and settings of one evaluation share."""

    seed: int
    origin: Mapping[str, object]
    """Of the answers: model, weights, engine; whatever else they depend on."""
    block_rows: int = 512
    """Completions a block, at most; long enough to keep an engine full."""
    tokenizer: Any = None
    """With it, the first sample of each question has its tokens' places and log-probs too."""
    every_token: bool = False
    """Whether all its samples have them: such answers can be cut at a shorter cap."""
    begin_anew: bool = False
    """Whether answers of another key are dropped; else they are refused."""
    shared: Path | None = None
    """Where another evaluation's answers lie, which are taken over if they have the same key."""
    before_sampling: Callable[[], None] = lambda: None
    """Called before an engine is asked, such as to give it the weights."""


def collect(
    engine: Engine, asked: Asked, folder: Path, grader: Grader, how: Collecting
) -> list[AnswerRow]:
    """Answers to all prompts, in order; those that `folder` already holds are kept.

    Raises `OutputError` where it holds the answers to something else. Of several processes the
    main one reads, grades and writes, and all have the rows.
    """
    setting, prompts = asked.setting, asked.prompts
    samples, total = setting.samples, _completions(asked)
    file = rows_file(folder, asked.task.name, setting.label)
    block = max(1, how.block_rows // samples)
    rows = from_main(lambda: _kept_rows(file, asked, block, how))
    if len(rows) == total:
        return rows
    with make_progress("completions") as progress:
        bar = progress.add_task(f"{asked.task.name} {setting.label}", total=total)
        progress.advance(bar, len(rows))
        for start in range(len(rows) // samples, len(prompts), block):
            how.before_sampling()
            part = prompts[start : start + block]
            clock = time.monotonic()
            seeds = _seeds(asked, how, slice(start, start + block))
            advance = functools.partial(progress.advance, bar)
            groups = engine.generate(part, samples, asked.params, seeds, advance)
            release_freed_memory()
            seconds = (time.monotonic() - clock) / (len(part) * samples)
            write = functools.partial(_write, file, asked, groups, seconds, grader, how)
            rows += from_main(write)
    return rows


def collect_ways(
    engine: Engine, ways: Sequence[Asked], folder: Path, grader: Grader, how: Collecting
) -> None:
    """As `collect` for each; those of equal sampling parameters and samples share one call.

    A few questions in many ways, one way at a time, would leave an engine half empty. Ways that
    are more than a block together are collected one after the other.
    """
    alike: list[list[Asked]] = []
    for asked in ways:
        same = next((each for each in alike if _sampled_alike(each[0], asked)), None)
        if same is None:
            alike.append([asked])
        else:
            same.append(asked)
    for block in alike:
        if sum(map(_completions, block)) <= how.block_rows:
            _collect_block(engine, block, folder, grader, how)
            continue
        for asked in block:
            collect(engine, asked, folder, grader, how)


def _collect_block(
    engine: Engine, ways: Sequence[Asked], folder: Path, grader: Grader, how: Collecting
) -> None:
    """All of them in one call, also where only some are missing: neighbours stay what they were."""
    files = [rows_file(folder, each.task.name, each.setting.label) for each in ways]
    kept = from_main(
        lambda: [
            len(_kept_rows(file, each, len(each.prompts), how))
            for file, each in zip(files, ways, strict=True)
        ]
    )
    if kept == [_completions(each) for each in ways]:
        return
    how.before_sampling()
    prompts = [prompt for each in ways for prompt in each.prompts]
    seeds = [seed for each in ways for seed in _seeds(each, how)]
    samples = ways[0].setting.samples
    clock, names = time.monotonic(), ", ".join(each.setting.label for each in ways)
    with make_progress("completions") as progress:
        bar = progress.add_task(f"{ways[0].task.name} {names}", total=len(prompts) * samples)
        advance = functools.partial(progress.advance, bar)
        groups = iter(engine.generate(prompts, samples, ways[0].params, seeds, advance))
    release_freed_memory()
    seconds = (time.monotonic() - clock) / (len(prompts) * samples)
    for file, each, rows in zip(files, ways, kept, strict=True):
        own = [next(groups) for _ in each.prompts]
        if rows < _completions(each):
            from_main(functools.partial(_write, file, each, own, seconds, grader, how))


def _completions(asked: Asked) -> int:
    return len(asked.prompts) * asked.setting.samples


def _sampled_alike(asked: Asked, other: Asked) -> bool:
    return asked.params == other.params and asked.setting.samples == other.setting.samples


def _seeds(asked: Asked, how: Collecting, part: slice = slice(None)) -> list[int]:
    stream = asked.setting.stream
    return [seed_for(how.seed, "evaluate", stream, prompt.id) for prompt in asked.prompts[part]]


def stored_samples(file: Path) -> int:
    """How many samples of a question the answers in a file are of; 0 where there is none."""
    key_file = _key_file(file)
    if not (file.exists() and key_file.exists()):
        return 0
    return int(read_json(key_file)["setting"]["samples"])


def check_kept(asked: Iterable[Asked], folder: Path, how: Collecting) -> None:
    """Raise `OutputError` where the folder holds answers that `collect` would refuse."""
    for each in asked:
        file = rows_file(folder, each.task.name, each.setting.label)
        if file.exists():
            _check_key(file, _key(each, how))


def regrade(task: Task, file: Path, grader: Grader) -> int:
    """Judge the rows of a file anew, in place; of how many the verdict or the vote changed."""
    rows = read_rows(file)
    with make_progress("verdicts") as progress:
        bar = progress.add_task(task.name, total=len(rows))
        judged = []
        for row in _judged(rows, task, grader):
            judged.append(row)
            progress.advance(bar)
    with waiting(f"comparing the answers to {task.name}"):
        judged = with_votes(judged, task.kind, grader)
    write_rows(file, judged)
    key_file = _key_file(file)
    if key_file.exists():
        ids = list(dict.fromkeys(row.id for row in rows))
        write_json(key_file, read_json(key_file) | _grading_key(task, ids))
    return sum(
        (old.verdict, old.key) != (new.verdict, new.key)
        for old, new in zip(rows, judged, strict=True)
    )


def graded(rows: Sequence[AnswerRow], task: Task, grader: Grader) -> list[AnswerRow]:
    """The same answers with verdicts, where the question has a reference answer, and votes.

    `rows` have all samples of a question, or none.
    """
    return with_votes(list(_judged(rows, task, grader)), task.kind, grader)


def _judged(rows: Sequence[AnswerRow], task: Task, grader: Grader) -> Iterator[AnswerRow]:
    if task.kind in PYTHON_KINDS:
        yield from graded_python(rows, task)
        return
    judged = grader.grade_all(
        Item(
            after_prompt(row.prompt, row.text),
            task.answers[row.id],
            task.kind,
            task.choices.get(row.id),
        )
        for row in rows
        if row.id in task.answers
    )
    for row in rows:
        if row.id not in task.answers:
            answer = extract_answer(after_prompt(row.prompt, row.text))
            yield replace(row, answer=answer, key=None, verdict=None, grading_seconds=0.0)
            continue
        judgement = next(judged)
        yield replace(
            row,
            answer=judgement.answer,
            key=None,
            verdict=judgement.verdict.value,
            grading_seconds=round(judgement.seconds, 4),
        )


def unreadable_references(task: Task, grader: Grader) -> list[str]:
    """Ids whose reference cannot be read as mathematics: only its own text equals it."""
    if task.kind == "choice":
        return []
    if task.kind in PYTHON_KINDS:
        return unreadable_python(task)
    with waiting(f"reading the answers of {task.name}"):
        return [name for name in task.answers if not grader.readable(task.answers[name])]


def _write(
    file: Path,
    asked: Asked,
    groups: Sequence[CompletionGroup],
    seconds: float,
    grader: Grader,
    how: Collecting,
) -> list[AnswerRow]:
    rows = [
        AnswerRow(
            id=group.prompt.id,
            sample=number,
            prompt=group.prompt.text,
            text=completion.text,
            tokens=len(completion.token_ids),
            logprob=sum(completion.logps),
            finish_reason=completion.finish_reason,
            max_new_tokens=asked.setting.max_new_tokens,
            seconds=round(seconds, 4),
            spent=completion.spent,
            token_ends=ends,
            token_logps=None if ends is None else [round(logp, 3) for logp in completion.logps],
        )
        for group in groups
        for number, completion in enumerate(group.completions)
        for ends in [_ends(how.tokenizer if how.every_token or not number else None, completion)]
    ]
    rows = graded(rows, asked.task, grader)
    append_rows(file, rows)
    return rows


def _ends(tokenizer: Any, completion: Completion) -> Sequence[int] | None:
    """Where each token ends in the text, for a reader; None: nothing is shown by token."""
    return token_ends(tokenizer, completion.token_ids, completion.text) if tokenizer else None


# What is kept.


def _kept_rows(file: Path, asked: Asked, block: int, how: Collecting) -> list[AnswerRow]:
    """Rows of whole blocks; what comes after them is cut off the file."""
    key, total = _key(asked, how), len(asked.prompts) * asked.setting.samples
    if how.shared is not None:
        _take_over(rows_file(how.shared, asked.task.name, asked.setting.label), file, key, total)
    if file.exists():
        if how.begin_anew and not _has_key(file, key):
            file.unlink()
        else:
            _check_key(file, key)
    if not file.exists():
        write_json(_key_file(file), key)
        return []
    rows = read_rows(file)
    whole = total
    if len(rows) < total:
        step = block * asked.setting.samples
        whole = len(rows) // step * step
    lines = file.read_bytes().split(b"\n")[:whole]
    with file.open("rb+") as out:
        out.truncate(sum(len(line) + 1 for line in lines))
    return rows[:whole]


def _take_over(theirs: Path, file: Path, key: Mapping[str, object], total: int) -> None:
    """Another evaluation's answers, where they are all there and of this very key."""
    if _has_key(file, key) and file.exists():
        return
    if not theirs.exists():
        return
    if not _has_key(theirs, key):
        console.print(
            f"note: the untrained model is asked again: {', '.join(_differing(theirs, key))} of "
            f"{theirs} differ",
            soft_wrap=True,
        )
        return
    rows = read_rows(theirs)
    if len(rows) == total:
        write_json(_key_file(file), key)
        file.write_text("".join(map(as_line, rows)), "utf-8")


def _key_file(file: Path) -> Path:
    return file.with_suffix(".key.json")


def _has_key(file: Path, key: Mapping[str, object]) -> bool:
    return _key_file(file).exists() and read_json(_key_file(file)) == key


def _check_key(file: Path, key: Mapping[str, object]) -> None:
    """Raise `OutputError` that says in what the answers of a file differ from these."""
    changed = _differing(file, key)
    if changed:
        raise OutputError(
            f"{file} holds other answers: {', '.join(changed)} changed since; "
            "start again with --overwrite or another --output_dir"
        )


def _differing(file: Path, key: Mapping[str, object]) -> list[str]:
    stored = read_json(_key_file(file)) if _key_file(file).exists() else {}
    return sorted(name for name in {**stored, **key} if stored.get(name) != key.get(name))


def _key(asked: Asked, how: Collecting) -> dict[str, object]:
    """What stored answers must agree in to be read back."""
    prompts = [[prompt.id, prompt.text, prompt.token_ids] for prompt in asked.prompts]
    ids = [prompt.id for prompt in asked.prompts]
    key = {
        **how.origin,
        "seed": how.seed,
        "setting": asked.setting,
        "prompts": content_hash(prompts),
        **_grading_key(asked.task, ids),
    }
    return {name: to_json(value) for name, value in key.items()}


def _grading_key(task: Task, ids: Sequence[str]) -> dict[str, object]:
    references = [[name, task.answers[name]] for name in ids if name in task.answers]
    checks = [[name, vars(task.checks[name])] for name in ids if name in task.checks]
    return {"references": content_hash([*references, *checks]), "grading": VERSION}
