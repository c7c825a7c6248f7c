"""Faces: a name is imported when it is asked for, and a renamed one says what it is now."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import rlsc
from rlsc import objectives
from rlsc.runtime.renamed import MODULES, NAMES

CHANGELOG = Path(__file__).parents[3] / "CHANGELOG.md"
STILL_THERE = {"rlsc.models", "rlsc.logprobs", "rlsc.guard", "rlsc.statistics"}
"""Old modules whose packages have their names."""


def renamed_imports() -> list[tuple[str, str]]:
    """(old, new) of each row of the changelog's table of imports; `rlsc.` is written once a row."""
    table = CHANGELOG.read_text("utf-8").partition("| imports | now |")[2].partition("\n\n")[0]
    pairs = []
    for row in table.splitlines()[2:]:
        _, left, right, _ = row.split("|")
        new = re.findall(r"`(rlsc[\w.]*)`", right)
        for old in re.findall(r"`([\w.]+)`", left) if "rlsc." in left else []:
            old = old if old.startswith("rlsc.") else f"rlsc.{old}"
            pairs.append((old, new[0] if new else old.rpartition(".")[0]))
    return [pair for pair in pairs if pair[0] not in STILL_THERE]


@pytest.mark.parametrize(("old", "new"), renamed_imports())
def test_an_old_import_says_the_new_one(old: str, new: str) -> None:
    module, _, name = (old, "", "") if old in MODULES else old.rpartition(".")
    with pytest.raises(ImportError, match=r"is now .*CHANGELOG") as caught:
        getattr(import_module(module), name)
    message = str(caught.value)
    assert message.startswith(old) or message.startswith(old.rpartition(".")[0])
    assert new in message
    assert "\n" not in message


def test_the_table_of_imports_is_read() -> None:
    old = [pair[0] for pair in renamed_imports()]
    assert len(old) > 40
    assert {"rlsc.trainer.RLSCTrainer", "rlsc.trainer", "rlsc.cli", "rlsc.fewshot"} < {*old}


@pytest.mark.parametrize("old", MODULES)
def test_old_modules_are_gone_and_the_new_ones_there(old: str) -> None:
    with pytest.raises(ImportError, match=f"{old} is now rlsc"):
        import_module(old)
    (new,) = re.findall(r"^rlsc[\w.]*\w", MODULES[old])
    assert import_module(new)


@pytest.mark.parametrize(("module", "old"), [(m, old) for m in NAMES for old in NAMES[m]])
def test_a_renamed_name_says_the_new_one(module: str, old: str) -> None:
    with pytest.raises(ImportError, match=re.escape(f"{module}.{old} is now {NAMES[module][old]}")):
        getattr(import_module(module), old)


def test_an_old_import_as_a_user_writes_it() -> None:
    for line in ("from rlsc import trainer", "from rlsc.objectives.base import Siblings"):
        with pytest.raises(ImportError, match="is now rlsc"):
            exec(line)


def test_a_module_that_never_was_is_not_found() -> None:
    for name in ("rlsc.nonsense", "rlsc.objectives.nonsense"):
        with pytest.raises(ModuleNotFoundError):
            import_module(name)


def test_an_unknown_name_is_none() -> None:
    assert not hasattr(objectives, "Nonsense")


@pytest.mark.parametrize("name", rlsc.__all__)
def test_the_public_api_is_there(name: str) -> None:
    assert getattr(rlsc, name) is not None


def test_importing_rlsc_loads_neither_torch_nor_transformers() -> None:
    code = "import sys, rlsc; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
