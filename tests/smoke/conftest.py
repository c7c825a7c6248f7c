"""A tiny model, invented benchmarks of which it knows half, and `rlsc` as a user calls it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.utils import logging

from rlsc.commands import compare
from rlsc.commands.main import main
from rlsc.data.prompts import format_question, render
from rlsc.engines import SamplingParams
from rlsc.engines.native.engine import NativeEngine
from rlsc.errors import RLSCError
from rlsc.grading import Item, shared_grader
from rlsc.records.conversion import to_json
from rlsc.records.results import EvaluationResults, read_results_of
from rlsc.types import Question, Score
from tests.ascii_model import ascii_model, ascii_tokenizer, save_ascii_model

CAP = 24
NEVER = "-98765"


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_ascii_model(tmp_path_factory.mktemp("models") / "tiny", seed=3)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model is right, greedily, on every second question where it says a whole number."""
    folder = tmp_path_factory.mktemp("data")
    for name, sign, n in (("math500", "+", 12), ("gsm8k_test", "*", 6), ("minerva_math", "/", 3)):
        texts = [f"What is {3 * number} {sign} {number + 4}?" for number in range(n)]
        write_jsonl(
            folder / f"{name}.jsonl",
            [
                {"id": f"{name}/{number}", "question": text, "answer": answer}
                for number, (text, answer) in enumerate(zip(texts, known_half(texts), strict=True))
            ],
        )
    choices = ["Mars", "Sirius", "Pluto", "Venus"]
    rows = [
        {"id": f"stem/{number}", "question": f"Star {number}?", "answer": "B", "choices": choices}
        for number in range(3)
    ]
    write_jsonl(folder / "mmlu_stem.jsonl", rows)
    return folder


def known_half(texts: list[str]) -> list[str]:
    """What the tiny model answers, and for the others what it never does."""
    tokenizer = ascii_tokenizer()
    prompts = [render(format_question(Question(t, t), tokenizer), t, tokenizer) for t in texts]
    engine = NativeEngine(ascii_model(seed=3), tokenizer, torch.float32)
    groups = engine.generate(prompts, 1, SamplingParams(CAP, (0,), 0.0), [0] * len(prompts))
    said = shared_grader().grade_all([Item(g.completions[0].text, NEVER) for g in groups])
    numbers = [one.answer if (one.answer or "").isdigit() else NEVER for one in said]
    known = [place for place, number in enumerate(numbers) if number != NEVER][::2]
    return [number if place in known else NEVER for place, number in enumerate(numbers)]


def write_jsonl(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def read_jsonl(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text("utf-8"))
    return found


def evaluated(folder: Path) -> EvaluationResults:
    return read_results_of(EvaluationResults, folder)


def main_scores(folder: Path) -> dict[str, Score]:
    """Of an evaluation, the score of its main setting by task."""
    return {name: task.tuned.main for name, task in evaluated(folder).tasks.items()}


def timeless(content: Any) -> Any:
    """As JSON without the fields that no two runs share: seconds."""
    content = to_json(content)
    if isinstance(content, dict):
        return {k: timeless(v) for k, v in content.items() if not k.endswith("seconds")}
    return [timeless(one) for one in content] if isinstance(content, list) else content


def samples(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows by benchmark/setting."""
    files = sorted((folder / "samples").rglob("*.jsonl"))
    return {f"{file.parent.name}/{file.stem}": read_jsonl(file) for file in files}


def command(*argv: object) -> int:
    """`rlsc …` through its entry point; the exit code."""
    with pytest.raises(SystemExit) as caught:
        main([str(one) for one in argv])
    code = caught.value.code
    assert isinstance(code, int)
    return code


def in_this_process(function: Callable[..., None], *arguments: object) -> str | None:
    """In place of `compare._in_process`: starts take longer than runs."""
    try:
        function(*arguments)
    except RLSCError as error:
        return compare._one_line(error)
    return None


@contextlib.contextmanager
def libraries_as_they_were() -> Iterator[None]:
    """Afterwards transformers says again what it said before a command told it not to."""
    verbosity = logging.get_verbosity()
    yield
    logging.set_verbosity(verbosity)
    logging.enable_progress_bar()


Evaluate = Callable[..., int]


@pytest.fixture
def evaluate(model_folder: Path, data: Path) -> Iterator[Evaluate]:
    """`rlsc eval` with the tiny model and benchmarks into a folder, and more flags."""
    with libraries_as_they_were():
        yield lambda folder, *more: command(*arguments(model_folder, data, folder, *more))


def arguments(model: Path, data: Path, folder: Path, *more: object) -> list[object]:
    flags = ["--model", model, "--data_dir", data, "--output_dir", folder, "--dtype", "float32"]
    flags += ["--max_new_tokens", CAP, "--rollout_batch_size", 4]
    if "--benchmarks" not in more:
        flags += ["--benchmarks", "math500,gsm8k"]
    return ["eval", *flags, *more]


@pytest.fixture(scope="session")
def finished(model_folder: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of math500 and gsm8k that came to its end. Copy it to change it."""
    folder = tmp_path_factory.mktemp("finished") / "eval [1]"  # markup to some consoles
    with libraries_as_they_were():
        assert command(*arguments(model_folder, data, folder)) == 0
    return folder


@pytest.fixture(scope="session")
def sampled(model_folder: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with four samples a question."""
    folder = tmp_path_factory.mktemp("sampled") / "eval"
    with libraries_as_they_were():
        more = ("--samples", 4, "--temperature", 1)
        assert command(*arguments(model_folder, data, folder, *more)) == 0
    return folder
