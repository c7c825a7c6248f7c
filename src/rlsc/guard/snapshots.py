"""The last healthy policies, kept beside the run, one of which is put back where it is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rlsc.errors import OutputError
from rlsc.runtime import fill, full_tensor

_NAME = "guard-snapshot-{}.safetensors"


class Snapshots:
    """What is trained (of an adapter: it alone) after the last `room` steps that were taken.

    On the CPU, in the weights' own dtype: `room` times their bytes at most.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._kept: dict[int, dict[str, Tensor]] = {}

    @property
    def steps(self) -> list[int]:
        """Those that are held, in their order."""
        return sorted(self._kept)

    @torch.no_grad()
    def take(self, step: int, model: torch.nn.Module) -> None:
        """Copy the trained weights, where there is no room left into the oldest one's memory."""
        trained = _trained(model)
        kept: dict[str, Tensor] = {}
        if len(self._kept) >= self._room:
            kept = self._kept.pop(self.steps[0])
        if kept.keys() != trained.keys():
            kept = {name: torch.empty(p.shape, dtype=p.dtype) for name, p in trained.items()}
        for name, parameter in trained.items():
            kept[name].copy_(full_tensor(parameter))
        self._kept[step] = kept

    @torch.no_grad()
    def restore(self, step: int, model: torch.nn.Module) -> None:
        """Put one back, to the bit. Raises `KeyError` for a step that is not held."""
        for name, parameter in _trained(model).items():
            fill(parameter, self._kept[step][name])

    def clear(self) -> None:
        self._kept.clear()

    def save(self, folder: Path) -> None:
        """Beside a checkpoint, each under a temporary name first."""
        for step, kept in self._kept.items():
            file = folder / _NAME.format(step)
            temporary = file.with_name(file.name + ".tmp")
            save_file(kept, temporary)
            temporary.replace(file)

    def load(self, folder: Path, steps: list[int]) -> None:
        """What `save` has written of these. Raises `OutputError` for one missing or damaged."""
        self._kept.clear()
        for step in steps[-self._room :]:
            file = folder / _NAME.format(step)
            try:
                self._kept[step] = load_file(file)
            except Exception as error:
                raise OutputError(
                    f"{file} is missing or damaged ({error}): start again with --overwrite"
                ) from error


def _trained(model: Any) -> dict[str, Tensor]:
    """Parameters by name, each once: tied ones are one parameter."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
