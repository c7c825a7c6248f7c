"""How processes of our own are started: so that they import what we do, and nothing of a user's."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path

from rlsc.runtime.user_code import user_folders

_HOME = Path(__file__).resolve().parents[2]
"""Where this package lies."""
_OWN = ("stdlib", "platstdlib", "purelib", "platlib")
"""Python's own folders, by their names in `sysconfig`."""


def safe_path() -> list[str]:
    """`sys.path` without the current folder, the script's, and those of a user's own code.

    A `random.py` or a `sympy.py` that lies there must not be taken for the library. Python's own
    folders stay, where the script is a tool's (`python -m cProfile`).
    """
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    users = {Path.cwd().resolve(), *user_folders}
    if script:
        users.add(Path(script).resolve().parent)
    users -= {Path(sysconfig.get_path(name)).resolve() for name in _OWN}
    kept = [entry for entry in sys.path if entry and Path(entry).resolve() not in users]
    return kept if str(_HOME) in kept else [*kept, str(_HOME)]


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Within, a process that is spawned imports no library from a user's folders: they come last.

    Nor does Ctrl-C end it with a traceback while it is still importing: it is heeded once the
    child has called `started`.
    """
    in_main = threading.current_thread() is threading.main_thread()
    safe, path = os.environ.get("PYTHONSAFEPATH"), list(sys.path)
    first = safe_path()
    sys.path[:] = [*first, *(entry for entry in path if entry not in first)]
    os.environ["PYTHONSAFEPATH"] = "1"
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None
    try:
        yield
    finally:
        sys.path[:] = path
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        if safe is None:
            del os.environ["PYTHONSAFEPATH"]


def started() -> None:
    """Called by a child that was spawned within `quiet_start`: from now on Ctrl-C ends it.

    Its own children are the user's, perhaps, and get Python's usual path.
    """
    os.environ.pop("PYTHONSAFEPATH", None)
    signal.signal(signal.SIGINT, signal.default_int_handler)
