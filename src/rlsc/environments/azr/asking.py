"""Asks of the two roles, by the settings' caps and the language's ends."""

from __future__ import annotations

from collections.abc import Sequence

from rlsc.environments.azr.language import Language, Text
from rlsc.environments.azr.settings import AZRSettings
from rlsc.environments.azr.tasks import Kind, Task
from rlsc.types import Ask


def propose_asks(
    settings: AZRSettings,
    language: Language,
    kind: Kind,
    names: Sequence[str],
    draws: Sequence[Sequence[Task]],
) -> tuple[list[Ask], int]:
    """An ask for each name with its references, and how many references were left out."""
    asks, left_out, cap = [], 0, settings.propose_tokens or None
    for name, references in zip(names, draws, strict=True):
        shown = list(references)
        prompt = language.propose_prompt(kind, shown)
        while len(shown) > 1 and length(prompt) > settings.prompt_characters:
            shown.remove(max(shown, key=lambda task: len(task.program) + len(task.input)))
            left_out += 1
            prompt = language.propose_prompt(kind, shown)
        asks.append(Ask(name, prompt, max_new_tokens=cap, stop=language.stop))
    return asks, left_out


def solve_ask(settings: AZRSettings, language: Language, name: str, task: Task, n: int = 1) -> Ask:
    """Of a task `n` solutions."""
    cap = settings.solve_tokens or None
    return Ask(name, language.solve_prompt(task), n, max_new_tokens=cap, stop=language.stop)


def length(prompt: Text) -> int:
    """Characters of a prompt, text or messages."""
    return len(prompt) if isinstance(prompt, str) else sum(len(m["content"]) for m in prompt)
