"""A function in a process of its own, under a time limit: what breaks there, breaks nothing here.

A CUDA error stays with its process, and so do memory that is not given back and a hang. Processes
come from a server that has imported the libraries and has never touched CUDA, so that each
starts at once; where CUDA cannot be used in such a fork, they are started from nothing.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LIBRARIES = ("rlsc.training", "rlsc.engines.hf", "rlsc.engines.native.engine", "rlsc.planning")
_LEAVE_SECONDS = 10  # to end by itself, once it has answered
WAYS = ("forkserver", "spawn")


@dataclass(frozen=True)
class Outcome:
    """What came of it: a value, or `error` in a line."""

    seconds: float
    value: Any = None
    error: str = ""
    skipped: bool = False
    timed_out: bool = False


class Apart:
    """Runs functions by one of `WAYS`; what they print goes to the end of `log`."""

    def __init__(
        self, log: Path, way: str = "forkserver", libraries: Sequence[str] = _LIBRARIES
    ) -> None:
        # torch then asks the driver by a library that does not spoil later forks.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
        self._log = log
        self._context: Any = multiprocessing.get_context(way)
        if way == "forkserver":
            self._context.set_forkserver_preload(list(libraries))

    def run(self, function: str, seconds: float, *args: Any, **settings: Any) -> Outcome:
        """Of `function`, which is `module:function`, with these arguments."""
        start = time.monotonic()
        reader, writer = self._context.Pipe(duplex=False)
        job = (writer, str(self._log), function, args, settings)
        process = self._context.Process(target=_work, args=job)
        process.start()
        writer.close()
        try:
            if not reader.poll(max(0.0, seconds)):
                return Outcome(time.monotonic() - start, timed_out=True)
            kind, value = reader.recv()
        except EOFError:
            process.join()
            kind, value = "error", f"its process ended with code {process.exitcode}"
        else:
            process.join(_LEAVE_SECONDS)
        finally:
            process.kill()
            process.join()
            reader.close()
        took = time.monotonic() - start
        if kind == "value":
            return Outcome(took, value)
        return Outcome(took, error=value, skipped=kind == "skipped")


def _work(writer: Any, log: str, name: str, args: Any, settings: dict[str, Any]) -> None:
    """In the process: the function's value, or in a line why there is none."""
    from gpu_checks.rows import NotHere

    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    module, _, function = name.partition(":")
    try:
        value = getattr(importlib.import_module(module), function)(*args, **settings)
        writer.send(("value", value))
    except NotHere as reason:
        writer.send(("skipped", str(reason)))
    except (Exception, SystemExit) as error:  # whatever it is, it is a row of the table
        traceback.print_exc()
        writer.send(("error", first_line(error)))


def first_line(error: BaseException) -> str:
    """Its type and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
