"""What a game of programs says beside others: their size, their values, how they ran.

A program is a model's text: it is shown as code, escaped, and never read as anything else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from rlsc.records import GameRow
from rlsc.report.page import Block, Code, Paragraph, Table
from rlsc.report.sections.words import share

_LONGEST = 2000
_TYPES = (  # by how a literal begins, so that nothing a model wrote is parsed
    ("None", r"None$"),
    ("bool", r"(True|False)$"),
    ("text", r"b?['\"]"),
    ("list", r"\["),
    ("tuple", r"\("),
    ("set", r"(set|frozenset)\(|\{(?![^{}]*:)"),
    ("dict", r"\{"),
    ("number", r"-?(\d|inf|nan)"),
)


def is_program(row: GameRow) -> bool:
    """Whether the task of a row is of Python."""
    return "def f(" in str(row.get("program", ""))


def program_cell(row: GameRow) -> Code:
    """Program, what goes in and what comes out, and the message if there is one."""
    pairs = row.get("pairs") or [[row.get("input", ""), row.get("output", "")]]
    lines = [str(row["program"]), *(f"f({given}) → {output}" for given, output in pairs)]
    if row.get("message"):
        lines.append(f"# {row['message']}")
    return Code("\n".join(lines)[:_LONGEST])


def program_section(tasks: Sequence[GameRow]) -> Iterator[Block]:
    """Of what types the outputs are, and how many lines programs have: first and last fifth."""
    made = [row for row in tasks if is_program(row) and not row.get("reason")]
    if not made:
        return
    last = max(row["step"] for row in made)
    parts = {
        "seeds": [row for row in made if row["step"] < 0],
        "first fifth": [row for row in made if 0 <= row["step"] <= last / 5],
        "last fifth": [row for row in made if row["step"] >= max(0, last - last / 5)],
    }
    names = [name for name, _ in _TYPES] + ["other"]
    rows = []
    for part, of_part in parts.items():
        if not of_part:
            continue
        kinds = [type_of(output) for row in of_part for output in _outputs(row)]
        counts = Counter(kinds)
        programs = [str(row["program"]) for row in of_part]
        mean = sum(len(program.splitlines()) for program in programs) / len(programs)
        shares = [share(counts[name] / len(kinds)) for name in names]
        distinct = share(len(set(programs)) / len(programs))
        rows.append([part, *shares, f"{mean:.1f}", distinct, str(len(programs))])
    yield Paragraph("What programs return, by how the value is written, and how long they are:")
    yield Table(("", *names, "lines", "distinct", "tasks"), rows)


def type_of(literal: str) -> str:
    """By its beginning alone.

    >>> [type_of(text) for text in ("[1]", "{1: 2}", "{1}", "-3", "'a'", "set()")]
    ['list', 'dict', 'set', 'number', 'text', 'set']
    """
    return next((name for name, form in _TYPES if re.match(form, literal)), "other")


def _outputs(row: GameRow) -> list[str]:
    pairs = row.get("pairs") or []
    return [str(pair[1]) for pair in pairs] or [str(row.get("output", ""))]
