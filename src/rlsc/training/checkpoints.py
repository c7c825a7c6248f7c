"""Checkpoints that are whole or not there: written under another name, synced, sealed, renamed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import Trainer
from transformers.trainer_utils import rotate_checkpoints

from rlsc.errors import OutputError
from rlsc.records import PREFIX, UNFINISHED, last_checkpoint, seal, sync
from rlsc.runtime import is_out_of_memory, wait

_FULL = 64 * 2**20
"""Bytes: a disk with fewer free is full."""


class WholeCheckpoints(Trainer):
    """A Trainer whose checkpoints are written by the rules above."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._saving: str | None = None
        self.beside: list[Callable[[Path], None]] = []
        """What else writes into a checkpoint's folder before it is sealed."""
        super().__init__(*args, **kwargs)

    def begin_afresh(self) -> None:
        """Called where a run is to go on and no checkpoint is whole."""

    def check_start(self, resume: Any) -> None:
        """Called before a run begins, or goes on from a checkpoint's path; may raise.

        `resume` is True where there is none, and the run begins afresh.
        """

    def train(self, resume_from_checkpoint: Any = None, **kwargs: Any) -> Any:
        """True goes on from the newest checkpoint that is whole, and where none is, afresh."""
        if resume_from_checkpoint is True:
            newest = last_checkpoint(Path(self.args.output_dir))
            resume_from_checkpoint = str(newest) if newest else True
        self.check_start(resume_from_checkpoint)
        if resume_from_checkpoint is True:
            self.begin_afresh()
            resume_from_checkpoint = None
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)

    def keep(self, part: Any) -> None:
        """A callback with a method `save`, for what it has to write into every checkpoint."""
        self.add_callback(part)
        self.beside.append(part.save)

    def _get_output_dir(self, trial: Any) -> str:
        return self._saving or super()._get_output_dir(trial)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(super()._get_output_dir(trial))
        unfinished = folder / UNFINISHED
        name = f"{PREFIX}{self.state.global_step}"
        with _errors_in_one_line(folder / name):
            if self.args.should_save and unfinished.exists():
                shutil.rmtree(unfinished)
            wait()
            self._saving = str(unfinished)
            try:
                super()._save_checkpoint(model, trial)
            finally:
                self._saving = None
            wait()
            if self.args.should_save:
                for write in self.beside:
                    write(unfinished / name)
                seal(unfinished / name)
                _put_in_place(unfinished / name, folder / name)
                unfinished.rmdir()
        wait()
        if self.args.should_save:
            rotate_checkpoints(str(folder), self.args.save_total_limit)


@contextmanager
def _errors_in_one_line(checkpoint: Path) -> Iterator[None]:
    """Within, a full disk or a folder that may not be written raises `OutputError`."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        # Torch, where a write falls short, speaks of positions in its file.
        full = shutil.disk_usage(checkpoint.parent).free < _FULL
        reason, advice = ("the disk is full", "make room and ") if full else (reason, "")
        raise OutputError(
            f"{checkpoint.name} could not be written ({reason}); those before it stand: {advice}"
            "go on with --resume"
        ) from error


def _put_in_place(made: Path, place: Path) -> None:
    if place.exists():  # of a run that died and has come to the step again
        shutil.rmtree(place)
    made.rename(place)
    sync(place.parent)
