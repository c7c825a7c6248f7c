"""`RLSCTrainer` as a user of TRL would use it, on a tiny model."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM

from rlsc import RLSCConfig, RLSCTrainer
from rlsc.data.prompts import render
from rlsc.engines import SamplingParams, ScriptedEngine
from rlsc.engines.native.engine import NativeEngine
from rlsc.errors import ConfigError, ModelError, NonFiniteError, OutputError, QuestionError
from rlsc.logprobs.padded_rows import make_rows, pad
from rlsc.logprobs.scorer import Scorer, score_completions
from rlsc.records.jsonl import read_jsonl
from rlsc.types import Completion
from tests.conftest import VOCABULARY, tiny_model, tiny_tokenizer

PROMPTS = [f"What is {a} + {b}?" for a in range(3) for b in range(3)]
CHATS = [[{"role": "user", "content": text}] for text in PROMPTS]


def config(folder: Path, **changes) -> RLSCConfig:
    settings = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 3,
        "num_generations": 4,
        "max_completion_length": 8,
        "max_steps": 4,
        "learning_rate": 1e-3,
        "save_steps": 2,
        "bf16": False,
        "disable_tqdm": True,
    } | changes
    return RLSCConfig(**settings)


def trainer(folder: Path, prompts=None, sampler=None, **changes) -> RLSCTrainer:
    data = Dataset.from_dict({"prompt": CHATS if prompts is None else prompts})
    return RLSCTrainer(
        model=tiny_model(),
        args=config(folder, **changes),
        train_dataset=data,
        processing_class=tiny_tokenizer(),
        engine=sampler,
    )


def weights(run: RLSCTrainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


def completions(folder: Path) -> list[str]:
    return [(folder / "completions" / f"{step}.jsonl").read_text() for step in range(4)]


@pytest.mark.parametrize("prompts", [PROMPTS, CHATS], ids=["string", "conversational"])
def test_a_run_leaves_its_records(tmp_path: Path, prompts) -> None:
    run = trainer(tmp_path, prompts)
    start = weights(run).clone()
    run.train()
    assert not torch.equal(weights(run), start)
    metrics = read_jsonl(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in metrics] == [0, 1, 2, 3]
    names = """loss mean_p max_p f_hat effective_sample_size underflowed_weights entropy
        completion_length truncation_rate distinct_completions grad_norm"""
    assert all(math.isfinite(row[name]) for row in metrics for name in names.split())
    for step in range(4):
        rows = read_jsonl(tmp_path / "completions" / f"{step}.jsonl")
        assert len(rows) == 12
        assert len({row["id"] for row in rows}) == 3
        for row in rows:
            assert row["weight"] == pytest.approx(math.exp(row["logprob"]) + 0.1, rel=1e-4)
            assert row["finish_reason"] in ("stop", "length")
            assert row["prompt"]
            assert row["prompt_token_ids"]
        mean = sum(math.exp(row["logprob"]) for row in rows) / 12
        assert metrics[step]["mean_p"] == pytest.approx(mean, rel=1e-5)
    assert {path.name for path in tmp_path.glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-4"}


def test_a_repeated_run_gives_the_same_completions_and_weights(tmp_path: Path) -> None:
    first, second = trainer(tmp_path / "a"), trainer(tmp_path / "b")
    first.train()
    second.train()
    assert completions(tmp_path / "a") == completions(tmp_path / "b")
    assert torch.equal(weights(first), weights(second))
    other = trainer(tmp_path / "c", seed=7)
    other.train()
    assert completions(tmp_path / "c") != completions(tmp_path / "a")


@pytest.mark.parametrize("at", [2, 3])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path, at: int) -> None:
    """9 questions, 3 a step: checkpoints in the middle and at the end of an epoch."""
    whole = trainer(tmp_path / "whole")
    whole.train()
    trainer(tmp_path / "cut", max_steps=at, save_steps=at).train()
    resumed = trainer(tmp_path / "cut")
    resumed.train(resume_from_checkpoint=True)
    assert completions(tmp_path / "cut") == completions(tmp_path / "whole")
    assert torch.equal(weights(resumed), weights(whole))
    kept, expected = (read_jsonl(tmp_path / name / "metrics.jsonl") for name in ("cut", "whole"))
    assert [row["loss"] for row in kept] == [row["loss"] for row in expected]


def test_merging_duplicates_and_micro_batches_do_not_change_the_result(tmp_path: Path) -> None:
    plain = trainer(tmp_path / "a", merge_duplicates=False, tokens_per_microbatch=10**6)
    cut = trainer(tmp_path / "b", merge_duplicates=True, tokens_per_microbatch=40)
    plain.train()
    cut.train()
    assert torch.allclose(weights(plain), weights(cut), atol=2e-4)
    texts = [
        [json.loads(line)["text"] for line in step.splitlines()]
        for step in (completions(tmp_path / "a")[0], completions(tmp_path / "b")[0])
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"padding_free": False},
        {"share_prefixes": False},
        {"logits_chunk_size": 0},
        {"logits_chunk_size": 3},
        {"gradient_checkpointing": True},
        {"skip_weight_below": 1e-30},
    ],
    ids=str,
)
def test_what_only_changes_cost_changes_nothing_else(tmp_path: Path, changes: dict) -> None:
    plain, other = trainer(tmp_path / "a"), trainer(tmp_path / "b", **changes)
    plain.train()
    other.train()
    assert torch.allclose(weights(plain), weights(other), atol=2e-4)
    logs = [read_jsonl(tmp_path / name / "metrics.jsonl") for name in "ab"]
    for row, other_row in zip(*logs, strict=True):
        for name in ("loss", "entropy", "mean_p", "grad_norm"):
            assert row[name] == pytest.approx(other_row[name], rel=2e-2, abs=1e-4)
    assert logs[0][0]["loss"] == pytest.approx(logs[1][0]["loss"], rel=1e-4)


def test_skipped_completions_are_still_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = trainer(tmp_path / "a", alpha=0.0, max_steps=1)
    skipping = trainer(tmp_path / "b", alpha=0.0, max_steps=1, skip_weight_below=0.5)
    rows_of_update: list[int] = []
    score = Scorer.__call__

    def count(scorer, batch, *args, **more):
        if torch.is_grad_enabled():
            rows_of_update.append(len(batch.rows))
        return score(scorer, batch, *args, **more)

    plain.train()
    monkeypatch.setattr(Scorer, "__call__", count)
    skipping.train()
    rows = [read_jsonl(tmp_path / name / "completions" / "0.jsonl") for name in "ab"]
    assert len(rows[1]) == 12
    for one, two in zip(*rows, strict=True):
        assert one["logprob"] == pytest.approx(two["logprob"], rel=1e-4)
        assert one["weight"] == pytest.approx(two["weight"], rel=1e-4)
    heavy = 0
    for start in range(0, 12, 4):
        group = rows[0][start : start + 4]
        best = max(row["weight"] for row in group)
        heavy += len({row["text"] for row in group if row["weight"] >= 0.5 * best})
    assert sum(rows_of_update) == heavy < 12
    logs = [read_jsonl(tmp_path / name / "metrics.jsonl")[0] for name in "ab"]
    assert logs[0]["loss"] == pytest.approx(logs[1]["loss"], rel=1e-4)  # of all completions


@pytest.mark.parametrize("off", [True, False])
def test_dropout_that_stays_on_is_padded(tmp_path: Path, capsys, off: bool) -> None:
    run = RLSCTrainer(
        model=tiny_model("gpt2"),
        args=config(tmp_path, disable_dropout=off, max_steps=1),
        train_dataset=[{"prompt": text} for text in PROMPTS],
        processing_class=tiny_tokenizer(),
    )
    said = " ".join(capsys.readouterr().out.split())
    assert ("can't be computed without padding" in said) == (not off)
    run.train()


@pytest.mark.parametrize(
    "changes",
    [
        {"weight": "length_normalized"},
        {"weight": "token"},
        {"weight": "group_softmax"},
        {"weight": "answer"},
        {"weight": "constant"},
        {"alpha": 0.0},
        {"logprob_temperature": "1"},
        {"mask_truncated_completions": True},
        {"engine": "hf"},
        {"top_p": 0.9, "top_k": 5},
        {"num_generations": 1},
        {"bf16": True},
    ],
    ids=str,
)
def test_every_setting_trains(tmp_path: Path, changes: dict) -> None:
    run = trainer(tmp_path, max_steps=1, **changes)
    run.train()
    (row,) = read_jsonl(tmp_path / "metrics.jsonl")
    assert math.isfinite(row["loss"])


def test_an_adapter_trains_and_the_engine_sees_it(tmp_path: Path) -> None:
    model = tiny_model()
    frozen = {name: p.detach().clone() for name, p in model.named_parameters()}
    run = RLSCTrainer(
        model=model,
        args=config(tmp_path, learning_rate=0.1),
        train_dataset=[{"prompt": text} for text in PROMPTS],
        processing_class=tiny_tokenizer(),
        peft_config=LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj", "v_proj"]),
    )
    run.train()
    for name, value in run.model.get_base_model().named_parameters():
        if "lora" not in name:
            assert torch.equal(value, frozen[name.replace(".base_layer", "")])
    # The engine draws from the adapted weights: its log-probs are those of the trained model.
    run.engine.sync(run.model)
    params = SamplingParams(8, (0,), temperature=0.5)
    prompt = render(run.train_dataset[0].prompt, "0", tiny_tokenizer())
    group = run.engine.generate([prompt], 2, params, [5])[0]
    batch = pad(make_rows([group], merge_duplicates=False))
    adapted = score_completions(run.model, batch, 0.5).logps_BT
    with run.model.disable_adapter():
        plain = score_completions(run.model, batch, 0.5).logps_BT
    engine_logps = torch.tensor([sum(c.logps) for c in group.completions])
    assert torch.allclose(engine_logps, adapted.sum(-1), atol=1e-4)
    assert not torch.allclose(engine_logps, plain.sum(-1), atol=0.1)
    assert (tmp_path / "checkpoint-4" / "adapter_model.safetensors").exists()


def test_the_saved_model_loads_and_is_the_trained_one(tmp_path: Path) -> None:
    run = trainer(tmp_path, max_steps=1)
    run.train()
    run.save_model(str(tmp_path / "model"))
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    for mine, theirs in zip(run.model.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_training_reads_prompts_and_nothing_else(tmp_path: Path) -> None:
    """A row whose other columns raise when they are read."""

    class Guarded(dict):
        def __getitem__(self, key):
            assert key in ("prompt", "id"), f"training read {key!r}"
            return super().__getitem__(key)

        def get(self, key, default=None):
            return self[key] if key in self else default  # noqa: SIM401

        def items(self):
            raise AssertionError("training read every column")

        values = items

    rows = [Guarded(prompt=text, answer="11") for text in PROMPTS]
    run = RLSCTrainer(tiny_model(), config(tmp_path, max_steps=1), rows, tiny_tokenizer())
    run.train()


def scripted(token_ids: tuple[int, ...]) -> ScriptedEngine:
    completion = Completion("7", token_ids, (-0.1,) * len(token_ids), "stop")
    return ScriptedEngine({str(index): [completion] * 4 for index in range(9)})


def test_ids_that_pad_the_vocabulary_are_neither_sampled_nor_trained_on(tmp_path: Path) -> None:
    model = tiny_model(vocab_size=VOCABULARY + 9)
    rows = [{"prompt": text} for text in PROMPTS]
    run = RLSCTrainer(model, config(tmp_path, max_steps=1), rows, tiny_tokenizer())
    head = model.lm_head.weight.detach().clone()
    run.train()
    changed = (model.lm_head.weight.detach() - head * (1 - 1e-3 * 0.01)).abs().amax(1) > 1e-6
    assert changed[:VOCABULARY].all()
    assert not changed[VOCABULARY:].any()  # but for AdamW's decay
    engine = scripted((VOCABULARY + 1, 0))
    run = RLSCTrainer(model, config(tmp_path / "own", max_steps=1), rows, tiny_tokenizer(), engine)
    with pytest.raises(ModelError, match=r"has sampled the id .*which pads the vocabulary"):
        run.train()


def test_an_all_masked_step_is_counted_and_harmless(tmp_path: Path) -> None:
    cut = Completion("", (5, 6), (-1.0, -1.0), "length")
    engine = ScriptedEngine({str(index): [cut] * 4 for index in range(9)})
    run = trainer(tmp_path, sampler=engine, max_steps=1, mask_truncated_completions=True)
    run.train()
    (row,) = read_jsonl(tmp_path / "metrics.jsonl")
    assert row["loss"] == 0
    assert row["all_masked"] == 1
    assert torch.isfinite(weights(run)).all()


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    run = trainer(tmp_path, sampler=scripted((5, 0)))
    generate = run.engine.generate

    def poison(*args, **kwargs):
        if run.state.global_step == 3:
            with torch.no_grad():
                next(run.model.parameters()).fill_(float("nan"))
        return generate(*args, **kwargs)

    run.engine.generate = poison
    with pytest.raises(NonFiniteError, match="step 3"):
        run.train()
    assert (tmp_path / "checkpoint-2" / "model.safetensors").exists()
    assert len(read_jsonl(tmp_path / "metrics.jsonl")) == 3


def test_a_gradient_that_is_not_finite_stops_before_the_update(tmp_path: Path) -> None:
    run = trainer(tmp_path, max_steps=1)
    before = weights(run).clone()
    next(run.model.parameters()).register_hook(lambda g: torch.full_like(g, float("inf")))
    with pytest.raises(NonFiniteError, match="gradient"):
        run.train()
    assert torch.equal(weights(run), before)


def test_bad_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="no 'prompt'"):
        RLSCTrainer(tiny_model(), config(tmp_path), [{"text": "x"}], tiny_tokenizer())
    with pytest.raises(QuestionError, match="empty"):
        RLSCTrainer(tiny_model(), config(tmp_path), [], tiny_tokenizer())
    with pytest.raises(ConfigError, match="too few"):
        trainer(tmp_path, PROMPTS[:2])
    with pytest.raises(QuestionError, match="question 1: its prompt has 125 tokens"):
        trainer(tmp_path, [*PROMPTS[:1], "1" * 125, *PROMPTS])
    run = trainer(tmp_path, [*PROMPTS[:1], "1" * 125, *PROMPTS], skip_long_prompts=True)
    assert [prompt.id for prompt in run.skipped_prompts] == ["1"]
    with pytest.raises(ConfigError, match="room"):
        trainer(tmp_path, max_completion_length=128)


def test_an_adapter_starts_the_same_in_every_run(tmp_path: Path) -> None:
    texts = []
    for name in "ab":
        torch.rand(3)  # whatever was drawn before
        run = RLSCTrainer(
            tiny_model(),
            config(tmp_path / name, learning_rate=0.1),
            [{"prompt": text} for text in PROMPTS],
            tiny_tokenizer(),
            peft_config=LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"]),
        )
        run.train()
        texts.append(completions(tmp_path / name))
    assert texts[0] == texts[1]


def test_a_second_run_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    trainer(tmp_path).train()
    kept = completions(tmp_path)
    with pytest.raises(OutputError, match="holds the records of a run"):
        trainer(tmp_path, max_steps=2).train()
    assert completions(tmp_path) == kept


@pytest.mark.parametrize("steps", [2, 4])
def test_resuming_at_the_last_step_trains_no_further(tmp_path: Path, steps: int) -> None:
    """3 steps an epoch: the end lies in the middle of one."""
    first = trainer(tmp_path, max_steps=steps, save_steps=steps)
    first.train()
    again = trainer(tmp_path, max_steps=steps, save_steps=steps)
    assert again.train(resume_from_checkpoint=True).global_step == steps
    assert torch.equal(weights(again), weights(first))
    assert len(read_jsonl(tmp_path / "metrics.jsonl")) == steps


def test_metrics_are_strict_json_even_where_there_is_no_estimate(tmp_path: Path) -> None:
    trainer(tmp_path, num_generations=1, max_steps=1).train()
    text = (tmp_path / "metrics.jsonl").read_text()
    assert "NaN" not in text
    assert json.loads(text)["f_hat"] is None


def test_masked_completions_have_no_weight(tmp_path: Path) -> None:
    run = trainer(tmp_path, max_steps=1, mask_truncated_completions=True)
    run.train()
    rows = read_jsonl(tmp_path / "completions" / "0.jsonl")
    assert {row["finish_reason"] for row in rows} == {"stop", "length"}
    for row in rows:
        assert (row["weight"] == 0) == (row["finish_reason"] == "length")


class ForeignEngine(NativeEngine):
    """Samples as native does, and says of its log-probs what it likes."""

    foreign = True
    shift = 0.0

    def generate(self, *args, **kwargs):
        groups = super().generate(*args, **kwargs)
        shifted = [
            [replace(c, logps=tuple(p - self.shift for p in c.logps)) for c in group.completions]
            for group in groups
        ]
        return [replace(g, completions=tuple(c)) for g, c in zip(groups, shifted, strict=True)]


@pytest.mark.parametrize("shift", [0.0, 0.3])
@pytest.mark.parametrize("corrected", [False, True])
def test_an_engine_whose_log_probs_are_off(tmp_path: Path, shift: float, corrected: bool) -> None:
    """An error on the first step, unless importance weights are asked for."""
    changes = {"max_steps": 1, "importance_sampling_correction": corrected}
    plain = trainer(tmp_path / "plain", max_steps=1)
    plain.train()
    engine = ForeignEngine(tiny_model(), tiny_tokenizer(), torch.float32)
    engine.shift = shift
    run = trainer(tmp_path / "run", sampler=engine, **changes)
    if shift and not corrected:
        with pytest.raises(ModelError, match=r"0\.3 nats a token off the"):
            run.train()
        return
    run.train()
    # e^(0.3 · tokens) above the cap or not: the weights differ from 1, and so does the step.
    same = torch.allclose(weights(run), weights(plain), atol=1e-5)
    assert same == (shift == 0)
    if corrected:  # the cap is 2: more than two tokens of 0.3 nats are above it
        rows = read_jsonl(tmp_path / "run" / "completions" / "0.jsonl")
        above = [0.3 * len(row["completion_token_ids"]) > math.log(2) for row in rows]
        expected = sum(above) / len(above) if shift else 0.0
        (logged,) = read_jsonl(tmp_path / "run" / "metrics.jsonl")
        assert logged["capped_weights"] == pytest.approx(expected)


def test_importance_weights_need_one_distribution(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="importance_sampling_correction needs"):
        config(tmp_path, importance_sampling_correction=True, top_p=0.9)


def test_no_step_is_an_error(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.get_batch_samples = lambda *_: ([], None)
    with pytest.raises(ConfigError, match="no step was made"):
        run.train()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"adam_beta1": 2.0}, "beta"),
        ({"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"cycles": 1}}, "cycles"),
        ({"optim_args": "fast"}, "unpack"),
    ],
)
def test_the_optimizer_is_tried_before_anything_is_sampled(
    tmp_path: Path, settings: dict, message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"the optimizer or its schedule.*optim_args.*{message}"):
        trainer(tmp_path, **settings).check_optimizer()
    run = trainer(tmp_path)
    run.check_optimizer()
    assert run.optimizer is run.lr_scheduler is None


def test_how_many_weights_of_16_bits_move(tmp_path: Path, capsys) -> None:
    """At 1e-5 few, at 1e-1 nearly all; in float32 nothing is said of it."""
    shares = []
    for rate in (1e-5, 1e-1):
        data = Dataset.from_dict({"prompt": CHATS})
        args = config(tmp_path / str(rate), learning_rate=rate, max_steps=1, guard="off")
        run = RLSCTrainer(tiny_model().bfloat16(), args, data, tiny_tokenizer())
        before = weights(run)
        run.train()
        moved = float((weights(run) != before).double().mean())
        (row,) = read_jsonl(tmp_path / str(rate) / "metrics.jsonl")
        assert row["moved_weights"] == pytest.approx(moved)  # of so few weights all are looked at
        shares.append(moved)
    assert shares[0] < 0.5 < 0.9 < shares[1]
    assert "note: the trained weights are bfloat16" in " ".join(capsys.readouterr().out.split())
    run = trainer(tmp_path / "whole", max_steps=1)
    run.train()
    assert "moved_weights" not in read_jsonl(tmp_path / "whole" / "metrics.jsonl")[0]
