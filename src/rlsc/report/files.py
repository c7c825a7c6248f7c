"""report.html of a run's folder, or of several."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rlsc.errors import OutputError
from rlsc.records.files import read_json, write_text
from rlsc.report.comparison import runs_made
from rlsc.report.page import Page, render
from rlsc.report.page_compare import folders_page, single_page

FILE = "report.html"
SILENCE = 600
_RECORDS = ("metrics.jsonl", "guard.jsonl", "results.json", "comparison.json")


def write_html(folder: Path, file: Path | None = None) -> Path:
    """Write the page of the run in `folder` into it, or into `file`."""
    file = folder / FILE if file is None else _a_file(file)
    return _write(file, _page(folder))


def write_html_of_several(folders: Sequence[Path], file: Path) -> Path:
    """Write one page that has them side by side."""
    return _write(_a_file(file), folders_page([(folder, _page(folder)) for folder in folders]))


def _a_file(file: Path) -> Path:
    if file.is_dir():
        raise OutputError(f"--output_file {file} is a folder: name a file in it")
    return file


def _page(folder: Path) -> Page:
    """Raises `OutputError` for records that are damaged, in whatever way."""
    try:
        return single_page(_checked(folder))
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise OutputError(
            f"the records in {folder} are damaged or of another version of rlsc "
            f"({type(error).__name__}: {error})"
        ) from error


def watch(folder: Path, told: Callable[[str], None], seconds: float = 5.0) -> None:
    """Write the page anew whenever the run or comparison has got on, until it is finished.

    Says so where nothing has come for `SILENCE` seconds: it may have died. Ends quietly by Ctrl-C.
    """
    seen: object = None
    news = time.monotonic()
    silent = False
    try:
        while True:
            finished = _finished(folder)  # before the page is made of it
            state = [_modified(folder / name) for name in _RECORDS]
            if state != seen:
                path = write_html(folder)
                if seen is None:
                    told(f"report  {path}")
                seen, news, silent = state, time.monotonic(), False
            if finished:
                return
            if time.monotonic() - news > SILENCE and not silent:
                told(f"nothing new in {folder} for {SILENCE // 60} minutes: is the run alive?")
                silent = True
            time.sleep(seconds)
    except KeyboardInterrupt:
        return


def _finished(folder: Path) -> bool:
    if (folder / "comparison.json").exists():
        done, failed, of = runs_made(read_json(folder / "comparison.json"))
        return done + failed == of
    return (folder / "results.json").exists()


def _write(file: Path, page: Page) -> Path:
    write_text(file, render(page))
    return file


def _checked(folder: Path) -> Path:
    """Raises `OutputError` where there is no run, in words that say what to name."""
    if folder.is_file():
        raise OutputError(f"{folder} is a file: name the --output_dir of a run")
    if not folder.is_dir():
        raise OutputError(f"no such folder: {folder}; name the --output_dir of a run")
    if not any((folder / name).exists() for name in ("config.yaml", "comparison.json")):
        if (folder / "base").is_dir():
            raise OutputError(f"no run of the comparison in {folder} is finished yet")
        raise OutputError(f"{folder} holds no run of rlsc: name the --output_dir of one")
    finished = (folder / "results.json").exists() or (folder / "comparison.json").exists()
    if not finished and (folder / "settings.json").exists():
        raise OutputError(f"the evaluation in {folder} is not finished: go on with it by --resume")
    return folder


def _modified(file: Path) -> float:
    return file.stat().st_mtime if file.exists() else 0.0
