"""Engines sample completions. `base` is the contract; `registry` picks one by name."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.engines.base import (
        ZERO3_NEEDS,
        Engine,
        Progress,
        SamplingParams,
        completes_stop_string,
        grouped,
        make_completion,
        seed_for,
    )
    from rlsc.engines.distributed import spread
    from rlsc.engines.memory import Part, Workload
    from rlsc.engines.registry import create_engine, engine_class, resolve_engine
    from rlsc.engines.scripted import ScriptedEngine

__getattr__ = lazy_face(__name__)
