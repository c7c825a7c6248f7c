"""What holds of the notebook before it is run: its size, its settings, and what a GPU is given."""

from __future__ import annotations

import ast
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import rlsc
from rlsc.config import RunConfig

FILE = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"
CELLS = json.loads(FILE.read_text("utf-8"))["cells"]


def source(name: str) -> str:
    (cell,) = [cell for cell in CELLS if cell["id"] == name]
    return "".join(cell["source"])


def test_it_is_short_and_holds_no_output() -> None:
    assert len(CELLS) <= 12
    code = [cell for cell in CELLS if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_its_settings_are_flags_of_train() -> None:
    settings = ast.literal_eval(source("parameters").partition("=")[2].strip())
    known = {
        field.name for kind in (RunConfig, rlsc.RLSCConfig) for field in dataclasses.fields(kind)
    }
    assert settings.keys() <= known


@pytest.mark.parametrize(
    ("gpu", "bf16", "fp16"), [(False, False, None), (True, False, True), (True, True, None)]
)
def test_a_gpu_without_bfloat16_of_its_own_is_given_float16(
    gpu: bool, bf16: bool, fp16: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(rlsc, "train", lambda **settings: given.update(settings), raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    # What is emulated is slower than float32.
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: including_emulation or bf16,
    )
    exec(source("train"), {"settings": {"max_steps": 10}})
    assert given == {"max_steps": 10} | ({} if fp16 is None else {"fp16": fp16})
