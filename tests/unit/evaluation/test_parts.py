"""Parts of a task by rank: an order that nobody chose, disjoint parts, what is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from rlsc.errors import ConfigError
from rlsc.evaluation.benchmarks.tasks import load_tasks, parse_names, part_of

TEXTS = [f"What is {number} + 1?" for number in range(9)]


def write(folder: Path, texts: list[str], name: str = "gsm8k_test") -> Path:
    rows = [{"id": f"x/{text[8]}", "question": text, "answer": text[8]} for text in texts]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def texts_of(folder: Path, name: str, limit: int = 0) -> list[str]:
    (task,) = load_tasks(name, str(folder), limit)
    assert task.name == "gsm8k"
    return [question.text for question in task.questions]


def test_a_part_is_ranks_of_the_hashes_of_the_texts(tmp_path: Path) -> None:
    ranked = sorted(TEXTS, key=lambda t: hashlib.sha256(f"rlsc/subset/0/{t}".encode()).digest())
    assert ranked != TEXTS
    folder = write(tmp_path, TEXTS)
    assert texts_of(folder, "gsm8k#0-4") == ranked[:4]
    assert texts_of(folder, "gsm8k#4-9") == ranked[4:]
    assert texts_of(folder, "gsm8k#4-9", limit=2) == ranked[4:6]
    (task,) = load_tasks("gsm8k#4-9", str(folder))
    assert {task.answers[q.id] for q in task.questions} == {text[8] for text in ranked[4:]}
    assert set(task.answers) == {question.id for question in task.questions}
    assert task.source.endswith(", ranks 4 to 8 by hash")
    assert (task.available, task.complete) == (9, False)


def test_the_files_order_has_no_say(tmp_path: Path) -> None:
    for name, texts in (("a", TEXTS), ("b", TEXTS[::-1])):
        (tmp_path / name).mkdir()
        write(tmp_path / name, texts)
    assert texts_of(tmp_path / "a", "gsm8k#2-5") == texts_of(tmp_path / "b", "gsm8k#2-5")


def test_a_users_file_has_parts_too(tmp_path: Path) -> None:
    file = write(tmp_path, TEXTS, "mine") / "mine.jsonl"
    (task,) = load_tasks(f"{file}#0-3")
    assert (task.name, len(task.questions)) == ("mine", 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gsm8k#0-10", "gsm8k#0-10: of its 9 questions name ranks from 0 on"),
        ("gsm8k#3-3", "the lower one first"),
        ("gsm8k#5-2", "the lower one first"),
        ("gsm8k#a-2", "no benchmark 'gsm8k#a-2'"),
        ("gms8k#0-2", r"no benchmark 'gms8k' \(did you mean gsm8k"),
        ("gsm8k#0-2,gsm8k#2-4", "named twice: gsm8k"),
    ],
)
def test_other_ranks_are_refused_in_a_line(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_tasks(name, str(write(tmp_path, TEXTS)))
    assert "\n" not in str(caught.value)


def test_steps_of_solutions_belong_together(tmp_path: Path) -> None:
    row = {"id": "a-0", "question": "Is it right?", "answer": "A", "choices": ["yes", "no"]}
    (tmp_path / "steps.jsonl").write_text(json.dumps(row) + "\n")

    (task,) = load_tasks(str(tmp_path / "steps.jsonl"))
    with pytest.raises(ConfigError, match="have no parts"):
        part_of(replace(task, steps=True), 0, 1)


def test_names_keep_their_parts() -> None:
    assert parse_names("gsm8k#0-2, svamp") == ["gsm8k#0-2", "svamp"]


def test_the_studys_questions_are_those_that_were_registered(shared_data: Path) -> None:
    """Their digests stand in experiments/2026-11-28-study-qwen-0.5b.md."""
    page = Path(__file__).parents[3] / "experiments" / "2026-11-28-study-qwen-0.5b.md"
    registered = page.read_text("utf-8")
    names = ("gsm8k#0-200", "gsm8k#200-300", "svamp#0-200", "math500#0-100", "amc23#0-30")
    for name in (*names, "gsm8k_train#0-320"):
        (task,) = load_tasks(name, str(shared_data))
        ids = "\n".join(question.id for question in task.questions)
        assert f"digest {hashlib.sha256(ids.encode()).hexdigest()[:16]})" in registered, name
