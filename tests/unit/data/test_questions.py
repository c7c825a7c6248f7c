"""Where questions come from: built-in arithmetic, files, Hub data sets."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest

from rlsc.data.questions import ARITHMETIC, QuestionSet, arithmetic, load_questions
from rlsc.errors import ConfigError, QuestionError
from rlsc.types import Question

KINDS = tuple(ARITHMETIC)
SEEDS = (0, 1, 2, 3, 17)


def terms(identifier: str) -> tuple[int, ...]:
    return tuple(map(int, identifier.removeprefix("arithmetic/").split("+")))


def unordered(questions) -> set[tuple[int, ...]]:
    return {tuple(sorted(terms(question.id))) for question in questions}


def answers_of(questions: QuestionSet) -> dict[str, str]:
    return {identifier: questions.answers[identifier] for identifier in questions.answers}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "questions.jsonl"


def read(file: Path, content: str, **options) -> QuestionSet:
    file.write_text(content, encoding="utf-8")
    return load_questions(str(file), **options)


# Built-in arithmetic.


def test_single_digits_are_all_81_questions() -> None:
    found = arithmetic()
    texts = {question.text for question in (*found.train, *found.held_out)}
    assert texts == {f"What is {a} + {b}?" for a in range(1, 10) for b in range(1, 10)}
    assert len(found.train) + len(found.held_out) == 81


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_no_held_out_question_mirrors_a_training_one(kind: str, seed: int) -> None:
    found = arithmetic(kind, seed)
    assert not unordered(found.train) & unordered(found.held_out)
    total = len(found.train) + len(found.held_out)
    assert 0.45 < len(found.held_out) / total < 0.55
    if kind != "single_digit":
        assert len(found.held_out) >= 200


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_is_right_and_every_id_used_once(kind: str) -> None:
    found = arithmetic(kind)
    questions = (*found.train, *found.held_out, *found.validation)
    assert len({question.id for question in questions}) == len(questions) == len(found.answers)
    for question in questions:
        numbers = terms(question.id)
        assert question.text == f"What is {' + '.join(map(str, numbers))}?"
        assert found.answers[question.id] == str(sum(numbers))


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_is_the_split(kind: str) -> None:
    first, again, other = arithmetic(kind, 5), arithmetic(kind, 5), arithmetic(kind, 6)
    assert (first.train, first.held_out) == (again.train, again.held_out)
    assert first.train != other.train
    assert first.held_out != other.held_out


def test_the_split_of_seed_0_is_the_one_in_the_log() -> None:
    """Pinned: figures in LOG.md rest on it, on every machine and Python."""
    found = arithmetic("single_digit", 0)
    assert (len(found.train), len(found.held_out)) == (42, 39)


def test_arithmetic_by_name() -> None:
    assert load_questions("arithmetic").train == arithmetic("single_digit", 0).train
    found = load_questions("arithmetic:two_digit", split_seed=3)
    assert found.name == "arithmetic:two_digit"
    assert found.held_out == arithmetic("two_digit", 3).held_out
    with pytest.raises(ConfigError, match=r"'cubic'.*single_digit, two_digit, three_terms"):
        load_questions("arithmetic:cubic")


# JSONL.


def test_rows_become_questions(file: Path) -> None:
    rows = [
        {"question": " What is 3 + 8? ", "answer": " 11 "},
        {"question": "Half of 1?", "answer": 0.5},
        {"question": "And 2 + 2?", "answer": 4, "id": "sum/2+2", "level": "easy"},
        {"question": "No answer"},
        {"question": "Null answer", "answer": None},
    ]
    found = read(file, "\n\n  \r\n".join(map(json.dumps, rows)))
    assert [question.id for question in found.train] == ["0", "1", "sum/2+2", "3", "4"]
    assert found.train[0].text == "What is 3 + 8?"
    assert answers_of(found) == {"0": "11", "1": "0.5", "sum/2+2": "4"}
    assert found.held_out == ()
    assert found.name == str(file)


def test_other_column_names(file: Path) -> None:
    content = '{"problem": "1 + 1?", "solution": 2, "answer": "decoy"}'
    found = read(file, content, question_column="problem", answer_column="solution")
    assert found.train[0].text == "1 + 1?"
    assert answers_of(found) == {"0": "2"}


def test_a_question_is_stripped_and_a_prompt_is_as_it_is(file: Path) -> None:
    """Such as one that a chat template has written, which ends with a line break."""
    for column, text in (("question", "1 + 1?"), ("problem", "1 + 1?"), ("prompt", " 1 + 1?\n")):
        assert read(file, json.dumps({column: " 1 + 1?\n"})).train[0].text == text


def test_a_paraphrase_stands_beside_its_question(file: Path) -> None:
    file.write_text(
        '{"question": "3 + 8?", "paraphrase": " Add 3 and 8. ", "id": "a"}\n'
        '{"question": "2 + 2?", "paraphrase": null, "id": "b"}\n'
    )
    found = load_questions(str(file))
    assert found.paraphrases == {"a": Question("a", "Add 3 and 8.")}
    assert [question.text for question in found.train] == ["3 + 8?", "2 + 2?"]


def test_a_unicode_line_separator_does_not_break_a_row(file: Path) -> None:
    found = read(file, '{"question": "one\u2028two\u2029three\x85four"}\n{"question": "five"}\n')
    assert [question.text for question in found.train] == [
        "one\u2028two\u2029three\x85four",
        "five",
    ]


BAD_CONTENT = {
    "empty": ("", r"questions\.jsonl is empty"),
    "blank": (" \n\n", r"questions\.jsonl is empty"),
    "broken": ('{"question": "a"}\n\n{"question": \n', r"questions\.jsonl, line 3: not valid JSON"),
    "array": ("[1, 2]", r"line 1: each line must be a JSON object"),
    "no column": (
        '{"question": "a"}\n{"problem": "b", "level": 2}',
        r"line 2: no text under 'question' \(it has problem, level\).*--question_column",
    ),
    "blank text": ('{"question": " "}', r"line 1: no text under 'question'"),
    "not a text": ('{"question": 7}', r"line 1: .question. is 7, not text"),
    "same id": (
        '{"question": "a", "id": "x"}\n{"question": "b", "id": "x"}',
        r"line 2: the id 'x' is used twice",
    ),
    "row number as id": ('{"question": "a"}\n{"question": "b", "id": 0}', r"line 2: the id '0'"),
}


@pytest.mark.parametrize(("content", "message"), BAD_CONTENT.values(), ids=BAD_CONTENT)
def test_bad_rows_are_named(file: Path, content: str, message: str) -> None:
    with pytest.raises(QuestionError, match=message) as caught:
        read(file, content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["[" * 100_000, "1" * 5_000], ids=["deep", "huge number"])
def test_json_that_python_refuses_is_named_too(file: Path, value: str) -> None:
    with pytest.raises(QuestionError, match=r"questions\.jsonl, line 2"):
        read(file, '{"question": "a"}\n{"question": "b", "answer": ' + value + "}")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match=r"no such file: .*missing\.jsonl"):
        load_questions(str(tmp_path / "missing.jsonl"))
    with pytest.raises(QuestionError, match="is a folder"):
        load_questions(str(tmp_path))
    (tmp_path / "latin.jsonl").write_bytes(b'{"question": "caf\xe9"}')
    with pytest.raises(QuestionError, match=r"latin\.jsonl cannot be read as UTF-8"):
        load_questions(str(tmp_path / "latin.jsonl"))


# Columns.


@pytest.mark.parametrize(
    ("columns", "found", "said"),
    [
        (["question"], "question", ""),
        (["messages", "problem", "prompt", "question"], "question", "question, not prompt or"),
        (["messages", "problem", "prompt"], "prompt", "column prompt, not problem or messages"),
        (["messages", "problem"], "problem", "column problem, not messages"),
        (["messages"], "messages", "questions are in its column messages"),
    ],
)
def test_the_question_is_found_by_name_and_said(
    file: Path, columns: list[str], found: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {column: f"in {column}" for column in columns}
    assert read(file, json.dumps(row)).train[0].text == f"in {found}"
    assert said in capsys.readouterr().out
    assert read(file, json.dumps(row), question_column=columns[0]).train[0].text != ""
    assert not capsys.readouterr().out


@pytest.mark.parametrize("answer", [{"value": "3"}, ["3"], True, float("nan"), float("inf"), " "])
def test_an_answer_that_is_no_text_and_no_number_is_refused(file: Path, answer: object) -> None:
    rows = [{"question": "1?", "answer": 1}, {"question": "2?", "answer": answer}]
    with pytest.raises(QuestionError, match=r"questions\.jsonl, line 2: 'answer'") as caught:
        read(file, "\n".join(map(json.dumps, rows)))
    assert "\n" not in str(caught.value)


def test_an_answer_column_that_is_not_there_lists_the_columns(file: Path) -> None:
    content = '{"question": "1?", "answer": 1}\n{"question": "2?", "level": "easy"}'
    with pytest.raises(QuestionError, match=r"'anwser' \(it has question, answer, level\)"):
        read(file, content, answer_column="anwser")
    found = read(file, content, answer_column="anwser", needs_answers=False)
    assert not answers_of(found)
    assert answers_of(read(file, content, answer_column="answer")) == {"0": "1"}


def chat(*turns: str) -> list[dict[str, str]]:
    """Of `role: content`."""
    pairs = [turn.split(": ") for turn in turns]
    return [{"role": role, "content": content} for role, content in pairs]


def test_a_conversation_is_a_question(file: Path) -> None:
    rows = [
        {"prompt": chat("system: Be brief", "user: 1 + 1?")},
        {"prompt": chat("user: 2 + 2?")},
        {"prompt": chat("user: 3 + 3?", "assistant: It is")},
        {"prompt": [{"role": "user", "content": [{"type": "text", "text": "4 + 4?"}]}]},
    ]
    found = read(file, "\n".join(map(json.dumps, rows))).train
    assert [question.text for question in found] == [
        "1 + 1?",
        "2 + 2?",
        "3 + 3?\n\nIt is",
        "4 + 4?",
    ]
    assert [len(question.messages) for question in found] == [2, 0, 2, 0]
    assert [question.ends_with_answer for question in found] == [False, False, True, False]


def test_messages_with_their_answer_are_refused_unless_the_column_is_named(file: Path) -> None:
    content = json.dumps({"messages": chat("user: 1 + 1?", "assistant: 2")})
    with pytest.raises(QuestionError, match=r"line 1: .*assistant's turn.*--question_column"):
        read(file, content)
    assert read(file, content, question_column="messages").train[0].ends_with_answer


# Hub data sets.


def test_a_hub_data_set_with_split_and_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    data = datasets.Dataset.from_dict({"problem": ["1 + 1?", "2 + 2?"], "solution": [2, None]})
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: asked.append((a, k)) or data)
    columns = {"question_column": "problem", "answer_column": "solution"}
    found = load_questions("someone/sums", split="test", config="main", **columns)
    assert asked == [(("someone/sums", "main"), {"split": "test"})]
    assert [question.text for question in found.train] == ["1 + 1?", "2 + 2?"]
    assert answers_of(found) == {"0": "2"}
    assert load_questions("someone/sums").train == found.train
    with pytest.raises(
        QuestionError, match=r"someone/sums: .*'anwser' \(it has problem, solution\)"
    ):
        load_questions("someone/sums", answer_column="anwser")


def test_a_hub_data_set_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args, **kwargs):
        raise RuntimeError("no such repository\nwith a long story\nbehind it")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(QuestionError, match=r"'someone/sums'.*'dev'.*no such repository") as caught:
        load_questions("someone/sums", split="dev")
    assert "\n" not in str(caught.value)
    empty = datasets.Dataset.from_dict({"question": []})
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: empty)
    with pytest.raises(QuestionError, match="someone/sums, split train: no rows"):
        load_questions("someone/sums")
