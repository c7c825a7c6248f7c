"""Rows of a data set: those of a file, of the Hub, or of what a Python caller has in hand.

JSON and CSV are read here, and not by `datasets`: it makes one type of a column, so that 007 and
an answer "NA" are lost, and writes a copy of every file.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

from rlsc.errors import QuestionError
from rlsc.runtime import waiting

Row = Mapping[str, object]
"""A row as its source has it, by column."""
Rows = Sequence[tuple[str, Row]]
"""Each with where it stands, for errors."""

_LFS = b"version https://git-lfs"
_MOST_CELL = 2**31 - 1  # characters of a CSV cell; Python's own limit is 131072


def has_file_ending(source: str) -> bool:
    """Whether it is a file by its name."""
    return _kind(Path(source)) in READERS


def is_file(source: str) -> bool:
    """Whether it is a file by its name, or is there; else it is a Hub data set."""
    return has_file_ending(source) or os.path.exists(os.path.expanduser(source))


def read_rows(path: Path) -> Rows:
    """Every row of a file, by its ending, `.gz` or not; blank lines are none.

    Raises `QuestionError` with the file, and the line or row at fault.
    """
    path = path.expanduser()
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise QuestionError(f"no such file: {path}") from error
    except IsADirectoryError as error:
        raise QuestionError(f"{path} is a folder: name a file in it, {_ENDINGS}") from error
    except OSError as error:
        raise QuestionError(f"{path} cannot be read: {error}") from error
    reader = READERS.get(_kind(path))
    if reader is None:
        raise QuestionError(f"{path} is of no kind that is read: {_ENDINGS}, each also as .gz")
    if content.startswith(_LFS):
        raise QuestionError(f"{path} is a Git LFS pointer, not the file: git lfs pull")
    try:
        rows = reader(path, gzip.decompress(content) if path.suffix == ".gz" else content)
    except QuestionError:
        raise
    except UnicodeDecodeError as error:
        raise QuestionError(f"{path} cannot be read as UTF-8 text: {error}") from error
    except (OSError, EOFError, ValueError, RecursionError, csv.Error, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise QuestionError(f"{path} cannot be read as {_kind(path)}: {reason:.200}") from error
    if not rows:
        raise QuestionError(f"{path} is empty: it has no rows, as {{'question': …}}")
    return rows


def _kind(path: Path) -> str:
    """The ending that says what is in a file: of `a.csv.gz` it is `.csv`."""
    name = Path(path.stem) if path.suffix == ".gz" else path
    return name.suffix.lower()


def _json(path: Path, content: bytes) -> Rows:
    """An array of objects, or one object a line."""
    text = content.decode("utf-8-sig")
    if not text.lstrip().startswith("["):
        _check_no_envelope(path, text)
        return _json_lines(path, content)
    rows = _loaded(text)
    return [_object(f"{path}, row {n}", row, "row") for n, row in enumerate(rows, start=1)]


def _check_no_envelope(path: Path, text: str) -> None:
    """One object over several lines is no row: it may hold them, as in {"data": […]}."""
    if "\n" not in text.strip():
        return
    try:
        content = json.loads(text)
    except ValueError:
        return
    if isinstance(content, dict):
        raise QuestionError(
            f"{path} is one object ({', '.join(list(content)[:3])}): an array of rows is wanted, "
            "or one object a line"
        )


def _loaded(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} stands there twice")
    return dict(pairs)


def _json_lines(path: Path, content: bytes) -> Rows:
    rows: list[tuple[str, Row]] = []
    for number, line in enumerate(content.decode("utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            rows.append(_object(where, _loaded(line), "line"))
        except (ValueError, RecursionError) as error:
            if isinstance(error, QuestionError):
                raise
            raise QuestionError(f"{where}: not valid JSON ({error})") from error
    return rows


def _object(where: str, row: object, what: str) -> tuple[str, Row]:
    if not isinstance(row, dict):
        raise QuestionError(f"{where}: each {what} must be a JSON object, as {{'question': …}}")
    return where, row


def _table(delimiter: str) -> Callable[[Path, bytes], Rows]:
    """Of text: a cell is what is written in it, an empty one is no value."""

    def read(path: Path, content: bytes) -> Rows:
        csv.field_size_limit(_MOST_CELL)
        text = io.StringIO(content.decode("utf-8-sig"), newline="")
        lines = (cells for cells in csv.reader(text, delimiter=delimiter, strict=True) if cells)
        header = next(lines, [])
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice is not None:
            raise QuestionError(f"{path}: the column {twice!r} stands there twice")
        rows: list[tuple[str, Row]] = []
        for number, cells in enumerate(lines, start=1):
            where = f"{path}, row {number}"
            if len(cells) != len(header):
                raise QuestionError(f"{where} has {len(cells)} cells under {len(header)} columns")
            rows.append((where, {k: v or None for k, v in zip(header, cells, strict=True)}))
        return rows

    return read


def _text(path: Path, content: bytes) -> Rows:
    """A question a line."""
    lines = enumerate(content.decode("utf-8-sig").split("\n"), start=1)
    return [(f"{path}, line {n}", {"question": line.strip()}) for n, line in lines if line.strip()]


def _parquet(path: Path, content: bytes) -> Rows:
    from pyarrow import parquet

    rows = parquet.ParquetFile(io.BytesIO(content)).read().to_pylist()
    return [(f"{path}, row {number}", row) for number, row in enumerate(rows, start=1)]


READERS: Mapping[str, Callable[[Path, bytes], Rows]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _table(","),
    ".tsv": _table("\t"),
    ".parquet": _parquet,
    ".txt": _text,
}
"""By a file's ending."""
_ENDINGS = ", ".join(READERS)


