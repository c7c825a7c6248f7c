"""Benchmarks: the table, reading them from a folder or the Hub, overlap with training.

Every GPQA row here is invented: its authors ask that no real one be shown.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest

from rlsc.data.questions import load_questions
from rlsc.errors import ConfigError, QuestionError
from rlsc.evaluation.benchmarks import table as benchmark_table
from rlsc.evaluation.benchmarks.item import Item
from rlsc.evaluation.benchmarks.loading import load_benchmark
from rlsc.evaluation.benchmarks.table import (
    BENCHMARKS,
    GPQA_COLUMNS,
    PAPER,
    ROWS,
    STEM_SUBJECTS,
    gpqa_item,
    gsm8k_answer,
    minerva_answer,
    plain_number,
    undollared,
)
from rlsc.evaluation.benchmarks.tasks import parse_names
from rlsc.evaluation.contamination import normalise, overlap
from rlsc.types import Question, Task

EIGHT = "aime24 math500 amc23 gsm8k minerva olympiadbench mmlu_stem gpqa_diamond".split()


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def golds(task: Task) -> dict[str, str]:
    return {identifier: task.answers[identifier] for identifier in task.answers}


# The table.


def test_the_eight_of_the_paper_come_first() -> None:
    assert list(PAPER) == EIGHT
    assert len(BENCHMARKS) == len(ROWS)


@pytest.mark.parametrize("benchmark", ROWS, ids=lambda benchmark: benchmark.name)
def test_every_row_is_pinned_and_whole(benchmark: benchmark_table.Benchmark) -> None:
    pinned = (
        benchmark.revision or (benchmark.content or "")[:40]
    )  # by its content, where by no other
    assert re.fullmatch(r"[0-9a-f]{40}", pinned)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", benchmark.hub)
    named = {"minerva": "numeric", "gpqa_diamond": "choice"}
    named |= {f"cruxeval_o{way}": "python_value" for way in ("", "_neutral")}
    named |= {f"cruxeval_i{way}": "python_input" for way in ("", "_neutral")}
    other = "choice" if benchmark.subjects or benchmark.steps else "math"
    assert benchmark.kind == named.get(benchmark.name, other)
    assert benchmark.title
    assert benchmark.licence
    assert benchmark.n > 0
    assert benchmark.version >= 1
    assert benchmark.gated == (benchmark.name == "gpqa_diamond")
    assert all(
        name.endswith((".jsonl", ".csv", ".json")) for names in benchmark.files for name in names
    )


# A folder.

COUNTS = {
    "aime24": 30,
    "math500": 500,
    "amc23": 40,
    "gsm8k": 1319,
    "minerva": 272,
    "olympiadbench": 675,
    "mmlu_stem": 3018,
    "mmlu_stem_19": 3153,
    "svamp": 1000,
}


@pytest.mark.parametrize("name", COUNTS)
def test_real_files_load_complete(name: str, shared_data: Path) -> None:
    found = load_benchmark(name, shared_data)
    assert len(found.questions) == len(found.answers) == found.available == COUNTS[name]
    assert found.complete
    assert all(file in found.source for names in BENCHMARKS[name].files for file in names)
    assert "sha256 " in found.source
    assert set(golds(found)) == {question.id for question in found.questions}
    if found.kind == "choice":
        assert set(found.choices) == set(golds(found))
        assert set(golds(found).values()) == set("ABCD")
    else:
        assert found.choices == {}


def test_the_stem_subjects_are_those_of_the_file(shared_data: Path) -> None:
    rows = map(json.loads, (shared_data / "mmlu_stem.jsonl").read_text().splitlines())
    assert tuple(dict.fromkeys(row["meta"]["subject"] for row in rows)) == STEM_SUBJECTS


@pytest.mark.parametrize(
    ("file", "clean", "changed"),
    [
        ("aime24", plain_number, 7),
        ("minerva_math", minerva_answer, 2),
        ("olympiadbench", undollared, 266),
    ],
)
def test_hub_golds_are_cleaned_as_the_files_were(
    file: str, clean: Any, changed: int, shared_data: Path
) -> None:
    rows = [json.loads(line) for line in (shared_data / f"{file}.jsonl").read_text().splitlines()]
    sources = [row["meta"].get("answer_source") for row in rows]
    cleaned = [
        clean(row["answer"] if source is None else source)
        for row, source in zip(rows, sources, strict=True)
    ]
    assert cleaned == [row["answer"] for row in rows]
    assert sum(source is not None for source in sources) == changed


def test_rows_become_questions_and_golds(tmp_path: Path) -> None:
    rows = [
        {
            "id": "aime24/60",
            "question": " What is 3 + 8? ",
            "answer": " 11 ",
            "choices": ["1", "2"],
        },
        {"question": "Half of 2?", "answer": 1},
    ]
    write(tmp_path / "aime24.jsonl", *rows)
    found = load_benchmark("aime24", tmp_path)
    # Options of a benchmark that is not multiple choice are none of the question's.
    assert found.questions == (
        Question("aime24/60", "What is 3 + 8?"),
        Question("aime24/1", "Half of 2?"),
    )
    assert golds(found) == {"aime24/60": "11", "aime24/1": "1"}
    assert found.kind == "math"
    assert found.choices == {}


def test_options_are_lines_below_the_question(tmp_path: Path) -> None:
    row = {
        "id": "m/0",
        "question": "Which is a star?",
        "answer": "B",
        "choices": ["Mars ", "Sirius"],
    }
    write(tmp_path / "mmlu_stem.jsonl", row)
    found = load_benchmark("mmlu_stem", tmp_path)
    assert found.questions[0].text == "Which is a star?\n\nA. Mars\nB. Sirius"
    assert found.choices == {"m/0": ("Mars", "Sirius")}
    assert found.answers["m/0"] == "B"


def test_limit_takes_the_first(tmp_path: Path) -> None:
    rows = [{"question": f"{n} + {n}?", "answer": str(2 * n)} for n in range(40)]
    write(tmp_path / "amc23.jsonl", *rows)
    assert load_benchmark("amc23", tmp_path).complete
    found = load_benchmark("amc23", tmp_path, limit=3)
    assert [question.text for question in found.questions] == ["0 + 0?", "1 + 1?", "2 + 2?"]
    assert (len(found.answers), found.available, found.complete) == (3, 40, False)
    assert len(load_benchmark("amc23", tmp_path, limit=99).questions) == 40
    with pytest.raises(ConfigError, match="limit is -1"):
        load_benchmark("amc23", tmp_path, limit=-1)


def test_another_number_of_rows_is_flagged_not_refused(tmp_path: Path) -> None:
    rows = [{"question": f"{n} + {n}?", "answer": "1"} for n in range(41)]
    for count in (39, 41):
        write(tmp_path / "amc23.jsonl", *rows[:count])
        found = load_benchmark("amc23", tmp_path)
        assert (len(found.questions), found.available, found.expected) == (count, count, 40)
        assert not found.complete
    # Not even when the limit makes the count come out right.
    assert not load_benchmark("amc23", tmp_path, limit=40).complete


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        QuestionError, match=r"benchmark math500: no math500\.jsonl in .*"
    ) as caught:
        load_benchmark("math500", tmp_path)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(QuestionError, match=r"there is no folder .*nowhere"):
        load_benchmark("math500", tmp_path / "nowhere")
    write(tmp_path / "mmlu_stem.jsonl", {"question": "?", "answer": "A", "choices": ["a", "b"]})
    with pytest.raises(QuestionError, match=r"mmlu_stem_19: no mmlu_anatomy\.jsonl"):
        load_benchmark("mmlu_stem_19", tmp_path)


OPTIONS = {"question": "Which?", "choices": ["a", "b", "c"]}
BAD_ROWS = {
    "no answer": ("math500", {"question": "1 + 1?"}, "there is no answer"),
    "null answer": ("math500", {"question": "1 + 1?", "answer": None}, "there is no answer"),
    "blank answer": ("math500", {"question": "1 + 1?", "answer": " "}, "there is no answer"),
    "odd answer": ("math500", {"question": "1?", "answer": ["2"]}, "neither text nor a number"),
    "true": ("math500", {"question": "1?", "answer": True}, "neither text nor a number"),
    "no question": ("math500", {"problem": "1?", "answer": "2"}, r"no column 'question'.*problem"),
    "blank question": ("math500", {"question": " ", "answer": "2"}, "the question is empty"),
    "same id": ("math500", {"id": "first", "question": "?", "answer": "2"}, "used twice"),
    "surrogate": ("math500", {"question": "\ud800", "answer": "2"}, "half a character"),
    "no letter": ("mmlu_stem", {**OPTIONS, "answer": "b"}, "'b' is not one of its letters ABC"),
    "beyond": ("mmlu_stem", {**OPTIONS, "answer": "D"}, "'D' is not one of its letters ABC"),
    "two letters": ("mmlu_stem", {**OPTIONS, "answer": "AB"}, "'AB' is not one of its letters"),
    "no options": ("mmlu_stem", {"question": "Which?", "answer": "A"}, "needs 2 to 10 options"),
    "one option": ("mmlu_stem", {**OPTIONS, "choices": ["a"], "answer": "A"}, "needs 2 to 10"),
    "empty option": (
        "mmlu_stem",
        {**OPTIONS, "choices": ["a", " "], "answer": "A"},
        "none .* empty",
    ),
    "no list": ("mmlu_stem", {**OPTIONS, "choices": "ab", "answer": "A"}, "not a list of texts"),
    "no gpqa": ("gpqa_diamond", {"Question": "?", "Correct Answer": "x"}, "no column 'Incorrect"),
}


@pytest.mark.parametrize(("name", "row", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_bad_rows_are_named(name: str, row: dict[str, Any], message: str, tmp_path: Path) -> None:
    first = {"id": "first", "question": "Which?", "answer": "A", "choices": ["a", "b"]}
    file = write(tmp_path / f"{name}.jsonl", first, row)
    with pytest.raises(QuestionError, match=message) as caught:
        load_benchmark(name, tmp_path)
    assert f"{file}, line 2" in str(caught.value)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()


# Names.


def test_names() -> None:
    assert parse_names("aime24,math500") == ["aime24", "math500"]
    assert parse_names(" svamp ,, aime24, ") == ["svamp", "aime24"]
    assert parse_names("all") == EIGHT
    assert parse_names("all, mmlu_stem_19") == [*EIGHT, "mmlu_stem_19"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("aime24, aime24", "named twice: aime24"),
        ("all,gsm8k", "named twice: gsm8k"),
        (
            "aime2024",
            r"no benchmark 'aime2024' \(did you mean aime24\?\); choose from: aime24, .*all",
        ),
        ("gsm8k,gpqa", r"'gpqa' \(did you mean gpqa_diamond"),
        ("AIME24", "no benchmark 'AIME24'"),
        ("xyzzy", "no benchmark 'xyzzy'; choose from"),
        (" , ", "no benchmark is named; choose from"),
    ],
)
def test_bad_names(names: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_names(names)


def test_loading_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean minerva"):
        load_benchmark("minerva_math", tmp_path)


# The Hub, with invented rows in each data set's columns.


def mmlu(subject: str, question: str, answer: int = 2) -> dict[str, Any]:
    choices = ["one ", "two", "three", "four"]
    return {"question": question, "subject": subject, "choices": choices, "answer": answer}


def olympiad(answer: list[str]) -> dict[str, Any]:
    return {"id": 1606, "question": "How many?", "final_answer": answer, "unit": None}


MMLU_ROWS = [
    mmlu("abstract_algebra", "Which ring?"),
    mmlu("anatomy", "Which bone?"),
    mmlu("astronomy", "Which star?", 0),
    mmlu("astronomy", "Which moon?", 3),
    mmlu("world_religions", "Which creed?"),
]
LETTERED = "\n\nA. one\nB. two\nC. three\nD. four"
HUB = {
    "aime24": (
        [
            {
                "id": 67,
                "problem": "How many?",
                "solution": "…",
                "answer": "025",
                "url": "",
                "year": "2024",
            }
        ],
        [("aime24/67", "How many?", "25")],
    ),
    "math500": (
        [
            {
                "problem": "Find $x$. ",
                "solution": "…",
                "answer": "\\frac{1}{2}",
                "subject": "Algebra",
                "level": 2,
                "unique_id": "test/algebra/1.json",
            }
        ],
        [("math500/test/algebra/1.json", "Find $x$.", "\\frac{1}{2}")],
    ),
    "amc23": (
        [{"id": 0, "answer": "27.0", "url": "", "question": "How many miles?"}],
        [("amc23/0", "How many miles?", "27")],
    ),
    "gsm8k": (
        [
            {"question": "How much?", "answer": "3+4=<<3+4=7>>7\n#### 7"},
            {"question": "And now?", "answer": "It doubles.\n#### -1,400"},
        ],
        [("gsm8k_test/0", "How much?", "7"), ("gsm8k_test/1", "And now?", "-1400")],
    ),
    "minerva": (
        [{"question": "How bright?", "answer": "4.5e33"}],
        [("minerva_math/0", "How bright?", "4.5e33")],
    ),
    "olympiadbench": (
        [olympiad(["$\\quad\\frac{1}{2 n}$,$3$."])],
        [("olympiadbench/1606", "How many?", "\\frac{1}{2 n},3")],
    ),
    "mmlu_stem": (
        MMLU_ROWS,
        [
            ("mmlu_stem/astronomy/0", "Which star?" + LETTERED, "A"),
            ("mmlu_stem/astronomy/1", "Which moon?" + LETTERED, "D"),
            ("mmlu_stem/abstract_algebra/0", "Which ring?" + LETTERED, "C"),
        ],
    ),
    "mmlu_stem_19": (
        MMLU_ROWS,
        [
            ("mmlu_stem/astronomy/0", "Which star?" + LETTERED, "A"),
            ("mmlu_stem/astronomy/1", "Which moon?" + LETTERED, "D"),
            ("mmlu_stem/abstract_algebra/0", "Which ring?" + LETTERED, "C"),
            ("mmlu_anatomy/anatomy/0", "Which bone?" + LETTERED, "C"),
        ],
    ),
    "svamp": (
        [
            {
                "ID": "chal-1",
                "Body": "A pen costs 2 dollars",
                "Question": "And 3?",
                "Answer": "6.0",
            },
            {"ID": "chal-2", "Body": "It is late. ", "Question": "How late?", "Answer": "7"},
        ],
        [
            ("svamp/chal-1", "A pen costs 2 dollars. And 3?", "6"),
            ("svamp/chal-2", "It is late. How late?", "7"),
        ],
    ),
}


def hub(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]]) -> list[Any]:
    asked: list[Any] = []
    data = datasets.Dataset.from_list(rows)
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: asked.append((a, k)) or data)
    return asked


@pytest.mark.parametrize("name", HUB)
def test_hub_rows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, expected = HUB[name]
    asked = hub(monkeypatch, rows)
    found = load_benchmark(name)
    texts = {question.id: question.text for question in found.questions}
    assert [(key, texts[key], gold) for key, gold in golds(found).items()] == expected
    benchmark = BENCHMARKS[name]
    pin = {"split": benchmark.split, "revision": benchmark.revision}
    assert asked == [((benchmark.hub, benchmark.config), pin)]
    assert found.source == f"{benchmark.hub}@{benchmark.revision}"
    assert not found.complete
    if benchmark.kind == "choice":
        assert set(found.choices.values()) == {("one", "two", "three", "four")}


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("gsm8k", {"question": "?", "answer": "42"}, "row 0: the answer has no '####'"),
        ("gsm8k", {"question": "?", "answer": "so\n#### "}, "row 0 .*there is no answer"),
        ("aime24", {"id": 1, "question": "?", "answer": "4"}, "row 0: no column 'problem'"),
        ("aime24", {"id": 1, "problem": "?", "answer": None}, "row 0 .*there is no answer"),
        ("olympiadbench", olympiad(["$1$", "$2$"]), "row 0: 'final_answer' is not a list of one"),
        ("olympiadbench", olympiad([]), "row 0: 'final_answer' is not a list of one"),
        ("mmlu_stem", mmlu("astronomy", "?", 4), "row 0 .*'4' is not one of its letters ABCD"),
        ("mmlu_stem", mmlu("astronomy", "?", -1), "row 0 .*'-1' is not one of its letters ABCD"),
    ],
)
def test_bad_hub_rows_are_named(
    name: str, row: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub(monkeypatch, [row])
    with pytest.raises(QuestionError, match=f"{BENCHMARKS[name].hub}, {message}"):
        load_benchmark(name)


def test_a_hub_without_the_subjects(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, [mmlu("world_religions", "Which creed?")])
    with pytest.raises(QuestionError, match="mmlu_stem: cais/mmlu has none of its subjects"):
        load_benchmark("mmlu_stem")


def test_a_revision_that_is_not_pinned_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BENCHMARKS, "minerva", replace(BENCHMARKS["minerva"], revision=None))
    asked = hub(monkeypatch, HUB["minerva"][0])
    assert load_benchmark("minerva").source == "math-ai/minervamath (revision not pinned)"
    assert asked == [(("math-ai/minervamath", None), {"split": "test"})]


def test_a_hub_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(
        QuestionError, match=r"math500: .*no route; .*put math500\.jsonl.*--data_dir"
    ):
        load_benchmark("math500")
    with pytest.raises(QuestionError) as caught:
        load_benchmark("gpqa_diamond")
    message = str(caught.value)
    assert "accept its terms at https://huggingface.co/datasets/Idavidrein/gpqa, " in message
    assert "`hf auth login`" in message
    assert "gpqa_diamond.csv into a folder and name it with --data_dir" in message
    assert "\n" not in message


# GPQA, invented.


def gpqa(number: int, **more: str) -> dict[str, str]:
    options = (f"right {number}", *(f"wrong {number}/{index}" for index in range(3)))
    return {
        "Question": f"Invented {number}?",
        **dict(zip(GPQA_COLUMNS, options, strict=True)),
        **more,
    }


def gpqa_csv(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "gpqa_diamond.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_gpqa_from_each_source_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        gpqa(n, **{"Record ID": f"rec{n}", "Explanation": 'long,\n"quoted"'}) for n in range(198)
    ]
    hub(monkeypatch, rows)
    gpqa_csv(tmp_path, rows)
    from_hub, from_csv = load_benchmark("gpqa_diamond"), load_benchmark("gpqa_diamond", tmp_path)
    write(tmp_path / "gpqa_diamond.jsonl", *rows)
    from_jsonl = load_benchmark("gpqa_diamond", tmp_path)
    assert "gpqa_diamond.jsonl" in from_jsonl.source
    assert from_hub.complete
    for found in (from_csv, from_jsonl):
        assert found.questions == from_hub.questions
        assert golds(found) == golds(from_hub)
        assert found.choices == from_hub.choices
    for number, question in enumerate(from_hub.questions):
        assert question.id == f"gpqa_diamond/rec{number}"
        choices = from_hub.choices[question.id]
        assert choices["ABCD".index(from_hub.answers[question.id])] == f"right {number}"
        assert sorted(choices) == sorted(rows[number][column] for column in GPQA_COLUMNS)


def test_every_letter_is_right_about_as_often() -> None:
    counts = Counter(gpqa_item(gpqa(number), number).answer for number in range(2000))
    # 500 ± 19.4 each; beyond ± 100 (5 σ) by chance for one set of seeds in 400,000.
    assert set(counts) == set("ABCD")
    assert all(400 < count < 600 for count in counts.values())


def test_the_order_hangs_on_the_id_alone_and_on_every_machine() -> None:
    """Pinned: accuracies of a kept run rest on these orders."""
    assert [gpqa_item(gpqa(0), number).answer for number in range(12)] == list("BDCDABBBDCCD")
    named = gpqa(0, **{"Record ID": "rec0"})
    assert gpqa_item(named, 0) == gpqa_item(named, 5)
    assert gpqa_item(named, 0).choices == gpqa_item({**named, "Question": "Other?"}, 0).choices


def test_gpqa_in_the_folder_form(tmp_path: Path) -> None:
    row = {"question": "Invented?", "answer": "B", "choices": ["w", "r", "v", "u"]}
    write(tmp_path / "gpqa_diamond.jsonl", row)
    found = load_benchmark("gpqa_diamond", tmp_path)
    assert found.choices == {"gpqa_diamond/0": ("w", "r", "v", "u")}
    assert found.answers["gpqa_diamond/0"] == "B"


def test_gpqa_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(
        QuestionError, match=r"no gpqa_diamond\.jsonl or gpqa_diamond\.csv in .*hf auth"
    ):
        load_benchmark("gpqa_diamond", tmp_path)
    path = gpqa_csv(tmp_path, [gpqa(0), {**gpqa(1), "Correct Answer": ""}])
    with pytest.raises(QuestionError, match=r"gpqa_diamond\.csv, row 2 .*none of them empty"):
        load_benchmark("gpqa_diamond", tmp_path)
    path.write_text("Question,Answer\nInvented?,yes\n")
    with pytest.raises(
        QuestionError, match=r"row 1: no column 'Correct Answer' \(it has Question, A"
    ):
        load_benchmark("gpqa_diamond", tmp_path)
    path.write_text("Question,Correct Answer\n")
    with pytest.raises(QuestionError, match="has no rows"):
        load_benchmark("gpqa_diamond", tmp_path)
    path.write_bytes(b"Question\ncaf\xe9\n")
    with pytest.raises(QuestionError, match="cannot be read as UTF-8 text"):
        load_benchmark("gpqa_diamond", tmp_path)


# Golds.


@pytest.mark.parametrize(
    ("clean", "value", "expected"),
    [
        (plain_number, "025", "25"),
        (plain_number, 27.0, "27"),
        (plain_number, "000", "0"),
        (plain_number, "-1.50", "-1.50"),
        (plain_number, "1/2", "1/2"),
        (plain_number, "inf", "inf"),
        (plain_number, None, ""),
        (gsm8k_answer, "#### no\n#### 1,234,567 ", "1234567"),
        (undollared, "$1$.", "1"),
        (undollared, "1.5", "1.5"),
        (undollared, "$ \\quad(1, 2)$", "(1, 2)"),
        (minerva_answer, " a+$ $b\n", "a+ b"),
    ],
)
def test_golds_are_cleaned(clean: Any, value: object, expected: str) -> None:
    assert clean(value) == expected


# Overlap.


def asked(*texts: str) -> list[Question]:
    return [Question(str(number), text) for number, text in enumerate(texts)]


SAME = [
    ("What is 3 + 8?", "  what is\t3+8 "),
    ("Find $x^{2}+1$.", "Find \\(x^2 + 1\\)"),
    ("Let $f(x)=x\\,dx$, and\\quad find it!", "Let $f(x) = x dx$ and find it!"),
    ("It costs \\$1{,}000.", "It costs $1,000"),
    ("It has 12,500 rows", "It has 12500 rows"),
    ("$\\dfrac{1}{2}$ of it", "$\\frac12$ of it"),
    ("Janet’s “fresh” eggs", 'Janet\'s "fresh" eggs'),
    ("5 − 3", "5 - 3"),
    ("$\\left( 3, \\frac{\\pi}{2} \\right)$", "$(3,\\frac{\\pi}{2})$"),
    ("\uff12\uff0b\uff12", "2+2"),
    ("Find it:\nnow", "Find it: now"),
]
DIFFERENT = [
    ("What is 3 + 8?", "What is 3 + 9?"),
    ("What is 3 + 8?", "What is 3 - 8?"),
    ("1.5 litres", "15 litres"),
    ("1 2", "12"),
    ("1  2", "12"),
    ("the ratio 3:4", "the ratio 34"),
    ("(1, 2)", "(12)"),
    ("$\\frac{1}{23}$", "$\\frac{12}{3}$"),
    ("$f'(2)$", "$f(2)$"),
    ("5!", "5"),
    ("$x^2$", "$x_2$"),
    ("What is 3 + 8?", "What is 3 + 8? And then?"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_copies_overlap(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)
    assert normalise(normalise(one)) == normalise(one)
    assert overlap(asked(one), asked("Something else?", other)) == ["1"]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_other_questions_do_not_overlap(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)
    assert overlap(asked(one), asked(other)) == []


STARS = "Which is a star?\n\nA. Mars\nB. Sirius\nC. Io"
CHOICE = {
    "same": (STARS, STARS, True),
    "stem only was trained on": ("Which is a star?", STARS, True),
    "stem only is asked": (STARS, "Which is a star?", True),
    "options in another order": (STARS, "Which is a star?\nA. Io\nB. Mars\nC. Sirius", True),
    "other labels": (STARS, "Which is a star?\n(A) Mars\n(B) Sirius\n(C) Io", True),
    "more options": (STARS, STARS + "\nD. Vega", True),
    "other options": (STARS, "Which is a star?\n\nA. Moon\nB. Vega\nC. Io", False),
    "other stem": (STARS, STARS.replace("star", "moon"), False),
    "an A. in the stem": ("A. Ant wrote:\n" + STARS, "A. Ant wrote:\n" + STARS, True),
    "a later list is the options": ("A. x\nB. y\n" + STARS, "A. x\nB. z\n" + STARS, False),
}


@pytest.mark.parametrize(("trained", "evaluated", "expected"), CHOICE.values(), ids=CHOICE)
def test_overlap_of_multiple_choice(trained: str, evaluated: str, expected: bool) -> None:
    assert overlap(asked(trained), asked(evaluated)) == (["0"] if expected else [])


def test_options_that_span_lines_are_compared_whole() -> None:
    one = Item("0", "Which?", "A", ("x = 1\ny = 2", "x = 2\ny = 1")).text
    other = Item("1", "Which?", "A", ("x = 1\ny = 2", "x = 2\ny = 3")).text
    assert overlap(asked(one), asked(one)) == ["0"]
    assert overlap(asked(one), asked(other)) == []


def test_overlap_of_real_files(shared_data: Path) -> None:
    def trained(name: str) -> tuple[Question, ...]:
        return load_questions(str(shared_data / f"{name}.jsonl")).train

    amc = load_benchmark("amc23", shared_data).questions
    assert overlap(trained("amc_ttt"), amc) == [question.id for question in amc]
    assert overlap(trained("amc_ttt"), load_benchmark("aime24", shared_data).questions) == []
    gsm8k = load_benchmark("gsm8k", shared_data).questions
    assert overlap(trained("gsm8k_train"), gsm8k) == []
    # MMLU took these from the MATH test set, in words that are the same but for the options.
    mmlu = load_benchmark("mmlu_stem", shared_data).questions
    found = overlap(trained("math500"), mmlu)
    assert found == [
        f"mmlu_stem/high_school_mathematics/{n}" for n in (64, 172, 177, 214, 233, 241)
    ]
