"""Engines sample completions. `base` is the contract; `registry` picks one by name."""

from rlsc.engines.base import Engine, SamplingParams, seed_for
from rlsc.engines.distributed import SpreadEngine, spread
from rlsc.engines.hf import HFEngine
from rlsc.engines.native.engine import NativeEngine
from rlsc.engines.registry import create_engine, engine_class, resolve_engine
from rlsc.engines.scripted import ScriptedEngine

__all__ = [
    "Engine",
    "HFEngine",
    "NativeEngine",
    "SamplingParams",
    "ScriptedEngine",
    "SpreadEngine",
    "create_engine",
    "engine_class",
    "resolve_engine",
    "seed_for",
    "spread",
]
