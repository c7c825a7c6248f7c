"""`solutions`: steps of a model's own answers to questions, of which only samples can judge.

A step stands between two separators; its exact text is kept, so that an answer can be gone on with
where it stood.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rlsc.types import Completion, Message

SEPARATORS = {"paragraph": "\n\n", "line": "\n"}
_LONGEST = 2000
"""Characters of a step that is read at all."""
_FOREIGN = re.compile(
    r"<[|/]?[A-Za-z_|][^<>\n]{0,40}>|"  # a tag, or a control token spelled out
    r"\b(?:Problem|Done|Next step|Correct step|With a mistake|Verdict)\s*:",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class TextPlace:
    """A step of an answer to a question.

    >>> place = TextPlace("q", "2 + 3 + 4?", "2 + 3 = 5.\\n", "5 + 4 = 9.", "\\n", "line")
    >>> place.done, place.with_step("5 + 4 = 8.")
    (['2 + 3 = 5.'], '2 + 3 = 5.\\n5 + 4 = 8.\\n')
    """

    question: str
    """Its id."""
    problem: str
    before: str
    """The answer up to the step, as it was written."""
    step: str
    after: str
    """What ended the step: a separator, or nothing where the answer ended."""
    steps: str
    """What a step is: `paragraph` or `line`."""

    @property
    def done(self) -> list[str]:
        """The steps before."""
        return list(filter(None, map(str.strip, self.before.split(SEPARATORS[self.steps]))))

    def with_step(self, step: str) -> str:
        """The beginning of an answer with a step in place of this one."""
        return self.before + step + self.after


def places_of(question: str, problem: str, answer: Completion, steps: str) -> list[TextPlace]:
    """Each step of an answer, up to the first that cannot be shown: the others stand behind it.

    Of an answer that was cut off, not the last.
    """
    separator, places, at = SEPARATORS[steps], [], 0
    parts = answer.text.split(separator)
    for n, part in enumerate(parts):
        last = n == len(parts) - 1
        if part.strip():
            if not can_be_shown(part) or (last and answer.finish_reason == "length"):
                break
            start = at + len(part) - len(part.lstrip())
            end = start + len(part.strip())
            after = answer.text[end : at + len(part) + (0 if last else len(separator))]
            step = answer.text[start:end]
            places.append(TextPlace(question, problem, answer.text[:start], step, after, steps))
        at += len(part) + len(separator)
    return places


def number_of_steps(answer: Completion, steps: str) -> int:
    """Those that there are, whether they can be shown or not."""
    return sum(bool(part.strip()) for part in answer.text.split(SEPARATORS[steps]))


def can_be_shown(step: str) -> bool:
    """Whether a text is a step: not empty or endless, without tags and the prompts' headings.

    >>> can_be_shown("So 8 are left."), can_be_shown("8. Verdict: Correct"), can_be_shown(" ")
    (True, False, False)
    """
    return bool(step.strip()) and len(step) <= _LONGEST and not _FOREIGN.search(step)


def same_words(a: str, b: str) -> bool:
    """But for spaces, case and a full stop."""
    return _words(a) == _words(b)


def _words(text: str) -> str:
    return " ".join(text.split()).rstrip(".").casefold()


def problem_of(prompt: str | Sequence[Message]) -> str:
    """What is asked: a text as it is, of messages what the user says."""
    if isinstance(prompt, str):
        return prompt
    said = [message["content"] for message in prompt if message["role"] == "user"]
    return "\n".join(said)


def went_on(prompt: str | Sequence[Message], beginning: str) -> str | list[Message]:
    """The prompt with the beginning of its answer, which the model goes on with."""
    if isinstance(prompt, str):
        return prompt + beginning
    messages = list(prompt)
    if messages and messages[-1]["role"] == "assistant":
        beginning = messages.pop()["content"] + beginning
    return [*messages, {"role": "assistant", "content": beginning}]
