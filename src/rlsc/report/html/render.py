"""From the blocks of a page to its file. The markup is in assets/page.html.j2."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources

import jinja2
from markupsafe import Markup

from rlsc import __version__
from rlsc.report.charts import Intervals
from rlsc.report.escaping import plain
from rlsc.report.html.packing import packed
from rlsc.report.page import Block, Cases, Code, Heading, Page
from rlsc.report.svg import draw, style


@dataclass(frozen=True)
class _Section:
    title: str
    blocks: list[Block] = field(default_factory=list)


def render(page: Page) -> str:
    """The whole file. Characters that are none are replaced."""
    sections = _sections(page.blocks)
    cases = next((b.cases for b in page.blocks if isinstance(b, Cases) and b.cases), ())
    # KaTeX and the browser's script are of use only where there are cases.
    scripts = [asset("katex/katex.min.js"), asset("cases.js")] if cases else []
    styles = [style(), asset("style.css"), *([_katex_style()] if cases else [])]
    html = _template().render(
        page=page,
        lead=sections[0],
        sections=[section for section in sections[1:] if section.blocks],
        styles=[Markup(text) for text in styles],
        scripts=[Markup(text) for text in scripts],
        hashes=[_sha256(text) for text in scripts],
        data=Markup(packed(cases)) if cases else "",
        version=__version__,
    )
    return html.encode("utf-8", "replace").decode("utf-8")


def _sections(blocks: Sequence[Block]) -> list[_Section]:
    """Cut before each heading of the second level; the first section is what stands before any."""
    sections = [_Section("")]
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            sections.append(_Section(block.text))
        elif not isinstance(block, Cases):  # they come last, by themselves
            sections[-1].blocks.append(block)
    return sections


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        finalize=plain,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["draw"] = draw
    environment.globals["intervals"] = lambda numbers: draw(Intervals("", numbers))
    environment.tests["code"] = lambda cell: isinstance(cell, Code)
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment.get_template("page.html.j2")


@functools.cache
def asset(name: str) -> str:
    return resources.files("rlsc.report.html").joinpath("assets", name).read_text("utf-8")


@functools.cache
def _katex_style() -> str:
    """KaTeX's style with its fonts inside."""
    folder = resources.files("rlsc.report.html").joinpath("assets", "katex")

    def embedded(match: re.Match[str]) -> str:
        data = base64.b64encode(folder.joinpath(match[1]).read_bytes()).decode()
        return f'src:url(data:font/woff2;base64,{data}) format("woff2")'

    css = folder.joinpath("katex.min.css").read_text("utf-8")
    return re.sub(r"src:url\(fonts/([\w-]+\.woff2)\)[^;}]*", embedded, css)


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()
