"""A package's face: names that are imported only when somebody asks for them (PEP 562).

What a face offers stands in its `__init__.py` once, as imports that type checkers read; here they
become lazy, so that `rlsc --help` and `rlsc report` load neither torch nor transformers.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from rlsc.runtime.renamed import check_renamed


def lazy_face(package: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package: its names are the imports under `if TYPE_CHECKING`.

    `__all__` is the list of them, where the package has none of its own. A name of before says
    what it is called now.
    """
    homes: dict[str, str] = {}

    def attribute(name: str) -> Any:
        if not homes:
            # inspect.getsource would ask the package for `__wrapped__`, and so come here again.
            file = Path(str(sys.modules[package].__file__))
            homes.update(_typed_imports(file.read_text(encoding="utf-8")))
        check_renamed(package, name)
        if name == "__all__":
            return sorted(homes)
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return attribute


def _typed_imports(source: str) -> dict[str, str]:
    """Name → module, of the imports for type checkers alone."""
    return {
        alias.name: str(node.module)
        for block in ast.parse(source).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
