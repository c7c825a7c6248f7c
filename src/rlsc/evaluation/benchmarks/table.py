"""The benchmarks as a table of data: where each one's questions stand, and how a row is read.

Every revision below was read off public code or Hub pages that name it together with its data
set; the row counts and columns of that revision come from the same places.

Left out: prompts and grading, which are the same idea for every benchmark and have their own
modules.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import cast

from rlsc.data import Row, text_of
from rlsc.environments import python_question
from rlsc.evaluation.benchmarks.item import Item
from rlsc.evaluation.benchmarks.processbench import step_items
from rlsc.types import LETTERS, AnswerKind, Check

Converter = Callable[[Row, int], Item]
"""Hub row and its number (within its subject, where there are subjects) → item.

Raises `KeyError` for a column that is missing, `ValueError` for a value that cannot be read.
"""


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: its Hub data set, its local files, and what to expect of them.

    ``files`` are all needed, each under any one of the names given for it. ``subjects`` are the
    only ones kept, in this order. ``version`` rises when the text or gold of a row changes.
    """

    name: str
    title: str
    hub: str
    revision: str | None
    config: str | None
    split: str
    convert: Converter
    kind: AnswerKind
    n: int
    files: tuple[tuple[str, ...], ...]
    licence: str
    subjects: tuple[str, ...] = ()
    gated: bool = False
    own_form: bool = False
    """Whether local files have the source's columns too."""
    version: int = 1
    steps: Callable[[Row], list[Item]] | None = None
    """In place of ``convert`` where a row is a solution, whose steps are the items."""
    content: str | None = None
    """`processbench.content_of` its rows, which must be these: where no revision is known."""


def plain_number(value: object) -> str:
    """Drop leading zeros and an empty fraction: 025 → 25, 27.0 → 27. Other text stays."""
    text = text_of(value)
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return str(int(number)) if number.is_finite() and number == int(number) else text


def gsm8k_answer(value: object) -> str:
    """The number after ``####``, without thousands commas."""
    _, mark, answer = text_of(value).rpartition("####")
    if not mark:
        raise ValueError("the answer has no '####' before its number")
    return answer.strip().replace(",", "")


def undollared(value: object) -> str:
    """LaTeX without its dollar signs, a leading ``\\quad`` and a trailing full stop."""
    text = text_of(value).replace("$", "").strip()
    return text.removeprefix("\\quad").removesuffix(".").strip()


def minerva_answer(value: object) -> str:
    """One gold leaves and re-enters mathematics: a space stands for its ``$ $``."""
    return text_of(value).replace("$ $", " ")


def columns(
    prefix: str,
    question: str,
    source_id: str | None = None,
    clean: Callable[[object], str] = text_of,
) -> Converter:
    """Reads question, `answer`; the id is PREFIX/number, or PREFIX/SOURCE_ID where rows have it."""

    def convert(row: Row, number: int) -> Item:
        identifier = number if source_id is None else row[source_id]
        return Item(f"{prefix}/{identifier}", text_of(row[question]), clean(row["answer"]))

    return convert


def folder_form(prefix: str) -> Converter:
    """Rows of a user's file: question, answer; id and choices where there are any."""
    plain = columns(prefix, "question")

    def convert(row: Row, number: int) -> Item:
        item = plain({"answer": None, **row}, number)
        identifier = text_of(row.get("id")) or item.id
        return Item(identifier, item.question, item.answer, choices_of(row))

    return convert


def choices_of(row: Row) -> tuple[str, ...]:
    """The options in a row's column `choices`, if it has one. Raises `ValueError`."""
    choices = row.get("choices") or ()
    if not isinstance(choices, list | tuple) or not all(isinstance(c, str) for c in choices):
        raise ValueError("'choices' is not a list of texts")
    return tuple(map(str.strip, choices))


def olympiad_item(row: Row, number: int) -> Item:
    """`final_answer` is a list of one, several values being written within it."""
    answers = row["final_answer"]
    if not isinstance(answers, list) or len(answers) != 1:
        raise ValueError(f"'final_answer' is not a list of one answer: {answers!r:.60}")
    return Item(f"olympiadbench/{row['id']}", text_of(row["question"]), undollared(answers[0]))


def mmlu_item(row: Row, number: int) -> Item:
    """`answer` is the index of the option."""
    subject, index = row["subject"], row["answer"]
    # Anatomy is a file of its own in the folder form, and ids are the same from either source.
    prefix = "mmlu_anatomy" if subject == "anatomy" else "mmlu_stem"
    choices = tuple(map(text_of, cast(Iterable[object], row["choices"] or ())))
    letter = (
        LETTERS[index] if isinstance(index, int) and 0 <= index < len(choices) else text_of(index)
    )
    return Item(f"{prefix}/{subject}/{number}", text_of(row["question"]), letter, choices)


