"""Whole runs through the command line's own path, on a tiny model folder."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
import yaml
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from rlsc.commands import train as run_module
from rlsc.commands import train_evaluation as evaluation_run
from rlsc.commands.arguments import parse
from rlsc.commands.main import _main
from rlsc.commands.train import run
from rlsc.data.questions import QuestionSet, arithmetic
from rlsc.errors import ConfigError, NonFiniteError, OutputError
from rlsc.records.conversion import to_json
from rlsc.records.jsonl import read_jsonl
from rlsc.records.results import TrainingResults, read_results_of
from rlsc.runtime import Cpu
from rlsc.types import AnswerKey

FLAGS = """--questions arithmetic --max_steps 2 --num_generations 3 --max_completion_length 6
    --per_device_train_batch_size 4 --save_steps 1 --eval_samples 2 --eval_limit 5
    --guard_pool_size 8 --guard_probe_size 4 --bf16 false --disable_tqdm true""".split()


def arguments(model: Path, folder: Path, *more: str) -> list[str]:
    return [*FLAGS, "--model", str(model), "--output_dir", str(folder), *more]


def results(folder: Path) -> TrainingResults:
    return read_results_of(TrainingResults, folder)


def figures(folder: Path) -> list:
    """What two runs to the same end share: all but seconds."""
    found = results(folder)
    return [found.steps, timeless(found.evaluation), timeless(found.curve)]


def timeless(content: object) -> object:
    """As JSON, without the fields that no two runs share: seconds."""
    content = to_json(content)
    if isinstance(content, dict):
        return {k: timeless(v) for k, v in content.items() if not k.endswith("seconds")}
    return [timeless(one) for one in content] if isinstance(content, list) else content


def answers(folder: Path, stage: str = "after") -> dict[str, list]:
    """The rows of a run's own evaluation by setting, without seconds."""
    files = sorted((folder / "eval" / stage / "evaluation").glob("*.jsonl"))
    assert files
    return {file.stem: timeless(read_jsonl(file)) for file in files}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_a_run_leaves_everything_it_promises(tiny_folder: Path, folder: Path) -> None:
    run(*parse(arguments(tiny_folder, folder)))
    found = results(folder)
    own = found.evaluation
    for side in (own.base, own.tuned):
        greedy, sampled, trained = side.scores
        assert greedy.n == greedy.questions == 5
        low, high = greedy.accuracy.interval
        assert 0 <= low <= greedy.accuracy.value <= high <= 1
        assert (sampled.setting.temperature, sampled.setting.samples) == (1.0, 2)
        low, high = sampled.accuracy.interval
        assert low <= sampled.accuracy.value <= high
        assert 0 <= sampled.majority.value <= 1
        assert 0 < greedy.mean_length <= 6
        assert trained.setting.temperature == 0.5
    expected = own.tuned.main.accuracy.value - own.base.main.accuracy.value
    assert own.difference.accuracy.value == pytest.approx(expected)
    assert [each.after for each in own.differences] == [
        *("greedy", "sampled", "sampled_at_training_temperature")
    ]
    figure = own.base.best.figure.value
    assert figure == max(
        each.value for s in own.base.scores for each in (s.accuracy, s.majority) if each
    )
    assert found.steps == 2
    assert (own.task.available, found.training_questions) == (39, 42)
    assert own.task.relation == "held-out questions, split seed 0"
    assert own.task.transductive is False
    assert [point.step for point in found.curve] == [0, 2]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["num_generations"], config["learning_rate"]) == (3, 1e-5)
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["packages"]["torch"]
    cpu = Cpu.here()
    assert environment["cpu"] == dataclasses.asdict(cpu)
    assert environment["questions"]["train"] == {"n": 42}
    identity = json.loads((folder / "identity.json").read_text())
    assert len(identity["training questions"]) == len(identity["model weights"]) == 64
    assert len(read_jsonl(folder / "metrics.jsonl")) == 2
    assert len(read_jsonl(folder / "completions" / "0.jsonl")) == 12
    counts = {name: len(rows) for name, rows in answers(folder, "before").items()}
    assert counts == {"greedy": 5, "sampled": 10, "sampled_at_training_temperature": 10}
    AutoModelForCausalLM.from_pretrained(folder / "model")
    assert (folder / "plot.svg").read_text("utf-8").startswith("<svg")
    report = (folder / "report.md").read_text()
    for heading in ("## Before and after", "## By step", "## Cases", "## How it was made"):
        assert heading in report
    assert str(cpu) in report
    assert report.count("**base**") == report.count("**tuned**") == 5


