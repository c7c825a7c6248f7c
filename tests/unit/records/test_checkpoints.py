"""A checkpoint's seal where the system opens no folders and syncs what can be written alone."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from rlsc.records import checkpoints


def test_a_checkpoint_is_sealed_on_windows(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "checkpoint-1"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights").write_bytes(b"1")
    writable: dict[int, bool] = {}
    synced = []

    def open_file(path: Path, flags: int) -> int:
        if path.is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        descriptor = os.open(path, flags)
        writable[descriptor] = bool(flags & os.O_RDWR)
        return descriptor

    def fsync(descriptor: int) -> None:
        if not writable[descriptor]:
            raise OSError(9, "Bad file descriptor")
        synced.append(descriptor)

    windows = SimpleNamespace(
        name="nt",
        open=open_file,
        fsync=fsync,
        close=os.close,
        O_RDONLY=os.O_RDONLY,
        O_RDWR=os.O_RDWR,
    )
    monkeypatch.setattr(checkpoints, "os", windows)
    checkpoints.seal(folder)
    assert len(synced) == 2  # the weights and the seal
    assert checkpoints.damage(folder) is None
    with pytest.raises(FileNotFoundError):
        checkpoints.sync(folder / "missing")
