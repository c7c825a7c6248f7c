"""What a run is of: which parts differ, in one line, and what a record that is not there means."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlsc.errors import OutputError
from rlsc.records import identity
from rlsc.types import AnswerKey, Prompt, Question

QUESTIONS = [Question("a", "What is 1?"), Question("b", "What is 2?")]


def test_what_changed_is_named(tmp_path: Path) -> None:
    identity.write_identity(tmp_path, {"training questions": "1", "chat template": "2", "x": "3"})
    same = {"training questions": "1"}  # what is known early is compared early
    identity.check_same(tmp_path, same, "--resume")
    now = {"training questions": "0", "chat template": "2", "model weights": "4"}
    with pytest.raises(OutputError) as caught:
        identity.check_same(tmp_path, now, "--resume", "begin anew")
    assert str(caught.value) == (
        f"--resume: the run in {tmp_path} is of other training questions, model weights: begin anew"
    )


@pytest.mark.parametrize("content", [None, "[", "[]"])
def test_a_record_that_is_missing_or_damaged_is_a_line(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / identity.IDENTITY).write_text(content)
    with pytest.raises(OutputError, match=r"^--resume: .*identity.json.*; give the same again"):
        identity.check_same(tmp_path, {"a": "1"}, "--resume")


def test_each_part_tells_what_it_is_of() -> None:
    swapped = QUESTIONS[::-1]
    assert identity.question_parts("math", QUESTIONS) != identity.question_parts("math", swapped)
    answers = identity.reference_parts("math", "ab", AnswerKey({"a": "1", "c": "9"}))
    assert answers == identity.reference_parts("math", "ab", AnswerKey({"a": "1"}))
    assert answers != identity.reference_parts("math", "ab", AnswerKey({"a": "2"}))
    prompts = [identity.prompt_parts("math", [Prompt("a", "1", ids)]) for ids in ((1,), (1, 1))]
    assert prompts[0] != prompts[1]


def test_of_many_names_the_first_are_shown() -> None:
    assert identity.listed("abcd") == "a, b, c, d"
    assert identity.listed("abcdef") == "a, b, c, d and 2 more"
