"""What a run's folder says, as a table on the screen, Markdown and a plot."""

from pathlib import Path

from rlsc.report.html import write_html
from rlsc.report.markdown import write_markdown
from rlsc.report.table import print_table

__all__ = ["print_table", "write_report"]


def write_report(folder: Path) -> None:
    """report.md, plot.png and report.html of a training run."""
    write_markdown(folder)
    write_html(folder)
