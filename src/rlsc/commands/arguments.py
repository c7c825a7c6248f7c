"""Settings from a YAML recipe and the command line, flags winning, checked in one place."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from transformers import HfArgumentParser

from rlsc.config.compare import NOT_SHARED, OWN, CompareConfig
from rlsc.config.run import EvalConfig, PlanConfig, RunConfig
from rlsc.errors import ConfigError
from rlsc.training.arguments import RLSCConfig


class _Parser(HfArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def parse(argv: Sequence[str], recipe: Path | None = None) -> tuple[RunConfig, RLSCConfig]:
    """Settings of `rlsc train` from `recipe`, `--config FILE` and flags, the later winning.

    Raises `ConfigError` that names the key and, for an unknown one, the nearest known.
    """
    run, training = _parse(_parser("train", RunConfig, RLSCConfig), argv, recipe)
    return run, training


def parse_plan(argv: Sequence[str]) -> tuple[PlanConfig, RunConfig, RLSCConfig]:
    """Settings of `rlsc plan`: its own, and those of `rlsc train`, read as `parse` does."""
    plan, run, training = _parse(_parser("plan", PlanConfig, RunConfig, RLSCConfig), argv, None)
    return plan, run, training


def parse_compare(argv: Sequence[str]) -> tuple[CompareConfig, list[str], bool]:
    """Settings of `rlsc compare`, flags of `rlsc train` for all its runs, `--print_commands`."""
    config, rest = _take_config(argv)
    if config is None:
        raise ConfigError("--config is missing: a recipe with objectives, see recipes/compare-*")
    content = dict(_read_recipe(config))
    flags: list[str] = []
    print_commands = False
    for name, value in _pairs(rest):
        if name == "print_commands":
            if (value or "true").lower() not in ("true", "false"):
                raise ConfigError(f"print_commands is true or false, not {value!r}")
            print_commands = (value or "true").lower() == "true"
        elif name in (*OWN, *NOT_SHARED, "output_dir"):
            content[name] = value
        else:
            flags += [f"--{name}"] if value is None else [f"--{name}={value}"]
    return CompareConfig.of(content), flags, print_commands


def recipe_flags(content: Mapping[str, Any]) -> list[str]:
    """Settings of `rlsc train` as its flags. Raises `ConfigError` for one that it has not."""
    known = _known(_parser("train", RunConfig, RLSCConfig))
    return _as_flags("the recipe", content, known)


def _pairs(argv: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """(name, value) of flags, `--name value` or `--name=value`; None for one without."""
    items = list(argv)
    while items:
        item = items.pop(0)
        if not item.startswith("--"):
            raise ConfigError(f"{item!r} belongs to no flag")
        name, equals, value = item[2:].partition("=")
        if equals:
            yield name, value
        else:
            yield name, items.pop(0) if items and not items[0].startswith("--") else None


def parse_eval(argv: Sequence[str]) -> EvalConfig:
    """Settings of `rlsc eval`, read and checked as those of `rlsc train`."""
    (config,) = _parse(_parser("eval", EvalConfig), argv, None)
    return config


def _parse(parser: _Parser, argv: Sequence[str], recipe: Path | None) -> tuple[Any, ...]:
    config, argv = _take_config(argv)
    known = _known(parser)
    arguments: list[str] = []
    for path in (recipe, config):
        if path is not None:
            arguments += _as_flags(str(path), _read_recipe(path), known)
    try:
        *parsed, unknown = parser.parse_args_into_dataclasses(
            [*arguments, *argv], return_remaining_strings=True, look_for_args_file=False
        )
    except ConfigError:
        raise
    except (
        ValueError,
        ImportError,
        OSError,
    ) as error:  # transformers' own checks of its own settings
        raise ConfigError(" ".join(str(error).split())) from error
    if unknown:
        raise ConfigError(_unknown_message(unknown[0], known))
    return tuple(parsed)


def resolved(run: RunConfig, training: RLSCConfig) -> dict[str, Any]:
    """Every setting with a value, in a form that `parse` reads back."""
    values = {**dataclasses.asdict(run), **training.to_dict()}
    fields = {f.name for f in dataclasses.fields(training) if f.init}
    fields |= {f.name for f in dataclasses.fields(run)}
    # Secrets are not settings; to_dict() masks them, and the mask must not be read back.
    fields = {name for name in fields if not name.endswith("_token")} - {"dry_run"}
    return {key: values[key] for key in sorted(fields) if values.get(key) not in (None, {}, [])}


def resolved_eval(config: EvalConfig) -> dict[str, Any]:
    """Every setting of `rlsc eval` with a value."""
    values = dataclasses.asdict(config)
    return {key: values[key] for key in sorted(values) if values[key] is not None}


_DESCRIPTIONS = {
    "train": "Fine-tune a language model by RLSC, or by another --objective.",
    "plan": "The memory that a run would take: own settings first, then those of rlsc train.",
    "eval": "Evaluate a model on benchmarks. --regrade DIR judges stored samples anew.",
}


def _parser(command: str, *classes: Any) -> _Parser:
    return _Parser(
        classes,
        prog=f"rlsc {command}",
        description=_DESCRIPTIONS[command],
        allow_abbrev=False,
    )


def _take_config(argv: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Split off `--config FILE` (or `--config=FILE`)."""
    rest: list[str] = []
    config: Path | None = None
    items = iter(argv)
    for item in items:
        name, equals, value = item.partition("=")
        if name != "--config":
            rest.append(item)
            continue
        value = value if equals else next(items, "")
        if not value:
            raise ConfigError("--config needs a file: a YAML recipe")
        config = Path(value)
    return config, rest


def _known(parser: _Parser) -> dict[str, bool]:
    """Of each setting whether it takes several values."""
    known = {action.dest: action.nargs in ("+", "*") for action in parser._actions}
    known.pop("help")
    return known


def _read_recipe(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"no such config file: {path}") from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read as YAML: {reason}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold settings as `key: value` lines")
    return content


def _as_flags(source: str, content: Mapping[str, Any], known: Mapping[str, bool]) -> list[str]:
    """A recipe as flags, so that one parser converts and checks both."""
    arguments: list[str] = []
    for key, value in content.items():
        if key not in known:
            raise ConfigError(f"{source}: {_unknown_message(str(key), known)}")
        if isinstance(value, list) and not known[key]:
            raise ConfigError(f"{source}: {key} takes one value, not a list")
        if isinstance(value, list):
            arguments += [f"--{key}", *map(str, value)]
        elif value is not None:
            text = json.dumps(value) if isinstance(value, dict) else str(value)
            arguments.append(f"--{key}={text}")
    return arguments


def _unknown_message(name: str, known: Iterable[str]) -> str:
    key = name.lstrip("-").partition("=")[0].replace("-", "_")
    nearest = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    return f"unknown setting {name}{hint}"
