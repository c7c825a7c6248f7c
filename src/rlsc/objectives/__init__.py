"""Objectives turn a group's log-probs into a loss. `base` is the contract."""

from rlsc.objectives.base import Objective, RowLoss, Rows
from rlsc.objectives.rlsc import RLSC

__all__ = ["RLSC", "Objective", "RowLoss", "Rows"]
