"""A child process from its start to its end: fed, read, limited, killed and waited for."""

from __future__ import annotations

import contextlib
import marshal
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from rlsc.environments.sandbox.executor import Limits, Outcome, Status, read_reply
from rlsc.errors import SandboxError

START_SECONDS = 60.0
"""Until a child says that it is ready: the machine's time, not the program's."""
END_SECONDS = 1.0
"""From its last line to its end."""
_STDERR_BYTES = 4096
READY = b"ready"


def request(program: str, calls: Sequence[str], limits: Limits) -> str:
    """What the child is given; its limits are part of it."""
    content = (program, list(calls), (float(limits.cpu_seconds), int(limits.megabytes)))
    return marshal.dumps(content, 2).hex()  # version 2: any interpreter reads it


@dataclass
class _Run:
    """One process while it runs."""

    process: subprocess.Popen[bytes]
    given: bytes
    count: int
    limits: Limits
    reply: bytearray = field(default_factory=bytearray)
    said: bytearray = field(default_factory=bytearray)
    ended_by: Status | None = None
    """The limit that the parent enforced."""
    ready_at: float | None = None
    ended_at: float = 0.0

    def lines(self) -> list[bytes]:
        """The whole lines of its reply."""
        return bytes(self.reply).split(b"\n")[:-1]

    def is_ready(self) -> bool:
        return self.lines()[:1] == [READY]

    def talk(self) -> None:
        """Feed it and read it until it has replied, closes its pipe or reaches a limit."""
        out, err, into = _pipes(self.process)
        deadline = time.monotonic() + START_SECONDS
        with selectors.DefaultSelector() as selector:
            for pipe in (out, err):
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ)
            os.set_blocking(into.fileno(), False)
            selector.register(into, selectors.EVENT_WRITE)
            while out in selector.get_map() and len(self.lines()) <= self.count:
                if self.ready_at is None and self.is_ready():
                    self.ready_at = time.monotonic()
                    deadline = self.ready_at + self.limits.wall_seconds
                left = deadline - time.monotonic()
                if left <= 0 or len(self.reply) > self.limits.reply_bytes:
                    self.ended_by = Status.TIMEOUT if left <= 0 else Status.OUTPUT
                    return
                for key, _ in selector.select(left):
                    if not self._move(key.fileobj):  # type: ignore[arg-type]
                        selector.unregister(key.fileobj)
                        if key.fileobj is into:
                            into.close()  # its end is what the child waits for

    def _move(self, pipe: IO[bytes]) -> bool:
        """Some bytes in or out; False where there are no more."""
        if pipe is self.process.stdin:
            try:
                self.given = self.given[os.write(pipe.fileno(), self.given) :]
            except BrokenPipeError:  # it has ended
                self.given = b""
            return bool(self.given)
        chunk = os.read(pipe.fileno(), 16_384)
        if pipe is self.process.stdout:
            self.reply += chunk
        elif len(self.said) < _STDERR_BYTES:
            self.said += chunk
        return bool(chunk)

    def finish(self) -> None:
        """Wait for its end; kill it where that does not come."""
        self.ended_at = time.monotonic()
        if self.ended_by is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(END_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)  # with what it has left in its group
        self.process.wait()
        self._drain()
        for pipe in _pipes(self.process):
            with contextlib.suppress(OSError):
                pipe.close()

    def _drain(self) -> None:
        """Until nobody holds the pipes: the processes of a killed sandbox end a moment after it."""
        until = time.monotonic() + END_SECONDS
        with selectors.DefaultSelector() as selector:
            for pipe in _pipes(self.process)[:2]:
                selector.register(pipe, selectors.EVENT_READ)
            while selector.get_map() and time.monotonic() < until:
                for key, _ in selector.select(max(until - time.monotonic(), 0.0)):
                    if not os.read(key.fd, 65_536):
                        selector.unregister(key.fileobj)

    def outcomes(self) -> list[Outcome]:
        return read_reply(self.lines()[1:], self.count, self._rest())

    def _rest(self) -> Outcome:
        """What became of the calls that it said nothing of."""
        code = self.process.returncode
        number = -code if code < 0 else code - 128  # bwrap says it as shells do
        seconds = self.ended_at - (self.ready_at or self.ended_at)
        if self.ended_by is not None:
            return Outcome(self.ended_by, detail="killed", seconds=seconds)
        # At the limit of CPU time the kernel kills; so can a program itself, and sooner.
        killed = number == signal.SIGKILL and seconds >= self.limits.cpu_seconds / 2
        if killed or number in (signal.SIGPROF, signal.SIGXCPU):
            return Outcome(Status.TIMEOUT, detail="cpu", seconds=seconds)
        return Outcome(Status.CRASH, detail=f"exit code {code}", seconds=seconds)


def run_child(
    command: Sequence[str],
    program: str,
    calls: Sequence[str],
    limits: Limits,
    *,
    env: Mapping[str, str],
    pass_fds: Sequence[int] = (),
) -> list[Outcome]:
    """The outcomes of a program's calls in a process of `command`, which runs `child.py`.

    The process leads a session of its own, which is killed with it and hears no Ctrl-C. Raises
    `SandboxError` where it ends, or waits too long, before it is ready: no verdict on the program.
    """
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env=dict(env),
        pass_fds=pass_fds,
        cwd="/",
        start_new_session=True,
    )
    run = _Run(process, request(program, calls, limits).encode(), len(calls), limits)
    try:
        run.talk()
    except BaseException:
        run.ended_by = Status.TIMEOUT
        raise
    finally:
        run.finish()
    if run.ready_at is None and not run.is_ready():
        said = run.said.decode("utf-8", errors="replace").strip().splitlines()
        reason = said[-1] if said else f"exit code {process.returncode}"
        raise SandboxError(f"the sandbox did not start: {reason[:300]}")
    return run.outcomes()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdin is not None
    return process.stdout, process.stderr, process.stdin
