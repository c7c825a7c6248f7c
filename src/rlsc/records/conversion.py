"""Dataclasses to JSON and back, by their annotations alone.

Of types it knows: dataclasses, None and unions with it, tuples, lists, mappings with keys of text
or whole numbers, literals, and JSON's own. A number that JSON cannot hold (nan) is not written.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """`value` as `json.dumps` takes it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return value


def from_json(kind: type[T], content: object) -> T:
    """An instance of the dataclass `kind`.

    Raises `ValueError` that names the field for one that is missing, unknown, or of another type.
    """
    return typing.cast(T, _read(kind, content, kind.__name__))


def _read(kind: Any, content: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is object:
        return content
    if dataclasses.is_dataclass(kind):
        return _read_fields(kind, content, where)
    if origin in (typing.Union, types.UnionType):
        if content is None and types.NoneType in arguments:
            return None
        (inner,) = (each for each in arguments if each is not types.NoneType)
        return _read(inner, content, where)
    if origin is typing.Literal:
        return _checked(content in arguments, content, where, "one of its values")
    if origin is tuple:
        _checked(isinstance(content, list), content, where, "a list")
        if arguments[-1:] == (Ellipsis,):
            return tuple(_read(arguments[0], item, where) for item in content)
        _checked(len(content) == len(arguments), content, where, f"{len(arguments)} values")
        return tuple(_read(k, item, where) for k, item in zip(arguments, content, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        _checked(isinstance(content, dict), content, where, "an object")
        key, inner = arguments
        return {key(name): _read(inner, item, f"{where}.{name}") for name, item in content.items()}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        _checked(isinstance(content, list), content, where, "a list")
        return [_read(arguments[0], item, where) for item in content]
    return _plain(kind, content, where)


def _read_fields(kind: Any, content: Any, where: str) -> Any:
    _checked(isinstance(content, dict), content, where, "an object")
    hints = _hints(kind)
    declared = dataclasses.fields(kind)
    # What a file does not say that has a default of None was not known when it was written.
    names = [f.name for f in declared if f.name in content or f.default is not None]
    unknown = sorted(content.keys() - set(names))
    if unknown:
        raise ValueError(f"{where} has no field {unknown[0]!r}")
    missing = [name for name in names if name not in content]
    if missing:
        raise ValueError(f"{where} lacks {missing[0]!r}")
    return kind(**{name: _read(hints[name], content[name], f"{where}.{name}") for name in names})


_hints = functools.cache(typing.get_type_hints)


def _plain(kind: Any, content: Any, where: str) -> Any:
    if kind is float and isinstance(content, int) and not isinstance(content, bool):
        return float(content)
    right = isinstance(content, kind) and (kind is bool or not isinstance(content, bool))
    return _checked(right, content, where, kind.__name__)


def _checked(right: bool, content: Any, where: str, what: str) -> Any:
    if not right:
        raise ValueError(f"{where} is {content!r:.40}, not {what}")
    return content
