"""What can be set of `rlsc compare`: which objectives, which seeds; the rest is `rlsc train`'s."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlsc.errors import ConfigError

OWN = ("objectives", "seeds", "temperatures")
NOT_SHARED = ("resume", "overwrite", "seed", "objective", "base_evaluation", "dry_run")
"""Of `rlsc train`, which the comparison sets itself."""
_OF_ALL = (  # a row with another one of these would not compare
    *("output_dir", "model", "model_dtype", "questions", "questions_split", "questions_config"),
    *("question_column", "answer_column", "split_seed", "template", "system_prompt", "eval"),
    *("eval_questions", "eval_limit", "eval_samples", "eval_max_new_tokens", "eval_seed"),
)

_OWN_FILES = re.compile(
    r"(base|comparison\..*|report\..*|plot\.svg|results\.json|run\.json|config\.yaml)$"
)


@dataclass(frozen=True)
class CompareConfig:
    """`methods`: label → the settings in which its runs differ. `shared`: settings of all runs."""

    methods: Mapping[str, Mapping[str, Any]]
    seeds: tuple[int, ...]
    temperatures: tuple[float, ...]
    """Of the untrained model."""
    output_dir: str
    shared: Mapping[str, Any]

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> CompareConfig:
        """From a recipe. `objectives` is a list of names, or of {label: {setting: value}}.

        Raises `ConfigError`.
        """
        for name in ("objectives", "output_dir"):
            if not content.get(name):
                raise ConfigError(f"rlsc compare needs {name} in its recipe, see recipes/compare-*")
        if not isinstance(content["output_dir"], str):
            raise ConfigError(f"output_dir must be a folder, not {content['output_dir']!r}")
        methods: dict[str, Mapping[str, Any]] = {}
        for label, settings in _entries(content["objectives"]):
            if label in methods:
                raise ConfigError(f"objectives: {label!r} is there twice")
            right = re.fullmatch(r"\w[\w.:,= +-]{,99}", label) and not _OWN_FILES.match(label)
            if not right:
                raise ConfigError(f"objectives: {label!r} is no name for a folder of its own")
            methods[label] = {"objective": label, **settings}
        for name in NOT_SHARED:
            if name in content:
                raise ConfigError(f"{name} is set by the comparison itself: leave it out")
        own = (*OWN, "output_dir")
        shared = {name: value for name, value in content.items() if name not in own}
        return cls(
            methods,
            tuple(_numbers("seeds", content.get("seeds", [0]), int)),
            tuple(_numbers("temperatures", content.get("temperatures", [0, 0.5, 1]), float)),
            str(content["output_dir"]),
            shared,
        )


def _entries(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    found: list[tuple[str, Mapping[str, Any]]] = []
    for one in _listed("objectives", value):
        if isinstance(one, str):
            found.append((one, {}))
            continue
        settings = next(iter(one.values())) if isinstance(one, dict) and len(one) == 1 else None
        if not isinstance(settings, dict):
            raise ConfigError(f"objectives: {one!r} is neither a name nor {{label: settings}}")
        taken = sorted(({*NOT_SHARED, *_OF_ALL} - {"objective"}) & set(settings))
        if taken:
            raise ConfigError(f"objectives: {taken[0]} must be the same for all, not of one")
        found.append((str(next(iter(one))), settings))
    return found


def _numbers(name: str, value: Any, kind: type) -> list[Any]:
    numbers = _listed(name, value)
    if not all(_is_number(one) and kind(one) == one and 0 <= one < 2**63 for one in numbers):
        raise ConfigError(f"{name} must be a list of numbers, 0 or more, not {value!r}")
    if len(set(numbers)) < len(numbers):
        raise ConfigError(f"{name}: a number is there twice")
    return [kind(one) for one in numbers]


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _listed(name: str, value: Any) -> list[Any]:
    if isinstance(value, str):
        value = [one.strip() for one in value.split(",")]
        value = value if name == "objectives" else [_number(name, one) for one in value]
    if not isinstance(value, list) or not value:
        raise ConfigError(f"{name} must be a list, not {value!r}")
    return value


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {text!r} is no number") from error
