"""Processes that take turns, one for each system that a benchmark compares.

Every answer states the machine: a figure says nothing without the kind of CPU it is of.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

MARK = "@result "
DTYPES = ("auto", "bf16", "fp16", "fp32")


def add_dtype(parser: argparse.ArgumentParser) -> None:
    """`--dtype`, the same in every benchmark."""
    text = "auto: as rlsc does here, bf16 where the device has it, else fp32; fp16 is for CUDA"
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help=text)


def chosen(dtype: str) -> str:
    """In a worker: what `auto` means on this machine."""
    import torch

    from rlsc.training import device_has_bf16

    if dtype == "fp16" and not torch.cuda.is_available():
        sys.exit("--dtype fp16 is for CUDA: here bf16 or fp32")
    if dtype != "auto":
        return dtype
    return "bf16" if device_has_bf16() else "fp32"


def machine() -> str:
    """In a worker: what it computes on, and the kind of its CPU."""
    from rlsc.runtime import Cpu, device_name

    device, cpu = device_name(), str(Cpu.here())
    return cpu if device == "cpu" else f"{device}; {cpu}"


def reply(answer: dict[str, Any]) -> None:
    """In a worker: the answer to a line read, and on what machine it was computed."""
    print(MARK + json.dumps(answer | {"machine": machine()}), flush=True)


class Worker:
    """A process of `script --worker NAME …` that works once for each line it reads."""

    def __init__(self, script: str, name: str, arguments: Sequence[str]) -> None:
        self._name = name
        self._process = subprocess.Popen(
            [sys.executable, script, "--worker", name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._errors: list[str] = []
        assert self._process.stderr is not None
        stream = self._process.stderr
        threading.Thread(target=lambda: self._errors.extend(stream), daemon=True).start()

    def ask(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write("run\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died: the loop below ends at once
        for line in self._process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
        self._process.wait()
        sys.exit(f"{self._name} failed:\n{''.join(self._errors[-15:])}")

    def stop(self) -> None:
        self._process.kill()


class Memory:
    """The device's peak within; on a CPU that of the process, looked at every 5 ms."""

    def __enter__(self) -> Memory:
        import torch

        self._cuda = torch.cuda if torch.cuda.is_available() else None
        if self._cuda:
            self._cuda.reset_peak_memory_stats()
        self._before = self.peak = self._now()
        self._going = True
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going = False
        self._thread.join()
        if self._cuda:
            self.peak = self._cuda.max_memory_allocated()
        self.added = self.peak - self._before

    def _watch(self) -> None:
        while self._going and not self._cuda:
            self.peak = max(self.peak, self._now())
            time.sleep(0.005)

    def _now(self) -> int:
        import psutil

        return self._cuda.memory_allocated() if self._cuda else psutil.Process().memory_info().rss


def never_stop(engine: Any) -> None:
    """From now on all its completions are as long as the cap."""
    generate = engine.generate

    def generate_to_the_cap(prompts: Any, n: int, params: Any, *rest: Any) -> Any:
        return generate(prompts, n, replace(params, stop_token_ids=()), *rest)

    engine.generate = generate_to_the_cap
