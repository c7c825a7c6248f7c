"""A user's own task: a data file, a class, built-in arithmetic; and what is said of a bad one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rlsc.errors import RLSCError
from rlsc.evaluation.benchmarks.tasks import load_tasks

PAGE = Path(__file__).parents[3] / "docs" / "your_task.md"
HEAD = "from rlsc import Item, UserTask\n\n"


def example() -> str:
    """The page's Python example."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    return code


def test_the_pages_example_is_a_task_of_twenty_lines(tmp_path: Path) -> None:
    code = example()
    assert len(code.splitlines()) <= 20
    (tmp_path / "my_task.py").write_text(code)
    (task,) = load_tasks(f"{tmp_path / 'my_task.py'}:MyTask", limit=5)
    assert (task.name, task.kind, task.version) == ("squares", "math", 1)
    assert [question.text for question in task.questions][:2] == [
        "What is 11 squared?",
        "What is 12 squared?",
    ]
    assert task.answers[task.questions[0].id] == "121"
    assert (len(task.questions), task.available, task.complete) == (5, 89, False)


def test_a_data_file_is_a_task(tmp_path: Path) -> None:
    rows = [{"question": "1 + 1?", "answer": 2}, {"id": "x", "question": "2 + 2?", "answer": "4"}]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (task,) = load_tasks(str(file))
    assert (task.name, task.title, task.kind, task.source) == (
        *("mine", "mine.jsonl", "math"),
        str(file),
    )
    assert [question.id for question in task.questions] == ["mine/0", "x"]
    assert task.answers["mine/0"] == "2"
    assert task.complete


def test_a_data_file_with_options_is_multiple_choice(tmp_path: Path) -> None:
    row = {"question": "A star?", "answer": "B", "choices": ["Mars", "Sirius"]}
    (tmp_path / "stars.jsonl").write_text(json.dumps(row) + "\n")
    (task,) = load_tasks(str(tmp_path / "stars.jsonl"))
    assert (task.kind, task.choices) == ("choice", {"stars/0": ("Mars", "Sirius")})
    assert task.questions[0].text == "A star?\n\nA. Mars\nB. Sirius"


def test_arithmetic_is_a_task_of_its_held_out_questions() -> None:
    (task,) = load_tasks("arithmetic:two_digit", limit=3)
    assert (task.name, len(task.questions)) == ("arithmetic-two_digit", 3)
    assert task.available > 200


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("class MyTask:\n    pass\n", "it is no rlsc.UserTask"),
        (HEAD + "class MyTask(UserTask):\n    kind = 'song'\n", "its kind is 'song'"),
        (HEAD + "class MyTask(UserTask):\n    pass\n", "NotImplementedError"),
        (
            HEAD + "class MyTask(UserTask):\n    def items(self):\n        return 1 / 0\n",
            "ZeroDivisionError",
        ),
        (
            HEAD + "class MyTask(UserTask):\n    def items(self):\n        return ['x']\n",
            "no rlsc.Item",
        ),
        (
            HEAD + "class MyTask(UserTask):\n    def items(self):\n        return []\n",
            "no questions",
        ),
        (
            HEAD + "class MyTask(UserTask):\n    def items(self):\n"
            "        return [Item('a', '1?', '')]\n",
            r"item 0 \(id 'a'\): there is no answer",
        ),
        (
            HEAD + "class MyTask(UserTask):\n    name = 'a/b'\n    def items(self):\n"
            "        return [Item('a', '1?', '1')]\n",
            "'a/b' is no name for a folder",
        ),
        (
            HEAD + "class MyTask(UserTask):\n    name = 'gsm8k'\n    def items(self):\n"
            "        return [Item('a', '1?', '1')]\n",
            "'gsm8k' is taken",
        ),
        ("x = 1\n", "has no attribute 'MyTask'"),
        ("import nowhere_at_all\n", "ModuleNotFoundError"),
    ],
)
def test_a_bad_task_is_refused_in_a_line(tmp_path: Path, code: str, message: str) -> None:
    (tmp_path / "bad_task.py").write_text(code)
    with pytest.raises(RLSCError, match=message) as caught:
        load_tasks(f"{tmp_path / 'bad_task.py'}:MyTask")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("{", "line 1: not valid JSON"),
        ('{"text": "1?"}', "no column question, prompt, problem or messages"),
        ('{"question": "1?"}', r"line 1 \(id 'mine/0'\): there is no answer"),
        ('{"question": "1?", "answer": []}', "line 1: .*neither text nor a number"),
    ],
)
def test_a_bad_file_is_refused_in_a_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.jsonl").write_text(text + "\n")
    with pytest.raises(RLSCError, match=message):
        load_tasks(str(tmp_path / "mine.jsonl"))


def test_two_tasks_of_one_name_are_refused(tmp_path: Path) -> None:
    row = json.dumps({"question": "1?", "answer": "1"}) + "\n"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.jsonl").write_text(row)
    with pytest.raises(RLSCError, match="named twice: mine"):
        load_tasks(f"{tmp_path / 'a' / 'mine.jsonl'},{tmp_path / 'b' / 'mine.jsonl'}")
