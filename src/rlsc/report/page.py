"""report.html: one self-contained file. What a page is, and how it becomes HTML.

Every text is escaped; the data of the cases are packed ASCII; a content-security policy forbids
any request, and any script but the page's own, which it names by hash.
"""

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
from rlsc.report.cases import Case, packed
from rlsc.report.charts import Chart, draw
from rlsc.report.escaping import plain


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Markup]


@dataclass(frozen=True)
class Page:
    title: str
    headline: str
    """What came of it, in a sentence."""
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    cases: Sequence[Case] = field(default=())
    refresh: int = 0
    """Seconds after which the browser reads the file again; 0: never."""


def render(page: Page) -> str:
    """The whole file. Characters that are none are replaced."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        finalize=plain,
        undefined=jinja2.StrictUndefined,
    )
    # KaTeX and the browser's script are of use only where there are cases.
    scripts = [asset("katex/katex.min.js"), asset("cases.js")] if page.cases else []
    styles = [asset("style.css"), *([_katex_style()] if page.cases else [])]
    html = environment.get_template("page.html.j2").render(
        page=page,
        styles=[Markup(one) for one in styles],
        scripts=[Markup(one) for one in scripts],
        hashes=[_sha256(one) for one in scripts],
        data=Markup(packed(page.cases)) if page.cases else "",
        version=__version__,
    )
    return html.encode("utf-8", "replace").decode("utf-8")


def paragraph(text: str) -> Markup:
    return Markup("<p>{}</p>").format(plain(text)) if text else Markup("")


def items(lines: Sequence[str]) -> Markup:
    rows = Markup("").join(Markup("<li>{}</li>").format(plain(line)) for line in lines)
    return Markup("<ul>{}</ul>").format(rows) if lines else Markup("")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], words: bool = False) -> Markup:
    """The first column is text; the others are figures, or `words`. No header of empty cells."""
    if not rows:
        return Markup("")
    cells = Markup("").join(
        Markup("<th scope=col>{}</th>" if cell else "<td>{}</td>").format(plain(cell))
        for cell in header
    )
    head = Markup("<thead><tr>{}</tr></thead>").format(cells) if any(header) else Markup("")
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                Markup("<{0}{2}>{1}</{0}>").format(
                    Markup("td" if index else "th"),
                    plain(cell),
                    Markup("" if index else " scope=row"),
                )
                for index, cell in enumerate(row)
            )
        )
        for row in rows
    )
    return Markup(
        '<div class="scroll" tabindex="0" role="group" aria-label="table">'
        '<table class="{}">{}<tbody>{}</tbody></table></div>'
    ).format("words" if words else "figures", head, body)


def folded(summary: str, block: Markup) -> Markup:
    """A block that is opened by a click."""
    return Markup("<details><summary>{}</summary>{}</details>").format(plain(summary), block)


def charts(found: Sequence[Chart]) -> Markup:
    drawn = Markup("").join(draw(one) for one in found)
    return Markup('<div class="charts">{}</div>').format(drawn) if drawn else Markup("")


@functools.cache
def asset(name: str) -> str:
    return resources.files("rlsc.report").joinpath("assets", name).read_text("utf-8")


@functools.cache
def _katex_style() -> str:
    """KaTeX's style with its fonts inside."""
    folder = resources.files("rlsc.report").joinpath("assets", "katex")

    def embedded(found: re.Match[str]) -> str:
        data = base64.b64encode(folder.joinpath(found[1]).read_bytes()).decode()
        return f'src:url(data:font/woff2;base64,{data}) format("woff2")'

    css = folder.joinpath("katex.min.css").read_text("utf-8")
    return re.sub(r"src:url\(fonts/([\w-]+\.woff2)\)[^;}]*", embedded, css)


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()
