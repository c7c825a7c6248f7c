"""A setting's field: what it takes, what it refuses, and in what words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Optional

import pytest
from transformers import HfArgumentParser

from rlsc.config.fields import check_settings, setting
from rlsc.errors import ConfigError


@dataclass
class Settings:
    count: int = setting(1, "A count.", least=1)
    limit: int = setting(10, "A limit.", least=1, also=(-1,))
    share: float = setting(1.0, "A share.", above=0, most=1, hint="1 turns it off")
    part: float = setting(0.0, "A part.", least=0, below=1)
    rate: float | None = setting(0.1, "A rate.", least=0, most=2)
    old: Optional[float] = setting(None, "As it was written once.", above=0)  # noqa: UP045
    width: float = setting(1.0, "Endless, perhaps.", above=0, most=math.inf)
    free: float = setting(0.0, "Any number.")
    kind: str = setting("a", "A kind.", choices=("a", "b"))
    name: str = setting("", "Any text.")
    switch: bool = setting(False, "On or off.")
    mapping: dict = setting(dict, "Values by name.")
    other: int = field(default=-5)


def test_defaults_and_the_ends_of_ranges_are_taken() -> None:
    check_settings(Settings())
    check_settings(Settings(limit=-1, share=1, part=0, rate=None, old=None, width=math.inf))
    assert Settings().mapping is not Settings().mapping


REFUSED = [
    ({"count": 0}, "count must be 1 or more, not 0"),
    ({"count": 2.5}, "count must be 1 or more, not 2.5"),
    ({"count": True}, "count must be 1 or more, not True"),
    ({"count": None}, "count must be 1 or more, not None"),
    ({"limit": 0}, "limit must be 1 or more, or -1, not 0"),
    ({"share": 0}, "share must be above 0 and at most 1, not 0; 1 turns it off"),
    ({"part": 1}, "part must be 0 or more and below 1, not 1"),
    ({"rate": 2.1}, "rate must be from 0 to 2, not 2.1"),
    ({"rate": math.nan}, "rate must be from 0 to 2, not nan"),
    ({"old": 0}, "old must be above 0, not 0"),
    ({"old": math.inf}, "old must be above 0, not inf"),
    ({"free": math.inf}, "free must be a number, not inf"),
    ({"free": "1"}, "free must be a number, not '1'"),
    ({"kind": "c"}, "kind must be one of a, b, not 'c'"),
    ({"kind": None}, "kind must be one of a, b, not None"),
    ({"name": 3}, "name must be text, not 3"),
    ({"switch": "yes"}, "switch must be true or false, not 'yes'"),
]


@pytest.mark.parametrize(("values", "message"), REFUSED, ids=str)
def test_a_refusal_names_setting_value_and_range(values: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_settings(Settings(**values))
    assert str(caught.value) == message
    with pytest.raises(ConfigError, match=r"^objective mine: "):
        check_settings(Settings(**values), "objective mine: ")


def test_the_parser_of_transformers_takes_such_fields_too() -> None:
    @dataclass
    class Few:
        count: int = setting(1, "A count.", least=1)

    Few.__dataclass_fields__["count"].type = int
    (few,) = HfArgumentParser(Few).parse_args_into_dataclasses(["--count", "3"])
    assert few.count == 3
