"""A task as a model reads it: its prompts, checked against the model's context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlsc.data import (
    TRAINING_ADVICE,
    check_vocabulary,
    fit_context,
    format_question,
    render,
    stop_token_ids,
    with_suffix,
    written_vocabulary,
)
from rlsc.engines import SamplingParams
from rlsc.models import context_length
from rlsc.runtime import waiting
from rlsc.types import Prompt, Question, Setting, Task

BENCHMARK_ADVICE = ("lower --max_new_tokens", "lower --max_new_tokens or --shots")
_CHOOSE = "Answer with the letter of the correct option."


@dataclass(frozen=True)
class Asked:
    """A task in one setting, ready for an engine; the setting's cap is the one in use."""

    task: Task
    setting: Setting
    prompts: Sequence[Prompt]
    skipped: tuple[str, ...]
    """Ids of questions that are left out, since their prompts do not fit the model's context."""
    params: SamplingParams


def prepare(
    task: Task,
    settings: Sequence[Setting],
    model: Any,
    tokenizer: Any,
    *,
    lower_cap: bool = False,
    skip_long: bool = False,
    advice: tuple[str, str] = TRAINING_ADVICE,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> list[Asked]:
    """The task in each setting; the chat template's arguments are of settings with it alone.

    With `lower_cap`, where the longest prompt leaves less than the cap, but half of it or more,
    that is the cap. Raises `QuestionError` or `ConfigError`, which ends with `advice`, for prompts
    that do not fit with the cap, unless they are to be skipped.
    """
    context, stop_ids = context_length(model), stop_token_ids(tokenizer, model)
    vocabulary = written_vocabulary(tokenizer, model)
    rendered: dict[tuple[object, ...], list[Prompt]] = {}
    asked = []
    for setting in settings:
        text = (setting.template, setting.system_prompt, setting.shots, setting.suffix)
        if text not in rendered:
            with waiting(f"rendering the prompts of {task.name}"):
                rendered[text] = [
                    _render(q, task, setting, tokenizer, chat_template_kwargs)
                    for q in task.questions
                ]
            check_vocabulary(rendered[text], tokenizer, model)
        prompts = rendered[text]
        if lower_cap:
            setting = replace(setting, max_new_tokens=_cap(prompts, setting, context))
        fitting, long = fit_context(prompts, setting.max_new_tokens, context, skip_long, advice)
        params = SamplingParams(
            setting.max_new_tokens,
            stop_ids,
            setting.temperature,
            setting.top_p,
            setting.top_k,
            setting.stop_strings,
            vocabulary,
        )
        skipped = tuple(prompt.id for prompt in long)
        asked.append(Asked(task, setting, fitting, skipped, params))
    return asked


def room(prompts: Sequence[Prompt], context: int | None) -> int | None:
    """Tokens that the longest prompt leaves of the context; None: any number."""
    if context is None:
        return None
    return context - max(len(prompt.token_ids) for prompt in prompts)


def _cap(prompts: Sequence[Prompt], setting: Setting, context: int | None) -> int:
    wanted, left = setting.max_new_tokens, room(prompts, context)
    return left if left is not None and wanted // 2 <= left < wanted else wanted


def _render(
    question: Question,
    task: Task,
    setting: Setting,
    tokenizer: Any,
    chat_template_kwargs: Mapping[str, Any] | None,
) -> Prompt:
    choose = f"\n\n{_CHOOSE}" if task.kind == "choice" else ""
    prompt = format_question(
        with_suffix(question, setting.suffix + choose),
        tokenizer,
        setting.template,
        setting.system_prompt,
        task.kind,
        setting.shots,
    )
    kwargs = chat_template_kwargs if setting.template == "chat" else None
    return render(prompt, question.id, tokenizer, kwargs)
