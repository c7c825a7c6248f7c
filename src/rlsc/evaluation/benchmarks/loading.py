"""The table's benchmarks, read from the Hub or a folder and checked.

Left out: a cache of our own (`datasets` keeps one).
"""

from __future__ import annotations

import difflib
import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rlsc.data import Row, Rows, read_hub_rows, read_rows
from rlsc.environments import PythonJudge
from rlsc.errors import ConfigError, QuestionError
from rlsc.evaluation.benchmarks.item import Item, make_task
from rlsc.evaluation.benchmarks.processbench import content_of
from rlsc.evaluation.benchmarks.table import (
    BENCHMARKS,
    GPQA_CORRECT,
    PAPER,
    Benchmark,
    folder_form,
)
from rlsc.types import Task

T = TypeVar("T")


def load_benchmark(
    name: str, data_dir: Path | None = None, limit: int = 0, sandbox: str = "auto"
) -> Task:
    """Read benchmark `name` from the folder `data_dir`, else from the Hub; `limit` keeps the first.

    Where its answers are judged by running programs, `sandbox` is tried first. Of solutions whose
    steps are judged the last is not cut: `limit` is raised to its end. Raises `ConfigError` where
    there is no sandbox, `QuestionError` naming the file and line, or the data set and row, at
    fault. Another number of rows than expected is no error, but leaves the task not `complete`.
    """
    benchmark = find_benchmark(name)
    if limit < 0:
        raise ConfigError(f"limit is {limit}: give the number of questions, or 0 for all")
    if benchmark.kind == "python_input":
        PythonJudge.of(sandbox).check()
    if data_dir is None:
        rows, source = _from_hub(benchmark)
    else:
        rows, source = _from_folder(benchmark, Path(data_dir))
    if limit and benchmark.steps is not None:
        limit = _whole_solutions([item for _, item in rows], limit)
    return make_task(
        benchmark.name,
        benchmark.title,
        rows,
        benchmark.kind,
        source=source,
        version=benchmark.version,
        expected=benchmark.n,
        limit=limit,
        sandbox=sandbox,
        steps=benchmark.steps is not None,
    )


def _whole_solutions(items: Sequence[Item], limit: int) -> int:
    """A limit on steps, raised to the end of the solution that it would cut."""
    solutions = [item.id.rpartition("/")[0] for item in items]
    while limit < len(items) and solutions[limit] == solutions[limit - 1]:
        limit += 1
    return limit


def find_benchmark(name: str) -> Benchmark:
    """The table's row. Raises `ConfigError` with the nearest name."""
    if name not in BENCHMARKS:
        near = difflib.get_close_matches(name, BENCHMARKS, n=1, cutoff=0.4)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigError(f"no benchmark {name!r}{hint}; choose from: {listing()}")
    return BENCHMARKS[name]


def listing() -> str:
    """All names, for a message."""
    return (
        f"{', '.join(BENCHMARKS)}, or all (the first {len(PAPER)}); or your own: FILE.jsonl, "
        "FILE.py:Class"
    )


# Sources.


def _from_hub(benchmark: Benchmark) -> tuple[list[tuple[str, Item]], str]:
    try:
        rows = read_hub_rows(benchmark.hub, benchmark.config, benchmark.split, benchmark.revision)
    except QuestionError as error:
        raise QuestionError(f"benchmark {benchmark.name}: {error}; {_advice(benchmark)}") from error
    numbered = _of_subjects(rows, benchmark.subjects) if benchmark.subjects else _numbered(rows)
    if not numbered:
        raise QuestionError(f"benchmark {benchmark.name}: {benchmark.hub} has none of its subjects")
    items = _items(benchmark, numbered, benchmark.hub)
    revision = "@" + benchmark.revision if benchmark.revision else " (revision not pinned)"
    return items, benchmark.hub + revision


def _advice(benchmark: Benchmark) -> str:
    files = ", ".join(" or ".join(names) for names in benchmark.files)
    local = f"put {files} into a folder and name it with --data_dir"
    if not benchmark.gated:
        return f"without the Hub, {local}"
    terms = f"accept its terms at https://huggingface.co/datasets/{benchmark.hub}"
    return f"it is gated: {terms}, then run `hf auth login`; or {local}"


def _numbered(rows: Rows) -> list[tuple[str, Row, int]]:
    return [(where, row, number) for number, (where, row) in enumerate(rows)]


def _of_subjects(rows: Rows, subjects: Sequence[str]) -> list[tuple[str, Row, int]]:
    """Rows of `subjects`, in their order, numbered within each."""
    by_subject: dict[Any, list[tuple[str, Row]]] = defaultdict(list)
    for where, row in rows:
        by_subject[row.get("subject")].append((where, row))
    return [row for subject in subjects for row in _numbered(by_subject[subject])]


def _from_folder(benchmark: Benchmark, folder: Path) -> tuple[list[tuple[str, Item]], str]:
    if not folder.is_dir():
        raise QuestionError(f"benchmark {benchmark.name}: there is no folder {folder}")
    items: list[tuple[str, Item]] = []
    sources: list[str] = []
    for names in benchmark.files:
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            advice = f"; {_advice(benchmark)}" if benchmark.gated else ""
            raise QuestionError(
                f"benchmark {benchmark.name}: no {' or '.join(names)} in {folder}{advice}"
            )
        rows = read_rows(path)
        if benchmark.steps is not None:
            items += _items(benchmark, _numbered(rows), str(path))
            rows = []
        for where, row, number in _numbered(rows):
            # GPQA is also read as its authors give it out, CRUXEval in that form alone.
            as_given = benchmark.gated and (GPQA_CORRECT in row or path.suffix == ".csv")
            own_form = benchmark.own_form or as_given
            convert = benchmark.convert if own_form else folder_form(path.stem)
            items.append((where, _convert(convert, row, number, where)))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sources.append(f"{path} (sha256 {digest[:12]})")
    return items, ", ".join(sources)


def _items(
    benchmark: Benchmark, rows: Sequence[tuple[str, Row, int]], source: str
) -> list[tuple[str, Item]]:
    """Of each row its item, or its steps', whose content must be the known one."""
    if benchmark.steps is None:
        return [(where, _convert(benchmark.convert, row, n, where)) for where, row, n in rows]
    steps = benchmark.steps
    items = [
        (f"{where}, step {k}", item)
        for where, row, number in rows
        for k, item in enumerate(_convert(lambda row, _: steps(row), row, number, where))
    ]
    content = content_of(row for _, row, _ in rows)
    if benchmark.content not in (None, content):
        raise QuestionError(
            f"benchmark {benchmark.name}: {source} is not the data set that is known ({len(rows)} "
            f"rows, content {content[:12]}, not {benchmark.content:.12})"
        )
    return items


def _convert(convert: Callable[[Row, int], T], row: Row, number: int, where: str) -> T:
    try:
        return convert(row, number)
    except KeyError as error:
        has = ", ".join(map(str, row)) or "nothing"
        raise QuestionError(f"{where}: no column {error.args[0]!r} (it has {has:.200})") from error
    except ValueError as error:
        raise QuestionError(f"{where}: {error}") from error
