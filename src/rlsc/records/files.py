"""Small files of a run: JSON and YAML, read with one clear line where damaged, written whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from rlsc.errors import OutputError
from rlsc.runtime import is_main


def read_json(path: Path) -> dict[str, Any]:
    """Raises `OutputError` for a file that is damaged or no object."""
    return _read(path, json.loads)


def read_yaml(path: Path) -> dict[str, Any]:
    """The same for settings."""
    return _read(path, yaml.safe_load)


def _read(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        content = parse(path.read_text("utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise OutputError(f"{path} is damaged: {' '.join(str(error).split()):.150}") from error
    if not isinstance(content, dict):
        raise OutputError(f"{path} is damaged: it holds no settings or results")
    return content


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write strict JSON under a temporary name and rename."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def write_text(path: Path, text: str) -> None:
    """Write under a temporary name and rename, so that no half-written file is ever seen.

    Of several processes the main one alone writes.
    """
    if not is_main():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)
