"""The shape of the source: imports point down, contracts bite, files and functions stay short."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import rlsc

SOURCE = Path(rlsc.__file__).parent
ROOT = Path(__file__).parents[2]
FILES = sorted(SOURCE.rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 500, 60


def relative(file: Path) -> str:
    return str(file.relative_to(SOURCE))


def lint_imports(cwd: Path, source: Path) -> subprocess.CompletedProcess[str]:
    """The contracts of pyproject.toml, on the package in `source`."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    command += ["--config", str(ROOT / "pyproject.toml")]
    env = os.environ | {"PYTHONPATH": str(source)}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_imports_keep_the_contracts(tmp_path: Path) -> None:
    done = lint_imports(tmp_path, SOURCE.parent)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("engines/base.py", "from rlsc.training import trainer", "layers"),
        ("objectives/base.py", "from rlsc import engines", "layers"),
        ("report/svg.py", "import torch", "no torch"),
        ("cellar/__init__.py", "", "layers"),
    ],
    ids=["upwards", "sideways", "torch", "a package of no layer"],
)
def test_the_contracts_find_what_breaks_them(
    file: str, line: str, broken: str, tmp_path: Path
) -> None:
    shutil.copytree(SOURCE, tmp_path / "rlsc", ignore=shutil.ignore_patterns("__pycache__"))
    place = tmp_path / "rlsc" / file
    place.parent.mkdir(exist_ok=True)
    text = place.read_text("utf-8") if place.exists() else ""
    place.write_text(f"{text}\n{line}\n", "utf-8")
    done = lint_imports(tmp_path, tmp_path)
    assert done.returncode == 1
    assert f"{broken}" in done.stdout
    assert "BROKEN" in done.stdout or "layer" in done.stdout.lower()


def test_only_four_modules_lie_in_the_package_itself() -> None:
    flat = {file.name for file in SOURCE.glob("*.py")}
    assert flat == {"__init__.py", "__main__.py", "types.py", "errors.py"}


def faces() -> dict[str, list[str]]:
    """What each package offers to the others."""
    return {
        folder.name: list(getattr(import_module(f"rlsc.{folder.name}"), "__all__", []))
        for folder in sorted(SOURCE.iterdir())
        if (folder / "__init__.py").exists()
    }


@pytest.mark.parametrize("package", faces())
def test_a_face_gives_what_it_names(package: str) -> None:
    module = import_module(f"rlsc.{package}")
    modules = {path.stem for path in (SOURCE / package).iterdir()}
    for name in faces()[package]:
        assert name not in modules, f"rlsc.{package}.{name} would be hidden by the module"
        assert getattr(module, name) is not None


def deeper_than_a_face(code: str, own: str) -> list[str]:
    """Imports of another package's module, by its whole name or as a name of the package."""
    deep = []
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.ImportFrom) or node.module == "rlsc.runtime.lazy":
            continue  # the last is what makes the faces
        top, *parts = (node.module or "").split(".")
        if top != "rlsc" or not parts or parts[0] == own:
            continue
        modules = {path.stem for path in (SOURCE / parts[0]).glob("*")}
        if len(parts) > 1 or any(alias.name in modules for alias in node.names):
            deep.append(ast.unparse(node))
    return deep


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_others_are_imported_by_their_face(file: Path) -> None:
    if file.parent == SOURCE:
        return  # the public API and `python -m rlsc` name the modules that they stand for
    own = file.relative_to(SOURCE).parts[0]
    assert deeper_than_a_face(file.read_text("utf-8"), own) == []


@pytest.mark.parametrize(
    ("line", "deep"),
    [
        ("from rlsc.statistics.calibration import confidence", True),
        ("from rlsc.statistics import calibration as calibrate", True),
        ("from rlsc.statistics import share, votes", True),
        ("from rlsc.grading import extract", True),
        ("from rlsc.statistics import share", False),
        ("from rlsc.report.svg import line", False),
        ("from rlsc.report import svg", False),
        ("from rlsc.runtime.lazy import lazy_face", False),
        ("from rlsc.types import Pool", False),
    ],
)
def test_what_reaches_deeper_than_a_face(line: str, deep: bool) -> None:
    assert deeper_than_a_face(line, own="report") == ([line] if deep else [])


@cache
def imported_from() -> list[tuple[str, str, set[str]]]:
    """The package of each file, a module that it imports from, and the names."""
    return [
        (file.relative_to(SOURCE).parts[0], node.module or "", {one.name for one in node.names})
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
    ]


@pytest.mark.parametrize("package", faces())
def test_a_face_names_what_others_use(package: str) -> None:
    """Another package, or a page of docs/ that tells a user to import it."""
    used: set[str] = set()
    for importer, module, names in imported_from():
        if importer != package and module == f"rlsc.{package}":
            used |= names
    for page in (ROOT / "docs").rglob("*.md"):
        for line in page.read_text("utf-8").splitlines():
            if line.startswith(f"from rlsc.{package} import "):
                used |= set(line.partition(" import ")[2].split(", "))
    assert set(faces()[package]) - used == set()


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


def names_that_say_nothing(code: str) -> list[int]:
    """The lines of variables and arguments named `one` or `found`."""
    nodes = ast.walk(ast.parse(code))
    names = [node for node in nodes if isinstance(node, ast.Name | ast.arg)]
    return sorted({node.lineno for node in names if _name(node) in {"one", "found"}})


def _name(node: ast.Name | ast.arg) -> str:
    return node.id if isinstance(node, ast.Name) else node.arg


def test_names_are_nouns_that_say_what_they_hold() -> None:
    empty = [
        f"{relative(file)}:{line}"
        for file in FILES
        for line in names_that_say_nothing(file.read_text("utf-8"))
    ]
    assert empty == [], f"{len(empty)} lines name a value `one` or `found`: {', '.join(empty)}"


@pytest.mark.parametrize(
    ("line", "bare"),
    [
        ("one = 1", True),
        ("[found for found in rows]", True),
        ("key = lambda one: one[0]", True),
        ("def taken(*, found): ...", True),
        ('done(f"{one}")', True),
        ("row.found(one=1)", False),
        ('text = "one found"  # one found', False),
    ],
)
def test_which_names_say_nothing(line: str, bare: bool) -> None:
    assert names_that_say_nothing(line) == ([1] if bare else [])
