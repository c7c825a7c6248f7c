"""Values as data: canonical text out of a sandbox, decoded strictly and compared here.

What a program returns leaves its process as tagged JSON (`child.saved_encoder`); here it is read
by a decoder that knows those tags and nothing else: no `eval`, no `pickle`, no `literal_eval`.

| equal | not equal |
|---|---|
| an int and a float of one value: 1 and 1.0 | a bool and a number: True and 1 (Python: equal) |
| nan and nan (Python: not equal) | a list and a tuple; a str and bytes |
| 0.0 and −0.0 | 0.1 + 0.2 and 0.3: floats are compared exactly |
| a set and a frozenset of the same members | |
| dicts of the same pairs, in any order | |
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from rlsc.environments.sandbox.child import DEPTH, NotLiteral, TooLong, saved_encoder

_encode = saved_encoder()
_SEQUENCES = {"t": tuple, "s": set, "z": frozenset}


def encode(value: object) -> str:
    """The canonical text of a value. Raises `ValueError` for what is none, or too long."""
    try:
        return _encode(value)
    except (NotLiteral, TooLong) as error:
        raise ValueError(f"{type(error).__name__}: {type(value).__name__}") from error


def decode(text: str) -> Any:
    """The value of a canonical text. Raises `ValueError` for a text that `encode` does not write.

    Depth, nodes and lengths are bounded as the encoder's, so a text of 64 KiB is read at once.
    """
    try:
        tree = json.loads(
            text,
            object_pairs_hook=_tagged,
            parse_float=_refused,
            parse_constant=_refused,
        )
        value = _value(tree, 0)
    except (RecursionError, TypeError) as error:  # nested brackets; a list in a set
        raise ValueError(f"not a canonical value: {error}") from error
    if encode(value) != text:
        raise ValueError("not a canonical value: written otherwise")
    return value


class _Tagged:
    def __init__(self, tag: str, content: Any) -> None:
        self.tag, self.content = tag, content


def _tagged(pairs: list[tuple[str, Any]]) -> _Tagged:
    if len(pairs) != 1:
        raise ValueError("not a canonical value: an object has one tag")
    return _Tagged(*pairs[0])


def _refused(text: str) -> Any:
    raise ValueError(f"not a canonical value: {text!r:.40}")


def _value(tree: Any, depth: int) -> Any:
    if depth > DEPTH:
        raise ValueError("not a canonical value: too deep")
    if isinstance(tree, list):
        return [_value(item, depth + 1) for item in tree]
    if not isinstance(tree, _Tagged):
        return tree
    tag, content = tree.tag, tree.content
    if tag in ("f", "b") and isinstance(content, str):
        return float(content) if tag == "f" else bytes.fromhex(content)
    if tag in _SEQUENCES and isinstance(content, list):
        return _SEQUENCES[tag](_value(item, depth + 1) for item in content)
    if tag == "d" and isinstance(content, list):
        pairs = [pair for pair in content if isinstance(pair, list) and len(pair) == 2]
        if len(pairs) == len(content):
            return {_value(key, depth + 1): _value(item, depth + 1) for key, item in pairs}
    return _refused(tag)


def same(text: str, other: str) -> bool:
    """Whether two canonical texts are of equal values, by the table above."""
    return text == other or _key(decode(text)) == _key(decode(other))


def _key(value: Any) -> Any:
    """What equal values share: nested tuples that Python compares as the table does."""
    kind = type(value)
    if kind is bool or value is None:
        return (repr(value),)
    if kind in (int, float):
        return ("nan",) if value != value else ("number", value)
    if kind in (str, bytes):
        return (kind.__name__, value)
    if kind in (list, tuple):
        return (kind.__name__, *map(_key, value))
    if kind is dict:
        pairs = Counter((_key(key), _key(item)) for key, item in value.items())
        return ("dict", frozenset(pairs.items()))
    return ("set", frozenset(Counter(map(_key, value)).items()))


def python_text(text: str) -> str:
    """A canonical text as Python writes the value, the same in every process.

    >>> python_text('{"s":[2,{"f":"inf"}]}')
    '{2, inf}'
    """
    return written(decode(text))


def written(value: Any) -> str:
    """`repr` of what can be encoded; members of sets are in the order of their canonical texts."""
    kind = type(value)
    if kind is list:
        return "[" + ", ".join(map(written, value)) + "]"
    if kind is tuple:
        return "(" + ", ".join(map(written, value)) + (",)" if len(value) == 1 else ")")
    if kind is dict:
        return "{" + ", ".join(f"{written(k)}: {written(v)}" for k, v in value.items()) + "}"
    if kind in (set, frozenset):
        members = ", ".join(map(written, sorted(value, key=_encode)))
        if kind is set:
            return f"{{{members}}}" if members else "set()"
        return f"frozenset({{{members}}})" if members else "frozenset()"
    return repr(value)
