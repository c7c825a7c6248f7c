"""The prompts of a language, which are Jinja files in `templates/`."""

from __future__ import annotations

import functools
from importlib import resources

import jinja2


def rendered(name: str, **values: object) -> str:
    """The template `LANGUAGE/ROLE_KIND` with these values."""
    return _templates().get_template(f"{name}.jinja").render(**values)


@functools.cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _text(name: str) -> str:
    folder = resources.files("rlsc.environments.azr").joinpath("templates")
    return folder.joinpath(*name.split("/")).read_text("utf-8")
