"""A run folder's checkpoints: which there are, and whether each is as it was written.

The seal is a list of the checkpoint's files with their SHA-256, so that damage after the fact is
found too, and the checkpoint before is gone on with.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from rlsc.runtime import console

SEAL, UNFINISHED = "sha256.json", "checkpoint-unfinished"
PREFIX = "checkpoint-"


def seal(folder: Path) -> None:
    """Sync every file of the folder, and list them with their hashes."""
    hashes = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            hashes[file.relative_to(folder).as_posix()] = _sha256(file)
            sync(file)
    (folder / SEAL).write_text(json.dumps(hashes, indent=1) + "\n", "utf-8")
    sync(folder / SEAL)
    sync(folder)


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
    return [p for p in folder.glob(f"{PREFIX}*") if p.name.removeprefix(PREFIX).isdigit()]


def drop_checkpoints(folder: Path) -> None:
    """Remove all, of a run that nothing will go on from."""
    for checkpoint in checkpoints(folder):
        shutil.rmtree(checkpoint)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(PREFIX))


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Onto the disk. Windows opens no folder so, and syncs what can be written alone."""
    windows = os.name == "nt"
    if windows and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
