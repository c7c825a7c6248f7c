"""A process that judges for others, so that no answer can hang or exhaust the caller.

Python cannot interrupt `9**9**9`, and an alarm works in the main thread alone; a process can be
killed. It is started by name, not forked: a fork would take torch's threads along, and a script
without a main guard works. Requests and replies are lines of JSON over its pipes; a thread reads
them, since Windows cannot wait for a pipe with a limit of time.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
from queue import Empty, SimpleQueue
from typing import IO, Any

import psutil

from rlsc.errors import GradingError
from rlsc.runtime import safe_path

SECONDS = 5.0
"""Limit of one comparison, in wall-clock time."""
MEGABYTES = 1024
"""Limit of the worker's address space beyond what it has after its imports."""
START_SECONDS = 120.0
_CODE = """\
import sys
sys.path[:] = {path!r}
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: who asks for judgements ends it
from rlsc.grading.worker import serve
serve({megabytes})
"""
READY, UNLIMITED = b"ready\n", b"ready, without a limit of memory\n"


class Worker:
    """One guarded process. Not for use by several threads at once."""

    def __init__(self, seconds: float = SECONDS, megabytes: int = MEGABYTES) -> None:
        self._seconds, self._megabytes = seconds, megabytes
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process if none runs; returns before it is ready."""
        if self._process is None or self._process.poll() is not None:
            code = _CODE.format(path=safe_path(), megabytes=self._megabytes)
            pipe = subprocess.PIPE
            command = [sys.executable, "-P", "-c", code]
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
            self._ready = False
            self._said = ""
            self._lines: SimpleQueue[bytes] = SimpleQueue()
            self._readers = [
                threading.Thread(target=read, args=arguments, daemon=True)
                for read, arguments in (
                    (_read, (self._process.stdout, self._lines)),
                    (self._relay, (self._process.stderr,)),
                )
            ]
            for reader in self._readers:
                reader.start()

    def call(self, *request: Any) -> tuple[Any, float]:
        """The reply of `judge.answer_request` and the seconds it took.

        The reply is None where a limit was reached, and the next call finds a new process.
        """
        self.start()
        if not self._ready:
            greeting = self._reply(START_SECONDS)
            if greeting not in (READY, UNLIMITED):
                self.stop()  # and with it the readers, who have read all that it said
                reason = self._said or f"no word from it in {START_SECONDS:g} s"
                raise GradingError(f"the grading worker did not start: {reason}")
            if greeting == UNLIMITED:
                _say_that_memory_is_unlimited(self._seconds)
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
        except OSError:  # a broken pipe: it has died
            return None
        return self._reply(self._seconds)

    def _reply(self, seconds: float) -> bytes | None:
        """A line, or None where the time is over or the process has died."""
        try:
            line = self._lines.get(timeout=seconds)
        except Empty:
            return None
        return line if line.endswith(b"\n") else None

    def _relay(self, pipe: IO[bytes]) -> None:
        """What it says on stderr goes there; before it is ready the last line is kept, for errors.

        So that a Ctrl-C, which it gets too, shows no traceback of its.
        """
        for line in pipe:
            text = line.decode("utf-8", errors="replace").rstrip()
            self._said = text or self._said
            if self._ready:
                with contextlib.suppress(OSError, ValueError):  # a stream that was closed
                    print(text, file=sys.stderr, flush=True)

    def stop(self) -> None:
        """Kill the process; a later `judge` starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for reader in self._readers:
                reader.join()
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):  # a request that was never read
                        pipe.close()
            self._process = None


def _read(pipe: IO[bytes], lines: SimpleQueue[bytes]) -> None:
    for line in pipe:
        lines.put(line)
    lines.put(b"")  # the end


_said = threading.Lock()
"""Taken, and not given back, by who says it."""


def _say_that_memory_is_unlimited(seconds: float) -> None:
    if _said.acquire(blocking=False):
        from rlsc.runtime import console  # the guarded process does without

        console.print(
            f"grading: {platform.system()} cannot limit a process's memory; an answer that takes "
            f"too much is ended by the limit of {seconds:g} s alone",
            soft_wrap=True,
        )


def serve(megabytes: int) -> None:
    """Read requests from stdin until it closes. What libraries print must not mix with replies."""
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    from rlsc.grading.judge import answer_request

    # Imports and caches, before the clock starts.
    answer_request("judge", r"\boxed{\sqrt{2}x}", r"x\sqrt{2}", "math", None)
    replies.write(READY if _limit_memory(megabytes) else UNLIMITED)
    for line in sys.stdin.buffer:
        try:
            reply = answer_request(*json.loads(line))
        except (MemoryError, RecursionError):
            reply = None
        replies.write(json.dumps(reply).encode() + b"\n")


def _limit_memory(megabytes: int) -> bool:
    """Whether there is such a limit: macOS and Windows have none."""
    if not hasattr(psutil, "RLIMIT_AS"):
        return False
    process = psutil.Process()
    limit = process.memory_info().vms + megabytes * 2**20
    _, most = process.rlimit(psutil.RLIMIT_AS)
    if most != psutil.RLIM_INFINITY:
        limit = min(limit, most)  # a lower one is in force already
    process.rlimit(psutil.RLIMIT_AS, (limit, limit))
    return True
