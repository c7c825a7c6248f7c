"""The study's recipe and its script, rehearsed: a tiny model, a few questions, two methods."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlsc.commands import compare
from rlsc.config import CompareConfig
from rlsc.models import gguf
from rlsc.records import AS_TRAINED, AT_BEST, EVALUATION, UNTRAINED_BEST, VOTE
from rlsc.records.results import ComparisonResults, TrainingResults, read_results_of
from tests.ascii_model import ascii_model, ascii_tokenizer, save_ascii_model
from tests.smoke.conftest import (
    command,
    in_this_process,
    libraries_as_they_were,
    read_jsonl,
    write_jsonl,
)

SCRIPT = Path(__file__).parents[3] / "studies" / "qwen.py"
RECIPE = Path(__file__).parents[3] / "recipes" / "study-qwen-0.5b.yaml"
SMALL = {
    "questions": "benchmark:gsm8k_train#0-4",
    "eval_questions": "benchmark:gsm8k#0-3",
    "validation_questions": "benchmark:gsm8k#3-5",
    "benchmarks": "svamp#0-2",
    "max_completion_length": 8,
    "num_generations": 2,
    "eval_samples": 2,
    "per_device_train_batch_size": 2,
    "max_steps": 1,
    "save_steps": 1,
    "guard_probe_size": 2,
    "guard_pool_size": 2,
    "disable_tqdm": True,
}


def small_recipe(file: Path) -> Path:
    """The recipe with the sizes of a rehearsal, the last stages left out."""
    content = yaml.safe_load(RECIPE.read_text("utf-8")) | SMALL
    kept = ("rlsc", "rlsc, transductive")
    entries = [e if isinstance(e, dict) else {e: {}} for e in content["objectives"]]
    chosen = {label: own for entry in entries for label, own in entry.items() if label in kept}
    chosen["rlsc, transductive"]["transductive"] = "benchmark:amc23#0-2"
    content["objectives"] = [{label: own} for label, own in chosen.items()]
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def study() -> ModuleType:
    spec = importlib.util.spec_from_file_location("qwen_study", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    save_ascii_model(folder / "model", seed=3)
    (folder / "data").mkdir()
    for name, sign in (("gsm8k_train", "+"), ("gsm8k_test", "-"), ("svamp", "*"), ("amc23", "/")):
        rows = [
            {"id": f"{name}/{n}", "question": f"What is {n + 7} {sign} {n}?", "answer": str(n)}
            for n in range(6)
        ]
        write_jsonl(folder / "data" / f"{name}.jsonl", rows)
    stars = {"id": "a", "question": "A star?", "answer": "B", "choices": ["Mars", "Sirius"]}
    write_jsonl(folder / "data" / "mmlu_stem.jsonl", [stars])
    small_recipe(folder / "recipe.yaml")
    return folder


@pytest.fixture(scope="module")
def said(study: ModuleType, place: Path) -> list[str]:
    """What the script prints, called twice: first with no time for more than the first run."""
    flags = ["--model", str(place / "model"), "--data_dir", str(place / "data")]
    flags += ["--recipe", str(place / "recipe.yaml"), "--output_dir", str(place / "out")]
    texts: list[str] = []

    def said(*words: object, **_: object) -> None:
        texts.append(" ".join(map(str, words)))

    with pytest.MonkeyPatch.context() as patch, libraries_as_they_were():
        patch.setattr(compare, "_in_process", in_this_process)
        patch.setattr("builtins.print", said)
        patch.setattr(compare.console, "print", said)
        assert study.main([*flags, "--minutes", "0"]) == 0
        early = read_results_of(ComparisonResults, place / "out")
        assert [len(method.runs) for method in (*early.methods, *early.transductive)] == [2, 1]
        first = (place / "out" / "rlsc" / "seed-0" / "results.json").stat().st_mtime_ns
        assert study.main(flags) == 0
    assert (place / "out" / "rlsc" / "seed-0" / "results.json").stat().st_mtime_ns == first
    return texts


@pytest.fixture(scope="module")
def results(said: list[str], place: Path) -> ComparisonResults:
    return read_results_of(ComparisonResults, place / "out")


def test_the_first_run_alone_where_time_is_over_and_the_rest_later(said: list[str]) -> None:
    left = "rlsc, seed 1; rlsc, transductive, seed 0"
    assert f"the time is over; left for the same command: {left}" in said
    (head, *_), last = said[-1].splitlines(), said[-1]
    assert head.startswith("| run | minutes |")
    for run in (
        "the untrained model",
        "rlsc, seed-0",
        "rlsc, seed-1",
        "rlsc, transductive, seed-0",
    ):
        assert f"| {run} |" in last


def test_the_untrained_models_best_is_chosen_elsewhere_and_asked_everywhere(
    results: ComparisonResults,
) -> None:
    own = results.base.tasks[EVALUATION]
    assert {score.n for score in own.tried} == {2}
    caps = {score.setting.max_new_tokens for score in own.tried}
    assert caps == {2, 4, 8}
    assert len({score.setting.template for score in own.tried}) == 5
    for task in results.base.tasks.values():
        labels = [score.setting.label for score in task.tuned.scores]
        assert labels.count(UNTRAINED_BEST) == 1
    assert list(results.base.tasks) == [EVALUATION, "svamp"]


def test_no_run_asks_the_untrained_model_again(results: ComparisonResults, place: Path) -> None:
    for seed in (0, 1):
        before = place / "out" / "rlsc" / f"seed-{seed}" / "eval" / "before"
        for file in ("svamp/qwen2.5-math-T0-k1.jsonl", "evaluation/greedy.jsonl"):
            assert read_jsonl(before / file) == read_jsonl(place / "out/base/samples" / file)
        assert not (before / "validation").exists()
        run = before.parents[1]
        assert not list(run.glob("checkpoint-*"))
        assert read_results_of(TrainingResults, run).steps == 1


def test_every_run_is_held_against_the_untrained_model(results: ComparisonResults) -> None:
    assert [method.label for method in results.methods] == ["rlsc"]
    assert [run.seed for run in results.methods[0].runs] == [0, 1]
    keys = [AS_TRAINED, VOTE, AT_BEST, f"svamp, {AS_TRAINED}", f"svamp, {AT_BEST}"]
    for method in results.methods:
        for run in method.runs:
            assert sorted(run.differences or {}) == sorted(keys)
            sizes = {name: each.n for name, each in (run.differences or {}).items()}
            assert {sizes[AT_BEST], sizes[VOTE]} == {3}
            assert sizes[f"svamp, {AT_BEST}"] == 2


def test_the_transductive_run_is_told_by_itself(results: ComparisonResults, place: Path) -> None:
    (method,) = results.transductive or ()
    (run,) = method.runs
    assert run.done
    assert list(run.differences or {}) == [AS_TRAINED, VOTE]
    of_run = read_results_of(TrainingResults, place / "out" / method.label / "seed-0")
    assert of_run.evaluation is not None
    assert of_run.evaluation.task.transductive
    assert of_run.evaluation.task.questions == of_run.training_questions == 2
    assert not of_run.benchmarks
    text = (place / "out" / "report.md").read_text("utf-8")
    for part in ("(transductive)", "Question by question", "chosen on other questions", "svamp"):
        assert part in text


@pytest.mark.slow
def test_other_validation_questions_are_asked_though_all_runs_are_done(
    results: ComparisonResults, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(place / "out", out)
    asked: list[object] = []

    def note(function: Callable[..., None], *arguments: object) -> str | None:
        asked.append(function)
        return in_this_process(function, *arguments)

    monkeypatch.setattr(compare, "_in_process", note)
    flags = ["--model", place / "model", "--data_dir", place / "data", "--output_dir", out]
    run = ["compare", "--config", place / "recipe.yaml", *flags]
    other = ("--validation_questions", "benchmark:gsm8k#3-6")
    with libraries_as_they_were():
        assert command(*run) == 0
        assert not asked
        assert command(*run, *other) == 0
        assert command(*run, *other) == 0
    assert asked == [compare.evaluate_base]
    own = read_results_of(ComparisonResults, out).base.tasks[EVALUATION]
    assert {score.n for score in own.tried} == {3}


def test_bad_input_is_one_line(
    study: ModuleType, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert study.main(["--model", str(place / "nowhere")]) == 2
    recipe = ["--model", str(place / "model"), "--output_dir", str(place / "other")]
    assert study.main([*recipe, "--data_dir", str(place / "nowhere")]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 2
    assert "there is no folder" in error
    assert not (place / "other").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--validation_questions", "benchmark:gsm8k#2-5"), "1 of them are trained or evaluated"),
        (("--benchmarks", "svamp#0-2,gsm8k#4-6"), "1 of them are trained or evaluated"),
        (
            ("--validation_questions", "benchmark:gsm8k#3-9"),
            "of its 6 questions name ranks from 0 on",
        ),
        (("--eval_baselines", "false"), "validation_questions are for --eval_baselines true"),
        (("--questions", "benchmark:mmlu_stem"), "its answers are of kind choice"),
        (("--questions", "benchmark:gms8k"), "did you mean gsm8k"),
    ],
)
def test_questions_that_cannot_be_are_refused_before_anything_is_run(
    flags: tuple[str, str], message: str, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    where = ("--model", place / "model", "--data_dir", place / "data")
    out = ("--output_dir", place / "refused")
    assert command("compare", "--config", place / "recipe.yaml", *where, *out, *flags) == 2
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (place / "refused").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("benchmark:amc32#0-2", "rlsc, transductive: no benchmark 'amc32' (did you mean amc23?)"),
        ("arithmetic", "rlsc, transductive: transductive: 39 of the 39 questions of arithmetic"),
    ],
)
def test_transductive_questions_are_read_before_anything_is_run(
    source: str, message: str, place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A name that is not known; questions of which those held out would be evaluated."""
    content = yaml.safe_load((place / "recipe.yaml").read_text("utf-8"))
    content["objectives"][1]["rlsc, transductive"]["transductive"] = source
    content |= {"model": str(place / "model"), "data_dir": str(place / "data")}
    file, out = tmp_path / "recipe.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert command("compare", "--config", file, "--output_dir", out) == 2
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_the_recipe_has_the_registered_order() -> None:
    config = CompareConfig.of(yaml.safe_load(RECIPE.read_text("utf-8")))
    assert config.pairs[:9] == [
        *(("rlsc", 0), ("rlsc", 1), ("constant", 0), ("constant", 1)),
        *(("rlsc, answer level", 0), ("rlsc, answer level", 1), ("ttrl", 0), ("ttrl", 1)),
        ("rlsc, transductive", 0),
    ]
    assert {seed for _, seed in config.pairs[9:]} == {0}
    assert config.shared["bf16"] is False
    assert json.loads(json.dumps(config.shared))["benchmarks"] == "svamp#0-200,math500#0-100"


