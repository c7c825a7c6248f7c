"""What can be set of `rlsc compare`: which objectives, which seeds; the rest is `rlsc train`'s."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from rlsc.config.fields import setting
from rlsc.errors import ConfigError

ORDERS = ("seeds", "objectives")


@dataclass
class CompareArguments:
    """The comparison"""

    objectives: str = setting(
        "", "Names between commas; a recipe may also have {label: {setting: value}}."
    )
    seeds: str = setting("0", "Numbers between commas: every objective is run with each.")
    temperatures: str = setting("0,0.5,1", "Those at which the untrained model is evaluated.")
    order: str = setting(
        "seeds",
        "seeds: every objective with the first seed, then with the next; objectives: each with all "
        "its seeds, in the recipe's order, so that what stands first is done first.",
        choices=ORDERS,
    )
    output_dir: str = setting("", "Folder of the comparison, with a folder for each run.")
    print_commands: bool = setting(
        False, "Print the rlsc train commands of all runs, for a launcher, and run nothing."
    )
    minutes: float | None = setting(
        None,
        "After so many no further run is begun, though one at least is; the same command goes on.",
    )
    dry_run: bool = setting(False, "Check the input of all runs, list them, and run nothing.")


OWN = {declared.name: declared.default for declared in fields(CompareArguments)}
NOT_SHARED = ("resume", "overwrite", "seed", "objective", "base_evaluation")
"""Of `rlsc train`, which the comparison sets itself."""
_OF_ALL = (  # a row with another one of these would not compare
    *("output_dir", "model", "model_dtype", "questions", "questions_split", "questions_config"),
    *("question_column", "answer_column", "split_seed", "template", "system_prompt"),
    *("chat_template_kwargs", "eval", "dry_run", "data_dir", "benchmarks", "controls"),
    *(f"benchmark_{name}" for name in ("template", "samples", "temperature", "limit")),
    *(
        "eval_questions",
        "eval_limit",
        "eval_samples",
        "eval_max_new_tokens",
        "eval_seed",
        "sandbox",
    ),
)

OF_BASE = ("eval_baselines", "validation_questions")
"""Of `rlsc train`, what the untrained model alone is asked, once for all runs."""
SEEDS, TRANSDUCTIVE = "seeds", "transductive"
"""What an objective's row may have that is no setting of `rlsc train`."""

_OWN_FILES = re.compile(
    r"(base|comparison\..*|report\..*|plot\.svg|results\.json|run\.json|config\.yaml)$"
)


