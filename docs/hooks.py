"""What MkDocs adds to docs/: pages that live elsewhere in the repository, and the flags.

A link is written as it works in the repository (`../experiments/x.md`), and rewritten for the site.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
MOVED = {
    "LOG.md": "experiments/index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Where a file of the repository stands in the site; other folders keep their path."""

_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the experiments, the other texts of the repository, and the reference of the flags."""
    for source, target in _elsewhere():
        path = ROOT / source
        generated = File.generated(config, target, abs_src_path=str(path))
        files.append(generated)
    files.append(File.generated(config, "reference/flags.md", content=_flags()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links between files of the repository as links between pages."""
    source = next((of for of, to in _elsewhere() if to == page.file.src_uri), None)
    folder = posixpath.dirname(source or f"docs/{page.file.src_uri}")
    here = posixpath.dirname(page.file.src_uri)

    def rewritten(match: re.Match[str]) -> str:
        target = match[2]
        if "://" in target:
            return match[0]
        return f"{match[1]}{_in_site(target, folder, here)}{match[3]}"

    return _LINK.sub(rewritten, markdown)


def _elsewhere() -> Iterator[tuple[str, str]]:
    """(path in the repository, path in the site) of what lies outside docs/."""
    yield from MOVED.items()
    for folder in ("experiments", "notebooks"):
        for path in sorted((ROOT / folder).glob("*.*")):
            yield f"{folder}/{path.name}", f"{folder}/{path.name}"


def _in_site(target: str, folder: str, here: str) -> str:
    """A link of a file in `folder` of the repository as one of a page in `here` of the site."""
    path = posixpath.normpath(posixpath.join(folder, target))
    path = MOVED.get(path, path).removeprefix("docs/")
    return posixpath.relpath(path, here or ".")


def _flags() -> str:
    """Every flag with its default, range and help, from the fields that declare it."""
    from rlsc.commands.reference import markdown

    return markdown()
