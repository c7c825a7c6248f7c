"""Samples on disk: what a row says, what is kept after a kill, and what is judged anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from rlsc.engines import SamplingParams, ScriptedEngine, seed_for
from rlsc.errors import OutputError
from rlsc.evaluation.samples import References, Row, collect_samples, read_rows, regrade
from rlsc.grading import Grader, shared_grader
from rlsc.types import AnswerKey, Completion, Prompt

PROMPTS = [Prompt(name, f"prompt {name}\u2028é", (1, 2)) for name in "abcde"]
ANSWERS = AnswerKey(dict.fromkeys("abcde", "7"))
REFERENCES = References(ANSWERS, "math", {})
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


def collect(
    file: Path,
    engine: Recorder | None = None,
    prompts: Sequence[Prompt] = PROMPTS,
    samples: int = 2,
    grader: Grader | None = None,
    **more,
) -> list[Row]:
    """Blocks of two questions: ab, cd, e."""
    settings = {"block_rows": 4} | more
    return collect_samples(
        engine or Recorder(),
        grader or shared_grader(),
        prompts,
        REFERENCES,
        PARAMS,
        samples,
        seed=3,
        file=file,
        **settings,
    )


def timeless(rows: Sequence[Row]) -> list[Row]:
    return [{key: row[key] for key in row if not key.endswith("seconds")} for row in rows]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "math500" / "chat-T0.5-k2.jsonl"


# What is written.


def test_a_row_says_everything(file: Path) -> None:
    rows = collect(file)
    assert timeless(rows)[2] == {
        "id": "b",
        "sample": 0,
        "prompt": PROMPTS[1].text,
        "text": r"\boxed{7.0}",
        "tokens": 4,
        "logprob": -1.0,
        "finish_reason": "stop",
        "max_new_tokens": PARAMS.max_new_tokens,
        "answer": "7.0",
        "verdict": "correct",
    }
    assert rows[2].keys() - timeless(rows)[2].keys() == {"seconds", "grading_seconds"}
    assert all(row["seconds"] >= 0 and row["grading_seconds"] >= 0 for row in rows)
    assert rows[4]["finish_reason"] == "length"
    assert (rows[4]["answer"], rows[4]["verdict"]) == (None, "unparsed")


def test_rows_come_in_the_order_of_the_questions_and_match_the_file(file: Path) -> None:
    rows = collect(file)
    assert [(row["id"], row["sample"]) for row in rows] == [(n, s) for n in "abcde" for s in (0, 1)]
    assert [row["text"] for row in rows] == [text for said in SAID.values() for text in said]
    assert [row["verdict"] == "correct" for row in rows] == RIGHT
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
    collect(tmp_path / "b.jsonl", backwards, PROMPTS[::-1], block_rows=2)
    assert engine.seeds == [seed_for(3, "benchmark", 0.5, name) for name in "abcde"]
    assert backwards.seeds == engine.seeds[::-1]
    assert len(set(engine.seeds)) == 5


def test_every_block_is_on_disk_before_the_next_is_sampled(file: Path) -> None:
    engine = Recorder(last=2, file=file)
    with pytest.raises(KeyboardInterrupt):
        collect(file, engine)
    assert engine.rows == [0, 4]
    assert [row["id"] for row in read_rows(file)] == list("aabbccdd")


def test_progress_counts_every_row_the_kept_ones_too(file: Path) -> None:
    for steps in ([2] * 5, [10]):
        done: list[int] = []
        collect(file, on_progress=done.append)
        assert done == steps


def test_a_limit_of_the_grader_is_a_timeout_of_its_own(file: Path) -> None:
    with Grader(workers=1, seconds=1e-9) as grader:
        (row,) = collect(file, prompts=PROMPTS[:1], samples=1, grader=grader)
    assert (row["answer"], row["verdict"]) == (None, "timeout")
    assert read_rows(file)[0]["verdict"] == "timeout"


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
    with pytest.raises(OutputError, match=r"answers to other prompts.*--overwrite") as caught:
        collect(file, Recorder(last=0), prompts)
    assert str(file) in str(caught.value)
    assert file.read_bytes() == content


def test_another_number_of_samples_is_refused(file: Path) -> None:
    collect(file)
    content = file.read_bytes()
    with pytest.raises(OutputError, match="other prompts"):
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


# Judging.


def test_regrading_changes_the_judgement_and_nothing_else(file: Path) -> None:
    rows = collect(file)
    spoilt = [row | {"verdict": "timeout", "answer": None, "grading_seconds": -1} for row in rows]
    mended = list(regrade(spoilt, REFERENCES, shared_grader()))
    assert timeless(mended) == timeless(rows)
    assert all(row["grading_seconds"] >= 0 for row in mended)
    assert [row["seconds"] for row in mended] == [row["seconds"] for row in rows]
    assert spoilt[0]["verdict"] == "timeout"


def test_regrading_goes_by_the_references_it_is_given(file: Path) -> None:
    rows = collect(file)
    others = References(AnswerKey(dict.fromkeys("abcde", "9")), "math", {})
    verdicts = [row["verdict"] for row in regrade(rows, others, shared_grader())]
    assert [place for place, verdict in enumerate(verdicts) if verdict == "correct"] == [7, 8]


def test_a_choice_is_right_by_letter_or_by_text() -> None:
    choices = {"a": ("Mars", "Sirius")}
    references = References(AnswerKey({"a": "B"}), "choice", choices)
    texts = [r"\boxed{B}", r"\boxed{\text{Sirius}}", r"\boxed{A}", r"\boxed{\text{Mars}}"]
    rows = [{"id": "a", "text": text} for text in texts]
    verdicts = [row["verdict"] for row in regrade(rows, references, shared_grader())]
    assert verdicts == ["correct", "correct", "wrong", "wrong"]
    assert references.unreadable(shared_grader()) == []


def test_references_that_nobody_can_read_are_listed() -> None:
    answers = AnswerKey({"a": "7", "b": r"\frac{1}{2}", "c": r"\begin{", "d": "x + 1"})
    assert References(answers, "math", {}).unreadable(shared_grader()) == ["c"]
