"""What the game is played in: how tasks are written, run, shown and judged."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, cast

from rlsc.environments.azr.tasks import Judgement, Kind, Refusal, Task
from rlsc.types import Completion, Message

if TYPE_CHECKING:
    from rlsc.environments.azr.settings import AZRSettings

Text = str | Sequence[Message]


class LanguageState(TypedDict, total=False):
    """What is kept in checkpoints of a language whose verdicts are not the same everywhere."""

    verdicts: dict[str, bool]
    ran_by: dict[str, str]
    """What gave them, by name."""


class Language(Protocol):
    """Proposals and solutions come by the wave, so that what runs programs may run several."""

    stop: tuple[str, ...]
    """Texts at which a completion ends."""
    advice: str
    """What to do where a model proposes too little."""

    def check(self) -> Mapping[str, str]:
        """Try what it needs of this machine: facts by name. Raises `ConfigError`."""

    def first(self, kind: Kind) -> Sequence[Task]:
        """What a buffer of triplets begins with."""

    def example(self, kind: Kind) -> Task:
        """One about as long as they come, to plan and to show prompts by."""

    def propose_prompt(self, kind: Kind, references: Sequence[Task]) -> Text:
        """Ask for a task like and unlike the references; of induction the one is the program."""

    def solve_prompt(self, task: Task) -> Text:
        """Ask for the part of the task that is hidden."""

    def tasks(
        self, kind: Kind, proposals: Sequence[tuple[Completion, Sequence[Task]]]
    ) -> list[Task | Refusal]:
        """Of each completion, with the references that it was given, a valid task or why not."""

    def judgements(self, solutions: Sequence[tuple[Task, Completion]]) -> list[Judgement]:
        """Of each solution."""

    def replayed(self, tasks: Sequence[Task]) -> list[Task | Refusal]:
        """Tasks from a file, run again."""

    def drawn(self, kind: Kind, draw: random.Random, program: str) -> Task:
        """A uniform one of the grammar; of induction of this program. Raises `ConfigError` where
        there is no such thing."""

    def described(self, task: Task) -> Mapping[str, float]:
        """Numbers of a task, whose means are logged."""

    def counts(self) -> Mapping[str, float]:
        """Of what ran since they were asked for: metrics of a step."""

    def state(self) -> LanguageState:
        """What is kept in checkpoints, as JSON."""

    def load(self, state: LanguageState) -> None:
        """Take up what `state` gave. Raises `ConfigError` where verdicts could differ here."""

    def close(self) -> None:
        """End what it has started."""


def create_language(settings: AZRSettings) -> Language:
    """The one that `settings.language` names, with what of the settings is its own."""
    if settings.language == "sums":
        from rlsc.environments.azr.sums import Sums

        return Sums(settings.digits, settings.inputs)
    from rlsc.environments.azr.python.language import Python

    form, sandbox = cast(Any, settings.format), cast(Any, settings.sandbox or "auto")
    return Python(form, settings.inputs, settings.helpers, sandbox)
