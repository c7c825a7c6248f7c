"""Settings from a YAML recipe and the command line, flags winning, checked in one place.

A flag is a field of a settings class: its name, default, help and range are the field's. Nothing
here imports torch or transformers but `parse` and `parse_plan`, which list transformers' own flags.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import os
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from rlsc.config import EvalConfig, PlanConfig, RunConfig, allowed, default_of, limits, nearest
from rlsc.errors import ConfigError

if TYPE_CHECKING:
    from rlsc.training import RLSCConfig

REMOVED = {
    "parallelism_config": "it could not be given as text; processes and sharding are set by "
    "accelerate launch, as in recipes/accelerate",
}
"""Flags and keys that there were once, and what to write instead."""
TRANSFORMERS = "transformers' TrainingArguments"
"""The theme of what is not rlsc's own."""
_TRUE, _FALSE = ("yes", "true", "t", "y", "on", "1"), ("no", "false", "f", "n", "off", "0")
_METAVARS = {int: "N", float: "X", str: "TEXT"}


def parse(argv: Sequence[str], recipe: Path | None = None) -> tuple[RunConfig, RLSCConfig]:
    """Settings of `rlsc train` from `recipe`, `--config FILE` and flags, the later winning.

    Raises `ConfigError` that names the key and, for an unknown one, the nearest known.
    """
    from rlsc.training import RLSCConfig

    text = "Fine-tune a language model by RLSC, or by another --objective."
    run, training = Settings("train", text, RunConfig, RLSCConfig).read(argv, recipe)
    return run, training


def parse_plan(argv: Sequence[str]) -> tuple[PlanConfig, RunConfig, RLSCConfig]:
    """Settings of `rlsc plan`: its own, and those of `rlsc train`, read as `parse` does."""
    from rlsc.training import RLSCConfig

    text = "The memory that a run of rlsc train would take, without its weights."
    plan, run, training = Settings("plan", text, PlanConfig, RunConfig, RLSCConfig).read(argv)
    return plan, run, training


def parse_eval(argv: Sequence[str]) -> EvalConfig:
    """Settings of `rlsc eval`, read and checked as those of `rlsc train`."""
    text = "Evaluate a model on benchmarks. --regrade DIR judges stored samples anew."
    (config,) = Settings("eval", text, EvalConfig).read(argv)
    return config


def recipe_flags(content: Mapping[str, object]) -> list[str]:
    """Settings of `rlsc train` as its flags. Raises `ConfigError` for one that it has not."""
    from rlsc.training import RLSCConfig

    return Settings("train", "", RunConfig, RLSCConfig).as_flags("the recipe", content)


def resolved(*configs: Any) -> dict[str, object]:
    """Every setting with a value, in a form that `parse` reads back."""
    values: dict[str, object] = {}
    for config in configs:
        known = config.to_dict() if hasattr(config, "to_dict") else dataclasses.asdict(config)
        values |= {field.name: known.get(field.name) for field in _settings_of(type(config))}
    # Secrets are not settings; to_dict() masks them, and the mask must not be read back.
    names = {name for name in values if not name.endswith("_token")} - {"dry_run"}
    return {name: values[name] for name in sorted(names) if values[name] not in (None, {}, [])}


