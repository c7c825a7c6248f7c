"""A run's memory from its settings."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.planning.plan import check_fits, run_plan, show, this_device

__getattr__ = lazy_face(__name__)
