"""report.html of a run's folder, or of several."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rlsc.errors import OutputError
from rlsc.report.page import Page, render
from rlsc.report.page_compare import folders_page, single_page
from rlsc.runfolder import write_text

FILE = "report.html"
_RECORDS = ("metrics.jsonl", "guard.jsonl", "results.json", "comparison.json")


def write_html(folder: Path) -> Path:
    """Write the page of the run in `folder` into it."""
    return _write(folder / FILE, single_page(_checked(folder)))


def write_html_of_several(folders: Sequence[Path], file: Path) -> Path:
    """Write one page that has them side by side."""
    return _write(file, folders_page([_checked(folder) for folder in folders]))


def watch(folder: Path, told: Callable[[Path], None], seconds: float = 5.0) -> None:
    """Write the page anew whenever the run has got on, until it is finished."""
    seen: object = None
    while True:
        state = [_modified(folder / name) for name in _RECORDS]
        if state != seen:
            path = write_html(folder)
            if seen is None:
                told(path)
            seen = state
        if (folder / "results.json").exists():
            return
        time.sleep(seconds)


def _write(file: Path, page: Page) -> Path:
    write_text(file, render(page))
    return file


def _checked(folder: Path) -> Path:
    """Raises `OutputError` where there is no run, in words that say what to name."""
    if not folder.is_dir():
        raise OutputError(f"no such folder: {folder}; name the --output_dir of a run")
    if not any((folder / name).exists() for name in ("config.yaml", "comparison.json")):
        raise OutputError(f"{folder} holds no run of rlsc: name the --output_dir of one")
    finished = (folder / "results.json").exists() or (folder / "comparison.json").exists()
    if not finished and (folder / "settings.json").exists():
        raise OutputError(f"the evaluation in {folder} is not finished: go on with it by --resume")
    return folder


def _modified(file: Path) -> float:
    return file.stat().st_mtime if file.exists() else 0.0
