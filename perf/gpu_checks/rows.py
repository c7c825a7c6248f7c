"""The nouns: what a check is told, and the rows of the table that it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Figures = Mapping[str, Mapping[str, float]]
"""What earlier checks found, by the check's name and the row's."""

NATIVE, TREES, EAGER = "sampling: native", "step: token trees", "decoding: kernel by kernel"
"""Checks that later ones compare with."""


class NotHere(Exception):
    """A check has nothing to run on, such as TRL that is not installed: no failure."""


@dataclass(frozen=True)
class Setting:
    """What every check is told. `model`: a folder or Hub id; `precision` is that of speed rows."""

    device: str
    """cuda or cpu."""
    model: str
    precision: str = "bf16"
    """bf16, or fp16 on CUDA devices that only emulate it."""
    peak_flops: float | None = None
    """Of the device's products in 16 bits, by its data sheet."""
    tiny: bool = False
    rounds: int = 3
    """How often what is timed is timed, after a warm-up; the median counts."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    >>> Row("gradient of trees and of padded rows", 2e-6, "relative", bound=1e-3).verdict
    'equal'
    >>> Row("native", 1234.5, "tokens/s").verdict  # a figure: nothing to pass
    ''
    """

    what: str
    value: float | None = None
    unit: str = ""
    bound: float | None = None
    """What the value may be at most; None: it is a figure."""
    note: str = ""
    problem: str = ""
    """`failed`, `skipped` or `not run`, where there is no value; the note says why."""

    @property
    def verdict(self) -> str:
        if self.problem:
            return self.problem
        if self.bound is None:
            return ""
        # A value that is no number is within no bound.
        return "equal" if self.value is not None and self.value <= self.bound else "unequal"

    @property
    def is_bad(self) -> bool:
        return self.verdict in ("failed", "unequal")

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"verdict": self.verdict}


@dataclass(frozen=True)
class Check:
    """A function that a process of its own imports and runs, for `seconds` at most."""

    name: str
    function: str
    """`module:function`: of a `Setting` and `Figures` to a list of `Row`."""
    seconds: float
    settings: Mapping[str, Any] | None = None
    """More keyword arguments of the function."""


def ratio(earlier: Figures, check: str, row: str, value: float) -> float | None:
    """`value` in units of an earlier row; None where that row is not there."""
    first = earlier.get(check, {}).get(row)
    return None if not first else value / first
