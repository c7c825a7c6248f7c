"""A setting is declared once: default, help, range and choices in one dataclass field."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, field, fields
from numbers import Integral, Real
from typing import Any

from rlsc.errors import ConfigError

_BOUNDS = ("least", "above", "most", "below")
_OPTIONAL = re.compile("None|Optional")
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}


class _Metadata(dict[str, Any]):
    """A copy, by `copy` or `dict`, has the help alone.

    So transformers' HfArgumentParser makes one (newer ones by `dict`) to give it to argparse, which
    takes no ranges.
    """

    def copy(self) -> dict[str, Any]:
        return {name: self[name] for name in self.keys()}

    def keys(self) -> Any:
        return {"help": None}.keys()


def setting(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    choices: Sequence[str] | None = None,
    also: Sequence[Any] = (),
    hint: str = "",
    joined: bool = False,
) -> Any:
    """A dataclass field with its help and what values it takes; `check_settings` checks them.

    `least` and `most` belong to the range, `above` and `below` do not; `most=math.inf` lets
    infinity in. `also` are values outside the range or choices that are taken too, and `hint` is
    said where a value is refused. `joined` is text with commas, which may be a list in a recipe. A
    mutable default is given as a function without arguments.

    >>> @dataclass
    ... class Sampling:
    ...     temperature: float = setting(0.5, "Sampling temperature.", above=0)
    """
    bounds = dict(zip(_BOUNDS, (least, above, most, below), strict=True))
    metadata = _Metadata(help=help, choices=choices and tuple(choices), also=tuple(also), hint=hint)
    metadata["joined"] = joined
    metadata |= {name: bound for name, bound in bounds.items() if bound is not None}
    if isinstance(default, Callable):  # type: ignore[arg-type]
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def check_settings(instance: Any, prefix: str = "") -> None:
    """Raise `ConfigError` on the first setting of a dataclass with a value that it does not take.

    The message names the setting (after `prefix`), the value and what is allowed. A number must be
    finite; None is allowed where the field's type or default says so. Fields that were not made by
    `setting` are left alone.
    """
    for declared in fields(instance):
        if isinstance(declared.metadata.get("help"), str) and "also" in declared.metadata:
            check_value(declared, getattr(instance, declared.name), prefix)


def check_value(declared: Field[Any], value: Any, prefix: str = "") -> None:
    """`check_settings` for one field and a value of it."""
    metadata = declared.metadata
    if value is None and (declared.default is None or _OPTIONAL.search(str(declared.type))):
        return
    if (value in metadata["also"] and not isinstance(value, bool)) or _takes(declared, value):
        return
    shown = repr(value) if isinstance(value, str) else value
    hint = f"; {metadata['hint']}" if metadata["hint"] else ""
    raise ConfigError(f"{prefix}{declared.name} must be {allowed(declared)}, not {shown}{hint}")


def allowed(declared: Field[Any]) -> str:
    """What a setting takes, as a message or a table says it: `0 or more`, `one of a, b`."""
    others = " or ".join(map(str, declared.metadata.get("also", ())))
    words = limits(declared) or _KINDS.get(_type(declared), _type(declared))
    return f"{words}, or {others}" if others else words


def limits(declared: Field[Any]) -> str:
    """The choices or the range of a setting in words; empty where only its type limits it."""
    metadata = declared.metadata
    if metadata.get("choices"):
        return f"one of {', '.join(metadata['choices'])}"
    bounds = {name: f"{metadata[name]:g}" for name in _BOUNDS if name in metadata}
    bounds = {name: "2**32" if metadata[name] == 2**32 else text for name, text in bounds.items()}
    if bounds.get("most") == "inf":
        del bounds["most"]
    if {"least", "most"} <= bounds.keys():
        return f"from {bounds['least']} to {bounds['most']}"
    words = {"least": "{} or more", "above": "above {}", "below": "below {}", "most": "at most {}"}
    if len(bounds) == 1:
        words["most"] = "{} or less"
    return " and ".join(words[name].format(text) for name, text in bounds.items())


def _type(declared: Field[Any]) -> str:
    """`int`, `float`, `bool` or `str`, else the annotation as it is written."""
    text = str(getattr(declared.type, "__name__", declared.type))
    return re.sub(r"\s*\|\s*None|Optional\[(\w+)\]", r"\1", text).strip()


def _takes(declared: Field[Any], value: Any) -> bool:
    metadata, kind = declared.metadata, _type(declared)
    if metadata["choices"]:
        return value in metadata["choices"]
    if kind in ("bool", "str"):
        return isinstance(value, bool if kind == "bool" else str)
    if kind not in ("int", "float"):
        return value is not None
    if isinstance(value, bool) or not isinstance(value, Integral if kind == "int" else Real):
        return False
    if math.isnan(value) or (math.isinf(value) and metadata.get("most") != math.inf):
        return False
    return (
        value >= metadata.get("least", -math.inf)
        and value <= metadata.get("most", math.inf)
        and ("above" not in metadata or value > metadata["above"])
        and ("below" not in metadata or value < metadata["below"])
    )


def default_of(declared: Field[Any]) -> Any:
    """A field's default; None where it has none."""
    if declared.default is not MISSING:
        return declared.default
    return declared.default_factory() if declared.default_factory is not MISSING else None
