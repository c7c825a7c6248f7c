"""The notebook runs from its first cell to its last, and shows what it says."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.real
FILE = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"
# One step of two questions, judged by three: what a run is made of, at the least that it can cost.
TINY = {
    "max_steps": 1,
    "per_device_train_batch_size": 2,
    "num_generations": 2,
    "max_completion_length": 6,
    "eval_limit": 3,
    "eval_samples": 1,
    "eval_baselines": False,
    "guard": "off",
    "save_strategy": "no",
    "save_model": False,
}
_PERCENT = r"\d+\.\d \[\d+\.\d, \d+\.\d\]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def cells(folder: Path) -> dict[str, Any]:
    """By id, executed; the cell with the tag `parameters` is followed by a smaller budget."""
    notebook = nbformat.read(FILE, as_version=4)
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
    place = tags.index(["parameters"]) + 1
    notebook.cells.insert(place, nbformat.v4.new_code_cell(f"settings |= {TINY}"))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": folder}}).execute()
    return {cell.id: cell for cell in notebook.cells}


def shown(cell: Any, kind: str) -> str:
    """What the cell's last expression came to, as text of a MIME type."""
    (output,) = [one for one in cell.outputs if one.output_type == "execute_result"]
    return str(output.data[kind])


def said(cell: Any) -> str:
    """All that it printed."""
    return "".join(one.get("text") or one.data.get("text/plain", "") for one in cell.outputs)


def test_nothing_is_installed_where_all_is_there(cells) -> None:
    assert cells["install"].outputs == []


def test_the_table_has_n_and_paired_intervals_beside_the_untrained_at_its_best(cells) -> None:
    table = shown(cells["table"], "text/markdown")
    assert "On 3 of 245 questions: held-out questions" in table
    assert "n = 3" in table
    row = rf"^\| greedy accuracy, % \| {_PERCENT} \| {_PERCENT} \| [+-]\d+\.\d \[[^]]+\] \|$"
    assert re.search(row, table, re.MULTILINE)
    assert re.search(rf"^\| evaluation \| base at its best: .* \| {_PERCENT} ", table, re.MULTILINE)


def test_the_report_stands_in_the_page_and_needs_no_file(cells, folder: Path) -> None:
    frame = shown(cells["report"], "text/html")
    (page,) = re.findall(r'srcdoc="([^"]*)"', frame)
    assert html.unescape(page) == (folder / "runs/notebook/report.html").read_text("utf-8")


def test_own_questions_are_checked_and_nothing_is_trained(cells, folder: Path) -> None:
    output = said(cells["own-dry-run"])
    assert "mine.jsonl: 2 questions" in output
    assert "all input is in order; no weights were loaded" in output
    assert not (folder / "runs/mine").exists()
