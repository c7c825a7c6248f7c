"""Samples on disk: what a row says, what is kept after a kill, and what is judged anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rlsc.engines import SamplingParams, ScriptedEngine, seed_for
from rlsc.errors import OutputError
from rlsc.evaluation.asking import Asked
from rlsc.evaluation.collecting import (
    Collecting,
    check_kept,
    collect_ways,
    graded,
    regrade,
    unreadable_references,
)
from rlsc.evaluation.collecting import collect as collect_rows
from rlsc.grading import Grader, shared_grader
from rlsc.records.rows import AnswerRow, read_rows, rows_file, write_rows
from rlsc.runtime import Workers
from rlsc.types import AnswerKey, Completion, Prompt, Question, Setting, Task

PROMPTS = [Prompt(name, f"prompt {name}\u2028é", (1, 2)) for name in "abcde"]
QUESTIONS = tuple(Question(name, name) for name in "abcde")
TASK = Task("math500", "MATH-500", QUESTIONS, AnswerKey(dict.fromkeys("abcde", "7")))
PARAMS = SamplingParams(9, (0,), temperature=0.5)
# Two samples a question; what is said, and how it is judged.
SAID = {
    "a": ("so 7", "so 8"),
    "b": (r"\boxed{7.0}", r"\boxed{"),
    "c": ("", "7"),
    "d": ("\\boxed{7}\n\u2028é\ud800", "9"),
    "e": ("9", r"\boxed{\frac{14}{2}}"),
}
RIGHT = [True, False, True, False, False, True, True, False, False, True]


def completion(text: str) -> Completion:
    tokens = tuple(range(len(text) % 4 + 1))
    return Completion(text, tokens, (-0.25,) * len(tokens), "stop" if text else "length")


class Recorder(ScriptedEngine):
    """Keeps what it was asked and how many rows `file` then had; dies at its `last` call."""

    def __init__(self, last: int | None = None, file: Path | None = None) -> None:
        super().__init__({name: [completion(t) for t in said] for name, said in SAID.items()})
        self.asked: list[str] = []
        self.seeds: list[int] = []
        self.rows: list[int] = []
        self.last, self.file = last, file

    def generate(self, prompts, n, params, seeds, on_progress=None):
        if self.last == len(self.asked):
            raise KeyboardInterrupt
        if self.file:
            self.rows.append(len(read_rows(self.file)))
        self.asked.append("".join(prompt.id for prompt in prompts))
        self.seeds += seeds
        return super().generate(prompts, n, params, seeds, on_progress)


def asked(prompts: Sequence[Prompt] = PROMPTS, samples: int = 2, task: Task = TASK) -> Asked:
    setting = Setting("chat", PARAMS.temperature, samples, PARAMS.max_new_tokens, name="chat")
    return Asked(task, setting, prompts, (), PARAMS)


def collect(
    file: Path,
    engine: Recorder | None = None,
    prompts: Sequence[Prompt] = PROMPTS,
    samples: int = 2,
    grader: Grader | None = None,
    task: Task = TASK,
    **more,
) -> list[AnswerRow]:
    """Blocks of two questions: ab, cd, e."""
    how = Collecting(**{"seed": 3, "origin": {"model": "m"}, "block_rows": 4} | more)
    what = asked(prompts, samples, task)
    return collect_rows(engine or Recorder(), what, file.parents[1], grader or shared_grader(), how)


def timeless(rows: Sequence[AnswerRow]) -> list[AnswerRow]:
    return [replace(row, seconds=0.0, grading_seconds=0.0) for row in rows]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return rows_file(tmp_path, "math500", "chat")


# What is written.


def test_a_row_says_everything(file: Path) -> None:
    rows = collect(file)
    assert timeless(rows)[2] == AnswerRow(
        id="b",
        sample=0,
        prompt=PROMPTS[1].text,
        text=r"\boxed{7.0}",
        tokens=4,
        logprob=-1.0,
        finish_reason="stop",
        max_new_tokens=PARAMS.max_new_tokens,
        seconds=0.0,
        answer="7.0",
        verdict="correct",
    )
    assert all(row.seconds >= 0 and row.grading_seconds >= 0 for row in rows)
    assert rows[4].finish_reason == "length"
    assert (rows[4].answer, rows[4].verdict) == (None, "unparsed")


def test_rows_come_in_the_order_of_the_questions_and_match_the_file(file: Path) -> None:
    rows = collect(file)
    assert [(row.id, row.sample) for row in rows] == [(n, s) for n in "abcde" for s in (0, 1)]
    assert [row.text for row in rows] == [text for said in SAID.values() for text in said]
    assert [row.verdict == "correct" for row in rows] == RIGHT
    assert read_rows(file) == rows
    file.read_bytes().decode("ascii")  # half a character and a line separator are escaped


@pytest.mark.parametrize(
    ("block_rows", "blocks"),
    [
        (4, ["ab", "cd", "e"]),
        (5, ["ab", "cd", "e"]),
        (64, ["abcde"]),
        (1, list("abcde")),
        (2, list("abcde")),
    ],
)
def test_questions_go_in_whole_blocks(file: Path, block_rows: int, blocks: list[str]) -> None:
    engine = Recorder()
    collect(file, engine, block_rows=block_rows)
    assert engine.asked == blocks


def test_seeds_are_those_of_the_question_wherever_it_stands(file: Path, tmp_path: Path) -> None:
    engine, backwards = Recorder(), Recorder()
    collect(file, engine)
    collect(tmp_path / "b" / "m" / "x", backwards, PROMPTS[::-1], block_rows=2)
    assert engine.seeds == [seed_for(3, "evaluate", "sampled", name) for name in "abcde"]
    assert backwards.seeds == engine.seeds[::-1]
    assert len(set(engine.seeds)) == 5


def test_every_block_is_on_disk_before_the_next_is_sampled(file: Path) -> None:
    engine = Recorder(last=2, file=file)
    with pytest.raises(KeyboardInterrupt):
        collect(file, engine)
    assert engine.rows == [0, 4]
    assert [row.id for row in read_rows(file)] == list("aabbccdd")


def test_a_limit_of_the_grader_is_a_timeout_of_its_own(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workers, "call", lambda *_: (None, 1.0))  # as it answers past the limit
    with Grader(workers=1) as grader:
        (row,) = collect(file, prompts=PROMPTS[:1], samples=1, grader=grader)
    assert (row.answer, row.verdict) == (None, "timeout")
    assert read_rows(file)[0].verdict == "timeout"


# What is kept.


def test_what_is_whole_is_not_sampled_again(file: Path) -> None:
    rows, content = collect(file), file.read_bytes()
    engine = Recorder(last=0)
    assert collect(file, engine) == rows
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    ("lines", "tail", "asked"),
    [
        (0, "", ["ab", "cd", "e"]),
        (3, "", ["ab", "cd", "e"]),  # a block that is not whole
        (4, "", ["cd", "e"]),
        (5, "", ["cd", "e"]),
        (8, "", ["e"]),
        (9, "", ["e"]),  # as is the last, shorter one
        (10, "", []),
        (0, '{"id": "a", "samp', ["ab", "cd", "e"]),
        (1, '{"id": "a", "samp', ["ab", "cd", "e"]),
        (4, '{"id": "c", "samp', ["cd", "e"]),
        (4, "{}", ["cd", "e"]),  # no line end: not a whole line
        (10, '{"id"', []),
    ],
)
def test_whole_blocks_are_kept_and_the_rest_is_sampled_again(
    file: Path, lines: int, tail: str, asked: list[str]
) -> None:
    rows = collect(file)
    written = file.read_text().splitlines(keepends=True)
    file.write_text("".join(written[:lines]) + tail)
    engine = Recorder()
    resumed = collect(file, engine)
    assert engine.asked == asked
    assert timeless(resumed) == timeless(rows)
    assert read_rows(file) == resumed
    kept = 10 - sum(2 * len(block) for block in asked)
    assert resumed[:kept] == rows[:kept]


def test_a_kill_at_any_byte_changes_nothing(file: Path) -> None:
    rows, content = collect(file), file.read_bytes()
    for cut in [*range(0, len(content), 41), 1, len(content) - 1]:
        file.write_bytes(content[:cut])
        assert timeless(collect(file)) == timeless(rows), cut
        assert timeless(read_rows(file)) == timeless(rows), cut


@pytest.mark.parametrize(
    "prompts",
    [
        PROMPTS[::-1],
        [Prompt(prompt.id, f"Problem: {prompt.text}", (1, 2)) for prompt in PROMPTS],
        [*PROMPTS[:3], Prompt("x", "prompt x", (1,)), PROMPTS[4]],
    ],
    ids=["order", "template", "one question"],
)
def test_answers_to_other_prompts_are_refused_and_left_alone(file: Path, prompts) -> None:
    collect(file)
    content = file.read_bytes()
    with pytest.raises(
        OutputError, match=r"other answers: .*prompts.* changed since.*--overwrite"
    ) as caught:
        collect(file, Recorder(last=0), prompts)
    assert str(file) in str(caught.value)
    assert file.read_bytes() == content


def test_another_number_of_samples_is_refused(file: Path) -> None:
    collect(file)
    content = file.read_bytes()
    with pytest.raises(OutputError, match="other answers: setting changed"):
        collect(file, Recorder(last=0), samples=1)
    assert file.read_bytes() == content


@pytest.mark.parametrize("damage", ["{", '{"id": "a"', "\0" * 9, "null", "[]", "{}", '"a"'])
def test_a_damaged_line_is_named_and_nothing_is_lost(file: Path, damage: str) -> None:
    collect(file)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:2], damage, *lines[3:]]) + "\n")
    content = file.read_bytes()
    with pytest.raises(OutputError, match=r"line 3 is damaged") as caught:
        collect(file, Recorder(last=0))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert file.read_bytes() == content


# Reading.


def test_a_line_without_its_end_is_not_read(file: Path) -> None:
    assert read_rows(file) == []
    rows = collect(file)
    with file.open("a") as out:
        out.write('{"id": "f", "sam')
    assert read_rows(file) == rows


# What the answers hang on.


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        ({"origin": {"model": "n"}}, "model"),
        ({"seed": 4}, "seed"),
        ({"task": replace(TASK, answers=AnswerKey({"a": "8"}))}, "references"),
    ],
)
def test_answers_of_another_key_are_refused_or_made_anew(file: Path, more, changed: str) -> None:
    rows, content = collect(file), file.read_bytes()
    with pytest.raises(OutputError, match=f"other answers: {changed} changed") as caught:
        collect(file, Recorder(last=0), **more)
    assert "\n" not in str(caught.value)
    assert file.read_bytes() == content
    engine = Recorder()
    again = collect(file, engine, begin_anew=True, **more)
    assert engine.asked == ["ab", "cd", "e"]
    assert [row.text for row in again] == [row.text for row in rows]


def test_what_would_be_refused_is_known_beforehand(file: Path) -> None:
    how = Collecting(seed=3, origin={"model": "m"}, block_rows=4)
    check_kept([asked()], file.parents[1], how)
    collect(file)
    check_kept([asked()], file.parents[1], how)
    with pytest.raises(OutputError, match="seed changed"):
        check_kept([asked()], file.parents[1], replace(how, seed=4))


def test_answers_of_another_evaluation_are_taken_over_if_they_are_the_same(
    file: Path, tmp_path: Path
) -> None:
    rows = collect(file)
    mine = rows_file(tmp_path / "mine", "math500", "chat")
    assert collect(mine, Recorder(last=0), shared=tmp_path) == rows
    assert mine.read_bytes() == file.read_bytes()
    other, engine = rows_file(tmp_path / "other", "math500", "chat"), Recorder()
    collect(other, engine, shared=tmp_path, seed=4)
    assert engine.asked == ["ab", "cd", "e"]
    file.write_bytes(file.read_bytes()[:-9])  # one that is not finished
    cut, engine = rows_file(tmp_path / "cut", "math500", "chat"), Recorder()
    collect(cut, engine, shared=tmp_path)
    assert engine.asked == ["ab", "cd", "e"]


def test_the_engine_is_given_its_weights_only_if_it_is_asked(file: Path) -> None:
    calls: list[str] = []
    collect(file, before_sampling=lambda: calls.append("now"))
    assert calls == ["now"] * 3
    collect(file, before_sampling=lambda: calls.append("again"))
    assert calls == ["now"] * 3


# Judging.


def test_a_question_without_a_reference_has_an_answer_and_no_verdict(file: Path) -> None:
    rows = collect(file, task=replace(TASK, answers=AnswerKey({"a": "7"})))
    assert [row.verdict for row in rows[:3]] == ["correct", "wrong", None]
    assert [row.answer for row in rows[:3]] == ["7", "8", "7.0"]


def test_regrading_changes_the_judgement_and_nothing_else(file: Path) -> None:
    rows = collect(file)
    spoilt = [replace(row, verdict="timeout", answer=None, grading_seconds=-1) for row in rows]
    write_rows(file, spoilt)
    assert regrade(TASK, file, shared_grader()) == 10
    mended = read_rows(file)
    assert timeless(mended) == timeless(rows)
    assert all(row.grading_seconds >= 0 for row in mended)
    assert [row.seconds for row in mended] == [row.seconds for row in rows]


def test_regrading_goes_by_the_references_it_is_given(file: Path) -> None:
    collect(file)
    other = replace(TASK, answers=AnswerKey(dict.fromkeys("abcde", "9")))
    assert regrade(other, file, shared_grader()) == 7
    verdicts = [row.verdict for row in read_rows(file)]
    assert [place for place, verdict in enumerate(verdicts) if verdict == "correct"] == [7, 8]
    # What is judged anew is that of the new references.
    collect(file, Recorder(last=0), task=other)


def test_a_thought_that_the_template_opens_is_no_answer_until_it_ends(file: Path) -> None:
    row = replace(collect(file)[0], prompt="Seven?<|assistant|><think>\n")
    texts = ["It is 7. Or is it", "So \\boxed{7}", "Or 8?</think>It is 7."]
    rows = [replace(row, text=text) for text in texts]
    found = list(graded(rows, TASK, shared_grader()))
    assert [one.verdict for one in found] == ["unparsed", "unparsed", "correct"]
    unlabelled = replace(TASK, answers=AnswerKey({}))
    assert [one.answer for one in graded(rows, unlabelled, shared_grader())] == [None, None, "7"]


def test_a_choice_is_right_by_letter_or_by_text(file: Path) -> None:
    task = replace(
        TASK, answers=AnswerKey({"a": "B"}), kind="choice", choices={"a": ("Mars", "Sirius")}
    )
    texts = [r"\boxed{B}", r"\boxed{\text{Sirius}}", r"\boxed{A}", r"\boxed{\text{Mars}}"]
    row = collect(file)[0]
    rows = [replace(row, text=text) for text in texts]
    verdicts = [row.verdict for row in graded(rows, task, shared_grader())]
    assert verdicts == ["correct", "correct", "wrong", "wrong"]
    assert unreadable_references(task, shared_grader()) == []


def test_references_that_nobody_can_read_are_listed() -> None:
    answers = AnswerKey({"a": "7", "b": r"\frac{1}{2}", "c": r"\begin{", "d": "x + 1"})
    assert unreadable_references(replace(TASK, answers=answers), shared_grader()) == ["c"]


# Several ways to ask at once.


def ways() -> list[Asked]:
    """Two that are sampled alike, and between them one that ends at a text."""
    stopped = replace(PARAMS, stop_strings=("Q:",))
    plain, terse, shots = (
        replace(asked(), setting=replace(asked().setting, name=name))
        for name in ("chat", "terse", "shots")
    )
    return [plain, replace(shots, params=stopped), terse]


def way_files(folder: Path) -> list[Path]:
    return [rows_file(folder, "math500", each.setting.label) for each in ways()]


def collect_all(folder: Path, block_rows: int = 20) -> Recorder:
    engine = Recorder()
    how = Collecting(3, {"model": "m"}, block_rows)
    collect_ways(engine, ways(), folder, shared_grader(), how)
    return engine


def test_ways_that_are_sampled_alike_go_in_one_call(tmp_path: Path) -> None:
    assert collect_all(tmp_path / "at-once").asked == ["abcdeabcde", "abcde"]
    for each in ways():
        how = Collecting(3, {"model": "m"}, 20)
        collect_rows(Recorder(), each, tmp_path / "alone", shared_grader(), how)
    pairs = zip(way_files(tmp_path / "at-once"), way_files(tmp_path / "alone"), strict=True)
    for file, alone in pairs:
        assert timeless(read_rows(file)) == timeless(read_rows(alone))
        assert file.with_suffix(".key.json").read_text() == (
            alone.with_suffix(".key.json").read_text()
        )


@pytest.mark.parametrize("kept", [0, 3])
def test_a_way_that_was_cut_off_is_asked_in_the_same_company(tmp_path: Path, kept: int) -> None:
    collect_all(tmp_path)
    first, _, cut = way_files(tmp_path)
    whole = read_rows(cut)
    lines = cut.read_text("utf-8").split("\n")
    cut.write_text("".join(f"{line}\n" for line in lines[:kept]), "utf-8")
    before = first.read_bytes()
    assert collect_all(tmp_path).asked == ["abcdeabcde"]
    assert timeless(read_rows(cut)) == timeless(whole)
    assert first.read_bytes() == before  # its own seconds are not measured again
    assert collect_all(tmp_path).asked == []


def test_ways_that_are_more_than_a_block_are_sampled_one_by_one(tmp_path: Path) -> None:
    assert collect_all(tmp_path, block_rows=19).asked == ["abcde", "abcde", "abcde"]
