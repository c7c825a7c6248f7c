"""The settings of objectives, which are fields of their classes, as flags and keys of a recipe.

`rlsc train --help` shows transformers' settings too, so torch is there: a second list of these
without torch would save nothing and could fall behind the classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, dataclass, make_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from rlsc.config import ObjectiveArguments, setting, settings_of
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
            text = field.metadata["help"]
            if field.default is not None and field.default != math.inf:
                text = f"{text.rstrip('.')}; default {field.default}."
            texts.setdefault(text, []).append(name)
        parts = [
            text if len(names) >= _MANY else f"{', '.join(names)}: {text}"
            for text, names in texts.items()
        ]
        metadata = self.fields[0].metadata
        ranges = {key: metadata[key] for key in _RANGE if key in metadata}
        return setting(None, " ".join(parts), **ranges)


@cache
def declared_settings() -> Mapping[str, Declared]:
    """Every setting that registered objectives declare by `setting`, by its name."""
    rows_of: dict[str, list[tuple[str, Field[Any], Any]]] = {}
    for name in OBJECTIVES:
        for field, kind in settings_of(load_objective(name)).values():
            if "help" in field.metadata:
                rows_of.setdefault(field.name, []).append((name, field, kind))
    return {
        name: Declared(name, rows[0][2], tuple(r[0] for r in rows), tuple(r[1] for r in rows))
        for name, rows in rows_of.items()
    }


def _with_own_settings() -> Any:
    names = ", ".join(OBJECTIVES)
    objective = setting(
        ObjectiveArguments.objective,
        f"One of {names}; your own as FILE.py:Class or package.module:Class; or several between "
        "commas, added up.",
        joined=True,
    )
    flags = [(own.name, own.type | None, own.flag()) for own in declared_settings().values()]
    return make_dataclass(
        "ObjectiveFlags",
        [("objective", str, objective), *flags],
        bases=(ObjectiveArguments,),
        namespace={"__doc__": "The objective"},
    )


if TYPE_CHECKING:
    ObjectiveFlags = ObjectiveArguments  # the flags beside it are read by name
else:
    ObjectiveFlags = _with_own_settings()
    """`ObjectiveArguments` and a field for each setting of a registered objective."""
