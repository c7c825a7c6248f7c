"""What a run's folder says, as a table on the screen, Markdown and a plot."""

from rlsc.report.markdown import write_report
from rlsc.report.table import print_table

__all__ = ["print_table", "write_report"]
