"""A user's own file: its neighbours are found by it, and by nothing else."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlsc.runtime import load_user_code, quiet_start, user_files
from rlsc.runtime.children import safe_path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """With an objective, what it imports, and files named as libraries are."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    (tmp_path / "mine.py").write_text("import beside_mine\nclass Mine:\n    pass\n")
    (tmp_path / "beside_mine.py").write_text("")
    for name in ("random", "sympy", "rlsc", "tempfile"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the file of the user was run')")
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def test_files_behind_a_class_are_known(folder: Path) -> None:
    loaded = load_user_code("objective", f"{folder}/mine.py:Mine")
    files = user_files(loaded.__module__)
    assert [file.name for file in files] == ["beside_mine.py", "mine.py"]
    assert user_files("json") == ()


def test_a_virtual_environment_in_the_folder_is_not_the_users_code(folder: Path) -> None:
    library = folder / ".venv" / "site-packages"
    library.mkdir(parents=True)
    (library / "of_a_library.py").write_text("")
    sys.path.append(str(library))
    (folder / "theirs.py").write_text("import of_a_library\nclass Mine:\n    pass\n")
    loaded = load_user_code("objective", f"{folder}/theirs.py:Mine")
    assert [file.name for file in user_files(loaded.__module__)] == ["theirs.py"]


def test_as_a_module_it_imports_nothing_from_the_current_folder(folder: Path) -> None:
    (folder / "rlsc.py").unlink()  # the package itself is looked for before its own first line
    command = [sys.executable, "-m", "rlsc", "report", "nowhere"]  # which imports tempfile
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith("rlsc: error: no such folder: nowhere")


def test_a_users_folder_is_the_last_that_is_looked_into(folder: Path) -> None:
    load_user_code("objective", f"{folder}/mine.py:Mine")
    assert sys.path[-1] == str(folder)
    assert str(folder) not in safe_path()


def test_the_folder_of_a_script_is_left_out_but_not_pythons_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script of `python -m cProfile -m rlsc` lies in the standard library."""
    path = [str(folder), sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")]
    monkeypatch.setattr(sys, "path", path)
    for script, kept in ((folder / "run.py", path[1:]), (Path(path[1]) / "cProfile.py", path)):
        monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
        assert [entry for entry in safe_path() if entry in path] == kept


def test_a_child_imports_nothing_from_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend("")
    assert not {"", str(folder)} & set(safe_path())
    with quiet_start():
        code = "import random, tempfile; print(random.__file__)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
    assert str(folder) not in done.stdout
