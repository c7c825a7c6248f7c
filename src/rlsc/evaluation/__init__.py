"""One evaluation: tasks asked in settings, answers collected, scored and compared."""

from rlsc.evaluation.benchmarks.item import Item
from rlsc.evaluation.benchmarks.tasks import UserTask

__all__ = ["Item", "UserTask"]