class Parser(argparse.ArgumentParser):
    """argparse's, with mistakes as `ConfigError`, one usage line, and `-` for `_` in flags."""

    def __init__(self, command: str, usage: str, description: str) -> None:
        super().__init__(
            f"rlsc {command}",
            usage=f"rlsc {command} {usage}",
            description=description,
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)

    def add_settings(self, *classes: type) -> None:
        """A flag for each field of settings classes, by theme."""
        for title, fields in themes(*classes).items():
            group = self.add_argument_group(title)
            for field, kind in fields:
                _add_flag(group, field, kind)

    def known(self, argv: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
        """Values of the flags that were given, and what belongs to none of them."""
        flag = re.compile(r"^--([\w-]+)")
        items = [flag.sub(lambda name: f"--{name[1].replace('-', '_')}", item) for item in argv]
        values, rest = self.parse_known_args(items)
        return vars(values), rest


class Settings:
    """The settings of a command: classes whose fields are flags and keys of a recipe."""

    def __init__(self, command: str, description: str, *classes: type) -> None:
        self._classes = classes
        self._parser = Parser(command, "[--config FILE] [--NAME VALUE …]", description)
        self._parser.epilog = "A switch is --NAME or --NAME true, and --NAME false or --no_NAME."
        self._parser.add_argument("--config", metavar="FILE", help="A YAML recipe: NAME: VALUE.")
        self._parser.add_settings(*classes)
        self._several = {a.dest: a.nargs == "+" for a in self._parser._actions}
        del self._several["help"], self._several["config"]
        declared = [field for each in classes for field in _settings_of(each)]
        self._joined = {field.name for field in declared if field.metadata.get("joined")}

    def read(self, argv: Sequence[str], recipe: Path | None = None) -> tuple[Any, ...]:
        """An instance of each class. Raises `ConfigError`."""
        config, argv = take_config(argv)
        flags: list[str] = []
        for path in (recipe, config):
            if path is not None:
                flags += self.as_flags(str(path), read_recipe(path))
        values, unknown = self._parser.known([*flags, *argv])
        if unknown:
            raise ConfigError(unknown_message(unknown[0], self._several))
        values = {name: home_expanded(value) for name, value in values.items()}
        try:
            return tuple(
                cls(**{f.name: values[f.name] for f in _settings_of(cls) if f.name in values})
                for cls in self._classes
            )
        except ConfigError:
            raise
        except (ValueError, ImportError, OSError) as error:  # transformers' checks of its own
            raise ConfigError(" ".join(str(error).split())) from error

    def as_flags(self, source: str, content: Mapping[str, object]) -> list[str]:
        """A recipe as flags, so that one parser converts and checks both."""
        arguments: list[str] = []
        for key, value in content.items():
            if key not in self._several:
                raise ConfigError(f"{source}: {unknown_message(str(key), self._several)}")
            if isinstance(value, list) and key in self._joined:
                value = ",".join(map(str, value))
            if isinstance(value, list) and not self._several[key]:
                raise ConfigError(f"{source}: {key} takes one value, not a list")
            if isinstance(value, list):
                arguments += [f"--{key}", *map(str, value)]
            elif value is not None:
                text = json.dumps(value) if isinstance(value, dict) else str(value)
                arguments.append(f"--{key}={text}")
        return arguments


def home_expanded(value: Any) -> Any:
    """A path as a shell would give it: none does in a recipe, nor behind `--NAME=`."""
    inside = isinstance(value, str) and value.startswith("~/")
    return os.path.expanduser(value) if inside else value


def themes(*classes: type) -> dict[str, list[tuple[dataclasses.Field[Any], Any]]]:
    """The fields of settings classes with their types, by the class that declares them.

    A theme is named by the first line of that class's docstring.
    """
    grouped: dict[str, list[tuple[dataclasses.Field[Any], Any]]] = {}
    for cls in classes:
        fields = {field.name: field for field in _settings_of(cls)}
        hints = typing.get_type_hints(cls)
        for base in cls.__mro__:
            for name in filter(fields.__contains__, list(inspect.get_annotations(base))):
                grouped.setdefault(_title(base), []).append((fields.pop(name), hints[name]))
    return grouped


def _title(cls: type) -> str:
    if cls.__name__ == "TrainingArguments":
        return TRANSFORMERS
    # dataclasses writes `Name(field: type = …)` where a class has no docstring.
    texts = (base.__doc__ for base in cls.__mro__ if base.__doc__)
    written = next(text for text in texts if not re.match(r"\w+\(", text))
    return written.partition("\n")[0].partition(". ")[0].rstrip(".")


def _settings_of(cls: type) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(cls) if field.init]


