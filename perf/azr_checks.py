"""Milliseconds a check of Absolute Zero on Python: is a proposal a task, is an answer right?

    python perf/azr_checks.py [--number 30] [--sandbox auto]

Each is of `number` different ones at once, as they come in a step, by the clock and divided. A
proposal that is refused before it runs is the difference between reading and running.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable

from rlsc.environments.azr.python.language import Python
from rlsc.environments.azr.tasks import Task
from rlsc.types import Completion

ADDS = "def f(x):\n    total = 0\n    for n in range(x):\n        total += n\n    return total + 1"


def said(text: str) -> Completion:
    return Completion(text, (1,), (-1.0,), "stop")


def block(name: str, content: str) -> str:
    return f"```{name}\n{content}\n```\n"


def milliseconds(check: Callable[[], object], number: int) -> float:
    begun = time.perf_counter()
    check()
    return 1000 * (time.perf_counter() - begun) / number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=30)
    parser.add_argument("--sandbox", default="auto")
    given = parser.parse_args()
    number, language = given.number, Python(sandbox=given.sandbox)
    facts = language.check()
    valid = [said(block("python", ADDS) + block("input", str(n))) for n in range(number)]
    refused = [said(block("python", ADDS) + block("input", f"x{n}")) for n in range(number)]
    deduction = Task("deduction", ADDS, "3", "4")
    pairs = tuple((str(n), str(n * (n - 1) // 2 + 1)) for n in range(10))
    induction = Task("induction", ADDS, pairs=pairs)
    language.tasks("deduction", [(valid[0], [])])  # processes are started
    answers = {
        "a deduction, compared": [
            (deduction, said(block("output", str(n)))) for n in range(number)
        ],
        "an abduction, run": [
            (Task("abduction", ADDS, "3", "4"), said(block("input", str(n + 5))))
            for n in range(number)
        ],
        "an induction, five pairs, run": [
            (induction, said(block("python", f"{ADDS} + {n} * 0"))) for n in range(number)
        ],
    }
    print(f"{facts['sandbox']}; {number} at once")
    for name, proposals in (
        ("a proposal, valid: two runs", valid),
        ("a proposal, refused by its input", refused),
    ):
        each: list[tuple[Completion, list[Task]]] = [(proposal, []) for proposal in proposals]
        spent = milliseconds(functools.partial(language.tasks, "deduction", each), number)
        print(f"{name:<48}{spent:8.1f}")
    for name, solutions in answers.items():
        for way in ("", ", known from the memo"):
            if way and name.startswith("a deduction"):
                continue
            spent = milliseconds(functools.partial(language.judgements, solutions), number)
            print(f"{name + way:<48}{spent:8.1f}")
    language.close()


if __name__ == "__main__":
    main()
