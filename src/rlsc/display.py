"""The console and the progress bars of all commands."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# Paths and names are printed as they are: brackets in them are not markup.
console = Console(markup=False, highlight=False)


def make_progress(unit: str) -> Progress:
    """A bar with counts, time elapsed and time left. Text printed meanwhile appears above it."""
    return Progress(
        TextColumn("{task.description:<18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        speed_estimate_period=600,
    )
