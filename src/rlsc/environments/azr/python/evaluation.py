"""Questions about programs outside of the game: as its solver is asked, or in neutral words."""

from __future__ import annotations

import atexit
import functools
import re
import time
from collections.abc import Sequence
from typing import Any

from rlsc.environments.azr.prompts import rendered
from rlsc.environments.azr.python.judging import Judge
from rlsc.environments.azr.python.texts import read
from rlsc.environments.azr.tasks import Task
from rlsc.environments.sandbox import Executor, Reader, Runner, executor_of, python_text, same
from rlsc.types import Check, Verdict

Judged = tuple[str | None, str | None, Verdict]
"""The answer as Python writes it, what equal answers share, and the verdict."""
_KINDS: Any = {"output": "deduction", "input": "abduction"}


def python_question(
    asked: str, program: str, given: str, output: str, neutral: bool = False
) -> str:
    """Ask for the `output` or an `input` of a program; the program is shown as it is given.

    `neutral` asks for a last line instead of the blocks that Absolute Zero trains on: what it
    gains there is not by the format alone.
    """
    task = Task(_KINDS[asked], program, given, output)
    name = f"neutral_{asked}" if neutral else f"solve_{task.kind}"
    return rendered(f"python/{name}", task=task).strip()


def answer_in(text: str, asked: str) -> str | None:
    """The last block of what is asked for, else the block that ends the text, else its last line.

    >>> answer_in("It doubles, so\\n`[2, 4]`", "output")
    '[2, 4]'
    """
    written = read(text.partition("</answer>")[0], "fence")
    answer = written.last(asked)
    if answer is None and written.has_form:
        answer = written.blocks[-1][1]
    if answer is None:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        answer = re.sub(r"^(Answer:)?\s*`?(.*?)`?$", r"\2", lines[-1]) if lines else None
    if answer is not None and asked == "input":
        call = re.fullmatch(r"\s*f\((.*)\)\s*", answer, re.DOTALL)
        answer = call[1] if call else answer
    return answer


class PythonJudge:
    """Judges texts; those that give an input run in `sandbox`. `close` it, or take the shared one.

    Without inputs nothing is run, and no sandbox is needed.
    """

    def __init__(self, sandbox: str = "auto") -> None:
        self._sandbox: Any = sandbox
        self._reader = Reader()

    @staticmethod
    def of(sandbox: str) -> PythonJudge:
        """The one of this process, closed at its end."""
        return _shared(sandbox)

    def check(self) -> Executor:
        """The sandbox. Raises `ConfigError` where there is none."""
        return executor_of(self._sandbox)

    @functools.cached_property
    def _judge(self) -> Judge:
        return Judge(self._reader, Runner(self.check()))

    def judge(self, texts: Sequence[tuple[str, str, Check | None]]) -> tuple[list[Judged], float]:
        """Of each (text, reference answer, check of an input), and the seconds for all.

        Unparsed is what has no literal; an input whose run does not end in time is wrong.
        """
        begun = time.monotonic()
        read_ = [self._read(text, check) for text, _, check in texts]
        inputs = [
            (Task("abduction", check.program, output=check.output), answer)
            for (answer, _), (_, _, check) in zip(read_, texts, strict=True)
            if check is not None and answer is not None
        ]
        right = iter(self._judge.right(inputs) if inputs else ())
        judged: list[Judged] = []
        for (answer, key), (_, reference, check) in zip(read_, texts, strict=True):
            if answer is None or key is None:
                judged.append((None, None, Verdict.UNPARSED))
                continue
            is_right = self._equals(key, reference) if check is None else next(right)
            judged.append((answer, key, Verdict.CORRECT if is_right else Verdict.WRONG))
        return judged, time.monotonic() - begun

    def is_readable(self, reference: str, check: Check | None) -> bool:
        """Whether a reference, and a check's output, is a value that an answer can equal."""
        if check is None:
            return self._reader.value(reference) is not None
        answer, _ = self._read(reference, check)
        return answer is not None and self._reader.value(check.output) is not None

    def close(self) -> None:
        """End the processes."""
        self._reader.close()

    def _read(self, text: str, check: Check | None) -> tuple[str | None, str | None]:
        """The answer and its key."""
        answer = answer_in(text, "output" if check is None else "input")
        if answer is None:
            return None, None
        if check is not None:
            call = self._reader.call(answer.strip())
            return (None, None) if call is None else (call.text[2:-1], call.text)
        key = self._reader.value(answer)
        return (None, None) if key is None else (python_text(key), key)

    def _equals(self, key: str, reference: str) -> bool:
        expected = self._reader.value(reference)
        return expected is not None and same(key, expected)


@functools.cache
def _shared(sandbox: str) -> PythonJudge:
    judge = PythonJudge(sandbox)
    atexit.register(judge.close)
    return judge
