"""The files of a report: report.html, report.md and plot.svg, made again from a folder any time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rlsc.errors import OutputError
from rlsc.records import (
    RESULTS,
    ComparisonFolder,
    ComparisonResults,
    EvaluationFolder,
    RunFolder,
    TrainingFolder,
    open_folder,
    read_results,
    write_text,
)
from rlsc.report.charts import Intervals
from rlsc.report.html.render import render
from rlsc.report.markdown import to_markdown
from rlsc.report.page import Curves, Page
from rlsc.report.sections.comparison import comparison_page
from rlsc.report.sections.evaluation import evaluation_page
from rlsc.report.sections.side_by_side import side_by_side
from rlsc.report.sections.training import training_page
from rlsc.report.svg import sheet
from rlsc.runtime import waiting

HTML, MARKDOWN, PLOT = "report.html", "report.md", "plot.svg"
SILENCE = 600
"""Seconds after which a run that is followed may have died."""
_RECORDS = ("metrics.jsonl", "guard.jsonl", RESULTS)


def write_report(folder: Path) -> Path:
    """Write all three into the folder of a run; the page's file."""
    with waiting("writing the report"):
        return _write_all(folder)


def _write_all(folder: Path) -> Path:
    page = page_of(folder)
    curves = next((block.charts for block in page.blocks if isinstance(block, Curves)), ())
    write_text(folder / PLOT, sheet([Intervals("95 % intervals", page.headline.numbers), *curves]))
    write_text(folder / MARKDOWN, to_markdown(page, PLOT))
    return _write_page(folder / HTML, page)


def write_html(folder: Path, file: Path | None = None) -> Path:
    """Write the page of the run in `folder` into it, or into `file`."""
    return _write_page(folder / HTML if file is None else _a_file(file), page_of(folder))


def write_html_of_several(folders: Sequence[Path], file: Path) -> Path:
    """Write one page that has them side by side."""
    return _write_page(_a_file(file), side_by_side([(each, page_of(each)) for each in folders]))


def page_of(folder: Path) -> Page:
    """Of whatever run the folder holds; of a training run also while it goes on.

    Raises `OutputError` where there is none, in words that say what to name, and for records that
    are damaged, in whatever way.
    """
    if folder.is_file():
        raise OutputError(f"{folder} is a file: name the --output_dir of a run")
    if not folder.is_dir():
        raise OutputError(f"no such folder: {folder}; name the --output_dir of a run")
    try:
        match open_folder(folder):
            case TrainingFolder() as run:
                return training_page(run)
            case EvaluationFolder() as run:
                _check_finished(run, f"the evaluation in {folder} is not finished: --resume it")
                return evaluation_page(run)
            case ComparisonFolder() as run:
                _check_finished(run, f"no run of the comparison in {folder} is finished yet")
                return comparison_page(run)
            case other:
                raise OutputError(f"{folder} holds a run that has no report: {other.kind}")
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise OutputError(
            f"the records in {folder} are damaged or of another version of rlsc "
            f"({type(error).__name__}: {error})"
        ) from error


def _check_finished(folder: RunFolder, otherwise: str) -> None:
    if not folder.finished:
        raise OutputError(otherwise)


def watch(folder: Path, tell: Callable[[str], None], seconds: float = 5.0) -> None:
    """Write the page anew whenever the run or comparison has got on, until it is finished.

    Tells where nothing has come for `SILENCE` seconds: it may have died. Ends quietly by Ctrl-C.
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
                    tell(f"report  {path}")
                seen, news, silent = state, time.monotonic(), False
            if finished:
                return
            if time.monotonic() - news > SILENCE and not silent:
                tell(f"nothing new in {folder} for {SILENCE // 60} minutes: is the run alive?")
                silent = True
            time.sleep(seconds)
    except KeyboardInterrupt:
        return


def _finished(folder: Path) -> bool:
    if not (folder / RESULTS).exists():
        return False
    results = read_results(folder)
    runs = results.runs if isinstance(results, ComparisonResults) else ()
    return all(run.done or run.failed is not None for run in runs)


def _modified(file: Path) -> float:
    return file.stat().st_mtime if file.exists() else 0.0


def _a_file(file: Path) -> Path:
    if file.is_dir():
        raise OutputError(f"--output_file {file} is a folder: name a file in it")
    return file


def _write_page(file: Path, page: Page) -> Path:
    write_text(file, render(page))
    return file
