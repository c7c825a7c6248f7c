"""The collapse guard: signals, rule, choice of the step."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.guard.guard import create_guard
    from rlsc.guard.rule import COLLAPSED, VERDICTS
    from rlsc.guard.signals import group_signals

__getattr__ = lazy_face(__name__)
