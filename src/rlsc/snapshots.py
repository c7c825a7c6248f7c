"""The last healthy policy, kept beside the run and put back where the run collapses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rlsc.errors import OutputError
from rlsc.sharding import fill, full

FILE = "guard-snapshot.safetensors"


class Snapshots:
    """Of what is trained, one: the newest that was taken. On the CPU, in the weights' own dtype."""

    def __init__(self) -> None:
        self.step: int | None = None
        self._kept: dict[str, Tensor] = {}

    @torch.no_grad()
    def take(self, step: int, model: torch.nn.Module) -> None:
        """Copy the trained weights, into the memory of the last snapshot where there is one."""
        trained = _trained(model)
        if self._kept.keys() != trained.keys():
            self._kept = {name: torch.empty(p.shape, dtype=p.dtype) for name, p in trained.items()}
        for name, parameter in trained.items():
            self._kept[name].copy_(full(parameter))
        self.step = step

    @torch.no_grad()
    def restore(self, model: torch.nn.Module) -> None:
        """Put the snapshot back, to the bit."""
        for name, parameter in _trained(model).items():
            fill(parameter, self._kept[name])

    def save(self, folder: Path) -> None:
        """Beside a checkpoint, under a temporary name first."""
        if self.step is None:
            return
        temporary = folder / (FILE + ".tmp")
        save_file(self._kept, temporary, metadata={"step": str(self.step)})
        temporary.replace(folder / FILE)

    def load(self, folder: Path) -> None:
        """What `save` has written. Raises `OutputError` where it is missing or damaged."""
        from safetensors import safe_open

        try:
            with safe_open(folder / FILE, "pt") as file:
                self.step = int(file.metadata()["step"])
            self._kept = load_file(folder / FILE)
        except Exception as error:
            raise OutputError(
                f"{folder / FILE} is missing or damaged ({error}): start again with --overwrite"
            ) from error


def _trained(model: Any) -> dict[str, Tensor]:
    """Parameters by name, each once: tied ones are one parameter."""
    return {name: one for name, one in model.named_parameters() if one.requires_grad}
