"""Faces: a name is imported when it is asked for, and a renamed one says what it is now."""

from __future__ import annotations

import subprocess
import sys

import pytest

import rlsc
from rlsc import objectives


@pytest.mark.parametrize(
    ("old", "new"), [("Siblings", "PoolView"), ("Rows", "LossInputs"), ("RowLoss", "SequenceLoss")]
)
def test_a_renamed_name_says_the_new_one(old: str, new: str) -> None:
    with pytest.raises(ImportError, match=f"{old} is now {new}"):
        getattr(objectives, old)


def test_an_unknown_name_is_none() -> None:
    assert not hasattr(objectives, "Nonsense")


@pytest.mark.parametrize("name", rlsc.__all__)
def test_the_public_api_is_there(name: str) -> None:
    assert getattr(rlsc, name) is not None


def test_importing_rlsc_loads_neither_torch_nor_transformers() -> None:
    code = "import sys, rlsc; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
