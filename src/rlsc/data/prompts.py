"""From a question to the token ids the model reads, and the token ids that end its answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NotRequired, TypedDict

from jinja2 import TemplateError

from rlsc.data.messages import as_prompt
from rlsc.data.templates import find_template, render_template
from rlsc.errors import ConfigError, QuestionError
from rlsc.types import Message, Prompt, Question


class PromptRow(TypedDict):
    """A question as a trainer takes it."""

    id: str
    prompt: str | list[Message]
    chosen: NotRequired[object]
    rejected: NotRequired[object]
    paraphrase: NotRequired[str | list[Message]]


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
    if template != "none":  # with it the text is the prompt, control tokens and all
        _check_plain(question.text, question.id, tokenizer)
    return render_template(find_template(template), question, kind, shots)


def render(
    prompt: str | Sequence[Message],
    identifier: str,
    tokenizer: Any,
    template_kwargs: Mapping[str, Any] | None = None,
) -> Prompt:
    """Tokenize a `prompt` as TRL does: conversational through the chat template, text as it is.

    Messages that end with the assistant's turn are gone on with. `template_kwargs` are the chat
    template's own arguments. Raises `QuestionError` or `ConfigError` for what cannot be asked.
    """
    prompt = as_prompt(prompt, f"question {identifier}: its prompt")
    if isinstance(prompt, str):
        if template_kwargs:
            raise ConfigError("chat_template_kwargs needs a chat template, and none is in use")
        text, token_ids = prompt, _text_ids(prompt, tokenizer)
    else:
        text = _chat_text(prompt, identifier, tokenizer, template_kwargs or {})
        # The template writes its own special tokens.
        token_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not token_ids:
        raise QuestionError(f"question {identifier}: its prompt has no tokens")
    return Prompt(identifier, text, tuple(token_ids))


def _text_ids(text: str, tokenizer: Any) -> list[int]:
    """With what the tokenizer puts before a text, once, and without what it puts behind.

    A text that a chat template has written begins with such a token already; and behind the end
    of a text nothing follows.
    """
    ids: list[int] = list(tokenizer(text)["input_ids"])
    bare: list[int] = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    for start in range(len(ids) - len(bare) + 1):
        if ids[start : start + len(bare)] == bare:
            before = ids[:start]
            return bare if bare[:start] == before else before + bare
    return ids


def _chat_text(
    messages: Sequence[Message],
    identifier: str,
    tokenizer: Any,
    template_kwargs: Mapping[str, Any],
) -> str:
    for message in messages:
        if message["role"] not in ("system", "assistant"):  # which are the writer's own
            _check_plain(message["content"], identifier, tokenizer)
    for name in template_kwargs:
        if not re.search(rf"\b{re.escape(name)}\b", str(tokenizer.chat_template)):
            raise ConfigError(f"chat_template_kwargs: the chat template does not use {name!r}")
    if messages[-1]["role"] == "assistant" and not messages[-1]["content"]:
        messages = messages[:-1]  # nothing to go on with: an answer begins
    continues = messages[-1:] and messages[-1]["role"] == "assistant"
    how = {"continue_final_message": True} if continues else {"add_generation_prompt": True}
    try:
        text: str = tokenizer.apply_chat_template(
            list(messages), tokenize=False, **how, **template_kwargs
        )
    except (TemplateError, TypeError, ValueError) as error:  # such as one without system messages
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"question {identifier}: the model's chat template refuses it: {reason}"
        ) from error
    return text


def _check_plain(text: str, identifier: str, tokenizer: Any) -> None:
    """Raise `QuestionError` for text that would become a control token, such as the turn's end."""
    pattern = _control_tokens(tokenizer)
    match = pattern.search(text) if pattern else None
    if match:
        raise QuestionError(
            f"question {identifier} holds {match[0]!r}, which the tokenizer reads as a control "
            "token: write it in another way, as with a space in it"
        )


@lru_cache(maxsize=4)
def _control_tokens(tokenizer: Any) -> re.Pattern[str] | None:
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    texts = {*tokenizer.all_special_tokens, *(str(token) for token in added if token.special)}
    longest_first = sorted(filter(str.strip, texts), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def vocabulary_size(model: Any) -> int | None:
    """How many token ids the model has rows for; None where its config does not say."""
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else None
    size = getattr(config or model.config, "vocab_size", None)
    return int(size) if size else None


def check_vocabulary(prompts: Iterable[Prompt], tokenizer: Any, model: Any) -> None:
    """Raise `ConfigError` for a token that the model has no row for: another model's tokenizer."""
    size = vocabulary_size(model)
    for prompt in prompts:
        highest = max(prompt.token_ids)
        if size is not None and highest >= size:
            token = tokenizer.convert_ids_to_tokens(highest)
            raise ConfigError(
                f"question {prompt.id}: its token {token!r} has the id {highest}, and the model's "
                f"vocabulary ends at {size - 1}: take the model's own tokenizer, or resize its "
                "embeddings"
            )


def written_vocabulary(tokenizer: Any, model: Any) -> int | None:
    """How many ids stand for a token, where the model has more: those behind pad its matrices.

    Such an id is no text, so it is neither sampled nor does it have a probability.
    """
    size, written = vocabulary_size(model), max(tokenizer.get_vocab().values()) + 1
    return written if size is not None and written < size else None


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
    size = vocabulary_size(model)
    ids = {end for end in ids if size is None or end < size}  # none that cannot be sampled
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
