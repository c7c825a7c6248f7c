"""A prompt as a user gives it: text, or the messages of a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rlsc.data.rows import is_unicode
from rlsc.errors import QuestionError
from rlsc.types import Message, Question


def as_prompt(value: Any, where: str) -> str | list[Message]:
    """Text that is not blank, or messages with a role and text each.

    A content in parts, `{"type": "text", "text": …}`, becomes their text. Raises `QuestionError`
    that begins with `where`.
    """
    if callable(getattr(value, "tolist", None)):  # an array: a DataFrame's, read from Parquet
        value = value.tolist()
    if isinstance(value, str):
        if not value.strip():
            raise QuestionError(f"{where} is empty")
        return _unicode(value, where)
    if not isinstance(value, Sequence) or isinstance(value, bytes) or not value:
        raise QuestionError(f"{where} is {value!r:.60}: it must be text, or a list of messages")
    return [_message(message, f"{where}, message {at}") for at, message in enumerate(value)]


def conversation_text(messages: Sequence[Message]) -> str:
    """What is said in it, but for the system's part: what a reader sees of it."""
    said = [message["content"] for message in messages if message["role"] != "system"]
    return "\n\n".join(said or [message["content"] for message in messages]).strip()


def with_suffix(question: Question, suffix: str) -> Question:
    """With a text behind it; of a conversation, behind the user's last turn."""
    users = [at for at, message in enumerate(question.messages) if message["role"] == "user"]
    messages = tuple(
        {**message, "content": message["content"] + suffix} if at in users[-1:] else message
        for at, message in enumerate(question.messages)
    )
    return replace(question, text=question.text + suffix, messages=messages)


def _message(message: Any, where: str) -> Message:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise QuestionError(
            f"{where} is {message!r:.60}: it must be {{'role': 'user', 'content': …}}"
        )
    content = message.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str | bytes):
        content = "".join(_part(part, where) for part in content)
    if not isinstance(content, str):
        raise QuestionError(f"{where}: its content is {content!r:.60}, not text")
    # A table gives every message all keys that any of them has.
    given = {key: value for key, value in message.items() if value is not None}
    return {**given, "content": _unicode(content, where)}


def _part(part: Any, where: str) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type", "text") if isinstance(part, Mapping) else part
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise QuestionError(f"{where}: a part of its content is {kind!r:.60}: only text can be read")


def _unicode(text: str, where: str) -> str:
    if not is_unicode(text):
        raise QuestionError(f"{where} holds half a character (lone surrogate)")
    return text
