"""`python`: the policy writes programs, the sandbox runs them, and knows the answers."""

from __future__ import annotations

import functools
import io
import random
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rlsc.environments.azr.language import LanguageState, Text
from rlsc.environments.azr.prompts import rendered
from rlsc.environments.azr.python.judging import Judge
from rlsc.environments.azr.python.proposals import Draft, Validity
from rlsc.environments.azr.python.texts import Format, read
from rlsc.environments.azr.tasks import TRIPLETS, Judgement, Kind, Refusal, Task
from rlsc.environments.sandbox import (
    FORBIDDEN,
    IMPORTS,
    VERSION,
    Reader,
    Runner,
    Sandbox,
    executor_of,
)
from rlsc.errors import ConfigError
from rlsc.types import Completion

_ASKED = {"deduction": "output", "abduction": "input", "induction": "python"}
_IDENTITY = "def f(text):\n    return text"
_TYPICAL = """
def f(words, limit):
    counts = {}
    for position, word in enumerate(words):
        if len(word) > limit:
            counts[word[0]] = counts.get(word[0], 0) + position
        else:
            counts[word[-1]] = counts.get(word[-1], 0) - 1
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
""".strip()
_BRANCHES = {"if", "elif", "for", "while", "and", "or", "except", "case"}


@dataclass
class Python:
    """`form` is how blocks are framed: `fence` for instruct models, `tags` for base ones.

    `inputs` are those of an induction, `helpers` whether more may be defined than `f`. The sandbox
    is tried by `check`, and processes start with the first text that is read.
    """

    form: Format = "fence"
    inputs: int = 10
    helpers: bool = True
    sandbox: Sandbox = "auto"

    def __post_init__(self) -> None:
        self.stop: tuple[str, ...] = ("</answer>",) if self.form == "tags" else ()
        self.advice = (
            "take a larger model, format=fence for an instruct model and format=tags for a base "
            "one, a longer --max_completion_length, or seed_tasks=FILE"
        )
        self._memo: dict[str, bool] = {}

    @functools.cached_property
    def _runner(self) -> Runner:
        return Runner(executor_of(self.sandbox))

    @functools.cached_property
    def _reader(self) -> Reader:
        return Reader()

    @functools.cached_property
    def _validity(self) -> Validity:
        return Validity(self._reader, self._runner, self.form, self.inputs, self.helpers)

    @functools.cached_property
    def _judge(self) -> Judge:
        return Judge(self._reader, self._runner, self._memo)

    def check(self) -> Mapping[str, str]:
        """The sandbox that passed its self-test. Raises `ConfigError` where none does."""
        executor = executor_of(self.sandbox)
        return {"sandbox": f"{executor.name}, Python {executor.python}"}

    def first(self, kind: Kind) -> list[Task]:
        """The identity, which is no valid proposal: something must be shown at first."""
        return [Task(kind, _IDENTITY, "'Hello world'", "'Hello world'")]

    def example(self, kind: Kind) -> Task:
        """About as long as they come."""
        if kind in TRIPLETS:
            output = "[('t', 3), ('o', 0), ('a', -1)]"
            return Task(kind, _TYPICAL, "['a', 'otter', 'two', 'tiger'], 3", output)
        outputs = ["[('t', 1), ('o', 0)]"] * 5 + ["[('r', -2)]"] * 5
        pairs = tuple((f"['otter', 'tiger'], {n}", each) for n, each in enumerate(outputs))
        message = "It counts words by a letter, and where they stand, and orders the counts."
        return Task(kind, _TYPICAL, pairs=pairs, message=message)

    def propose_prompt(self, kind: Kind, references: Sequence[Task]) -> Text:
        return self._framed(
            rendered(
                f"python/propose_{kind}",
                tasks=references,
                inputs=self.inputs,
                imports=", ".join(sorted(IMPORTS - {"__future__"})),
                forbidden=", ".join(sorted(FORBIDDEN)),
                helpers=self.helpers,
            )
        )

    def solve_prompt(self, task: Task) -> Text:
        return self._framed(rendered(f"python/solve_{task.kind}", task=task))

    def _framed(self, text: str) -> Text:
        if self.form == "tags":
            return rendered("python/frame_tags", text=text.strip())
        return [{"role": "user", "content": text.strip()}]

    def tasks(
        self, kind: Kind, proposals: Sequence[tuple[Completion, Sequence[Task]]]
    ) -> list[Task | Refusal]:
        return self._validity.tasks(kind, proposals)

    def judgements(self, solutions: Sequence[tuple[Task, Completion]]) -> list[Judgement]:
        """What the cap cut off is neither of the format nor right."""
        answers: list[tuple[Task, str | None]] = []
        formed = []
        for task, completion in solutions:
            written, asked = read(completion.text, self.form), _ASKED[task.kind]
            whole = completion.finish_reason != "length"
            formed.append(whole and written.ends_with(asked))
            answers.append((task, written.last(asked) if whole else None))
        right = self._judge.right(answers)
        return [Judgement(*pair) for pair in zip(formed, right, strict=True)]

    def replayed(self, tasks: Sequence[Task]) -> list[Task | Refusal]:
        """Run again from the source on; an output that is another is refused."""
        replays: dict[int, Task | Refusal] = {}
        for kind in dict.fromkeys(task.kind for task in tasks):
            places = [place for place, task in enumerate(tasks) if task.kind == kind]
            drafts = [self._drafted(tasks[place]) for place in places]
            made = self._validity.run(kind, drafts)
            for place, replay in zip(places, made, strict=True):
                replays[place] = (
                    replay if isinstance(replay, Refusal) else self._equal(tasks[place], replay)
                )
        return [replays[place] for place in range(len(tasks))]

    def _drafted(self, task: Task) -> Draft | Refusal:
        inputs = [given for given, _ in task.pairs] if task.kind == "induction" else [task.input]
        return self._validity.draft(task.program, inputs, task.message)

    def _equal(self, stored: Task, made: Task) -> Task | Refusal:
        old = [output for _, output in stored.pairs] or [stored.output]
        new = [output for _, output in made.pairs] or [made.output]
        if [self._reader.value(each) for each in old[: len(new)]] != [
            self._reader.value(each) for each in new
        ]:
            return Refusal("wrong_output", f"{new} is not {old}")
        return made

    def drawn(self, kind: Kind, draw: random.Random, program: str) -> Task:
        raise ConfigError("environment_settings: no uniform tasks can be drawn of language python")

    def described(self, task: Task) -> Mapping[str, float]:
        """Lines and branches of its normal form."""
        return {
            "program_lines": float(len(task.program.splitlines())),
            "branches": float(branches(task.program)),
        }

    def counts(self) -> Mapping[str, float]:
        return self._runner.end_step()

    def state(self) -> LanguageState:
        """Verdicts, and what gave them: another Python or sandbox may say otherwise."""
        return {"verdicts": dict(self._memo), "ran_by": self._ran_by()}

    def _ran_by(self) -> dict[str, str]:
        executor = self._runner.executor
        minor = ".".join(executor.python.split(".")[:2])
        return {"python": minor, "sandbox": f"{executor.name} {VERSION}"}

    def load(self, state: LanguageState) -> None:
        before, here = state["ran_by"], self._ran_by()
        for name, value in here.items():
            if before.get(name) != value:
                raise ConfigError(
                    f"the run's programs ran by {name} {before.get(name)}, and here it is {value}, "
                    "which may judge otherwise: go on with that one, or start again"
                )
        self._memo.clear()
        self._memo.update(state["verdicts"])

    def close(self) -> None:
        if "_reader" in self.__dict__:
            self._reader.close()


def branches(program: str) -> int:
    """Words that branch, outside of strings: counted without parsing.

    >>> branches("def f(x):\\n    return 'if' if x and x else x")
    2
    """
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(program).readline))
    except (tokenize.TokenError, SyntaxError):
        return 0
    return sum(token.type == tokenize.NAME and token.string in _BRANCHES for token in tokens)
