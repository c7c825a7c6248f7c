"""A process that judges for others, so that no answer can hang or exhaust the caller.

Python cannot interrupt `9**9**9`, and an alarm works in the main thread alone; a process can be
killed. It is started by name, not forked: a fork would take torch's threads along, and a script
without a main guard works. Requests and replies are lines of JSON over its pipes.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import subprocess
import sys
import time
from typing import Any

SECONDS = 5.0
"""Limit of one comparison, in wall-clock time."""
MEGABYTES = 1024
"""Limit of the worker's address space beyond what it has after its imports."""
START_SECONDS = 120.0


class Worker:
    """One guarded process. Not for use by several threads at once."""

    def __init__(self, seconds: float = SECONDS, megabytes: int = MEGABYTES) -> None:
        self._seconds, self._megabytes = seconds, megabytes
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""

    def start(self) -> None:
        """Start the process if none runs; returns before it is ready."""
        if self._process is None or self._process.poll() is not None:
            code = f"from rlsc.grading.worker import serve; serve({self._megabytes})"
            command = [sys.executable, "-c", code]
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
            self._buffer = b""
            self._ready = False

    def call(self, *request: Any) -> tuple[Any, float]:
        """The reply of `judge.answer_request` and the seconds it took.

        The reply is None where a limit was reached, and the next call finds a new process.
        """
        self.start()
        if not self._ready:
            if self._reply(START_SECONDS) is None:
                self.stop()
                raise RuntimeError("the grading worker did not start")
            self._ready = True
        started = time.monotonic()
        reply = self._exchange(json.dumps(request).encode() + b"\n")
        seconds = time.monotonic() - started
        if reply is None:
            self.stop()
            return None, seconds
        return json.loads(reply), seconds

    def _exchange(self, request: bytes) -> bytes | None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        return self._reply(self._seconds)

    def _reply(self, seconds: float) -> bytes | None:
        """A line, or None where the time is over or the process has died."""
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    return None
                chunk = os.read(pipe, 1 << 16)
                if not chunk:
                    return None
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def stop(self) -> None:
        """Kill the process; a later `judge` starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            self._process = None


def serve(megabytes: int) -> None:
    """Read requests from stdin until it closes. What libraries print must not mix with replies."""
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    from rlsc.grading.judge import answer_request

    # Imports and caches, before the clock starts.
    answer_request("judge", r"\boxed{\sqrt{2}x}", r"x\sqrt{2}", "math", None)
    _limit_memory(megabytes)
    replies.write(b"ready\n")
    for line in sys.stdin.buffer:
        try:
            reply = answer_request(*json.loads(line))
        except (MemoryError, RecursionError):
            reply = None
        replies.write(json.dumps(reply).encode() + b"\n")


def _limit_memory(megabytes: int) -> None:
    if sys.platform != "linux":
        return  # others do not enforce it; the limit of time holds everywhere
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[0])
    limit = pages * resource.getpagesize() + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
