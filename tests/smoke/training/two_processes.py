"""What `test_processes.py` runs, by itself and as one of two processes: short trainings."""

from __future__ import annotations

from pathlib import Path

import torch

from rlsc import RLSCTrainer
from rlsc.data.prompts import render
from rlsc.engines import SamplingParams
from rlsc.engines.native.engine import NativeEngine
from rlsc.grading import extract_answer
from rlsc.runtime.processes import is_main
from rlsc.runtime.sharding import full_tensor, is_sharded
from rlsc.types import AnswerKey
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.training.sharded import on_cpus
from tests.smoke.training.test_trainer import CHATS, config


def said(model: torch.nn.Module, tokenizer: object, rows: list[dict]) -> dict[str, str]:
    """What the model answers greedily: sampled answers are then right now and then."""
    engine = NativeEngine(model, tokenizer, next(model.parameters()).dtype)
    prompts = [render(row["prompt"], row["id"], tokenizer) for row in rows]
    groups = engine.generate(prompts, 1, SamplingParams(8, (0,), 0.0), [0] * len(rows))
    answers = [extract_answer(group.completions[0].text) for group in groups]
    return {row["id"]: answer or "1" for row, answer in zip(rows, answers, strict=True)}


def train(folder: str, size: int, objective: str, settings: dict) -> None:
    """Leaves `state.pt` beside what a run leaves: gradients, weights, whether they were sharded."""
    settings = dict(settings)
    dtype = getattr(torch, settings.pop("dtype", "float32"))
    args = config(
        Path(folder),
        per_device_train_batch_size=size,
        objective=objective,
        max_steps=2,
        save_steps=2,
        use_cpu=True,
        max_grad_norm=1e9,
        optim="sgd",  # AdamW would make a step of a gradient that is 0 but for rounding
        **settings,
    )
    rows = [{"id": str(index), "prompt": chat} for index, chat in enumerate(CHATS[:8])]
    tokenizer = tiny_tokenizer()
    # Llama's norms are float32 in any dtype; GPT-2's are not.
    model = tiny_model("llama" if dtype == torch.float32 else "gpt2").to(dtype)
    run = RLSCTrainer(
        model=model,
        args=args,
        train_dataset=rows,
        processing_class=tokenizer,
        answer_key=AnswerKey(said(model, tokenizer, rows)),
        probe_dataset=rows[:3],
    )
    gradients: list[dict[str, torch.Tensor]] = []

    def remember(*_: object, **__: object) -> None:
        gradients.append({n: full_tensor(p.grad).clone() for n, p in run.model.named_parameters()})

    run.callback_handler.callbacks[0].on_pre_optimizer_step = remember
    run.train()
    sharded = is_sharded(run.model)
    weights = {name: full_tensor(one.detach()) for name, one in run.model.named_parameters()}
    if is_main():
        state = {"gradients": gradients, "weights": weights, "sharded": sharded}
        torch.save(state, Path(folder) / "state.pt")


def train_all(trainings: list[list]) -> None:
    """Of each its folder, questions a step and process, objective and further settings."""
    on_cpus()
    for training in trainings:
        train(*training)
