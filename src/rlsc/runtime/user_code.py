"""A user's own class, named as `FILE.py:Class` or `package.module:Class`.

One syntax for objectives, tasks and environments.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from rlsc.errors import ConfigError

SYNTAX = "FILE.py:Class or package.module:Class"


def is_user_code(name: str) -> bool:
    """Whether `name` is of the form of a user's own class, and not a registered name."""
    return ":" in name


def load_user_code(setting: str, name: str) -> Any:
    """What `name` stands for: a class, an instance or a function, as the file has it.

    Raises `ConfigError` that begins with the setting, for a file, module or name that is not there
    or that raises while it is imported.
    """
    place, colon, attribute = name.rpartition(":")
    if not colon or not place or not attribute:
        raise ConfigError(f"{setting} {name}: name your own as {SYNTAX}")
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else _imported(place)
        return getattr(module, attribute)
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{setting} {name}: {what}") from error


def _from_file(path: Path) -> ModuleType:
    """A file anywhere, loaded once however it is named; its neighbours can be imported by it."""
    file = path.expanduser().resolve()
    if not file.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    name = f"{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up here
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _imported(name: str) -> ModuleType:
    if os.getcwd() not in sys.path:  # where a file of the user's own lies
        sys.path.insert(0, os.getcwd())
    return importlib.import_module(name)
