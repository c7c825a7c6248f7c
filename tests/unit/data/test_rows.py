"""Rows of files, whatever their kind, and of what a Python caller has in hand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy
import pandas
import pytest
from pyarrow import Table, parquet

from rlsc.data.messages import as_prompt
from rlsc.data.questions import load_questions
from rlsc.data.rows import READERS, identifiers, read_rows, rows_of, text_of
from rlsc.errors import QuestionError

ROWS = [{"question": "1 + 1?", "answer": "02"}, {"question": "NA?", "answer": None}]


def written(folder: Path, ending: str) -> Path:
    """`ROWS` in a file of this kind."""
    file = folder / f"mine [1]{ending}"
    if ending == ".parquet":
        parquet.write_table(Table.from_pylist(ROWS), file)
    elif ending == ".json":
        file.write_text(json.dumps(ROWS, indent=1))
    elif ending == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    elif ending == ".txt":
        file.write_text("1 + 1?\n\nNA?\r\n")
    else:
        cells = [["question", "answer"], ["1 + 1?", "02"], ['"NA?"', ""]]
        file.write_text("\n".join(("," if ending == ".csv" else "\t").join(row) for row in cells))
    return file


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("ending", READERS)
def test_a_file_of_any_kind_has_the_same_questions(
    tmp_path: Path, ending: str, gzipped: bool
) -> None:
    file = written(tmp_path, ending)
    if gzipped:
        file = file.with_name(file.name + ".gz")
        file.write_bytes(gzip.compress(written(tmp_path, ending).read_bytes()))
    found = load_questions(str(file))
    assert [question.text for question in found.train] == ["1 + 1?", "NA?"]
    answers = {name: found.answers[name] for name in found.answers}
    assert answers == ({} if ending == ".txt" else {"0": "02"})


def test_numbers_of_one_json_file_keep_their_types(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '[{"question": "a", "answer": 1}, {"question": "b", "answer": "2"}]'
    )
    assert [row["answer"] for _, row in read_rows(tmp_path / "a.json")] == [1, "2"]


def test_a_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.jsonl").write_text(json.dumps(ROWS[0]))
    assert load_questions("~/mine.jsonl").train[0].text == "1 + 1?"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"question,answer\n1?,2,3\n", "row 1 has 3 cells under 2 columns"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b'question\n"open', "cannot be read as .csv"),
        ("a.json", b'[{"question": ', "cannot be read as .json"),
        ("a.json", b"[7]", "row 1: each row must be a JSON object"),
        ("a.parquet", b"PAR", "cannot be read as .parquet"),
        ("a.jsonl.gz", b"{}", "cannot be read as .jsonl"),
        ("a.jsonl.gz", gzip.compress(b"{}" * 99, mtime=0)[:-9], "cannot be read as .jsonl"),
        ("a.txt", b"caf\xe9", "cannot be read as UTF-8"),
        ("a.xlsx", b"x", r"is of no kind that is read: \.jsonl, \.json, \.csv"),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (
            "a.csv",
            b"text,answer\n1?,2\n",
            r"no column .*\(it has text, answer\).*--question_column",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_named_in_a_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(QuestionError, match=message) as caught:
        load_questions(str(tmp_path / name))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


# In Python.

PROMPTS = [{"prompt": "1?", "id": "a"}, {"prompt": [{"role": "user", "content": "2?"}], "id": None}]


def stream() -> Iterator[dict[str, object]]:
    yield from PROMPTS


class Indexed:
    """As torch's Dataset: `__getitem__` and `__len__` alone."""

    def __len__(self) -> int:
        return len(PROMPTS)

    def __getitem__(self, at: int) -> dict[str, object]:
        return PROMPTS[at]


@pytest.mark.parametrize(
    "dataset",
    [
        PROMPTS,
        tuple(PROMPTS),
        stream(),
        datasets.IterableDataset.from_generator(stream),
        pandas.DataFrame(PROMPTS),
        {"prompt": [row["prompt"] for row in PROMPTS], "id": ["a", None]},
        Indexed(),
    ],
    ids=["list", "tuple", "generator", "IterableDataset", "DataFrame", "columns", "torch"],
)
def test_whatever_gives_rows_is_read(dataset: object) -> None:
    rows = rows_of(dataset, "train_dataset")
    assert [where for where, _ in rows] == ["train_dataset row 0", "train_dataset row 1"]
    assert [row["prompt"] for _, row in rows] == [row["prompt"] for row in PROMPTS]


def test_arrays_of_a_data_frame_are_lists() -> None:
    frame = pandas.DataFrame({"prompt": [numpy.array([{"role": "user", "content": "1?"}])]})
    ((where, row),) = rows_of(frame, "train_dataset")
    assert as_prompt(row["prompt"], where) == [{"role": "user", "content": "1?"}]


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("openai/gsm8k", "is 'openai/gsm8k': it must be rows with a 'prompt'"),
        (7, "is 7: it must be rows"),
        (["1?"], r"row 0 is '1\?'"),
        ([{"prompt": "1?"}, None], "row 1 is None"),
        ({"prompt": "1?"}, "is one mapping"),
        ({"prompt": ["1?"], "id": [1, 2]}, "columns of different lengths"),
        (pandas.Series(["1?"]), "train_dataset is one column: give the table"),
        (
            datasets.DatasetDict({"train": datasets.Dataset.from_list([{"prompt": "1?"}])}),
            r"several data sets \('train'\)",
        ),
    ],
    ids=["name", "number", "texts", "None", "row", "lengths", "Series", "DatasetDict"],
)
def test_what_gives_no_rows_is_refused_in_a_line(dataset: object, message: str) -> None:
    with pytest.raises(QuestionError, match=message) as caught:
        rows_of(dataset, "train_dataset")
    assert "\n" not in str(caught.value)


def test_cells_as_text() -> None:
    assert [text_of(value) for value in (None, " a ", 7, 0.5)] == ["", "a", "7", "0.5"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "question,question,answer\na,b,c\n", "the column 'question' stands there twice"),
        ("a.jsonl", '{"question": "a", "question": "b"}\n', "'question' stands there twice"),
        ("a.json", '[{"question": "a", "question": "b"}]', "'question' stands there twice"),
        ("a.json", '{\n"data": [{"question": "a"}]\n}', "is one object .data.: an array of rows"),
    ],
)
def test_what_would_be_read_by_halves_is_refused(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(QuestionError, match=message):
        read_rows(tmp_path / name)


def test_ids_of_numpy_and_pandas() -> None:
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    rows = [("row", {"id": value}) for value in (numpy.int64(7), pandas.NA, numpy.float64("nan"))]
    assert identifiers(rows) == ["7", "1", "2"]
