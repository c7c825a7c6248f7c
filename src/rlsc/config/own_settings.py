"""Settings that a class declares as its fields, filled from NAME=VALUE pairs or a mapping.

Shipped objectives and a user's own classes (objective, environment) have theirs in this way.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import Field, fields, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from rlsc.errors import ConfigError

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def settings_of(kind: Any) -> dict[str, tuple[Field[Any], Any]]:
    """The fields of a dataclass with their types, by name; none of another thing."""
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return {}
    try:
        types = get_type_hints(kind)
    except NameError:  # names that the user's file imports for its type checker alone
        types = {field.name: Any for field in fields(kind)}
    return {field.name: (field, types[field.name]) for field in fields(kind) if field.init}


def converted(setting: str, name: str, value: Any, kind: Any) -> Any:
    """A value as its field's type says; a number may be a text's. Raises `ConfigError`."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    wanted = next((plain for plain in kinds if plain in _KINDS), None)
    given = type(value)
    if wanted is None or given in kinds:  # a type of the user's own is theirs to check
        return value
    if (given, wanted) in ((int, float), (int, str), (float, str)):
        return wanted(value)
    raise ConfigError(f"{setting}: {name} must be {_KINDS[wanted]}, not {value!r}")


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?` where a known name is near."""
    names = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {names[0]}?" if names else ""
