"""Whose folder it is: kinds by run.json alone, older and foreign ones refused, what is cleared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlsc.errors import ConfigError, OutputError
from rlsc.records.run_folder import (
    ComparisonFolder,
    EvaluationFolder,
    RunFolder,
    TrainingFolder,
    open_folder,
)

KINDS = [TrainingFolder, EvaluationFolder, ComparisonFolder]
SETTINGS = {"seed": 0, "resume": False}


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_is_read_from_the_folder(kind: type[RunFolder], tmp_path: Path) -> None:
    folder = kind(tmp_path / "new" / "run")
    assert not folder.holds_run
    folder.check(SETTINGS, resume=False, overwrite=False)
    folder.prepare(SETTINGS, overwrite=False)
    assert type(open_folder(folder.path)) is kind
    assert folder.read_settings() == SETTINGS
    # What else lies there does not matter, not even what another kind leaves.
    (folder.path / "metrics.jsonl").write_text("")
    (folder.path / "settings.json").write_text("{}")
    assert type(open_folder(folder.path)) is kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_another_kind_is_never_replaced(kind: type[RunFolder], tmp_path: Path) -> None:
    kind(tmp_path).prepare(SETTINGS, overwrite=False)
    for other in KINDS:
        for resume, overwrite in ((False, False), (True, False), (False, True)):
            if other is not kind:
                with pytest.raises(OutputError, match=f"holds an? .*{kind.kind}"):
                    other(tmp_path).check(SETTINGS, resume, overwrite)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config.yaml": "a: 1"}, "holds a run of an older rlsc"),
        ({"results.json": "{}"}, r"holds results.json but no run \(run.json is missing\)"),
        (
            {"run.json": '{"kind": "training", "schema_version": 99}'},
            "of a newer rlsc.*: update rlsc$",
        ),
        ({"run.json": '{"kind": "training", "schema_version": 1}'}, "of an older rlsc .*again$"),
        ({"comparison.json": "{}"}, "holds a run of an older rlsc"),
        ({"run.json": '{"kind": "song", "schema_version": 2}'}, "says no kind of run"),
        ({"run.json": "["}, "run.json is damaged"),
    ],
)
def test_what_is_no_run_of_this_version_is_refused(
    files: dict[str, str], message: str, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    for resume, overwrite in ((False, False), (True, False), (False, True)):
        with pytest.raises(OutputError, match=message) as caught:
            TrainingFolder(tmp_path).check(SETTINGS, resume, overwrite)
        assert "\n" not in str(caught.value)
    with pytest.raises(OutputError, match=r"older rlsc|newer rlsc|no kind|damaged"):
        open_folder(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


@pytest.mark.parametrize("left", ["comparison.json", "results.json", "config.yaml"])
def test_reading_a_run_of_an_older_version_says_what_to_do(left: str, tmp_path: Path) -> None:
    (tmp_path / left).write_text("{}")
    with pytest.raises(OutputError, match=r"an older rlsc, .*: read it with the rlsc that made it"):
        open_folder(tmp_path)


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no run of rlsc: name the --output_dir"):
        open_folder(tmp_path)


def test_a_folder_in_use_needs_a_word(tmp_path: Path) -> None:
    folder = EvaluationFolder(tmp_path)
    folder.prepare(SETTINGS, overwrite=False)
    with pytest.raises(OutputError, match=r"holds an evaluation \(unfinished\): go on .*--resume"):
        folder.check(SETTINGS, resume=False, overwrite=False)
    folder.check(SETTINGS | {"resume": True}, resume=True, overwrite=False)
    with pytest.raises(ConfigError, match=r"other settings: seed was 0 in .* and is 1 now"):
        folder.check(SETTINGS | {"seed": 1}, resume=True, overwrite=False)


def test_overwriting_clears_what_a_run_leaves_and_nothing_else(tmp_path: Path) -> None:
    folder = TrainingFolder(tmp_path)
    folder.prepare(SETTINGS, overwrite=False)
    for name in ("results.json", "mine.txt", "eval/before/evaluation/greedy.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "checkpoint-3").mkdir()
    folder.prepare(SETTINGS | {"seed": 1}, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("run.json", "config.yaml", "mine.txt", "run.lock")
    }
    assert folder.read_settings()["seed"] == 1
    content = json.loads((tmp_path / "run.json").read_text())
    assert content == {"kind": "training", "schema_version": 2}


def test_overwriting_spares_its_own_input(tmp_path: Path) -> None:
    folder = TrainingFolder(tmp_path)
    folder.prepare(SETTINGS, overwrite=False)
    (tmp_path / "model").mkdir()
    with pytest.raises(OutputError, match="would delete --model"):
        folder.check(SETTINGS | {"model": str(tmp_path / "model")}, resume=False, overwrite=True)
    tasks = {"seed_tasks": str(tmp_path / "tasks.jsonl"), "batch": 8}
    (tmp_path / "tasks.jsonl").touch()
    rows = SETTINGS | {"sft_rows": str(tmp_path / "tasks.jsonl")}
    with pytest.raises(OutputError, match="would delete --sft_rows"):
        folder.check(rows, resume=False, overwrite=True)
    with pytest.raises(OutputError, match="would delete --environment_settings seed_tasks"):
        folder.check(SETTINGS | {"environment_settings": tasks}, resume=False, overwrite=True)


def test_a_model_knows_its_run(tmp_path: Path) -> None:
    folder = TrainingFolder(tmp_path / "run")
    model = folder.path / "model"
    assert TrainingFolder.of_model(model) is None
    folder.prepare(SETTINGS, overwrite=False)
    found = TrainingFolder.of_model(model)
    assert found is not None
    assert found.read_settings() == SETTINGS
    assert TrainingFolder.of_model(folder.path / "weights") is None
    for own in (folder.path / "adapter", folder.path / "adapter" / "critic"):  # of a role
        found = TrainingFolder.of_model(own)
        assert found is not None
        assert found.path == folder.path


def test_a_comparison_knows_its_parts(tmp_path: Path) -> None:
    folder = ComparisonFolder(tmp_path)
    assert folder.base.rows("evaluation", "greedy") == (
        tmp_path / "base" / "samples" / "evaluation" / "greedy.jsonl"
    )
    rows = folder.run("rlsc", 1).rows("before", "evaluation", "greedy")
    assert rows == tmp_path / "rlsc/seed-1/eval/before/evaluation/greedy.jsonl"
