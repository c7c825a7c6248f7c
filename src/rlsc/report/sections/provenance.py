"""How a result was made: command, code, versions, device, settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from rlsc.records import HowMade, RunFolder, from_json
from rlsc.report.page import Block, Code, Heading, Table
from rlsc.runtime import Cpu

Rows = Sequence[tuple[str, str]]


def how_it_was_made(folder: RunFolder, more: Rows) -> Iterator[Block]:
    """A section: where, with what, `more`, and every setting."""
    yield Heading("How it was made")
    yield from made(folder, more)


def made(folder: RunFolder, more: Rows = (), name: str = "") -> Iterator[Block]:
    """The same without a heading; `name`: of what, of several."""
    settings = folder.read_settings()
    rows = sorted((key, str(value)) for key, value in settings.items() if value is not None)
    yield Table(("", ""), [*code_rows(folder.read_environment()), *more], words=True)
    title = f"Every setting of {name}" if name else "Every setting"
    yield Table(("setting", "value"), rows, words=True, folded=title)


def code_rows(environment: HowMade) -> list[tuple[str, str]]:
    """Command, commit, versions, device and CPU."""
    versions = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    return [
        ("command", Code(" ".join(shlex.join(environment["command"]).split()))),
        ("code", environment["git_commit"] or "not a git checkout"),
        ("versions", f"Python {environment['python']}, {versions}"),
        *hardware_rows(environment),
    ]


def hardware_rows(environment: HowMade) -> list[tuple[str, str]]:
    """The kind of the CPU is in every record but those of before it was noted."""
    device = environment["device"]
    if "cpu" not in environment:
        return [("device", f"{device}, {environment['cpu_threads']} CPU threads")]
    accelerator = [] if device == "cpu" else [("device", device)]
    return [*accelerator, ("CPU", str(from_json(Cpu, environment["cpu"])))]
