"""The nouns of the library. No torch here: anything may import this file."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Message = Mapping[str, str]
"""One chat turn, e.g. ``{"role": "user", "content": "What is 3 + 8?"}``."""

FinishReason = Literal["stop", "length"]
"""``stop``: a stop token was sampled. ``length``: the cap cut the completion off."""


@dataclass(frozen=True)
class Question:
    """A question without its answer.

    >>> Question(id="arithmetic/3+8", text="What is 3 + 8?")
    Question(id='arithmetic/3+8', text='What is 3 + 8?')
    """

    id: str
    text: str


class AnswerKey:
    """Reference answers by question id. Only grading reads it, and objectives that need labels.

    >>> AnswerKey({"arithmetic/3+8": "11"})["arithmetic/3+8"]
    '11'
    """

    def __init__(self, answers: Mapping[str, str]) -> None:
        self._answers = dict(answers)

    def __getitem__(self, question_id: str) -> str:
        return self._answers[question_id]

    def __contains__(self, question_id: object) -> bool:
        return question_id in self._answers

    def __len__(self) -> int:
        return len(self._answers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)


@dataclass(frozen=True)
class Prompt:
    """A question as the model reads it: text after the template, and its token ids."""

    id: str
    text: str
    token_ids: tuple[int, ...]


@dataclass(frozen=True)
class Completion:
    """One sampled answer.

    ``token_ids`` includes the stop token where one was sampled. ``logps`` holds one log-prob
    (nats) for each of them, under the distribution that was sampled from: temperature and
    top-p/top-k applied; for greedy decoding, temperature 1.
    """

    text: str
    token_ids: tuple[int, ...]
    logps: tuple[float, ...]
    finish_reason: FinishReason


@dataclass(frozen=True)
class CompletionGroup:
    """A prompt with its K siblings: completions sampled independently from one policy."""

    prompt: Prompt
    completions: Sequence[Completion]


@dataclass(frozen=True)
class Pool:
    """Completions whose rewards are compared with each other: of one question, or of several.

    ``rewards`` holds the environment's, one for each completion of each group; None where the
    objective makes them.
    """

    name: str
    groups: Sequence[CompletionGroup]
    rewards: Sequence[Sequence[float]] | None = None

    @property
    def completions(self) -> list[Completion]:
        """Of all its groups, in order."""
        return [completion for group in self.groups for completion in group.completions]


@dataclass(frozen=True)
class Example:
    """A row of the training data: a prompt, text or messages, and its id."""

    id: str
    prompt: str | Sequence[Message]


@dataclass(frozen=True)
class Ask:
    """A prompt that an environment wants ``n`` completions of.

    >>> Ask("solve/deduction/17", "f(3) = ?", n=4).policy
    'current'
    """

    id: str
    """Unique in the step."""
    prompt: str | Sequence[Message]
    n: int = 1
    max_new_tokens: int | None = None
    """At most the run's cap, which None stands for."""
    policy: Literal["current", "base"] = "current"
    """``base``: the model before training, whose completions are never trained on."""
    example: Example | None = None
    """The row of the data set that is asked; None in games."""


LETTERS = "ABCDEFGHIJ"
"""Of the options of a multiple-choice question, in order."""


class Verdict(enum.Enum):
    """What grading says of one completion."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    TIMEOUT = "timeout"
    """Comparing it went over the limit of time or memory: neither right nor wrong is known."""