def test_the_tuned_model_is_one_of_plain_transformers(tiny_folder: Path, folder: Path) -> None:
    """Weights, chat template and generation config, as the base has them."""
    defaults = GenerationConfig(do_sample=True, temperature=0.7, top_p=0.8, eos_token_id=[0, 2])
    defaults.save_pretrained(tiny_folder)
    quick = ["--max_steps", "1", "--eval", "none", "--guard", "off", "--learning_rate", "0.01"]
    run(*parse(arguments(tiny_folder, folder, *quick)))
    base, tuned = (AutoTokenizer.from_pretrained(each) for each in (tiny_folder, folder / "model"))
    chat = [{"role": "user", "content": "What is 3 + 8?"}]
    texts = [
        each.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        for each in (base, tuned)
    ]
    assert texts[0] == texts[1]
    kept = AutoModelForCausalLM.from_pretrained(folder / "model").generation_config
    assert (kept.temperature, kept.top_p, kept.eos_token_id) == (0.7, 0.8, [0, 2])
    card = (folder / "model" / "README.md").read_text("utf-8")
    assert "What it came to" in card


def test_an_adapter_is_trained_merged_and_resumed(tiny_folder: Path, folder: Path) -> None:
    flags = [*("--use_peft", "true", "--lora_r", "2"), *("--learning_rate", "0.05")]
    run(*parse(arguments(tiny_folder, folder, *flags, "--gradient_checkpointing", "true")))
    adapted = AutoPeftModelForCausalLM.from_pretrained(folder / "adapter")
    merged = AutoModelForCausalLM.from_pretrained(folder / "model")
    base = AutoModelForCausalLM.from_pretrained(tiny_folder)
    ids = torch.tensor([[4, 7, 9, 3]])
    with torch.no_grad():
        logits = [model(ids).logits for model in (adapted, merged, base)]
    assert torch.allclose(logits[0], logits[1], atol=1e-4)
    assert not torch.allclose(logits[0], logits[2], atol=1e-2)
    assert (folder / "model" / "tokenizer_config.json").is_file()
    # A run that ends at step 1 and goes on ends where the whole one does.
    other = folder.parent / "cut"
    run(*parse(arguments(tiny_folder, other, *flags, "--max_steps", "1")))
    (other / "results.json").unlink()
    run(*parse(arguments(tiny_folder, other, *flags, "--resume", "true")))
    again = AutoModelForCausalLM.from_pretrained(other / "model")
    for one, two in zip(merged.parameters(), again.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-5)


