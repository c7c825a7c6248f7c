"""Every setting says what it is for, and the reference of the flags has it."""

from __future__ import annotations

from dataclasses import fields

import pytest
from transformers import TrainingArguments

from rlsc.commands.reference import markdown
from rlsc.config import EvalConfig, PlanConfig, RunConfig
from rlsc.config.compare import CompareArguments
from rlsc.training.arguments import RLSCConfig

CLASSES = (RunConfig, RLSCConfig, PlanConfig, EvalConfig, CompareArguments)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_setting_has_help_and_stands_in_the_reference(cls: type) -> None:
    theirs = {field.name for field in fields(TrainingArguments)} if cls is RLSCConfig else set()
    page = markdown()
    for field in fields(cls):
        assert len(field.metadata["help"]) > 5, field.name
        ours = "also" in field.metadata
        assert ours or field.name in theirs, f"{field.name} is not made by setting()"
        assert (f"| `--{field.name}` |" in page) == ours


def test_a_row_has_default_range_and_help() -> None:
    page = markdown()
    row = "| `--num_generations` | `16` | 1 or more | Completions of a question, K. |"
    assert row in page
    assert "arithmetic[:two_digit\\|:three_terms]" in page
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables} == {5}
