"""Columns of a data set that newer objectives read, through the command line's own path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlsc.commands.arguments import parse
from rlsc.commands.train import run
from rlsc.errors import ConfigError, OutputError
from rlsc.records.jsonl import read_jsonl
from tests.smoke.commands.test_train import arguments, results

ROWS = [
    {"id": str(n), "question": f"What is {n} + 1?", "paraphrase": f"Add 1 to {n}."}
    | ({"answer": str(n + 1)} if n < 3 else {})
    for n in range(6)
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


def test_some_rows_have_an_answer_and_all_a_paraphrase(
    tiny_folder: Path, data: Path, tmp_path: Path
) -> None:
    """The report counts the labels; a paraphrase is asked by its own prompt; a run goes on."""
    own = ("--questions", str(data), "--eval", "none", "--guard", "off")
    few = [*own, "--objective", "grpo", "--label_share", "1"]
    run(*parse(arguments(tiny_folder, tmp_path / "few", *few)))
    assert results(tmp_path / "few").labels_used == 3
    assert "6, with 3 labels" in (tmp_path / "few" / "report.md").read_text("utf-8")
    shares = [row["labelled"] for row in read_jsonl(tmp_path / "few" / "metrics.jsonl")]
    assert all(0 < share <= 1 for share in shares)  # four of six questions a step
    assert min(shares) < 1
    run(*parse(arguments(tiny_folder, tmp_path / "few", *few, "--resume", "true")))
    other = [*few[:-1], "0.5", "--resume", "true"]
    with pytest.raises((ConfigError, OutputError)):  # other labels would be used
        run(*parse(arguments(tiny_folder, tmp_path / "few", *other)))
    votes = [*own, "--objective", "co_rewarding", "--votes_of", "paraphrase", "--max_steps", "1"]
    run(*parse(arguments(tiny_folder, tmp_path / "votes", *votes)))
    assert results(tmp_path / "votes").labels_used == 0


def test_all_must_have_an_answer_unless_a_share_is_asked_for(
    tiny_folder: Path, data: Path, tmp_path: Path
) -> None:
    flags = ("--questions", str(data), "--objective", "grpo")
    with pytest.raises(ConfigError, match=r"3 of 6 training questions .* set label_share"):
        run(*parse(arguments(tiny_folder, tmp_path / "run", *flags)))
