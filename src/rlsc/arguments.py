"""Settings from a YAML recipe and the command line, flags winning, checked in one place."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from transformers import HfArgumentParser

from rlsc.config import RLSCConfig, RunConfig
from rlsc.errors import ConfigError


class _Parser(HfArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def parse(argv: Sequence[str], recipe: Path | None = None) -> tuple[RunConfig, RLSCConfig]:
    """Settings from `recipe`, then from `--config FILE`, then from flags, the later winning.

    Raises `ConfigError` that names the key and, for an unknown one, the nearest known.
    """
    parser = _parser()
    config, argv = _take_config(argv)
    known = {action.dest: action.nargs in ("+", "*") for action in parser._actions}
    known.pop("help")
    arguments: list[str] = []
    for path in (recipe, config):
        if path is not None:
            arguments += _recipe_arguments(path, known)
    try:
        run, training, unknown = parser.parse_args_into_dataclasses(
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
    return run, training


def resolved(run: RunConfig, training: RLSCConfig) -> dict[str, Any]:
    """Every setting with a value, in a form that `parse` reads back."""
    values = {**dataclasses.asdict(run), **training.to_dict()}
    fields = {f.name for f in dataclasses.fields(training) if f.init}
    fields |= {f.name for f in dataclasses.fields(run)}
    # Secrets are not settings; to_dict() masks them, and the mask must not be read back.
    fields = {name for name in fields if not name.endswith("_token")}
    return {key: values[key] for key in sorted(fields) if values.get(key) not in (None, {}, [])}


def _parser() -> _Parser:
    return _Parser(
        (RunConfig, RLSCConfig),
        prog="rlsc train",
        description="Fine-tune a language model by RLSC: no labels, no reward model.",
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


def _recipe_arguments(path: Path, known: Mapping[str, bool]) -> list[str]:
    """A recipe as flags, so that one parser converts and checks both.

    `known` says of each setting whether it takes several values.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"no such config file: {path}") from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read as YAML: {reason}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold settings as `key: value` lines")
    arguments: list[str] = []
    for key, value in content.items():
        if key not in known:
            raise ConfigError(f"{path}: {_unknown_message(str(key), known)}")
        if isinstance(value, list) and not known[key]:
            raise ConfigError(f"{path}: {key} takes one value, not a list")
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
