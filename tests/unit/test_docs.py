"""What the texts of the repository say exists: links, files, flags, experiments."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlsc.config import EvalConfig, PlanConfig, RunConfig
from rlsc.config.compare import NOT_SHARED, OWN
from rlsc.objectives.registry import OBJECTIVES
from rlsc.training.arguments import RLSCConfig

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = [*PAGES, ROOT / "LOG.md", *EXPERIMENTS, *(ROOT / "notebooks").glob("*.ipynb")]
_FOLDERS = "src|tests|perf|studies|recipes|docs"
_NO_FILES = {"recipes/FILE.yaml"}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    local = [link for link in links if "://" not in link]
    generated = {ROOT / "docs/reference/flags.md"}
    missing = [
        link
        for link in local
        if not (page.parent / link).exists() and (page.parent / link).resolve() not in generated
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_are_there(page: Path) -> None:
    """In backticks, from the root; the packages' files are also named from src/rlsc."""
    named = re.findall(rf"`((?:{_FOLDERS})/[\w./-]+)`", page.read_text("utf-8"))
    packages = "|".join(path.name for path in (ROOT / "src/rlsc").iterdir() if path.is_dir())
    inner = re.findall(rf"`((?:{packages})/[\w./]+\.py)`", page.read_text("utf-8"))
    missing = {path for path in named if not (ROOT / path).exists()} - _NO_FILES
    missing |= {path for path in inner if not (ROOT / "src/rlsc" / path).exists()}
    assert missing == set()


def _fields(*kinds: type) -> set[str]:
    return {field.name for kind in kinds for field in dataclasses.fields(kind)}


TRAIN = _fields(RunConfig, RLSCConfig) | {"config"}
FLAGS = {
    "train": TRAIN,
    "demo": TRAIN,
    "plan": TRAIN | _fields(PlanConfig),
    "eval": _fields(EvalConfig) | {"config", "regrade"},
    "compare": TRAIN | {*OWN, *NOT_SHARED, "print_commands"},
    "report": {"output_file", "watch"},
}


def _commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """(command, its flags) of every `rlsc …` in the page's blocks of commands."""
    for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            match = re.search(r"\brlsc (train|demo|plan|eval|compare|report)\b(.*)", line)
            if match:
                words = shlex.split(match[2], comments=True)
                flags = [word[2:].partition("=")[0] for word in words if word.startswith("--")]
                yield match[1], flags


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_have_flags_that_there_are(page: Path) -> None:
    unknown = [
        f"{command} --{flag}"
        for command, flags in _commands(page)
        for flag in flags
        if flag not in FLAGS[command] and flag != "help"
    ]
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_examples_import_from_faces(page: Path) -> None:
    imports = re.findall(r"^(?:from|import) (rlsc[\w.]*)", page.read_text("utf-8"), re.MULTILINE)
    assert [module for module in imports if module.count(".") > 1] == []


def test_every_objective_has_its_row() -> None:
    page = (ROOT / "docs/objectives.md").read_text("utf-8")
    assert [name for name in OBJECTIVES if f"\n| `{name}` |" not in page] == []


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) < 100
    assert max(map(len, lines)) <= 110


def test_every_experiment_is_in_the_index_once_and_under_its_date() -> None:
    index = (ROOT / "LOG.md").read_text("utf-8")
    listed = re.findall(r"^\| \[.*?\]\(experiments/([\w.-]+)\)", index, re.MULTILINE)
    assert sorted(listed) == [path.name for path in EXPERIMENTS]
    for part in index.split("\n## ")[1:]:
        dates = set(re.findall(r"^\| \[.*?\]\(experiments/(\d{4}-\d\d-\d\d)-", part, re.MULTILINE))
        assert dates == {part[:10]}


@pytest.mark.parametrize("page", EXPERIMENTS, ids=name)
def test_an_experiment_says_what_was_asked_where_and_what_was_decided(page: Path) -> None:
    text = page.read_text("utf-8")
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| (.+) \|$", text, re.MULTILINE)
    assert [title for title, _ in rows][:4] == ["Question", "Commit", "Machine", "Decision"]
    assert text.splitlines()[2] == page.name[:10]
    for title, words in rows[4:]:  # what one supersedes names what it is superseded by
        (other,) = re.findall(r"\(([\w.-]+\.md)\)", words)[:1]
        back = {"Supersedes": "Superseded by", "Superseded by": "Supersedes"}[title]
        assert re.search(rf"\*\*{back}\*\*.*{page.name}", (page.parent / other).read_text("utf-8"))
