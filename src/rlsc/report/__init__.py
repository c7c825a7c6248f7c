"""What a run's folder says, for a reader: a page of blocks, and three renderers of it."""

from rlsc.report.files import write_report
from rlsc.report.summary import print_results

__all__ = ["print_results", "write_report"]
