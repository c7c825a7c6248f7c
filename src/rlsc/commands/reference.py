"""The reference of every flag as Markdown, from the fields that declare them: for `make docs`."""

from __future__ import annotations

from typing import Any

from rlsc.commands.arguments import TRANSFORMERS, shown_default, themes
from rlsc.config import CompareArguments, EvalConfig, PlanConfig, RunConfig, allowed, limits

TRAINING_ARGUMENTS = (
    "https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments"
)
_BEGINNING = f"""\
# Every flag

A recipe has the same names as keys. A switch is `--name` or `--name true`, and `--name false` or
`--no_name`; `-` and `_` are the same in a name. `rlsc train` also takes every setting of
[transformers' TrainingArguments]({TRAINING_ARGUMENTS}).
"""


def markdown() -> str:
    """A page: for each command a table a theme, with flag, default, what it takes, and help."""
    from rlsc.training import RLSCConfig

    lines = [_BEGINNING]
    for command, classes in {
        "train": (RunConfig, RLSCConfig),
        "plan": (PlanConfig,),
        "eval": (EvalConfig,),
        "compare": (CompareArguments,),
    }.items():
        lines += [f"## rlsc {command}", ""]
        if command in ("plan", "compare"):
            lines += ["These, and those of `rlsc train`.", ""]
        lines += _tables(*classes)
    return "\n".join(lines)


def _tables(*classes: type) -> list[str]:
    lines: list[str] = []
    for title, settings in themes(*classes).items():
        if title == TRANSFORMERS:
            continue
        lines += [f"### {title}", "", "| flag | default | takes | |", "|---|---|---|---|"]
        for declared, _ in settings:
            default, text = shown_default(declared), str(declared.metadata.get("help", ""))
            takes = allowed(declared) if limits(declared) else ""
            cells = (f"`--{declared.name}`", f"`{default}`" if default else "", takes, text)
            lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
        lines.append("")
    return lines


def _cell(text: Any) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
