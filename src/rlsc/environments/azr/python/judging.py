"""Is an answer right? Compared outside of the sandbox, where a program must run by running it.

| kind | the answer is | right if |
|---|---|---|
| deduction | a literal | it equals the output, by `sandbox/values.py` |
| abduction | arguments, literals alone | the program gives the output for them |
| induction | a program | it gives every hidden output |

An expression is no answer: `sorted([2, 1])` is not `[1, 2]`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from rlsc.environments.azr.tasks import Task
from rlsc.environments.sandbox import Reader, Request, Runner, same

_REMEMBERED = 100_000
_NO_PROGRAM = ("too_long", "syntax", "no_entry")
"""Other rules are about good tasks; an answer may import what it likes, the sandbox holds."""


@dataclass
class Judge:
    """Keeps what has run (`memo`), so that one answer has one verdict in all of a run."""

    reader: Reader
    runner: Runner
    memo: dict[str, bool] = field(default_factory=dict)
    """By task and answer; the newest `_REMEMBERED`."""
    _canonical: dict[str, str | None] = field(default_factory=dict, repr=False)

    def right(self, answers: Sequence[tuple[Task, str | None]]) -> list[bool]:
        """Of each answer to a task; None is no answer."""
        requests: dict[str, tuple[Request, list[str]]] = {}
        named: list[str | bool] = []
        for task, answer in answers:
            made = self._request(task, answer)
            if isinstance(made, bool):
                named.append(made)
                continue
            request, outputs = made
            name = _name(request, outputs)
            named.append(name)
            if name not in self.memo:
                requests[name] = made
        ran = self.runner.judge([request for request, _ in requests.values()])
        for (name, (_, outputs)), outcomes in zip(requests.items(), ran, strict=True):
            self.memo[name] = all(
                outcome.value is not None and self._equal(outcome.value, output)
                for outcome, output in zip(outcomes, outputs, strict=True)
            )
        verdicts = [
            name_or_verdict if isinstance(name_or_verdict, bool) else self.memo[name_or_verdict]
            for name_or_verdict in named
        ]
        for name in list(self.memo)[: max(0, len(self.memo) - _REMEMBERED)]:
            del self.memo[name]
        return verdicts

    def _request(self, task: Task, answer: str | None) -> tuple[Request, list[str]] | bool:
        """What is to be run, with the outputs that it must give; or the verdict at once."""
        if answer is None:
            return False
        if task.kind == "deduction":
            value = self.reader.value(answer)
            return value is not None and self._equal(value, task.output)
        if task.kind == "abduction":
            call = self.reader.call(answer.strip())
            return False if call is None else (Request(task.program, [call.text]), [task.output])
        if self.reader.program(answer).reason in _NO_PROGRAM:
            return False
        calls = [f"f({given})" for given, _ in task.hidden]
        return Request(answer, calls), [output for _, output in task.hidden]

    def _equal(self, value: str, output: str) -> bool:
        """Whether a canonical value is that of an output as Python writes it."""
        if output not in self._canonical:
            if len(self._canonical) >= _REMEMBERED:
                self._canonical.clear()
            self._canonical[output] = self.reader.value(output)
        expected = self._canonical[output]
        return expected is not None and same(value, expected)


def _name(request: Request, outputs: Sequence[str]) -> str:
    text = json.dumps([request.program, list(request.calls), list(outputs)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]