@pytest.fixture
def quantised(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[str]]:
    """What every GGUF file is read as, and the names of those that are."""
    model = ascii_model(seed=5)
    reads: list[str] = []

    def read(folder: Path, **how: object) -> object:
        reads.append(str(how["gguf_file"]))
        return model if "dtype" in how else ascii_tokenizer()

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", read)
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", read)
    monkeypatch.setattr(gguf, "named_way", lambda _: None)
    return model, reads


def tie(model: Any, error: float) -> torch.Tensor:
    """Make the embedding the head but for a relative error; the head."""
    head: torch.Tensor = model.lm_head.weight.detach()
    noise = torch.randn(head.shape, generator=torch.Generator().manual_seed(0))
    embedding = head + noise * (error * head.norm() / noise.norm())
    model.model.embed_tokens.weight.data.copy_(embedding)
    return head


def test_a_gguf_file_is_read_once_with_the_heads_values_for_both(
    study: ModuleType,
    quantised: tuple[Any, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, reads = quantised
    head = tie(model, 0.1)
    file, other = tmp_path / "x.gguf", tmp_path / "y.gguf"
    file.write_bytes(b"GGUF")
    other.write_bytes(b"GGUF, another")
    folder = study.model_folder(file, tmp_path / "out")
    assert folder == study.model_folder(file, tmp_path / "out")
    assert folder.name.startswith("out-model-")
    assert reads == ["x.gguf"] * 2
    assert study.model_folder(other, tmp_path / "out") != folder  # a file, not a name
    assert reads[2:] == ["y.gguf"] * 2
    assert study.model_folder(folder, tmp_path / "out") == folder
    monkeypatch.undo()
    read_back = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    assert read_back.config.tie_word_embeddings
    expected = {name: weight.bfloat16() for name, weight in model.state_dict().items()}
    expected["model.embed_tokens.weight"] = head.bfloat16()
    for name, weight in read_back.state_dict().items():
        assert torch.equal(weight, expected[name]), name


@pytest.mark.parametrize("error", [0.3, None])
def test_a_model_that_does_not_tie_them_is_refused(
    error: float | None,
    study: ModuleType,
    quantised: tuple[Any, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if error:
        tie(quantised[0], error)
    file = tmp_path / "x.gguf"
    file.write_bytes(b"GGUF")
    assert study.main(["--model", str(file), "--output_dir", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "are two matrices" in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.gguf"]


def test_a_damaged_gguf_file_is_one_line(
    study: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(b"GGUF, and no more")
    assert study.main(["--model", str(file), "--output_dir", str(tmp_path / "out")]) == 2
    said = capfd.readouterr().err
    assert f"cannot read {file}: " in said
    assert said.count("\n") == 1


def test_a_recipe_without_objectives_is_one_line(
    study: ModuleType, place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none.yaml").write_text("seeds: [0]\n")
    flags = ["--model", str(place / "model"), "--output_dir", str(tmp_path / "out")]
    assert study.main([*flags, "--recipe", str(tmp_path / "none.yaml")]) == 2
    assert "needs objectives in its recipe" in capfd.readouterr().err