@pytest.mark.parametrize(
    "optim",
    ["adafactor", *(pytest.param(n, marks=pytest.mark.slow) for n in ("adamw_torch", "sgd"))],
)
def test_optimizers_are_those_of_transformers(tiny_folder: Path, folder: Path, optim: str) -> None:
    flags = ("--optim", optim, "--eval", "none", "--learning_rate", "0.01")
    run(*parse(arguments(tiny_folder, folder, *flags)))
    tuned, base = (AutoModelForCausalLM.from_pretrained(x) for x in (folder / "model", tiny_folder))
    pairs = zip(tuned.parameters(), base.parameters(), strict=True)
    assert any(not torch.equal(one, two) for one, two in pairs)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--use_peft", "true", "--lora_target_modules", "nothing"], "Target modules"),
        (["--lora_r", "0"], "lora_r must be 1 or more"),
        (["--use_peft", "true", "--lora_target_modules", ","], "lora_target_modules is empty"),
        (["--lora_r", "4"], "lora settings need --use_peft true"),
        (["--optim", "adalomo"], "lomo"),
        (["--skip_weight_below", "1"], "skip_weight_below must be"),
        (["--skip_weight_below", "0.1", "--weight", "token"], "one weight a completion"),
        (["--logits_chunk_size", "-1"], "logits_chunk_size must be 0 or more"),
        (
            ["--skip_weight_below", "0.1", "--importance_sampling_correction", "true"],
            "exclude each other",
        ),
    ],
)
def test_mistakes_about_cost_are_one_line(
    tiny_folder: Path, folder: Path, flags: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(*parse(arguments(tiny_folder, folder, *flags)))
    assert not list(folder.glob("*"))


def test_the_resolved_config_repeats_the_run(tiny_folder: Path, tmp_path: Path) -> None:
    run(*parse(arguments(tiny_folder, tmp_path / "a")))
    stored = str(tmp_path / "a" / "config.yaml")
    run(*parse(["--config", stored, "--output_dir", str(tmp_path / "b")]))
    name = "completions/1.jsonl"
    assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()
    assert answers(tmp_path / "a") == answers(tmp_path / "b")


def test_training_never_reads_an_answer(
    tiny_folder: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forbidden(AnswerKey):
        def __getitem__(self, question_id: str) -> str:
            raise AssertionError("training read an answer")

        __contains__ = __iter__ = __len__ = __getitem__  # type: ignore[assignment]

    real = arithmetic()
    monkeypatch.setattr(
        evaluation_run,
        "load_questions",
        lambda *_, **__: QuestionSet("x", real.train, answers=Forbidden({})),
    )
    run(*parse(arguments(tiny_folder, folder, "--eval", "none", "--weight", "answer")))
    assert results(folder).steps == 2
    with pytest.raises(AssertionError, match="training read an answer"):
        run(*parse(arguments(tiny_folder, folder, "--overwrite")))


def test_a_folder_that_holds_a_run_is_refused(tiny_folder: Path, folder: Path, capsys) -> None:
    arguments_ = arguments(tiny_folder, folder, "--eval", "none")
    run(*parse(arguments_))
    first = (folder / "metrics.jsonl").read_text()
    with pytest.raises(OutputError, match=r"holds a training run \(finished\)"):
        run(*parse(arguments_))
    assert _main(["train", *arguments_]) == 2
    run(*parse([*arguments_, "--resume"]))
    assert "nothing to do" in capsys.readouterr().out
    assert (folder / "metrics.jsonl").read_text() == first
    (folder / "mine.txt").write_text("not the run's")
    run(*parse([*arguments_, "--overwrite", "--seed", "7"]))
    assert (folder / "metrics.jsonl").read_text() != first
    assert (folder / "mine.txt").exists()


def test_a_run_that_died_resumes_to_the_same_end(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(*parse(arguments(tiny_folder, whole)))

    def die(self, step, *_):
        if step == 1:
            raise NonFiniteError("died")
        return record(self, step, *_)

    record = run_module.RLSCTrainer._record_step
    with monkeypatch.context() as patch:
        patch.setattr(run_module.RLSCTrainer, "_record_step", die)
        assert _main(["train", *arguments(tiny_folder, cut)]) == 1
    assert not (cut / "results.json").exists()
    with pytest.raises(ConfigError, match="num_generations was 3"):
        run(*parse(arguments(tiny_folder, cut, "--resume", "--num_generations", "4")))
    run(*parse(arguments(tiny_folder, cut, "--resume")))
    assert figures(cut) == figures(whole)
    for name in ("completions/0.jsonl", "completions/1.jsonl"):
        assert (cut / name).read_text() == (whole / name).read_text()
    assert answers(cut) == answers(whole)


def test_resume_where_nothing_is_starts_afresh(tiny_folder: Path, folder: Path) -> None:
    run(*parse(arguments(tiny_folder, folder, "--resume", "--eval", "none")))
    assert results(folder).steps == 2


def test_questions_from_a_file_without_answers(tiny_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps({"question": f"What is {i}?"}) + "\n" for i in range(6)))
    run(*parse(arguments(tiny_folder, tmp_path / "run", "--questions", str(file))))
    own = results(tmp_path / "run").evaluation
    assert own.base.main.n == 0
    assert own.base.main.accuracy is None
    assert own.base.main.mean_length > 0
    assert own.task.relation == "the training questions themselves (transductive)"
    assert own.task.trained_on == ("0", "1", "2", "3", "4")
    assert own.base.best is own.against_base_best is None
    report = (tmp_path / "run" / "report.md").read_text()
    assert "5 of them have no reference answer" in report


def test_overlap_with_the_evaluation_questions_is_counted(
    tiny_folder: Path, tmp_path: Path
) -> None:
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    rows = [{"question": f"What is {i}?", "answer": str(i)} for i in range(8)]
    train.write_text("".join(json.dumps(row) + "\n" for row in rows[:6]))
    test.write_text("".join(json.dumps(row) + "\n" for row in rows[4:]))
    more = ("--questions", str(train), "--eval_questions", str(test))
    run(*parse(arguments(tiny_folder, tmp_path / "run", *more)))
    facts = results(tmp_path / "run").evaluation.task
    assert facts.relation == f"{test} (2 of 4 also trained on: transductive)"
    assert facts.trained_on == ("0", "1")


def test_bad_input_leaves_an_earlier_run_alone(tiny_folder: Path, folder: Path, capsys) -> None:
    run(*parse(arguments(tiny_folder, folder, "--eval", "none")))
    more = ("--overwrite", "--max_completion_length", "500")
    capsys.readouterr()
    assert _main(["train", *arguments(tiny_folder, folder, *more)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (folder / "results.json").exists()
