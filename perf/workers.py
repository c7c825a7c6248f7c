"""Processes that take turns, one for each system that a benchmark compares."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

MARK = "@result "


def reply(answer: dict[str, Any]) -> None:
    """In a worker: the answer to a line read."""
    print(MARK + json.dumps(answer), flush=True)


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
