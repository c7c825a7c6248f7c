"""The rows of a comparison, from settings and folders."""

from __future__ import annotations

import pytest

from rlsc.commands.compared import _method
from rlsc.records import ComparedRun


@pytest.mark.parametrize(
    ("label", "settings", "is_control"),
    [
        ("random", {}, True),  # a bare name in a recipe
        ("coin", {"objective": "random"}, True),
        ("random", {"objective": "ttrl"}, False),
        ("both", {"objective": "rlsc,random"}, False),
        ("mine", {"objective": "mine.py:Mine"}, False),
    ],
)
def test_a_control_is_known_by_its_objective(
    label: str, settings: dict[str, object], is_control: bool
) -> None:
    method = _method(label, settings, [ComparedRun(0), ComparedRun(1, failed="out of memory")])
    assert (method.is_control, method.summary) == (is_control, {})
