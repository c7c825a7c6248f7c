"""A setting is declared once: default, help, range and choices in one dataclass field."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields
from numbers import Integral, Real
from typing import Any

from rlsc.errors import ConfigError

_BOUNDS = ("least", "above", "most", "below")


class _Metadata(dict[str, Any]):
    def copy(self) -> dict[str, Any]:
        """What transformers' HfArgumentParser may give to argparse, which takes no ranges."""
        return {"help": self["help"]}


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
) -> Any:
    """A dataclass field with its help and what values it takes; `check_settings` checks them.

    `least` and `most` belong to the range, `above` and `below` do not; `most=math.inf` lets
    infinity in. `also` are values outside the range or choices that are taken too, and `hint` is
    said where a value is refused. A mutable default is given as a function without arguments.

    >>> @dataclass
    ... class Sampling:
    ...     temperature: float = setting(0.5, "Sampling temperature.", above=0)
    """
    bounds = dict(zip(_BOUNDS, (least, above, most, below), strict=True))
    metadata = _Metadata(help=help, choices=choices and tuple(choices), also=tuple(also), hint=hint)
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
    if value in declared.metadata["also"] and not isinstance(value, bool):
        return
    if value is None and (declared.default is None or takes_none(declared)):
        return
    if not _is_taken(declared, value):
        hint = declared.metadata["hint"]
        shown = repr(value) if isinstance(value, str) else value
        raise ConfigError(
            f"{prefix}{declared.name} must be {allowed(declared)}, not {shown}"
            + (f"; {hint}" if hint else "")
        )


def takes_none(declared: Field[Any]) -> bool:
    """Whether the field's type says that it can be None."""
    return re.search(r"\bNone\b|Optional", str(declared.type)) is not None


def allowed(declared: Field[Any]) -> str:
    """What a setting takes, as a message or a table says it: `0 or more`, `one of a, b`."""
    metadata = declared.metadata
    if metadata.get("choices"):
        words = f"one of {', '.join(metadata['choices'])}"
    else:
        words = _range(metadata) or _kind(declared)
    others = [str(value) for value in metadata.get("also", ())]
    return f"{words}, or {' or '.join(others)}" if others else words


def has_range(declared: Field[Any]) -> bool:
    """Whether a field says what values it takes, beside its type."""
    return bool(declared.metadata.get("choices") or _range(declared.metadata))


def _range(metadata: Mapping[str, Any]) -> str:
    least, above, most, below = (metadata.get(name) for name in _BOUNDS)
    most = None if most == math.inf else most
    if least is not None and most is not None:
        return f"from {_short(least)} to {_short(most)}"
    low = f"{_short(least)} or more" if least is not None else ""
    low = f"above {_short(above)}" if above is not None else low
    high = f"below {_short(below)}" if below is not None else ""
    if most is not None:
        high = f"at most {_short(most)}" if low else f"{_short(most)} or less"
    return " and ".join(part for part in (low, high) if part)


def _short(number: float) -> str:
    return "2**32" if number == 2**32 else str(number) if isinstance(number, int) else f"{number:g}"


def _kind(declared: Field[Any]) -> str:
    kinds = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
    return kinds.get(_type(declared), _type(declared))


def _type(declared: Field[Any]) -> str:
    """`int`, `float`, `bool` or `str`, else the annotation as it is written."""
    text = str(getattr(declared.type, "__name__", declared.type))
    return re.sub(r"\s*\|\s*None|Optional\[(\w+)\]", r"\1", text).strip()


def _is_taken(declared: Field[Any], value: Any) -> bool:
    metadata, kind = declared.metadata, _type(declared)
    if metadata["choices"]:
        return value in metadata["choices"]
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "str":
        return isinstance(value, str)
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