def read_hub_rows(name: str, config: str | None, split: str, revision: str | None = None) -> Rows:
    """The rows of a Hub data set; without `revision`, of its newest state."""
    import datasets

    pinned = {} if revision is None else {"revision": revision}
    try:
        with waiting(f"reading {name}"):
            data = datasets.load_dataset(name, config, split=split, **pinned)
    except Exception as error:  # the hub raises many kinds; each means "cannot be loaded"
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise QuestionError(
            f"{name!r} is neither a file here ({_ENDINGS}) nor a data set that loads "
            f"(split {split!r}): {reason}"
        ) from error
    if len(data) == 0:
        raise QuestionError(f"{name}, split {split}: no rows")
    return [(f"{name}, row {number}", row) for number, row in enumerate(data)]


def rows_of(dataset: Any, name: str) -> Rows:
    """The rows of a data set in Python, read once and to its end.

    Takes whatever gives rows as mappings (a list, `datasets`' Dataset and IterableDataset), a
    DataFrame, and columns as a mapping of lists. Raises `QuestionError` for anything else.
    """
    if callable(getattr(dataset, "to_dicts", None)):  # polars' DataFrame
        dataset = dataset.to_dicts()
    elif hasattr(dataset, "iloc") and not hasattr(dataset, "columns"):  # pandas' Series
        raise QuestionError(f"{name} is one column: give the table, or {{'prompt': that column}}")
    elif hasattr(dataset, "iloc") and callable(getattr(dataset, "to_dict", None)):  # pandas'
        dataset = dataset.to_dict("records")
    if isinstance(dataset, Mapping):
        dataset = _of_columns(dataset, name)
    iterable = hasattr(dataset, "__iter__") or hasattr(dataset, "__getitem__")
    if isinstance(dataset, str | bytes) or not iterable:
        raise QuestionError(
            f"{name} is {dataset!r:.60}: it must be rows with a 'prompt', such as a list of "
            "mappings or a datasets.Dataset"
        )
    rows: list[tuple[str, Row]] = []
    with waiting(f"reading {name}"):
        for number, row in enumerate(dataset):
            where = f"{name} row {number}"
            if not isinstance(row, Mapping):
                raise QuestionError(f"{where} is {row!r:.60}, not as {{'prompt': …}}")
            rows.append((where, row))
    return rows


def _of_columns(columns: Mapping[Any, Any], name: str) -> Iterable[Row]:
    """Rows of a mapping of columns. A DatasetDict is one of data sets."""
    if any(hasattr(column, "column_names") for column in columns.values()):
        splits = ", ".join(map(repr, columns))
        raise QuestionError(f"{name} is several data sets ({splits}): give one, as data['train']")
    texts = (str, bytes, Mapping)
    single = [c for c, v in columns.items() if isinstance(v, texts) or not hasattr(v, "__len__")]
    if single:
        raise QuestionError(f"{name} is one mapping: give a list of them, or lists as columns")
    lengths = {str(column): len(values) for column, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise QuestionError(f"{name} has columns of different lengths: {lengths}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


# Cells.


def text_of(value: object) -> str:
    """A cell of a text or a number as text; a missing one is empty. Raises `ValueError`."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | Real | Decimal):
        raise ValueError(f"{value!r:.60} is neither text nor a number")
    if not isinstance(value, str) and not math.isfinite(value):
        raise ValueError(f"{value} is no number")
    return str(value).strip()


def _is_missing(value: object) -> bool:
    """None, NaN, or pandas' NA."""
    nan = isinstance(value, float) and math.isnan(value)
    return value is None or nan or type(value).__name__ == "NAType"


def identifiers(rows: Rows) -> list[str]:
    """The id of each row: that of its column `id`, else its number.

    Raises `QuestionError` for one used twice: rows of one id would share a random stream, a
    reference answer and a preference pair.
    """
    ids: list[str] = []
    seen: set[str] = set()
    for number, (where, row) in enumerate(rows):
        given = row.get("id")
        missing = _is_missing(given)
        try:
            identifier = str(number) if missing else text_of(given)
        except ValueError as error:
            raise QuestionError(f"{where}: the id {error}") from error
        if not is_unicode(identifier):
            raise QuestionError(f"{where}: the id holds half a character (lone surrogate)")
        if not identifier:
            raise QuestionError(f"{where}: the id is empty")
        if identifier in seen:
            number_taken = " (rows without one have their number)" if missing else ""
            raise QuestionError(f"{where}: the id {identifier!r} is used twice{number_taken}")
        seen.add(identifier)
        ids.append(identifier)
    return ids


def is_unicode(text: str) -> bool:
    """False where it holds half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
