"""Grading at the size of the benchmarks: every gold against itself, and thousands of responses."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from rlsc.evaluation.benchmarks.table import BENCHMARKS
from rlsc.grading import Grader, Item, answer_key
from rlsc.types import Verdict

# Rows, dubious rows among them (shared/data/README.md), kind.
FILES = {
    "aime24": (30, 0, "math"),
    "amc23": (40, 0, "math"),
    "gsm8k_test": (1319, 0, "math"),
    "math500": (500, 1, "math"),
    "minerva_math": (272, 8, "numeric"),
    "olympiadbench": (675, 3, "math"),
    "mmlu_stem": (3018, 4, "choice"),
    "mmlu_anatomy": (135, 0, "choice"),
    "svamp": (1000, 1, "math"),
}
SAMPLE = 4_000
SECONDS = 90.0


def read(folder: Path, name: str) -> list[dict]:
    """The rows that are not marked as dubious."""
    rows = map(json.loads, (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())
    return [row for row in rows if "note" not in row.get("meta", {})]


@pytest.fixture(scope="module")
def grader():
    with Grader(workers=2) as one:
        yield one


@pytest.mark.parametrize("name", FILES)
def test_every_gold_is_correct_against_itself(name: str, shared_data: Path, grader: Grader) -> None:
    count, dubious, kind = FILES[name]
    rows = read(shared_data, name)
    assert len(rows) == count - dubious
    items = [
        Item(rf"So it is $\boxed{{{row['answer']}}}$.", row["answer"], kind, row.get("choices"))
        for row in rows
    ]
    judged = zip(rows, grader.grade_all(items), strict=True)
    wrong = [(row["id"], one) for row, one in judged if one.verdict is not Verdict.CORRECT]
    assert wrong == []


def test_the_kinds_are_those_of_the_table() -> None:
    assert {BENCHMARKS[name].kind for name in ("aime24", "amc23", "gsm8k", "math500")} == {"math"}
    assert BENCHMARKS["olympiadbench"].kind == "math"
    assert BENCHMARKS["minerva"].kind == "numeric"
    assert BENCHMARKS["mmlu_stem"].kind == "choice"


def test_options_are_correct_by_their_text(shared_data: Path, grader: Grader) -> None:
    """Of every tenth question of MMLU-STEM; a few texts end like a letter or like each other."""
    rows = read(shared_data, "mmlu_stem")[::10]
    items = []
    for row in rows:
        text = row["choices"]["ABCD".index(row["answer"])]
        items.append(Item(f"The answer is {text}", row["answer"], "choice", row["choices"]))
    verdicts = Counter(one.verdict for one in grader.grade_all(items))
    assert verdicts[Verdict.CORRECT] >= 0.98 * len(rows)
    assert verdicts[Verdict.TIMEOUT] == 0


def test_models_responses_agree_with_their_labels(shared_data: Path, grader: Grader) -> None:
    """ProcessBench's, where the question is one of ours. Of the four others three have the
    reference's very value and are labelled as wrong; one is two counts in words for their sum."""
    golds = {
        " ".join(row["question"].split()): row["answer"]
        for name in ("gsm8k_test", "math500")
        for row in read(shared_data, name)
    }
    rows = [
        row
        for name in ("gsm8k", "math")
        for row in json.loads((shared_data / f"processbench_{name}.json").read_text("utf-8"))
        if " ".join(row["problem"].split()) in golds
    ]
    items = [Item("\n\n".join(r["steps"]), golds[" ".join(r["problem"].split())]) for r in rows]
    judged = zip(rows, grader.grade_all(items), strict=True)
    agreed = sum(r["final_answer_correct"] == (j.verdict is Verdict.CORRECT) for r, j in judged)
    assert len(rows) >= 400
    assert agreed >= len(rows) - 4


PROSE = (
    "Let us work through this step by step. First, write down what is given: there are 12 of them "
    "and each counts 3 times, so $12 \\times 3 = 36$.\n\nNext, let $x$ be the unknown. Then "
    "\\[ x^2 - 5x + 6 = 0, \\] and factoring gives $(x-2)(x-3) = 0$. Checking both cases against "
    "the conditions leaves one of them, and simplifying we find the value that was asked for.\n\n"
)


def responses(folder: Path, count: int) -> list[tuple[Item, Verdict | None]]:
    """Shuffled golds in prose, and wrong numbers; with the verdict where it is certain."""
    draw = random.Random(0)
    pool = [
        (row, kind)
        for name, (_, _, kind) in FILES.items()
        if kind != "choice"
        for row in read(folder, name)
    ]
    found: list[tuple[Item, Verdict | None]] = []
    while len(found) < count:
        row, kind = draw.choice(pool)
        gold = row["answer"]
        number = str(draw.randrange(2, 10**6))
        text = PROSE * draw.randrange(1, 12)
        same_number = answer_key(number) == answer_key(gold)
        wrong = Verdict.WRONG if kind == "math" and not same_number else None
        form = len(found) % 5
        response, verdict = (
            (rf"{text}Therefore the final answer is $\boxed{{{gold}}}$.", Verdict.CORRECT),
            (f"{text}The answer is ${gold}$.", None),
            (rf"{text}Hence \[ \boxed{{{number}}} \]", wrong),
            (f"{text}So there are {number} of them in all.", wrong),
            (rf"{text}This gives $\frac{{{number}}}{{7}} + \sqrt{{{gold}", None),
        )[form]
        found.append((Item(response, gold, kind), verdict))
    return found


def test_thousands_of_responses_are_graded_in_time(shared_data: Path) -> None:
    cases = responses(shared_data, SAMPLE)
    with Grader(workers=2) as grader:
        started = time.monotonic()
        judgements = list(grader.grade_all(item for item, _ in cases))
        seconds = time.monotonic() - started
    verdicts = Counter(one.verdict for one in judgements)
    assert verdicts[Verdict.TIMEOUT] == 0
    assert seconds < SECONDS
    unexpected = [
        (item.reference, item.response[-60:], one)
        for (item, verdict), one in zip(cases, judgements, strict=True)
        if verdict is not None and one.verdict is not verdict
    ]
    assert unexpected == []
    # Without a box, nearly all golds are understood too.
    stated = [one for (item, _), one in zip(cases, judgements, strict=True) if is_stated(item)]
    correct = sum(one.verdict is Verdict.CORRECT for one in stated)
    assert len(stated) == SAMPLE / 5
    assert correct >= 0.99 * len(stated)


def is_stated(item: Item) -> bool:
    return item.response.endswith(f"The answer is ${item.reference}$.")
