"""Checkpoints that are whole or not there: written under another name, synced, sealed, renamed.

The seal is a list of the checkpoint's files with their SHA-256, so that damage after the fact is
found too, and the checkpoint before is gone on with.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import Trainer
from transformers.trainer_utils import rotate_checkpoints

from rlsc.display import console
from rlsc.errors import OutputError
from rlsc.processes import wait

SEAL, UNFINISHED = "sha256.json", "checkpoint-unfinished"
_PREFIX = "checkpoint-"


class WholeCheckpoints(Trainer):
    """A Trainer whose checkpoints are written by the rules above."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._saving: str | None = None
        self.beside: list[Callable[[Path], None]] = []
        """What else writes into a checkpoint's folder before it is sealed."""
        super().__init__(*args, **kwargs)

    def begin_afresh(self) -> None:
        """Called where a run is to go on and no checkpoint is whole."""

    def train(self, resume_from_checkpoint: Any = None, **kwargs: Any) -> Any:
        """True goes on from the newest checkpoint that is whole, and where none is, afresh."""
        if resume_from_checkpoint is True:
            newest = last_checkpoint(Path(self.args.output_dir))
            resume_from_checkpoint = str(newest) if newest else None
            if newest is None:
                self.begin_afresh()
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
        name = f"{_PREFIX}{self.state.global_step}"
        with _told(folder / name):
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
def _told(checkpoint: Path) -> Iterator[None]:
    """A disk that is full, or a folder that may not be written, in one line."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch raises the second
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise OutputError(
            f"{checkpoint.name} could not be written ({reason}); those before it stand: make room "
            "and go on with --resume"
        ) from error


def seal(folder: Path) -> None:
    """Sync every file of the folder, and list them with their hashes."""
    hashes = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            hashes[str(file.relative_to(folder))] = _sha256(file)
            _sync(file)
    (folder / SEAL).write_text(json.dumps(hashes, indent=1) + "\n", "utf-8")
    _sync(folder / SEAL)
    _sync(folder)


def _put_in_place(made: Path, place: Path) -> None:
    if place.exists():  # of a run that died and has come to the step again
        shutil.rmtree(place)
    made.rename(place)
    _sync(place.parent)


def damage(folder: Path) -> str | None:
    """What is wrong with a checkpoint, in a few words; None where nothing is."""
    try:
        hashes = json.loads((folder / SEAL).read_text("utf-8"))
    except (OSError, ValueError):
        return f"{SEAL} is missing or damaged"
    for name, expected in hashes.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if _sha256(file) != expected:
            return f"{name} is not what was written"
    return None


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole; each damaged one that is passed over has a line."""
    for path in sorted(checkpoints(folder), key=step_of, reverse=True):
        problem = damage(path)
        if problem is None:
            return path
        console.print(f"{path.name} is damaged: {problem}; passed over", soft_wrap=True)
    return None


def checkpoints(folder: Path) -> list[Path]:
    """All of a folder's, whole or not, in no order."""
    return [p for p in folder.glob(f"{_PREFIX}*") if p.name.removeprefix(_PREFIX).isdigit()]


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(_PREFIX))


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
