"""A slow copy of the policy that votes: a moving average of its trained weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from rlsc.errors import OutputError

_FILE = "teacher.pt"


class Teacher(TrainerCallback):
    """θ_T ← (1 − ρ) θ_T + ρ θ after each update, of the weights that are trained; float32.

    It begins as the policy, is kept in every checkpoint, and read back where a run goes on.
    """

    def __init__(self, model: torch.nn.Module, rate: float) -> None:
        self._rate = rate
        self._trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._own: dict[str, Tensor] = {
            name: p.detach().to(torch.float32, copy=True) for name, p in self._trained.items()
        }

    @property
    def nbytes(self) -> int:
        return sum(own.nbytes for own in self._own.values())

    @contextmanager
    def in_place_of_policy(self) -> Iterator[None]:
        """Within, the model has the teacher's weights; afterwards its own, to the bit.

        They are copied into the same memory, which an engine may hold on to.
        """
        held = {name: p.detach().clone() for name, p in self._trained.items()}
        try:
            self._put(self._own)
            yield
        finally:
            self._put(held)

    @torch.no_grad()
    def _put(self, weights: dict[str, Tensor]) -> None:
        for name, parameter in self._trained.items():
            parameter.copy_(weights[name])

    @torch.no_grad()
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for name, parameter in self._trained.items():
            self._own[name].lerp_(parameter.detach().float(), self._rate)

    def save(self, folder: Path) -> None:
        """Write it into a checkpoint's folder."""
        torch.save(self._own, folder / _FILE)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.global_step:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if not (folder / _FILE).exists():
            raise OutputError(f"{folder} has no teacher: start again")
        stored: dict[str, Tensor] = torch.load(folder / _FILE, weights_only=True)
        for name, own in self._own.items():
            own.copy_(stored[name])
