"""A griffe extension: examples in docstrings (`>>> …`) are shown as code, not as quotations."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^(?:>>> .*(?:\n(?!\s*$|>>> ).*)*\n?)+", re.MULTILINE)


class Doctests(griffe.Extension):
    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Put each example, with what it prints, between fences."""
        if obj.docstring is not None and ">>> " in obj.docstring.value:
            obj.docstring.value = _EXAMPLE.sub(_fenced, obj.docstring.value)


def _fenced(match: re.Match[str]) -> str:
    code = re.sub(r"\s*# doctest: .*", "", match[0]).rstrip("\n")
    return f"```python\n{code}\n```\n"
