"""Nothing lost: an evaluation that SIGKILL ends goes on to the very same rows and results."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.forked import Forked, rlsc
from tests.smoke.conftest import (
    Evaluate,
    arguments,
    command,
    libraries_as_they_were,
    main_scores,
    results,
    samples,
    timeless,
    write_jsonl,
)

MORE = ("--samples", 2, "--temperature", 0.8, "--max_new_tokens", 60, "--rollout_batch_size", 2)
QUESTIONS = {"math500": 14, "gsm8k_test": 10}
ROWS = 2 * sum(QUESTIONS.values())


@pytest.fixture(scope="module")
def long_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough that there is time to kill."""
    folder = tmp_path_factory.mktemp("long")
    for name, n in QUESTIONS.items():
        rows = [{"question": f"What is {i} + {name}?", "answer": str(i % 9)} for i in range(n)]
        write_jsonl(folder / f"{name}.jsonl", rows)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(
    model_folder: Path, long_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "eval"
    with libraries_as_they_were():
        assert command(*arguments(model_folder, long_data, folder, *MORE)) == 0
    return folder


def lines(folder: Path) -> int:
    files = (folder / "samples").rglob("*.jsonl")
    return sum(file.read_bytes().count(b"\n") for file in files)


def kill_after(rows: int, argv: list[str], folder: Path) -> int:
    """Start `rlsc` and end it by SIGKILL as soon as it has written `rows`; how many it had."""
    process = Forked(rlsc, *argv)
    deadline = time.monotonic() + 900
    while lines(folder) < rows and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    done = process.wait()
    assert done.returncode == -signal.SIGKILL, done.stderr
    return lines(folder)


@pytest.mark.parametrize(
    "rows",
    [pytest.param(8, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.slow), 32],
    ids=["first block", "first file", "second file"],
)
def test_a_killed_evaluation_resumes_to_the_same_end(
    evaluate: Evaluate,
    model_folder: Path,
    long_data: Path,
    uninterrupted: Path,
    tmp_path: Path,
    rows: int,
) -> None:
    folder = tmp_path / "eval"
    argv = [str(one) for one in arguments(model_folder, long_data, folder, *MORE)]
    written = kill_after(rows, argv, folder)
    assert rows <= written < ROWS
    assert not (folder / "results.json").exists()
    kept = samples(folder)
    verdicts = {row["verdict"] for rows in kept.values() for row in rows}
    assert verdicts <= {"correct", "wrong", "unparsed", "timeout"}
    assert command(*argv, "--resume") == 0
    for name, expected in samples(uninterrupted).items():
        found = samples(folder)[name]
        assert timeless(found) == timeless(expected)
        # What was whole is kept, its seconds too, and not sampled again.
        whole = len(kept.get(name, ())) // 8 * 8
        assert found[:whole] == kept.get(name, [])[:whole]
    assert list(samples(folder)) == list(samples(uninterrupted))
    assert timeless(results(folder)) == timeless(results(uninterrupted))
    assert main_scores(folder)["math500"].n == QUESTIONS["math500"]


def test_a_kill_within_a_line_resumes_to_the_same_end(
    evaluate: Evaluate, model_folder: Path, long_data: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    """Which SIGKILL seldom hits: cut by hand, within the first row and within a later one."""
    folder = shutil.copytree(uninterrupted, tmp_path / "eval")
    first, second = sorted((folder / "samples").rglob("*.jsonl"))
    first.write_bytes(first.read_bytes()[:30])
    second.write_bytes(second.read_bytes()[:-30])
    (folder / "results.json").unlink()
    argv = arguments(model_folder, long_data, folder, *MORE)
    assert command(*argv, "--resume") == 0
    assert timeless(samples(folder)) == timeless(samples(uninterrupted))
    assert timeless(results(folder)) == timeless(results(uninterrupted))
