"""A user's own class, named as `FILE.py:Class` or `package.module:Class`.

One syntax for objectives, tasks and environments.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from rlsc.errors import ConfigError

SYNTAX = "FILE.py:Class or package.module:Class"
user_folders: set[Path] = set()
"""Where code was loaded from."""
_files: dict[str, tuple[Path, ...]] = {}
"""Of each module of a user's: its file, and those beside it that were imported with it."""


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
    before = set(sys.modules)
    try:
        with _first_in_path(Path(place).expanduser().parent if place.endswith(".py") else Path()):
            named = importlib.import_module
            module = _from_file(Path(place)) if place.endswith(".py") else named(place)
        _note_files(module, before)
        return getattr(module, attribute)
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{setting} {name}: {what}") from error


def user_files(module: str) -> tuple[Path, ...]:
    """The files behind a user's module, by its name; none for any other."""
    return _files.get(module, ())


def _note_files(module: ModuleType, before: set[str]) -> None:
    if module.__name__ in _files or not getattr(module, "__file__", None):
        return
    own = Path(str(module.__file__)).resolve()
    new = (getattr(sys.modules[name], "__file__", None) for name in set(sys.modules) - before)
    resolved = [Path(file).resolve() for file in new if file]
    # A virtual environment may lie in the user's folder.
    beside = {p for p in resolved if own.parent in p.parents and "site-packages" not in p.parts}
    _files[module.__name__] = tuple(sorted({own, *beside}))


@contextlib.contextmanager
def _first_in_path(where: Path) -> Iterator[None]:
    """Within, the user's folder comes first, so that a file imports its neighbours; then last.

    Left at the front it would have later imports, of libraries and in child processes, find a
    `random.py` of the user's.
    """
    user_folders.add(where.resolve())
    folder = str(where.resolve())
    known = folder in sys.path
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        if not known:
            sys.path.append(folder)


def _from_file(path: Path) -> ModuleType:
    """A file anywhere, loaded once however it is named; its neighbours can be imported by it."""
    file = path.expanduser().resolve()
    if not file.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    name = f"{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
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
