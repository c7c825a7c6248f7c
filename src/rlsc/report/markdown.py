"""A page as Markdown: report.md, and a model's card."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from rlsc.report.page import (
    Block,
    Bullets,
    Case,
    Cases,
    Code,
    Curves,
    Heading,
    Headline,
    Page,
    Paragraph,
    Side,
    Table,
)

CASES = 5
"""As many cases are shown; the samples' files have all."""


def to_markdown(page: Page, plot: str = "") -> str:
    """The page's text. Charts are not in it: `plot` is the file that shows the first of them."""
    parts = [f"# {_inline(page.title)}"]
    for block in page.blocks:
        if isinstance(block, Curves):
            if plot and block.charts:
                titles = "; ".join(chart.title for chart in block.charts)
                parts.append(f"![{_inline(titles)}]({plot})")
                plot = ""
        else:
            parts += _block(block)
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block) -> Iterable[str]:
    match block:
        case Headline():
            return _headline(block)
        case Heading():
            return [f"{'#' * block.level} {_inline(block.text)}"]
        case Paragraph():
            return [_inline(block.text)]
        case Bullets():
            return ["\n".join(f"- {_inline(line)}" for line in block.lines)]
        case Table():
            return _folded(block) if block.folded else [_table(block)]
        case Cases():
            return _cases(block.cases)
    return []


def _headline(block: Headline) -> Iterator[str]:
    yield f"**{_inline(block.verdict)}**"
    yield "\n".join(f"- {_inline(row.full_name)}: {row}" for row in block.numbers)
    yield "\n".join(f"- {_inline(note)}" for note in block.notes)
    yield "\n".join(f"- {_inline(name)}: {_inline(value)}" for name, value in block.facts)


def _folded(table: Table) -> Iterator[str]:
    if table.rows:
        yield f"<details><summary>{_inline(table.folded)}</summary>"
        yield _table(table)
        yield "</details>"


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    rows = [
        [f"**{cell}**" if cell and index in table.bold else cell for cell in map(_cell, row)]
        for index, row in enumerate(table.rows)
    ]
    return markdown_table([_cell(cell) for cell in table.header], rows)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Of cells that are Markdown, without line breaks."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(cell: str) -> str:
    if not isinstance(cell, Code):
        return _inline(" ".join(cell.split()).replace("|", "\\|"))
    text = " ↵ ".join(cell.splitlines()).replace("|", "\\|")
    ticks = "`" * (max([1, *map(len, re.findall("`+", text))]) + 1)  # no text ends it
    return f"{ticks} {text} {ticks}"


def _cases(cases: Sequence[Case]) -> Iterator[str]:
    if not cases:
        return
    yield "## Cases"
    yield f"The first {min(CASES, len(cases))} of {len(cases)}."
    for case in cases[:CASES]:
        yield f"### {_inline(case.benchmark)} · {_inline(case.id)}"
        yield _quote(case.prompt)
        both = case.base and case.tuned
        for name, side in (("base", case.base), ("tuned" if both else "model", case.tuned)):
            if side:
                yield f"**{name}** ({_side(side)})"
                yield _quote(side.text)


def _side(side: Side) -> str:
    text = f"{side.verdict}, {side.tokens} tokens"
    text += ", cut off" if side.finish == "length" else ""
    if side.samples > 1:
        text += f", first of {side.samples} samples, {side.right} right"
    return text


def _quote(text: str) -> str:
    """Model text as a code block that it cannot close: an indented one."""
    lines = text.replace("\r", "\n").splitlines() or [""]
    shown = ("".join(c if c.isprintable() or c == "\t" else "�" for c in line) for line in lines)
    return "\n".join("    " + line for line in shown)


def _inline(text: str) -> str:
    """One line in which no tag can begin."""
    return re.sub(r"\s+", " ", text).replace("<", "&lt;")
