"""`sums`: programs x + k, x - k and x * k, which arithmetic itself executes: exact, no sandbox.

A proposal is an exercise, `48 - 35`: the program `x - 35` and the input 48. Deduction asks for
13, abduction for the number in `? - 35 = 13`, and induction for the program behind pairs of
numbers. So small a language can be played by a small model, and every figure of it be proven.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rlsc.environments.azr.language import LanguageState, Text
from rlsc.environments.azr.prompts import rendered
from rlsc.environments.azr.tasks import Judgement, Kind, Refusal, Task
from rlsc.types import Completion

_EXERCISE = re.compile(r"(\d+) ?([-+*]) ?(\d+)", re.ASCII)
_PROGRAM = re.compile(r"x ?([-+*]) ?(\d+)", re.ASCII)
_NUMBER = re.compile(r"-?\d+", re.ASCII)
_MOST_DIGITS = 12
"""Of an answer: further digits are not read."""
_FIRST = (("x + 9", "23"), ("x - 18", "64"), ("x * 5", "7"))
"""None of them stands in the worked lines of the solver's prompts."""
_DEGENERATE = {"x + 0", "x - 0", "x * 0", "x * 1"}
"""Programs that return their input, or ignore it."""


@dataclass
class Sums:
    """`digits` is the most of a number that is proposed, `inputs` the numbers of an induction."""

    digits: int = 2
    inputs: int = 10
    stop: tuple[str, ...] = ("\n",)
    advice: str = "take a larger model, seeds=uniform or seed_tasks=FILE"

    def check(self) -> Mapping[str, str]:
        """Arithmetic is everywhere."""
        return {}

    def first(self, kind: Kind) -> list[Task]:
        return [Task(kind, program, given, run(program, given)) for program, given in _FIRST]

    def example(self, kind: Kind) -> Task:
        if kind == "induction":
            return self.drawn(kind, random.Random(0), "x + 7")
        return self.first(kind)[0]

    def propose_prompt(self, kind: Kind, references: Sequence[Task]) -> Text:
        if kind == "induction":
            (source,) = references
            return rendered("sums/propose_induction", program=source.program, inputs=self.inputs)
        exercises = [exercise(task.program, task.input) for task in references]
        return rendered(f"sums/propose_{kind}", exercises=exercises)

    def solve_prompt(self, task: Task) -> Text:
        shown = " ".join(task.program.split()[1:])  # such as "- 35"
        return rendered(f"sums/solve_{task.kind}", task=task, rest=shown)

    def tasks(
        self, kind: Kind, proposals: Sequence[tuple[Completion, Sequence[Task]]]
    ) -> list[Task | Refusal]:
        return [self._task(kind, *proposal) for proposal in proposals]

    def _task(
        self, kind: Kind, completion: Completion, references: Sequence[Task]
    ) -> Task | Refusal:
        if completion.finish_reason == "length":
            return Refusal("truncated")
        if kind == "induction":
            return self._induction(completion.text.strip(), references[0].program)
        match = _EXERCISE.fullmatch(completion.text.strip())
        if match is None:
            return Refusal("bad_format")
        given, sign, operand = match.groups()
        if max(len(given), len(operand)) > self.digits:
            return Refusal("too_long")
        program = f"x {sign} {int(operand)}"
        return self._valid(Task(kind, program, str(int(given)), run(program, given)))

    def _induction(self, text: str, program: str) -> Task | Refusal:
        if re.fullmatch(r"\d+(, ?\d+)*,?", text, re.ASCII) is None:
            return Refusal("bad_format")
        numbers = [str(int(number)) for number in _NUMBER.findall(text)]
        if any(len(number) > self.digits for number in numbers):
            return Refusal("too_long")
        distinct = list(dict.fromkeys(numbers))[: self.inputs]
        pairs = tuple((number, run(program, number)) for number in distinct)
        return self._valid(Task("induction", program, pairs=pairs))

    def _valid(self, task: Task) -> Task | Refusal:
        """By the rules that hold of a task from anywhere."""
        if task.program in _DEGENERATE:
            return Refusal("degenerate")
        if task.kind == "induction" and len(task.pairs) < self.inputs:
            return Refusal("few_inputs", f"{len(task.pairs)} of {self.inputs}")
        return task

    def judgements(self, solutions: Sequence[tuple[Task, Completion]]) -> list[Judgement]:
        return [_judgement(task, completion) for task, completion in solutions]

    def replayed(self, tasks: Sequence[Task]) -> list[Task | Refusal]:
        return [self._replayed(task) for task in tasks]

    def _replayed(self, task: Task) -> Task | Refusal:
        numbers = [pair[0] for pair in task.pairs] if task.kind == "induction" else [task.input]
        if not _PROGRAM.fullmatch(task.program) or not all(map(_is_number, numbers)):
            return Refusal("syntax", f"{task.program!r:.60} of {numbers!r:.60}")
        stored = [pair[1] for pair in task.pairs] if task.kind == "induction" else [task.output]
        if [run(task.program, number) for number in numbers] != stored:
            return Refusal("wrong_output", f"{exercise(task.program, numbers[0])} is not {stored}")
        return self._valid(task)

    def drawn(self, kind: Kind, draw: random.Random, program: str) -> Task:
        most = 10**self.digits - 1
        if kind == "induction":
            inputs = draw.sample(range(most + 1), min(self.inputs, most + 1))
            pairs = tuple((str(n), run(program, str(n))) for n in inputs)
            return Task(kind, program, pairs=pairs)
        program = f"x {draw.choice('+-*')} {draw.randint(2, most)}"
        given = str(draw.randint(0, most))
        return Task(kind, program, given, run(program, given))

    def described(self, task: Task) -> Mapping[str, float]:
        _, sign, operand = task.program.split()
        signs = {"plus": "+", "minus": "-", "times": "*"}
        return {"operand": float(operand)} | {n: float(s == sign) for n, s in signs.items()}

    def counts(self) -> Mapping[str, float]:
        return {}

    def state(self) -> LanguageState:
        return {}

    def load(self, state: LanguageState) -> None:
        """Arithmetic is the same everywhere."""

    def close(self) -> None:
        """Nothing was started."""


def run(program: str, given: str) -> str:
    """The output of a program, `x + 7`, for an input.

    >>> run("x - 35", "48")
    '13'
    """
    _, sign, operand = program.split()
    x, k = int(given), int(operand)
    return str({"+": x + k, "-": x - k, "*": x * k}[sign])


def exercise(program: str, given: str) -> str:
    """As it is written: `48 - 35`."""
    return given + program.removeprefix("x")


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"\d{1,9}", text, re.ASCII))


def _judgement(task: Task, completion: Completion) -> Judgement:
    """The first number, or program, of a text counts; the format is that there is nothing else.

    What the cap cut off is neither.
    """
    if completion.finish_reason == "length":
        return Judgement(False, False)
    text = completion.text.strip()
    pattern = _PROGRAM if task.kind == "induction" else _NUMBER
    match = pattern.search(text)
    if match is None or len(match[0]) > _MOST_DIGITS:
        return Judgement(False, False)
    return Judgement(match[0] == text, _is_right(task, match))


def _is_right(task: Task, match: re.Match[str]) -> bool:
    if task.kind == "induction":
        program = f"x {match[1]} {int(match[2])}"
        return all(run(program, given) == output for given, output in task.hidden)
    number = str(int(match[0]))
    if task.kind == "deduction":
        return number == task.output
    return run(task.program, number) == task.output
