"""The collapse guard: signals, rule, choice of the step."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.guard.guard import create_guard
    from rlsc.guard.probe import most_agreed
    from rlsc.guard.rule import COLLAPSED, SIGNS, VERDICTS, Health, Observation, Rule, change, due
    from rlsc.guard.selection import candidates, choose, score
    from rlsc.guard.signals import group_signals

__getattr__ = lazy_face(__name__)
