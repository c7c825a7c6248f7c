"""Files of JSON lines: written whole or appended to, and read after any crash."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rlsc.errors import OutputError
from rlsc.records.files import write_text


def write_jsonl(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """All rows of a file, by `write_text`."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def append_jsonl(path: Path, row: Mapping[str, object]) -> None:
    """One row more, in one write; what a crash cuts off, `read_jsonl` drops."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; none where it is missing. A last line cut off by a crash is dropped.

    Raises `OutputError` for a file that is damaged otherwise.
    """
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        return [dict(json.loads(line)) for line in lines[:-1]]
    except (ValueError, TypeError) as error:
        raise OutputError(f"{path} is damaged ({error}): delete it, or use --overwrite") from error
