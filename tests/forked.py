"""Processes that start at once: forked from a server that has imported what they need.

Importing torch, transformers and rlsc takes longer than what a test lets a process do. The server
has done nothing but import, so a fork of it is what a new process would be.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["rlsc.commands.train", "rlsc.commands.eval"])
SECONDS = 600


def start_server() -> None:
    """Where something else would start this process's only server, with less imported in it."""
    done = Forked(_is_prepared).wait()
    assert not done.returncode, done.stderr


def _is_prepared() -> None:
    assert "rlsc.commands.train" in sys.modules, "the server has not imported rlsc"


class Done(NamedTuple):
    """As `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


class Forked:
    """`function(*arguments)` in a process of its own; what it writes goes to files."""

    def __init__(
        self,
        function: Callable[..., None],
        *arguments: Any,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="forked-"))
        prepared = (str(self._folder), dict(env or {}), str(cwd or Path.cwd()))
        self._process = _CONTEXT.Process(target=_child, args=(*prepared, function, arguments))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        """By SIGKILL; nothing where it is done."""
        self._process.kill()

    def wait(self, seconds: float = SECONDS) -> Done:
        self._process.join(seconds)
        code = self._process.exitcode
        if code is None:
            self.kill()
            raise TimeoutError(f"not done after {seconds} s: {self._said('stderr')[-2000:]}")
        return Done(code, self._said("stdout"), self._said("stderr"))

    def _said(self, stream: str) -> str:
        return (self._folder / stream).read_text("utf-8", errors="replace")


def _child(
    folder: str, env: dict[str, str], cwd: str, function: Callable[..., None], arguments: Any
) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    os.environ.update(env)
    os.chdir(cwd)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    function(*arguments)


def rlsc(*argv: str) -> None:
    """`rlsc ARGV`, to be run by `Forked`."""
    from rlsc.commands.main import main

    main(list(argv))


def script(file: str, *argv: str) -> None:
    """`python FILE ARGV`, to be run by `Forked`."""
    sys.path.insert(0, str(Path(file).parent))
    sys.argv = [file, *argv]
    runpy.run_path(file, run_name="__main__")


def ranks(
    processes: int,
    function: Callable[..., None],
    *arguments: Any,
    how: Sequence[str] = ("--multi_gpu",),
    cwd: Path | None = None,
    cpu: str = "true",
) -> Done:
    """As under `accelerate launch HOW --num_processes PROCESSES`, whose environment each is given.

    The exit code is the first that is not 0; what they wrote is that of all in order of rank.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    flags = [*LAUNCH, *how, "--num_processes", str(processes), "--main_process_port", port, "x"]
    parsed = _validate_launch_command(launch_command_parser().parse_args(flags))[0]
    env = {
        name: value
        for name, value in prepare_multi_gpu_env(parsed).items()
        if os.environ.get(name) != value
    }
    env |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": cpu}
    started = [
        Forked(function, *arguments, env=env | {"RANK": rank, "LOCAL_RANK": rank}, cwd=cwd)
        for rank in map(str, range(processes))
    ]
    done = [one.wait() for one in started]
    code = next((one.returncode for one in done if one.returncode), 0)
    return Done(code, "".join(one.stdout for one in done), "".join(one.stderr for one in done))


LAUNCH = (
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
    *("--num_cpu_threads_per_process", "1"),
)
