"""The shape of the source: imports point down the layers, files and functions stay short."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rlsc

SOURCE = Path(rlsc.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
LAYERS = (
    (
        "types",
        "errors",
        "checks",
        "engine_config",
        "objective_config",
        "guard_config",
        "config",
        "run_config",
        "compare_config",
    ),
    (
        *("questions", "benchmark_table", "benchmarks", "fewshot", "templates", "prompts"),
        *("models", "grading", "statistics", "calibration", "display", "memory"),
        *("logprobs", "batching", "token_tree", "attention", "path_attention", "chunked_head"),
        *(
            "adapters",
            "processes",
            "sharding",
            "signals",
            "token_spans",
            "verdicts",
            "selection",
            "live_memory",
        ),
    ),
    ("engines", "scoring", "objectives", "value_head", "reward_model", "reference"),
    (
        *(
            "metrics",
            "runlog",
            "callbacks",
            "weighing",
            "update",
            "gradients",
            "rollouts",
            "trainer_inputs",
        ),
        *("checkpoints", "brakes", "probe", "snapshots", "guard", "trainer"),
        *("evaluate", "samples", "scores", "changes", "footprint"),
    ),
    (
        *("report", "runfolder", "provenance", "arguments", "evaluation_run", "benchmark_run"),
        *(
            "train_benchmarks",
            "probe_questions",
            "baseline",
            "eval_run",
            "run",
            "plan",
            "dry_run",
            "compare",
            "report_run",
            "hub",
        ),
    ),
    ("cli", "__main__"),
)
LAYER = {module: number for number, modules in enumerate(LAYERS) for module in modules}
# The package itself: its imports are lazy, and all that is taken from it is __version__.
ROOT = ""
LONGEST_FILE, LONGEST_FUNCTION = 300, 60


def module_of(file: Path) -> str:
    """The module or package right below rlsc that a file belongs to."""
    parts = file.relative_to(SOURCE).with_suffix("").parts
    return ROOT if parts == ("__init__",) else parts[0]


def imported(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """(line, module right below rlsc) of every import of rlsc, at any depth of the code.

    `package` is what relative imports start from, e.g. ("rlsc", "engines").
    """
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*base, *filter(None, [node.module])])
            names = [f"{source}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "rlsc":
                is_root = len(parts) == 1 or parts[1].startswith("__")
                yield node.lineno, ROOT if is_root else parts[1]


def violations(code: str, module: str, package: tuple[str, ...] = ("rlsc",)) -> list[str]:
    """Imports of `module`'s code that point upwards, or to where no layer is known."""
    found = []
    for line, target in imported(ast.parse(code), package):
        if target == ROOT:
            continue
        if target not in LAYER:
            found.append(f"line {line}: rlsc.{target} has no layer: add it to the table")
        elif LAYER[target] > LAYER[module]:
            found.append(
                f"line {line}: rlsc.{module} (layer {LAYER[module]}) imports "
                f"rlsc.{target} (layer {LAYER[target]})"
            )
    return found


def relative(file: Path) -> str:
    return str(file.relative_to(SOURCE))


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_imports_point_to_lower_layers(file: Path) -> None:
    module = module_of(file)
    if module == ROOT:
        return
    assert module in LAYER, f"rlsc.{module} has no layer: add it to the table in {__file__}"
    package = ("rlsc", *file.relative_to(SOURCE).parent.parts)
    assert violations(file.read_text("utf-8"), module, package) == []


def test_the_table_names_only_what_exists() -> None:
    assert set(LAYER) == {module_of(file) for file in FILES} - {ROOT}


@pytest.mark.parametrize(
    ("code", "module", "package", "expected"),
    [
        ("from rlsc.trainer import RLSCTrainer", "engines", ("rlsc", "engines"), "imports"),
        ("from rlsc import run", "trainer", ("rlsc",), "imports"),
        ("import rlsc.cli as c", "run", ("rlsc",), "imports"),
        ("def f():\n    from rlsc.cli import main", "run", ("rlsc",), "imports"),
        ("from ..report import table", "engines", ("rlsc", "engines"), "imports"),
        ("from . import evaluate", "models", ("rlsc",), "imports"),
        ("from rlsc.vllm import x", "cli", ("rlsc",), "has no layer"),
    ],
)
def test_the_check_finds_violations(
    code: str, module: str, package: tuple[str, ...], expected: str
) -> None:
    (found,) = violations(code, module, package)
    assert expected in found


@pytest.mark.parametrize(
    "code",
    [
        "from rlsc.types import Prompt",
        "from rlsc.engines.base import Engine",
        "from . import base",
        "from .base import Engine",
        "from rlsc import __version__, prompts",
        "import torch\nfrom transformers import Trainer",
    ],
)
def test_the_check_lets_downward_imports_pass(code: str) -> None:
    assert violations(code, "engines", ("rlsc", "engines")) == []


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_files_and_functions_stay_short(file: Path) -> None:
    code = file.read_text("utf-8")
    assert len(code.splitlines()) <= LONGEST_FILE
    long = {
        node.name: length
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    }
    assert long == {}
