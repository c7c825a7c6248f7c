"""CRUXEval: its questions, and how answers of values and of inputs are judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlsc.commands.main import _main
from rlsc.environments import PythonJudge, make_executor
from rlsc.environments.azr.python.evaluation import answer_in
from rlsc.environments.sandbox import choice
from rlsc.errors import ConfigError, QuestionError
from rlsc.evaluation.benchmarks.item import Item, make_task
from rlsc.evaluation.benchmarks.loading import load_benchmark
from rlsc.evaluation.benchmarks.table import BENCHMARKS
from rlsc.evaluation.collecting import graded, unreadable_references
from rlsc.evaluation.identity import judging_of_task
from rlsc.evaluation.scoring import by_question
from rlsc.grading import Grader
from rlsc.records import AnswerRow
from rlsc.types import Check, Task, Verdict

NAMES = ["cruxeval_o", "cruxeval_i", "cruxeval_o_neutral", "cruxeval_i_neutral"]
ROW = {"id": "sample_7", "code": "def f(x, y=0):\n    return [x + y]", "input": "3, 1"}
ROW |= {"output": "[4]"}


@pytest.fixture(scope="module", autouse=True)
def backend() -> None:
    try:
        make_executor("auto")
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cruxeval.jsonl").write_text(json.dumps(ROW) + "\n")
    return tmp_path


def row(text: str, number: int = 0, name: str = "cruxeval_o/sample_7") -> AnswerRow:
    return AnswerRow(name, number, "?", text, 3, -1.0, "stop", 9, 0.0)


def verdicts(task: Task, texts: list[str]) -> list[str | None]:
    (name,) = task.answers
    rows = [row(text, number, name) for number, text in enumerate(texts)]
    return [one.verdict for one in graded(rows, task, Grader())]


@pytest.mark.parametrize("name", NAMES)
def test_a_question_shows_what_it_must_and_hides_what_is_asked_for(name: str, folder: Path) -> None:
    (question,) = load_benchmark(name, folder).questions
    assert question.id == f"{name.replace('_neutral', '')}/sample_7".replace(
        name.split("_neutral")[0], name
    )
    assert ROW["code"] in question.text
    shown, hidden = ("3, 1", "[4]") if "_o" in name else ("[4]", "3, 1")
    assert shown in question.text
    assert hidden not in question.text
    assert ("```" in question.text) == ("neutral" not in name)


@pytest.mark.parametrize(
    ("text", "asked", "answer"),
    [
        ("so\n```output\n4\n```", "output", "4"),
        ("```output\n5\n```\n```output\n4\n```\nDone.", "output", "4"),
        ("so\n```\n4\n```", "output", "4"),
        ("```python\nf(3)\n```\nIt is\n\n 4 \n", "output", "4"),
        ("Answer: `[4]`", "output", "[4]"),
        ("hm</think><answer>\n```output\n4\n```\n</answer> more", "output", "4"),
        ("f(3, y=(1))", "input", "3, y=(1)"),
        ("```input\n3, 1\n```", "input", "3, 1"),
        ("", "output", None),
    ],
)
def test_the_answer_in_a_text(text: str, asked: str, answer: str | None) -> None:
    assert answer_in(text, asked) == answer


def test_a_value_is_right_where_it_is_equal_as_data(folder: Path) -> None:
    task = load_benchmark("cruxeval_o", folder)
    texts = ["[4]", "[ 4.0 ]", "[5]", "[True]", "[3 + 1]", "list((4,))", "four", ""]
    right, wrong, unread = (v.value for v in (Verdict.CORRECT, Verdict.WRONG, Verdict.UNPARSED))
    assert verdicts(task, texts) == [right, right, wrong, wrong, *[unread] * 4]


def test_an_input_is_right_where_the_program_gives_the_output(folder: Path) -> None:
    task = load_benchmark("cruxeval_i", folder)
    texts = ["3, 1", "f(4)", "2, y=2", "3", "'a', 1", "f(sum([4]))", "4) or (True", "none"]
    right, wrong, unread = (v.value for v in (Verdict.CORRECT, Verdict.WRONG, Verdict.UNPARSED))
    assert verdicts(task, texts) == [right, right, right, wrong, wrong, *[unread] * 3]


def test_answers_are_alike_when_their_values_are(folder: Path) -> None:
    """Texts that mathematics would take for one, `a b` and `ab`, are two in a majority."""
    task = load_benchmark("cruxeval_o", folder)
    texts = ["['a b']", "['ab']", '["ab"]', "[4]", "[ 4 ]", "?"]
    rows = list(graded([row(text, n) for n, text in enumerate(texts)], task, Grader()))
    keys = by_question(rows)["cruxeval_o/sample_7"].keys
    assert keys[0] != keys[1] == keys[2] != keys[3] == keys[4]
    assert keys[5] is None
    assert [one.answer for one in rows][:4] == ["['a b']", "['ab']", "['ab']", "[4]"]


def test_references_that_nothing_can_equal_are_named() -> None:
    items = [("0", Item("a", "?", "[4]")), ("1", Item("b", "?", "[4 + 0]"))]
    task = make_task("own", "own", items, "python_value", source="own")
    assert unreadable_references(task, Grader()) == ["b"]
    with pytest.raises(QuestionError, match="there is no check, a program with its output"):
        make_task("own", "own", items, "python_input", source="own")


def test_another_check_is_another_judgement() -> None:
    def made(output: str) -> Task:
        item = Item("a", "?", "3", check=Check(ROW["code"], output))
        return make_task("own", "own", [("0", item)], "python_input", source="own")

    assert judging_of_task(made("[4]")) == judging_of_task(made("[4]"))
    assert judging_of_task(made("[4]")) != judging_of_task(made("[5]"))


def test_without_a_sandbox_inputs_are_refused_at_once_and_values_are_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(self: PythonJudge) -> None:
        raise ConfigError("no sandbox (bwrap: it is not there)")

    monkeypatch.setattr(PythonJudge, "check", none)
    assert load_benchmark("cruxeval_o", folder).kind == "python_value"
    flags = f"eval --benchmarks cruxeval_i --data_dir {folder} --model {folder / 'none'}"
    assert _main([*flags.split(), "--output_dir", str(folder / "run")]) == 2
    assert "no sandbox (bwrap" in capsys.readouterr().err


def test_the_sandbox_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = choice.executor_of("auto")
    monkeypatch.setattr(choice, "make_executor", None)
    assert choice.executor_of("auto") is first


@pytest.fixture
def real(shared_data: Path) -> Path:
    if not (shared_data / "cruxeval.jsonl").exists():
        pytest.skip("cruxeval.jsonl is not there")
    return shared_data


def test_the_files_references_are_right_answers(real: Path) -> None:
    """The first 40 of each: the stored outputs equal themselves, the stored inputs give them."""
    for name in ("cruxeval_o", "cruxeval_i"):
        task = load_benchmark(name, real, limit=40)
        assert (task.available, BENCHMARKS[name].n) == (800, 800)
        block = "output" if name.endswith("o") else "input"
        rows = [row(f"```{block}\n{task.answers[n]}\n```", 0, n) for n in task.answers]
        judged = list(graded(rows, task, Grader()))
        assert [one.id for one in judged if one.verdict != Verdict.CORRECT.value] == []
        assert unreadable_references(task, Grader()) == []


@pytest.mark.slow
def test_all_references_are_right_answers(real: Path) -> None:
    for name, not_literal in (("cruxeval_o", 0), ("cruxeval_i", 12)):  # such as range(100, 120)
        task = load_benchmark(name, real)
        rows = [
            row(f"```{'output' if not not_literal else 'input'}\n{task.answers[n]}\n```", 0, n)
            for n in task.answers
        ]
        judged = list(graded(rows, task, Grader()))
        wrong = [one.id for one in judged if one.verdict != Verdict.CORRECT.value]
        assert len(wrong) == not_literal
        assert wrong == unreadable_references(task, Grader())
