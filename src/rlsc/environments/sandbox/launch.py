"""A child process from its start to its end: fed, read, limited, killed and waited for."""

from __future__ import annotations

import contextlib
import json
import marshal
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO

from rlsc.environments.sandbox.executor import Limits, Outcome, Status, read_reply
from rlsc.errors import SandboxError

START_SECONDS = 60.0
"""Until a child says that it is ready: the machine's time, not the program's."""
END_SECONDS = 1.0
"""From its last line to its end."""
LOOK_SECONDS = 0.05
"""Between two looks at the CPU time of a program."""
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
    info: int | None = None
    """Where bwrap says which process it has started."""
    ended_by: Status | None = None
    """The limit that the parent enforced."""
    by_itself: bool = False
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
                if len(self.reply) > self.limits.reply_bytes:
                    self.ended_by = Status.OUTPUT
                elif left <= 0 or self._cpu_seconds() > self.limits.cpu_seconds:
                    self.ended_by = Status.TIMEOUT
                if self.ended_by is not None:
                    return
                for key, _ in selector.select(min(left, LOOK_SECONDS)):
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

    @cached_property
    def inner(self) -> int:
        """The process of the program, by this side's number: bwrap's child, or the process itself.

        0 where bwrap has not said it.
        """
        if self.info is None:
            return self.process.pid
        with contextlib.suppress(BlockingIOError, ValueError):
            os.set_blocking(self.info, False)
            return int(json.loads(os.read(self.info, 4096))["child-pid"])
        return 0

    def _cpu_seconds(self) -> float:
        """Of the program's process, once it is ready; 0 where the system does not say."""
        if self.ready_at is None:
            return 0.0
        try:
            with open(f"/proc/{self.inner}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:  # it has ended, or this is no Linux: then the child's own limit counts
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def finish(self) -> None:
        """Wait for its end; kill it where that does not come.

        Of a sandbox the inner process is killed: bwrap then waits for it, and leaves no zombie to
        a container whose first process takes no care of any.
        """
        self.ended_at = time.monotonic()
        self.by_itself = self.ended_by is None and self._ends()
        if not self.by_itself:
            _kill(os.kill, self.inner)
            self._ends()
        _kill(os.killpg, self.process.pid)  # with what it has left in its group
        self.process.wait()
        self._drain()
        for pipe in _pipes(self.process):
            with contextlib.suppress(OSError):
                pipe.close()

    def _ends(self) -> bool:
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return True

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
        if killed or number == signal.SIGXCPU:
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
    info: int | None = None,
) -> list[Outcome]:
    """The outcomes of a program's calls in a process of `command`, which runs `child.py`.

    `info`: a descriptor where bwrap writes the number of its child. The process leads a session of
    its own, which is killed with it and hears no Ctrl-C. Raises `SandboxError` where it ends, or
    waits too long, before it is ready, and where bwrap is killed: no verdict on the program.
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
    given = request(program, calls, limits).encode()
    run = _Run(process, given, len(calls), limits, info=info)
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
    if info is not None and run.by_itself and process.returncode < 0:
        raise SandboxError(f"the sandbox was killed by signal {-process.returncode}")
    return run.outcomes()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdin is not None
    return process.stdout, process.stderr, process.stdin


def _kill(how: Callable[[int, int], None], pid: int) -> None:
    if pid > 0:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            how(pid, signal.SIGKILL)