def svamp_item(row: Row, number: int) -> Item:
    """Body and question, with a full stop between them where the body has none."""
    body = text_of(row["Body"])
    text = f"{body}{'' if body.endswith('.') else '.'} {text_of(row['Question'])}"
    return Item(f"svamp/{row['ID']}", text, plain_number(row["Answer"]))


GPQA_CORRECT = "Correct Answer"
GPQA_COLUMNS = (GPQA_CORRECT, *(f"Incorrect Answer {number}" for number in (1, 2, 3)))


def gpqa_item(row: Row, number: int) -> Item:
    """Options in an order drawn from the question's id: the same on every machine.

    Sorting by `random.random` rather than `shuffle`, as Python promises to keep only the former
    reproducible across its versions.
    """
    identifier = f"gpqa_diamond/{text_of(row.get('Record ID')) or number}"
    options = [text_of(row[column]) for column in GPQA_COLUMNS]
    generator = random.Random(f"rlsc/{identifier}")
    keys = [generator.random() for _ in options]
    order = sorted(range(len(options)), key=keys.__getitem__)
    choices = tuple(options[index] for index in order)
    return Item(identifier, text_of(row["Question"]), LETTERS[order.index(0)], choices)


def cruxeval(asked: str, neutral: bool = False) -> Converter:
    """`asked` is what is hidden, the output or an input; `neutral`: in other words than AZR's.

    The answer to an input is written as the call, since there may be no argument.
    """
    name = f"cruxeval_{asked[0]}{'_neutral' if neutral else ''}"

    def convert(row: Row, number: int) -> Item:
        program, given = text_of(row["code"]), text_of(row["input"])
        output = text_of(row["output"])
        text = python_question(asked, program, given, output, neutral)
        if asked == "output":
            return Item(f"{name}/{row['id']}", text, output)
        check = Check(program, output)
        return Item(f"{name}/{row['id']}", text, f"f({given})", check=check)

    return convert


# The grouping of MMLU's authors (18 subjects); lm-evaluation-harness adds anatomy. The order is
# that of the folder form, so that --limit takes the same questions from either source.
STEM_SUBJECTS = tuple(
    "college_biology astronomy electrical_engineering high_school_biology machine_learning "
    "abstract_algebra high_school_mathematics high_school_computer_science college_chemistry "
    "high_school_chemistry computer_security conceptual_physics high_school_physics "
    "college_physics high_school_statistics elementary_mathematics college_mathematics "
    "college_computer_science".split()
)

