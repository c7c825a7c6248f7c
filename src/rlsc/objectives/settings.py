"""The settings of objectives, which are fields of their classes, as flags and keys of a recipe.

`rlsc train --help` shows transformers' settings too, so torch is there: a second list of these
without torch would save nothing and could fall behind the classes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, fields, is_dataclass, make_dataclass
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from rlsc.config.objective import ObjectiveArguments
from rlsc.config.setting import setting
from rlsc.errors import ConfigError
from rlsc.objectives.registry import OBJECTIVES, load_objective

_RANGE = ("least", "above", "most", "below", "choices")
_MANY = 3
"""From so many objectives on, a setting's help does not name them."""


@dataclass(frozen=True)
class Declared:
    """A setting of registered objectives."""

    name: str
    type: Any
    of: tuple[str, ...]
    """The objectives' names."""
    fields: tuple[Field[Any], ...]
    """Of their classes, in the same order."""

    def flag(self) -> Any:
        """The field of the run's settings: None stands for the objective's own value."""
        texts: dict[str, list[str]] = {}
        for name, field in zip(self.of, self.fields, strict=True):
            text = f"{field.metadata['help'].rstrip('.')}; default {field.default}."
            texts.setdefault(text, []).append(name)
        parts = [
            text if len(names) >= _MANY else f"{', '.join(names)}: {text}"
            for text, names in texts.items()
        ]
        ranges: dict[str, Any] = {key: self.fields[0].metadata.get(key) for key in _RANGE}
        return setting(None, " ".join(parts), **ranges)


@cache
def declared_settings() -> Mapping[str, Declared]:
    """Every setting that registered objectives declare by `setting`, by its name."""
    found: dict[str, list[tuple[str, Field[Any], Any]]] = {}
    for name in OBJECTIVES:
        for field, kind in settings_of(load_objective(name)).values():
            if "help" in field.metadata:
                found.setdefault(field.name, []).append((name, field, kind))
    return {
        name: Declared(name, rows[0][2], tuple(r[0] for r in rows), tuple(r[1] for r in rows))
        for name, rows in found.items()
    }


def settings_of(objective: Any) -> dict[str, tuple[Field[Any], Any]]:
    """The fields of a class of objectives with their types, by name; none of another thing."""
    if not (isinstance(objective, type) and is_dataclass(objective)):
        return {}
    try:
        kinds = get_type_hints(objective)
    except NameError:  # names that the user's file imports for its type checker alone
        kinds = {field.name: Any for field in fields(objective)}
    return {field.name: (field, kinds[field.name]) for field in fields(objective) if field.init}


def _with_own_settings() -> Any:
    names = ", ".join(OBJECTIVES)
    objective = setting(
        "rlsc",
        f"One of {names}; your own as FILE.py:Class or package.module:Class; or several between "
        "commas, added up.",
    )
    flags = [(one.name, one.type | None, one.flag()) for one in declared_settings().values()]
    return make_dataclass(
        "ObjectiveSettings",
        [("objective", str, objective), *flags],
        bases=(ObjectiveArguments,),
        namespace={"__doc__": "The objective"},
    )


if TYPE_CHECKING:
    ObjectiveSettings = ObjectiveArguments
else:
    ObjectiveSettings = _with_own_settings()
    """`ObjectiveArguments` and a field for each setting of a registered objective."""


_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def converted(name: str, value: Any, kind: Any) -> Any:
    """A value as its field's type says; a number may be a text's. Raises `ConfigError`."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    wanted = next((one for one in kinds if one in _KINDS), None)
    given = type(value)
    if wanted is None or given in kinds:  # a type of the user's own is theirs to check
        return value
    if (given, wanted) in ((int, float), (int, str), (float, str)):
        return wanted(value)
    raise ConfigError(f"objective_settings: {name} must be {_KINDS[wanted]}, not {value!r}")


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?` where a known name is near."""
    names = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {names[0]}?" if names else ""
