"""Seconds of parts, over calls that end or are killed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rlsc.records import legs
from rlsc.records.legs import Legs


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(legs.time, "time", lambda: now[0])
    return now


def leg(found: Legs, part: str, seconds: float, clock: list[float]) -> None:
    found.begin(part)
    clock[0] += seconds
    found.end()


def test_legs_of_all_calls_add_up(tmp_path: Path, clock: list[float]) -> None:
    first = Legs(tmp_path)
    leg(first, "base", 5, clock)
    leg(first, "rlsc/seed-0", 20, clock)
    clock[0] += 500  # between calls
    leg(Legs(tmp_path), "rlsc/seed-0", 7, clock)
    assert Legs(tmp_path).seconds == {"base": 5, "rlsc/seed-0": 27}


def test_a_leg_that_was_killed_counts_until_its_last_file(
    tmp_path: Path, clock: list[float]
) -> None:
    place = tmp_path / "rlsc" / "seed-0"
    place.mkdir(parents=True)
    killed = Legs(tmp_path)
    leg(killed, "rlsc/seed-0", 3, clock)
    killed.begin("rlsc/seed-0")  # at 1003
    for name, at in (("metrics.jsonl", 1040.0), ("config.yaml", 1004.0)):
        (place / name).write_text("")
        os.utime(place / name, (at, at))
    clock[0] += 900
    again = Legs(tmp_path)
    assert again.seconds == {"rlsc/seed-0": 3 + 37}
    leg(again, "base", 2, clock)
    assert Legs(tmp_path).seconds == {"rlsc/seed-0": 40, "base": 2}


def test_one_that_wrote_nothing_counts_nothing(tmp_path: Path, clock: list[float]) -> None:
    Legs(tmp_path).begin("base")
    clock[0] += 900
    assert Legs(tmp_path).seconds == {"base": 0}
