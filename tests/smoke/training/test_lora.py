"""Adapters through a whole run: what is trained, what the base is, evaluated, resumed, pushed."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from rlsc import RLSCTrainer
from rlsc.commands import hub
from rlsc.commands.main import _main
from rlsc.engines.native.engine import NativeEngine
from rlsc.records.jsonl import read_jsonl
from rlsc.training import trainer as trainer_module
from rlsc.training.auxiliary import AuxiliaryModels
from rlsc.training.reference import Reference
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.commands.test_train import arguments, results
from tests.smoke.conftest import Evaluate
from tests.smoke.conftest import results as scores_of
from tests.smoke.training.test_trainer import CHATS, config

LORA = ("--use_peft", "true", "--lora_r", "2", "--learning_rate", "0.05")
TIMED = {"seconds", "sample_seconds", "train_runtime", "total_flos"}


def trainer(folder: Path, engine: object = None, **changes: object) -> RLSCTrainer:
    return RLSCTrainer(
        model=tiny_model(),
        args=config(folder, learning_rate=0.05, **changes),
        train_dataset=[{"id": str(at), "prompt": chat} for at, chat in enumerate(CHATS)],
        processing_class=tiny_tokenizer(),
        engine=engine,
        peft_config=LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear"),
    )


def adapter(run: RLSCTrainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters() if p.requires_grad])


def test_only_the_adapter_has_gradients(tmp_path: Path) -> None:
    run = trainer(tmp_path, max_steps=1)
    seen: dict[str, bool] = {}

    def look(*_: object, **__: object) -> None:
        seen.update({name: p.grad is not None for name, p in run.model.named_parameters()})

    run.callback_handler.callbacks[0].on_pre_optimizer_step = look
    run.train()
    assert seen == {name: "lora_" in name for name in seen}
    assert sum(seen.values()) == len(run.optimizer.param_groups[0]["params"]) + len(
        run.optimizer.param_groups[1]["params"]
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"rollout_policy": "base"},
        {"beta": 0.5},
        pytest.param({"rollout_policy": "base", "bf16": True}, marks=pytest.mark.slow),
    ],
    ids=["sampling", "divergence", "sampling-bf16"],
)
def test_the_base_is_the_model_without_its_adapter(
    tmp_path: Path, changes: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a run whose base is a copy, and which samples from that copy."""
    run = trainer(tmp_path / "adapter", guard="off", **changes)
    assert run.auxiliary.reference._model is run.model
    run.train()
    base = copy.deepcopy(tiny_model()).requires_grad_(False)
    dtype = torch.bfloat16 if changes.get("bf16") else torch.float32
    engine = NativeEngine(base, tiny_tokenizer(), dtype) if "rollout_policy" in changes else None

    def copied(args, objective, policy, layout, *_):
        return AuxiliaryModels(Reference(base, layout))

    monkeypatch.setattr(trainer_module, "create_auxiliary", copied)
    other = trainer(tmp_path / "copy", engine, guard="off", **changes)
    monkeypatch.undo()
    assert other.auxiliary.reference._model is not base
    other.train()
    rows = [
        [row for step in range(4) for row in read_jsonl(folder / f"completions/{step}.jsonl")]
        for folder in (tmp_path / "adapter", tmp_path / "copy")
    ]
    assert [row["text"] for row in rows[0]] == [row["text"] for row in rows[1]]
    if not changes.get("bf16"):  # in bf16 the adapter's own products round otherwise
        assert torch.allclose(adapter(run), adapter(other), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(adapter(run), adapter(trainer(tmp_path / "start")), atol=1e-2)


def test_the_trained_adapter_is_not_what_samples(tmp_path: Path) -> None:
    """Else the comparison above could not fail: after training the two sample otherwise."""
    policy, base = (trainer(tmp_path / name, rollout_policy=name) for name in ("current", "base"))
    policy.train()
    base.train()
    last = [
        [row["text"] for row in read_jsonl(tmp_path / name / "completions" / "3.jsonl")]
        for name in ("current", "base")
    ]
    assert last[0] != last[1]


def test_a_resumed_adapter_is_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole", guard="stop", beta=0.1)
    whole.train()
    trainer(tmp_path / "cut", guard="stop", beta=0.1, max_steps=2).train()
    resumed = trainer(tmp_path / "cut", guard="stop", beta=0.1)
    resumed.train(resume_from_checkpoint=True)
    assert torch.equal(adapter(resumed), adapter(whole))
    for step in range(4):
        name = f"completions/{step}.jsonl"
        assert (tmp_path / "cut" / name).read_text() == (tmp_path / "whole" / name).read_text()
    ours, theirs = (read_jsonl(tmp_path / one / "metrics.jsonl") for one in ("cut", "whole"))
    timeless = [[{k: v for k, v in r.items() if k not in TIMED} for r in x] for x in (ours, theirs)]
    assert timeless[0] == timeless[1]


def test_merged_evaluated_and_pushed(
    model_folder: Path,
    tmp_path: Path,
    evaluate: Evaluate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uploaded: list[Path] = []

    class Hub:
        def __init__(self, token: str | None = None) -> None: ...

        def whoami(self) -> dict[str, str]:
            return {"name": "me"}

        def create_repo(self, name: str, **_: object) -> SimpleNamespace:
            return SimpleNamespace(repo_id=name)

        def upload_folder(self, folder_path: Path, **_: object) -> None:
            uploaded.append(Path(folder_path))

    monkeypatch.setattr(hub, "HfApi", Hub)
    folder = tmp_path / "run"
    push = ("--push_to_hub", "true", "--hub_model_id", "me/mine")
    assert _main(["train", *arguments(model_folder, folder, *LORA, *push)]) == 0
    assert uploaded == [folder / "model"]
    merged = AutoModelForCausalLM.from_pretrained(uploaded[0])
    assert not isinstance(merged, PeftModel)
    adapted = AutoPeftModelForCausalLM.from_pretrained(folder / "adapter")
    ids = torch.tensor([[4, 7, 9, 3]])
    with torch.no_grad():
        assert torch.allclose(merged(ids).logits, adapted(ids).logits, atol=1e-4)
    names = load_file(folder / "adapter" / "adapter_model.safetensors")
    assert names
    assert all("lora_" in name for name in names)
    # What the run says of its end is what an evaluation of the merged model says.
    assert results(folder).steps == 2
    assert evaluate(tmp_path / "eval", "--model", folder / "model", "--limit", 2) == 0
    assert scores_of(tmp_path / "eval")["tasks"]["math500"]["tuned"]["scores"][0]["n"] == 2
