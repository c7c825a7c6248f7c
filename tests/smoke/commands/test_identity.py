"""What a run is of, compared alike wherever one goes on, is judged anew or is compared with."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load_file, save_file

from rlsc.commands import compare as comparison
from rlsc.commands import finished
from rlsc.commands.arguments import parse
from rlsc.commands.compare import compare
from rlsc.commands.train import run
from rlsc.config import CompareConfig
from rlsc.errors import ConfigError, ModelError, OutputError
from rlsc.models import load_policy
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.commands.test_train import arguments, figures
from tests.smoke.conftest import (
    Evaluate,
    command,
    evaluated,
    in_this_process,
    read_jsonl,
    write_jsonl,
)

# Evaluations.

FEW = ("--benchmarks", "math500", "--limit", 4)


@pytest.fixture
def own_data(data: Path, tmp_path: Path) -> Path:
    """Benchmarks whose references and texts a test may correct."""
    return Path(shutil.copytree(data, tmp_path / "data"))


def change(data: Path, column: str, value: str) -> None:
    rows = read_jsonl(data / "math500.jsonl")
    rows[0][column] = value
    write_jsonl(data / "math500.jsonl", rows)


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    return str(line)


def test_corrected_references_never_leave_old_verdicts(
    evaluate: Evaluate, own_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One and the same model, judged by two keys, would be reported as a gain."""
    old, new = tmp_path / "old", tmp_path / "new"
    flags = (*FEW, "--data_dir", own_data)
    assert evaluate(old, *flags) == 0
    change(own_data, "answer", "77")
    capsys.readouterr()
    assert evaluate(old, *flags, "--resume") == 2
    line = error_of(capsys)
    assert f"--resume: the run in {old} is of other math500 references: give the same" in line
    assert line.endswith(f"rlsc eval --regrade {old} judges the old answers")
    assert evaluate(new, *flags, "--compare_to", old) == 2
    said = f"its answers were judged by other math500 references: rlsc eval --regrade {old} judges"
    assert said in error_of(capsys)
    assert not new.exists()
    assert command("eval", "--regrade", old) == 0
    assert evaluate(old, *flags, "--resume") == 0
    assert evaluate(new, *flags, "--compare_to", old) == 0
    (difference,) = evaluated(new).tasks["math500"].differences
    assert difference.accuracy is not None
    assert difference.accuracy.value == 0


