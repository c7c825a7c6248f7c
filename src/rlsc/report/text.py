"""Markdown tables, and how a result was made, as rows of one."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""A header, and rows of as many cells."""


def code_rows(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Command, commit, versions and device, for a table."""
    versions = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    return [
        ("command", " ".join(shlex.join(environment["command"]).split())),
        ("code", environment["git_commit"] or "not a git checkout"),
        ("versions", f"Python {environment['python']}, {versions}"),
        ("device", f"{environment['device']}, {environment['cpu_threads']} CPU threads"),
    ]


def markdown_code_rows(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The same for Markdown: the command as code, whatever it holds."""
    (name, command), *others = code_rows(environment)
    return [(name, f"`` {command} ``"), *others]


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; cells must not hold line breaks."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in r) + " |" for r in lines
    )


def bullets(lines: Iterable[str]) -> str:
    """A Markdown list; lines must not hold line breaks."""
    return "\n".join(f"- {line}" for line in lines)
