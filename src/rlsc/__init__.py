"""rlsc: label-free RL fine-tuning of language models by self-confidence (arXiv 2506.06395)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlsc.training.arguments import RLSCConfig
    from rlsc.training.trainer import RLSCTrainer

__version__ = "0.1.0"
__all__ = ["RLSCConfig", "RLSCTrainer", "__version__"]

_HOMES = {"RLSCConfig": "rlsc.training.arguments", "RLSCTrainer": "rlsc.training.trainer"}


def __getattr__(name: str) -> Any:
    """Import torch and transformers only when they are asked for: `rlsc --help` stays quick."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'rlsc' has no attribute {name!r}")