def _add_flag(group: Any, field: dataclasses.Field[Any], kind: Any) -> None:
    """A flag of the field's type; unions are read as transformers' HfArgumentParser reads them."""
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    members = [k for k in typing.get_args(kind) if k is not type(None)] if union else [kind]
    enums = [k for k in members if isinstance(k, type) and issubclass(k, Enum)]
    several = [k for k in members if typing.get_origin(k) is list]
    flag, text = f"--{field.name}", help_of(field).replace("%", "%%")
    if bool in members:
        group.add_argument(flag, nargs="?", const=True, type=_truth, metavar="BOOL", help=text)
        if field.default is True:
            hidden = {"help": argparse.SUPPRESS, "dest": field.name, "action": "store_false"}
            group.add_argument(f"--no_{field.name}", default=argparse.SUPPRESS, **hidden)
    elif enums:
        choices = [choice.value for choice in enums[0]]
        group.add_argument(flag, choices=choices, metavar="NAME", help=text)
    elif several and not (str in members and len(typing.get_args(kind)) > len(members)):
        (inner,) = typing.get_args(several[0])
        group.add_argument(flag, nargs="+", type=inner, metavar="TEXT", help=text)
    elif str in members or members[0] in (int, float):
        number = str if str in members else members[0]
        group.add_argument(flag, type=number, metavar=_METAVARS[number], help=text)
    elif typing.get_origin(members[0]) is dict:
        group.add_argument(flag, type=mapping, metavar="NAME=VALUE,…", help=text)


def help_of(field: dataclasses.Field[Any]) -> str:
    """What `--help` says of a setting: its help, its default, and what it takes."""
    text = " ".join(str(field.metadata.get("help", "")).split())
    if "also" not in field.metadata:  # transformers' own: its first sentence
        return re.split(r"(?<=[a-z)`]{2})\. ", text)[0].rstrip(".")
    default = shown_default(field)
    notes = [f"default {default}"] if default not in ("", "false") else []
    notes += [allowed(field)] if limits(field) else []
    return f"{text} [{'; '.join(notes)}]" if notes else text


def shown_default(field: dataclasses.Field[Any]) -> str:
    """A field's default as it would be written; empty where it has none."""
    default = default_of(field)
    if default is None or default == {}:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def _truth(text: str) -> bool:
    if text.lower() not in (*_TRUE, *_FALSE):
        raise argparse.ArgumentTypeError(f"true or false, not {text!r}")
    return text.lower() in _TRUE


def mapping(text: str) -> dict[str, object]:
    """`NAME=VALUE,NAME=VALUE`, or a JSON object. Numbers, true, false and null are read as such."""
    try:
        if text.startswith("{"):
            return dict(json.loads(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no mapping: {error}") from error
    items = [[part.strip() for part in item.partition("=")] for item in text.split(",")]
    items = [item for item in items if item != ["", "", ""]]
    if not all(name and equals for name, equals, _ in items):
        raise argparse.ArgumentTypeError(f"write NAME=VALUE,NAME=VALUE, not {text!r}")
    if len({name for name, _, _ in items}) < len(items):
        raise argparse.ArgumentTypeError(f"a name is there twice in {text!r}")
    return {name: _scalar(value) for name, _, value in items}


def _scalar(text: str) -> Any:
    readers: tuple[Callable[[str], Any], ...] = (json.loads, float)
    for read in readers:
        try:
            return read(text)
        except ValueError:
            continue
    return text


def take_config(argv: Sequence[str]) -> tuple[Path | None, list[str]]:
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


class _RecipeLoader(yaml.SafeLoader):
    """Safe YAML in which `off` and `no` are words, as in YAML 1.2, and a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"{twice} stands there twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


_BOOLEAN = "tag:yaml.org,2002:bool"
_RecipeLoader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != _BOOLEAN]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_RecipeLoader.add_implicit_resolver(
    _BOOLEAN, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def read_recipe(path: Path) -> Mapping[str, object]:
    """The content of a YAML recipe. Raises `ConfigError`."""
    try:
        content = yaml.load(path.expanduser().read_text(encoding="utf-8"), _RecipeLoader)
    except FileNotFoundError as error:
        raise ConfigError(f"no such config file: {path}") from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read as YAML: {reason}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold settings as `key: value` lines")
    return content


def unknown_message(name: str, known: Iterable[str]) -> str:
    """What to say of a flag or key that there is not: what replaced it, or the nearest."""
    key = name.lstrip("-").partition("=")[0].replace("-", "_")
    if key in REMOVED:
        return f"{key} was removed: {REMOVED[key]}"
    return f"unknown setting {name}{nearest(key, known)}"
