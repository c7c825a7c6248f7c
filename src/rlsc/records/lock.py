"""Who writes into a run's folder: one run at a time, by a lock that ends with its process.

The lock is the system's (flock), on a file that is held open; it is gone with the process, by
whatever it ended, and on a network's file system it holds between hosts where that can lock. The
file stays and says who held it last. Windows locks a byte of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from rlsc.errors import OutputError
from rlsc.runtime import console, from_main, is_main

LOCK = "run.lock"
_BUSY = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}
_held: dict[Path, int] = {}
"""Descriptors of the locks that this process holds, until it ends or gives them up."""


def take(folder: Path) -> None:
    """Hold the folder's lock until `give_up` or the end of this process; of several the main one's.

    Nothing where this process holds it already. Raises `OutputError` that names the holder where
    another process does. Where the file system cannot lock, a line says so.
    """
    folder = folder.resolve()
    if not is_main() or folder in _held:
        return
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = _held[folder] = _locked_file(folder)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())


def give_up(folder: Path) -> None:
    """Let another run have the folder."""
    descriptor = _held.pop(folder.resolve(), None)
    if descriptor is not None:
        os.close(descriptor)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Within, the lock is held; one that was held before stays. What `take` raises, all raise."""
    before = folder.resolve() in _held
    from_main(lambda: take(folder))
    try:
        yield
    finally:
        if not before:
            give_up(folder)


def check_free(folder: Path) -> None:
    """Raise `OutputError` where another process holds the folder; leave no trace."""
    folder = folder.resolve()
    if not is_main() or folder in _held or not (folder / LOCK).exists():
        return
    with contextlib.suppress(PermissionError):  # said by who looks whether it can be written
        os.close(_locked_file(folder))


def _locked_file(folder: Path) -> int:
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(descriptor)
    except OSError as error:
        if error.errno in _BUSY:
            holder = (folder / LOCK).read_text("utf-8", errors="replace").strip()
            os.close(descriptor)
            raise OutputError(
                f"{folder} is in use by another run ({holder or 'it is just beginning'}): wait "
                "until that ends, or choose another --output_dir"
            ) from error
        console.print(
            f"note: the file system of {folder} cannot lock ({error.strerror}): see to it that no "
            "other run writes there",
            soft_wrap=True,
        )
    return descriptor


def _lock(descriptor: int) -> None:
    """Raises `OSError` where another process has the lock. Windows: a byte far behind the text."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
