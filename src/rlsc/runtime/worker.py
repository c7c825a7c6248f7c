"""Processes that read for others, so that no text of a model can hang or exhaust the caller.

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
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from queue import Empty, LifoQueue, SimpleQueue
from typing import IO, Any

import psutil

from rlsc.errors import RLSCError
from rlsc.runtime.children import safe_path

START_SECONDS = 120.0
PATIENCE = 12
"""So many times its seconds of processor time a request may take by the clock."""
_TICK = 0.02
"""No wait is shorter: systems tell processor time in steps of a hundredth of a second."""
_CODE = """\
import sys
sys.path[:] = {path!r}
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: who asks ends it
from rlsc.runtime.worker import serve
serve({megabytes}, {target!r}, {warm_up!r})
"""
READY, UNLIMITED = b"ready\n", b"ready, without a limit of memory\n"


@dataclass(frozen=True)
class Job:
    """What a worker does: `target` (``module:function``) answers each request with JSON values.

    `warm_up` is a request that it answers before the limits count: imports and caches. `error` is
    raised where a process does not start.
    """

    name: str
    target: str
    warm_up: tuple[Any, ...]
    error: type[RLSCError]


class Workers:
    """`count` guarded processes (None: one a core, eight at most); a request goes to an idle one.

    `seconds` limits a request, in the process's own processor time, so that a busy machine gives
    the replies of an idle one; by the clock it may take `PATIENCE` times that. `megabytes` limits
    a process's address space beyond what it has after its imports.
    """

    def __init__(self, job: Job, count: int | None, seconds: float, megabytes: int) -> None:
        self.count = count or min(os.cpu_count() or 1, 8)
        self._all = [Worker(job, seconds, megabytes) for _ in range(self.count)]
        # The last one used is the next: a process is started only where another one is busy.
        self._idle: LifoQueue[Worker] = LifoQueue()
        for worker in self._all:
            self._idle.put(worker)

    def call(self, *request: Any) -> tuple[Any, float]:
        """The reply and the seconds it took; the reply is None where a limit was reached."""
        worker = self._idle.get()
        try:
            return worker.call(*request)
        except BaseException:
            worker.stop()  # its pipe may hold half a reply
            raise
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """End the processes."""
        for worker in self._all:
            worker.stop()


class Worker:
    """One guarded process. Not for use by several threads at once."""

    def __init__(self, job: Job, seconds: float, megabytes: int) -> None:
        self._job, self._seconds, self._megabytes = job, seconds, megabytes
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process if none runs; returns before it is ready."""
        if self._process is None or self._process.poll() is not None:
            code = _CODE.format(
                path=safe_path(),
                megabytes=self._megabytes,
                target=self._job.target,
                warm_up=json.dumps(self._job.warm_up),
            )
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
        """The reply of the job's function and the seconds it took.

        The reply is None where a limit was reached, and the next call finds a new process.
        """
        self.start()
        if not self._ready:
            greeting = self._line(START_SECONDS)
            if greeting not in (READY, UNLIMITED):
                self.stop()  # and with it the readers, who have read all that it said
                reason = self._said or f"no word from it in {START_SECONDS:g} s"
                raise self._job.error(f"the {self._job.name} worker did not start: {reason}")
            if greeting == UNLIMITED:
                _say_that_memory_is_unlimited(self._job.name, self._seconds)
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
        used = self._processor_seconds()
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
        except OSError:  # a broken pipe: it has died
            return None
        return self._reply(used)

    def _reply(self, used: float) -> bytes | None:
        """The reply to a request before which the process had `used` so many seconds; or None.

        It computes in one thread: its limit cannot be reached sooner than by the clock.
        """
        left, until = self._seconds, time.monotonic() + PATIENCE * self._seconds
        while left > 0 and time.monotonic() < until:
            line = self._line(min(max(left, _TICK), max(0.0, until - time.monotonic())))
            if line is not None:
                return line if line.endswith(b"\n") else None
            left = self._seconds - (self._processor_seconds() - used)
        return None

    def _line(self, seconds: float) -> bytes | None:
        """What it says next, of which nothing is left at its end; None where nothing came."""
        try:
            return self._lines.get(timeout=seconds)
        except Empty:
            return None

    def _processor_seconds(self) -> float:
        """Of the process until now; 0 once it has ended, which `_line` tells."""
        assert self._process is not None
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return times.user + times.system

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
        """Kill the process; a later `call` starts another."""
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


def _say_that_memory_is_unlimited(name: str, seconds: float) -> None:
    if _said.acquire(blocking=False):
        from rlsc.runtime.display import console  # the guarded process does without

        console.print(
            f"{name}: {platform.system()} cannot limit a process's memory; an answer that takes "
            f"too much is ended by the limit of {seconds:g} s alone",
            soft_wrap=True,
        )


def serve(megabytes: int, target: str, warm_up: str) -> None:
    """Read requests from stdin until it closes. What libraries print must not mix with replies."""
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    module, _, name = target.partition(":")
    answer: Callable[..., Any] = getattr(import_module(module), name)
    answer(*json.loads(warm_up))
    replies.write(READY if _limit_memory(megabytes) else UNLIMITED)
    for line in sys.stdin.buffer:
        try:
            reply = answer(*json.loads(line))
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