@dataclass(frozen=True)
class CompareConfig:
    """`methods`: label → the settings in which its runs differ. `shared`: settings of all runs."""

    methods: Mapping[str, Mapping[str, object]]
    own_seeds: Mapping[str, tuple[int, ...]]
    """Of those that have others than `seeds`."""
    transductive: Mapping[str, str]
    """Label → questions that are trained on and evaluated on, in place of the comparison's."""
    seeds: tuple[int, ...]
    temperatures: tuple[float, ...]
    """Of the untrained model."""
    order: str
    output_dir: str
    shared: Mapping[str, object]
    print_commands: bool
    dry_run: bool = False
    minutes: float | None = None
    """After which no further run is begun."""

    @classmethod
    def of(cls, content: Mapping[str, object]) -> CompareConfig:
        """From a recipe. `objectives` is a list of names, or of {label: {setting: value}}.

        Raises `ConfigError`.
        """
        for name in ("objectives", "output_dir"):
            if not content.get(name):
                raise ConfigError(f"rlsc compare needs {name} in its recipe, see recipes/compare-*")
        if not isinstance(content["output_dir"], str):
            raise ConfigError(f"output_dir must be a folder, not {content['output_dir']!r}")
        methods: dict[str, Mapping[str, object]] = {}
        own_seeds: dict[str, tuple[int, ...]] = {}
        transductive: dict[str, str] = {}
        for label, settings in _entries(content["objectives"]):
            if label in methods:
                raise ConfigError(f"objectives: {label!r} is there twice")
            right = re.fullmatch(r"\w[\w.:,= +-]{,99}", label) and not _OWN_FILES.match(label)
            if not right:
                raise ConfigError(f"objectives: {label!r} is no name for a folder of its own")
            given = {name: settings[name] for name in settings.keys() - {SEEDS, TRANSDUCTIVE}}
            methods[label] = {"objective": label, **given}
            if SEEDS in settings:
                own_seeds[label] = tuple(_numbers(f"{label}: seeds", settings[SEEDS], int))
            if TRANSDUCTIVE in settings:
                transductive[label] = _source(label, settings[TRANSDUCTIVE])
        if len(transductive) == len(methods):
            raise ConfigError("objectives: one at least must not be transductive, to compare with")
        for name in NOT_SHARED:
            if name in content:
                raise ConfigError(f"{name} is set by the comparison itself: leave it out")
        own: dict[str, Any] = {**OWN, **content}
        for name in ("print_commands", "dry_run"):
            if not isinstance(own[name], bool):
                raise ConfigError(f"{name} is true or false, not {own[name]!r}")
        if own["order"] not in ORDERS:
            raise ConfigError(f"order must be one of {', '.join(ORDERS)}, not {own['order']!r}")
        if own["minutes"] is not None and not _is_number(own["minutes"], float):
            raise ConfigError(f"minutes must be a number, 0 or more, not {own['minutes']!r}")
        return cls(
            methods,
            own_seeds,
            transductive,
            tuple(_numbers("seeds", own["seeds"], int)),
            tuple(_numbers("temperatures", own["temperatures"], float)),
            str(own["order"]),
            os.path.expanduser(str(own["output_dir"])),
            {name: value for name, value in content.items() if name not in OWN},
            own["print_commands"],
            own["dry_run"],
            own["minutes"],
        )

    def seeds_of(self, label: str) -> tuple[int, ...]:
        """Those that an objective is run with."""
        return self.own_seeds.get(label, self.seeds)

    @property
    def pairs(self) -> list[tuple[str, int]]:
        """Every run as (label, seed), in the order in which they are made."""
        if self.order == "objectives":
            return [(label, seed) for label in self.methods for seed in self.seeds_of(label)]
        seeds = dict.fromkeys([*self.seeds, *(s for own in self.own_seeds.values() for s in own)])
        return [(label, s) for s in seeds for label in self.methods if s in self.seeds_of(label)]


def _source(label: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{label}: transductive names questions, as --questions, not {value!r}")
    return value


def _entries(value: Any) -> list[tuple[str, Mapping[str, object]]]:
    entries: list[tuple[str, Mapping[str, object]]] = []
    for entry in _listed("objectives", value):
        if isinstance(entry, str):
            entries.append((entry, {}))
            continue
        labelled = isinstance(entry, dict) and len(entry) == 1
        label, settings = next(iter(entry.items())) if labelled else ("", None)
        if not isinstance(settings, dict):
            raise ConfigError(f"objectives: {entry!r} is neither a name nor {{label: settings}}")
        taken = sorted(({*NOT_SHARED, *_OF_ALL, *OF_BASE} - {"objective"}) & set(settings))
        if taken:
            raise ConfigError(f"objectives: {taken[0]} must be the same for all, not of one")
        entries.append((str(label), settings))
    return entries


def _numbers(name: str, value: Any, kind: type) -> list[Any]:
    numbers = _listed(name, value)
    if not all(_is_number(number, kind) for number in numbers):
        raise ConfigError(f"{name} must be a list of numbers, 0 or more, not {value!r}")
    if len(set(numbers)) < len(numbers):
        raise ConfigError(f"{name}: a number is there twice")
    return [kind(number) for number in numbers]


def _is_number(value: Any, kind: type) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < 2**63 and kind(value) == value


def _listed(name: str, value: Any) -> list[Any]:
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",")]
        value = parts if name == "objectives" else [_number(name, part) for part in parts]
    if not isinstance(value, list) or not value:
        raise ConfigError(f"{name} must be a list, not {value!r}")
    return value


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {text!r} is no number") from error
