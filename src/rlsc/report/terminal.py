"""Blocks on the console: what fits there of a page."""

from __future__ import annotations

from collections.abc import Iterable

import rich.box
from rich.table import Table as Grid

from rlsc.report.page import Block, Bullets, Heading, Headline, Paragraph, Table
from rlsc.runtime import console


def show(blocks: Iterable[Block]) -> None:
    """Print them. Charts and cases are left to the page."""
    for block in blocks:
        match block:
            case Headline():
                _show_headline(block)
            case Heading() | Paragraph():
                _print(block.text)
            case Bullets():
                for line in block.lines:
                    _print(line)
            case Table():
                _show_table(block)


def _show_headline(block: Headline) -> None:
    _print(block.verdict)
    for number in block.numbers:
        _print(f"{number.full_name}: {number}")
    for note in block.notes:
        _print(note)


def _show_table(table: Table) -> None:
    if not table.rows:
        return
    columns = table.brief or range(len(table.header))
    grid = Grid(box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for place in columns:
        right = place > 0 and not table.words
        narrow = right and place + 1 < len(table.header)  # the last may say why a run failed
        grid.add_column(table.header[place], justify="right" if right else "left", no_wrap=narrow)
    for index, row in enumerate(table.rows):
        style = "bold" if index in table.bold else None
        grid.add_row(*(row[place] for place in columns), style=style)
    console.print(grid)


def _print(text: str) -> None:
    if text:
        console.print(text, soft_wrap=True)