def test_a_regrade_that_ends_early_leaves_no_baseline(
    evaluate: Evaluate,
    own_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Verdicts of the new references beside results of the old ones must not be compared with."""
    old, new = tmp_path / "old", tmp_path / "new"
    flags = (*FEW, "--data_dir", own_data)
    assert evaluate(old, *flags) == 0
    change(own_data, "answer", "77")

    def dies(*_: object) -> None:
        raise OutputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("rlsc.commands.eval._finish", dies)
        assert command("eval", "--regrade", old) == 2
    capsys.readouterr()
    assert evaluate(new, *flags, "--compare_to", old) == 2
    assert f"rlsc eval --regrade {old} judges" in error_of(capsys)
    assert command("eval", "--regrade", old) == 0
    assert evaluate(new, *flags, "--compare_to", old) == 0


def test_answers_to_another_text_are_not_judged_anew(
    evaluate: Evaluate, own_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path / "run", *FEW, "--data_dir", own_data) == 0
    kept = read_jsonl(next((tmp_path / "run" / "samples").rglob("*.jsonl")))
    change(own_data, "question", "What is 2 + 2?")
    capsys.readouterr()
    assert command("eval", "--regrade", tmp_path / "run") == 2
    assert "is of other math500 questions: its answers are to other texts" in error_of(capsys)
    assert read_jsonl(next((tmp_path / "run" / "samples").rglob("*.jsonl"))) == kept


def test_other_weights_under_the_same_name_are_not_resumed(
    evaluate: Evaluate, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By content: a file that was only touched, or copied, is the same."""
    model = shutil.copytree(model_folder, tmp_path / "model")
    flags = (*FEW, "--model", model)
    assert evaluate(tmp_path / "run", *flags) == 0
    os.utime(model / "model.safetensors", (1, 1))
    assert evaluate(tmp_path / "run", *flags, "--resume") == 0
    move(model)
    capsys.readouterr()
    assert evaluate(tmp_path / "run", *flags, "--resume") == 2
    assert "is of other model weights: give the same again, or begin anew" in error_of(capsys)


# Training runs.

OBJECTIVE = """
from rlsc.objectives.grpo import GRPO
class Own(GRPO):
    pass
"""


def move(model: Path) -> None:
    """One number of one weight; size and time of the file stay."""
    file = model / "model.safetensors"
    times, weights = file.stat(), load_file(file)
    next(iter(weights.values())).view(-1)[0] += 0.5
    save_file(weights, file, {"format": "pt"})
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def edit(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        text = (place / file).read_text()
        assert old in text
        (place / file).write_text(text.replace(old, new))

    return change


ENGINE = """
from rlsc.engines.native.engine import NativeEngine
class Own(NativeEngine):
    pass
"""


@pytest.fixture(scope="module")
def begun_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with model, questions, an objective, and a run of them that was killed."""
    place = tmp_path_factory.mktemp("begun") / "place"
    tiny_model().save_pretrained(place / "model")
    tiny_tokenizer().save_pretrained(place / "model")
    rows = [{"question": f"What is {i} + 2?", "answer": str(i + 2)} for i in range(6)]
    write_jsonl(place / "train.jsonl", rows)
    write_jsonl(place / "eval.jsonl", rows[:3])
    (place / "own.py").write_text(OBJECTIVE)
    (place / "sampler.py").write_text(ENGINE)
    (place / "own.jinja").write_text("Q: {{ question }}")
    run(*parse(flags(place)))
    (place / "run" / "results.json").unlink()
    return place


@pytest.fixture
def begun(begun_once: Path) -> Iterator[Path]:
    """The same place for each test, since its path is one of the run's settings."""
    kept = shutil.copytree(begun_once, begun_once.parent / "kept")
    yield begun_once
    shutil.rmtree(begun_once)
    kept.rename(begun_once)


def flags(place: Path, *more: str) -> list[str]:
    own = ("--questions", f"{place}/train.jsonl", "--eval_questions", f"{place}/eval.jsonl")
    how = ("--objective", f"{place}/own.py:Own", "--template", f"{place}/own.jinja")
    how += ("--engine", f"{place}/sampler.py:Own")
    few = ("--num_generations", "2", "--eval_samples", "1", "--guard", "off", "--max_steps", "1")
    return arguments(place / "model", place / "run", *own, *how, *few, *more)


@pytest.mark.parametrize(
    ("changed", "of"),
    [
        (lambda place: move(place / "model"), "model weights"),
        (edit("model/chat_template.jinja", "<end>", "<user>"), "chat template"),
        (edit("own.jinja", "Q:", "=="), "evaluation prompts, training prompts"),
        (edit("own.py", "pass", "scale = 2"), "objective source"),
        (edit("sampler.py", "pass", "scale = 2"), "engine source"),
        (edit("train.jsonl", '"answer": "3"', '"answer": "4"'), "training references"),
        (edit("train.jsonl", "What is 1", "What is 9"), "training questions"),
        (edit("eval.jsonl", '"answer": "3"', '"answer": "4"'), "evaluation references"),
        (edit("eval.jsonl", "What is 1", "What is 9"), "evaluation questions"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_run_is_not_gone_on_with_by_other_means(
    begun: Path, changed: Callable[[Path], None], of: str
) -> None:
    before = {p: p.read_bytes() for p in (begun / "run").rglob("*") if p.is_file()}
    changed(begun)
    with pytest.raises(OutputError, match=f"--resume: the run in .* is of other {of}: give the s"):
        run(*parse(flags(begun, "--resume")))
    assert {p: p.read_bytes() for p in (begun / "run").rglob("*") if p.is_file()} == before


def test_what_does_not_count_may_change(begun: Path) -> None:
    """Times of files, columns that nobody reads."""
    os.utime(begun / "model" / "model.safetensors", (1, 1))
    edit("train.jsonl", "{", '{"note": "new", ')(begun)
    run(*parse(flags(begun, "--resume")))
    assert figures(begun / "run")[0] == 1


def test_a_finished_run_says_where_its_weights_have_changed(
    begun: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read where a size or a time has changed, once, and judged by their content."""
    run(*parse(flags(begun, "--resume")))
    read: list[object] = []

    def load(*given: object, **how: object) -> object:
        read.append(given)
        return load_policy(*given, **how)

    monkeypatch.setattr(finished, "load_policy", load)
    weights = begun / "model" / "model.safetensors"
    said = []
    touch = partial(os.utime, weights)
    for changes in ([], [touch], [], [partial(move, begun / "model"), touch]):
        for change in changes:
            change()
        capfd.readouterr()
        run(*parse(flags(begun, "--resume")))
        out = " ".join(capfd.readouterr().out.split())
        assert "holds a finished run: nothing to do" in out
        said.append((len(read), f"note: the weights of {begun}/model are not those" in out))
    assert said == [(0, False), (1, False), (1, False), (2, True)]
    lack, in_loading = torch.OutOfMemoryError("CUDA out of memory"), ModelError("cannot load")
    in_loading.__cause__ = lack
    for error in (lack, in_loading, ConfigError("load_in_4bit needs bitsandbytes")):
        monkeypatch.setattr(finished, "load_policy", Mock(side_effect=error))
        run(*parse(flags(begun, "--resume")))
        out = " ".join(capfd.readouterr().out.split())
        assert f"have changed since this run began, and were not compared: {error}" in out
        assert "holds a finished run: nothing to do" in out


def test_a_run_of_before_there_was_a_record_is_refused(begun: Path) -> None:
    (begun / "run" / "identity.json").unlink()
    with pytest.raises(OutputError, match=r"--resume: .* \(identity.json is missing\); give the s"):
        run(*parse(flags(begun, "--resume")))


def test_an_untrained_models_answers_to_something_else_are_not_taken_over(
    begun: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """They are asked for again, and a line says why; unchanged they are taken."""
    again = [*flags(begun, "--base_evaluation", f"{begun}/run"), "--output_dir", f"{begun}/two"]
    run(*parse(again))
    assert "asked again" not in capfd.readouterr().out
    edit("eval.jsonl", '"answer": "3"', '"answer": "4"')(begun)
    run(*parse([*again, "--overwrite"]))
    said = capfd.readouterr().out
    assert "note: the untrained model is asked again: references of " in said
    edit("sampler.py", "pass", "scale = 2")(begun)
    run(*parse([*again, "--overwrite"]))
    assert "note: the untrained model is asked again: engine source" in capfd.readouterr().out


def test_a_comparison_keeps_to_what_it_began_with(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else some of its rows would be of one objective's source, or one key, and some of another."""
    monkeypatch.setattr(comparison, "_in_process", in_this_process)
    settings = {
        **{"model": f"{begun}/model", "questions": f"{begun}/train.jsonl", "bf16": False},
        **{"eval_questions": f"{begun}/eval.jsonl", "output_dir": f"{begun}/out"},
        **{"num_generations": 2, "max_completion_length": 4, "max_steps": 1, "guard": "off"},
        **{"per_device_train_batch_size": 4, "eval_samples": 1, "save_strategy": "no"},
        **{"disable_tqdm": True, "temperatures": [0], "seeds": [0]},
        "engine": f"{begun}/sampler.py:Own",
        "objectives": [{"own": {"objective": f"{begun}/own.py:Own"}}],
    }
    compare(CompareConfig.of(settings), [])
    edit("own.py", "pass", "scale = 2")(begun)
    said = "own: the comparison: the run in .* is of other objective source: give the same again"
    with pytest.raises(ConfigError, match=said):
        compare(CompareConfig.of(settings), [])
    edit("own.py", "scale = 2", "pass")(begun)
    more = settings | {"seeds": [0, 1]}
    edit("sampler.py", "pass", "scale = 2")(begun)
    with pytest.raises(ConfigError, match=r"the run in .*base is of other engine source"):
        compare(CompareConfig.of(more), [])
    edit("sampler.py", "scale = 2", "pass")(begun)
    move(begun / "model")
    with pytest.raises(ConfigError, match=r"the run in .*base is of other model weights"):
        compare(CompareConfig.of(more), [])
    assert json.loads((begun / "out" / "results.json").read_text())["seeds"] == [0]
    assert torch.is_tensor(load_file(begun / "model" / "model.safetensors")["lm_head.weight"])
