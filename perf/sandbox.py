"""Milliseconds a program in each backend of the sandbox that this machine has.

    python perf/sandbox.py [--repeats 30]

A sum is what a backend costs by itself; the two others are what a program costs in it: six
imported modules, and a loop of a million additions.
"""

from __future__ import annotations

import argparse
import statistics
import time

from rlsc.environments.sandbox import Executor, Limits, make_executor
from rlsc.errors import ConfigError

LIMITS = Limits(cpu_seconds=10.0)
PROGRAMS = {
    "a sum": "def f(a):\n    return a + 1",
    "imports": "import collections, dataclasses, fractions, json, re, statistics\n"
    "def f(a):\n    return a + 1",
    "a loop": "def f(a):\n    for i in range(10**6):\n        a += i\n    return a",
}


def milliseconds(executor: Executor, program: str, repeats: int) -> list[float]:
    """Of each run, start and end included, in order of size."""
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        (outcome,) = executor.run(program, ["f(1)"], LIMITS, hash_seed=0)
        taken.append(1000 * (time.perf_counter() - begun))
        assert outcome.is_ok, outcome
    return sorted(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    print(f"| backend | made, s | {' | '.join(PROGRAMS)} |")
    print("|---|---|" + "---|" * len(PROGRAMS))
    for name in ("process", "bwrap", "wasm"):
        begun = time.perf_counter()
        try:
            executor = make_executor(name)
        except ConfigError as error:
            print(f"| {name} | {error} |")
            continue
        cells = [f"{time.perf_counter() - begun:.1f}"]
        for program in PROGRAMS.values():
            taken = milliseconds(executor, program, repeats)
            cells.append(f"{statistics.median(taken):.0f} ({taken[0]:.0f} to {taken[-1]:.0f})")
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