# fmt: off
ROWS = (
    Benchmark(
        "aime24", "AIME 2024", "HuggingFaceH4/aime_2024",
        revision="2fe88a2f1091d5048c0f36abc874fb997b3dd99a", config=None, split="train",
        convert=columns("aime24", "problem", source_id="id", clean=plain_number),
        kind="math", n=30, files=(("aime24.jsonl",),), licence="none stated (MAA, AIME 2024)",
    ),
    Benchmark(
        "math500", "MATH-500", "HuggingFaceH4/MATH-500",
        revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be", config=None, split="test",
        convert=columns("math500", "problem", source_id="unique_id"),
        kind="math", n=500, files=(("math500.jsonl",),), licence="MIT (hendrycks/math)",
    ),
    Benchmark(
        "amc23", "AMC 2023", "math-ai/amc23",
        revision="80815d37005feb82cd7f8fbc6901d5d3eff43057", config=None, split="test",
        convert=columns("amc23", "question", source_id="id", clean=plain_number),
        kind="math", n=40, files=(("amc23.jsonl",),), licence="none stated (MAA, AMC 12 2023)",
    ),
    GSM8K := Benchmark(
        "gsm8k", "GSM8K", "openai/gsm8k",
        revision="740312add88f781978c0658806c59bc2815b9866", config="main", split="test",
        convert=columns("gsm8k_test", "question", clean=gsm8k_answer),
        kind="math", n=1319, files=(("gsm8k_test.jsonl",),), licence="MIT",
    ),
    Benchmark(
        "minerva", "Minerva Math", "math-ai/minervamath",
        revision="ee46ddc498933b1977577953250ca5c66be64f96", config=None, split="test",
        convert=columns("minerva_math", "question", clean=minerva_answer),
        kind="numeric", n=272, files=(("minerva_math.jsonl",),),
        licence="none stated (MIT OpenCourseWare)",
    ),
    Benchmark(
        # 675 as in Qwen2.5-Math; the Hub copies have 674, and so are flagged as not complete.
        "olympiadbench", "OlympiadBench", "math-ai/olympiadbench",
        revision="4faaf1e6ec17d11a4218a9bf4c049ecaf954dd84", config=None, split="test",
        convert=olympiad_item,
        kind="math", n=675, files=(("olympiadbench.jsonl",),),
        licence="MIT (OpenBMB/OlympiadBench)",
    ),
    MMLU_STEM := Benchmark(
        "mmlu_stem", "MMLU-STEM, 18 subjects", "cais/mmlu",
        revision="c30699e8356da336a370243923dbaf21066bb9fe", config="all", split="test",
        convert=mmlu_item, subjects=STEM_SUBJECTS,
        kind="choice", n=3018, files=(("mmlu_stem.jsonl",),), licence="MIT",
    ),
    Benchmark(
        "gpqa_diamond", "GPQA-Diamond", "Idavidrein/gpqa",
        # "train" is its only split.
        revision="633f5ee89ab8ad4522a9f850766b73f62147ffdd", config="gpqa_diamond", split="train",
        convert=gpqa_item, gated=True,
        kind="choice", n=198, files=(("gpqa_diamond.jsonl", "gpqa_diamond.csv"),),
        licence="CC BY 4.0",
    ),
    replace(
        MMLU_STEM, name="mmlu_stem_19", title="MMLU-STEM, 19 subjects",
        subjects=(*STEM_SUBJECTS, "anatomy"),
        n=3153, files=(("mmlu_stem.jsonl",), ("mmlu_anatomy.jsonl",)),
    ),
    Benchmark(
        # The splits' 700 and 300 are the 1000 problems of the authors' one file.
        "svamp", "SVAMP", "ChilleD/SVAMP",
        revision="5e0bf1e5e7c0e9c4bc39180d224f41f3f801b7ef", config=None, split="train+test",
        convert=svamp_item,
        kind="math", n=1000, files=(("svamp.jsonl",),), licence="MIT",
    ),
    replace(
        GSM8K, name="gsm8k_train", title="GSM8K, the questions to train on", split="train",
        convert=columns("gsm8k_train", "question", clean=gsm8k_answer),
        n=7473, files=(("gsm8k_train.jsonl",),),
    ),
    CRUXEVAL_O := Benchmark(
        "cruxeval_o", "CRUXEval, outputs", "cruxeval-org/cruxeval",
        revision="b96af0450242eb4da433032b90998f25588a5d0f", config=None, split="test",
        convert=cruxeval("output"), own_form=True,
        kind="python_value", n=800, files=(("cruxeval.jsonl",),), licence="MIT",
    ),
    CRUXEVAL_I := replace(
        CRUXEVAL_O, name="cruxeval_i", title="CRUXEval, inputs",
        convert=cruxeval("input"), kind="python_input",
    ),
    replace(
        CRUXEVAL_O, name="cruxeval_o_neutral", title="CRUXEval, outputs, asked neutrally",
        convert=cruxeval("output", neutral=True),
    ),
    replace(
        CRUXEVAL_I, name="cruxeval_i_neutral", title="CRUXEval, inputs, asked neutrally",
        convert=cruxeval("input", neutral=True),
    ),
    PROCESSBENCH := Benchmark(
        # No public code pins a revision: the content is. n counts steps.
        "processbench_gsm8k", "ProcessBench, GSM8K", "Qwen/ProcessBench",
        revision=None, content="cd11ab654a8d0b09fb4345c1b10131cd856ac02c41baa23071a2aa8e23b9689f",
        config=None, split="gsm8k", convert=columns("processbench", "problem"),
        steps=partial(step_items, "processbench_gsm8k"), kind="choice", n=1568,
        files=(("processbench_gsm8k.json", "gsm8k.json"),), licence="Apache-2.0",
    ),
    replace(
        PROCESSBENCH, name="processbench_math", title="ProcessBench, MATH", split="math",
        content="38972f960536ae73de2eaf11b30e395d09c03820809acd155ded56cbe3ddba22",
        n=4366, steps=partial(step_items, "processbench_math"),
        files=(("processbench_math.json", "math.json"),),
    ),
)
# fmt: on

BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in ROWS}
# The eight of the RLSC paper's table, which "all" stands for.
PAPER = tuple(benchmark.name for benchmark in ROWS[:8])
