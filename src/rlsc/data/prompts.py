"""From a question to the token ids the model reads, and the token ids that end its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from rlsc.data.templates import find_template, render_template
from rlsc.errors import ConfigError, QuestionError
from rlsc.types import Message, Prompt, Question


def format_question(
    question: Question,
    tokenizer: Any,
    template: str = "auto",
    system_prompt: str | None = None,
    kind: str = "math",
    shots: int = 4,
) -> str | list[Message]:
    """A question as a TRL-style `prompt`: messages for `chat`, else text.

    `template` is one of `TEMPLATE_NAMES` or a `.jinja` file; `auto` is `chat` where the
    tokenizer has a chat template, else `none`. Raises `ConfigError`.
    """
    has_chat = bool(getattr(tokenizer, "chat_template", None))
    if template == "auto":
        template = "chat" if has_chat else "none"
    if template == "chat":
        if not has_chat:
            raise ConfigError(
                "template chat: this tokenizer has no chat template; use --template none"
            )
        user: Message = {"role": "user", "content": question.text}
        messages = list(question.messages or (user,))
        if system_prompt is not None:
            if messages[0]["role"] == "system":
                raise ConfigError(
                    f"question {question.id} has a system message of its own: leave out "
                    "--system_prompt"
                )
            messages.insert(0, {"role": "system", "content": system_prompt})
        return messages
    if question.messages:
        raise ConfigError(
            f"question {question.id} is a conversation, which needs a chat template, and none is "
            "in use"
        )
    if system_prompt is not None:
        raise ConfigError("system_prompt needs a chat template, and none is in use")
    return render_template(find_template(template), question, kind, shots)


def render(prompt: str | Sequence[Message], identifier: str, tokenizer: Any) -> Prompt:
    """Tokenize a `prompt` as TRL does: conversational through the chat template, text as it is."""
    if isinstance(prompt, str):
        if not prompt:
            raise QuestionError(f"question {identifier}: the prompt is empty")
        return _checked(Prompt(identifier, prompt, tuple(tokenizer(prompt)["input_ids"])))
    try:
        text = tokenizer.apply_chat_template(
            list(prompt), add_generation_prompt=True, tokenize=False
        )
    except TemplateError as error:  # such as a template that takes no system message
        raise ConfigError(
            f"question {identifier}: the model's chat template refuses it: {error}"
        ) from error
    # The template writes its own special tokens.
    token_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return _checked(Prompt(identifier, text, tuple(token_ids)))


def _checked(prompt: Prompt) -> Prompt:
    if not prompt.token_ids:
        raise QuestionError(f"question {prompt.id}: its prompt has no tokens")
    return prompt


TRAINING_ADVICE = (
    "lower --max_completion_length (or --eval_max_new_tokens)",
    "lower --max_completion_length, or leave such questions out with --skip_long_prompts",
)


def fit_context(
    prompts: Sequence[Prompt],
    max_new_tokens: int,
    context: int | None,
    skip: bool = False,
    advice: tuple[str, str] = TRAINING_ADVICE,
) -> tuple[list[Prompt], list[Prompt]]:
    """Split prompts in those that fit the model's context with their answer, and those that don't.

    Raises `QuestionError` naming the first that does not fit, unless `skip`; `advice` says what
    to do about the cap and about the prompt.
    """
    if context is None:
        return list(prompts), []
    if max_new_tokens >= context:
        raise ConfigError(
            f"{max_new_tokens} new tokens leave no room for a prompt in the model's context of "
            f"{context}: {advice[0]}"
        )
    room = context - max_new_tokens
    long = [prompt for prompt in prompts if len(prompt.token_ids) > room]
    if long and not skip:
        raise QuestionError(
            f"question {long[0].id}: its prompt has {len(long[0].token_ids)} tokens, and with "
            f"{max_new_tokens} new ones the model's context of {context} is exceeded; {advice[1]}"
        )
    fitting = [prompt for prompt in prompts if len(prompt.token_ids) <= room]
    if not fitting:
        raise QuestionError(f"none of the {len(prompts)} prompts fits the context of {context}")
    return fitting, long


def stop_token_ids(tokenizer: Any, model: Any) -> tuple[int, ...]:
    """Ids that end an answer: the tokenizer's and the model's end tokens, and the chat turn's.

    Base models often know only the end of a text; a chat template ends a turn with a token of
    its own, which is read off a rendered conversation.
    """
    ids: set[int] = set()
    generation_config = getattr(model, "generation_config", None)
    for source in (tokenizer, model.config, generation_config):
        ends = getattr(source, "eos_token_id", None)
        ids.update([ends] if isinstance(ends, int) else ends or [])
    if getattr(tokenizer, "chat_template", None):
        end = end_of_turn(tokenizer)
        if end is not None:
            ids.add(end)
    if not ids:
        raise ConfigError("neither the tokenizer nor the model names an end token (eos_token_id)")
    return tuple(sorted(ids))


def end_of_turn(tokenizer: Any) -> int | None:
    """The special token that the chat template writes after an answer; None where there is none."""
    marker = "zebra"
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": marker}]
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False)
    except TemplateError:  # the template takes no answers
        return None
    _, answer, tail = text.rpartition(marker)
    if not answer:  # the template shows no answers
        return None
    token_ids = tokenizer(tail, add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    return next((token for token in token_ids if token in special), None)
