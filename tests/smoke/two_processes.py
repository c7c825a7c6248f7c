"""What `test_processes.py` starts, by itself or under `accelerate launch`: a short training.

Arguments: folder, questions a step and process, objective, further settings as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from rlsc import RLSCTrainer
from rlsc.processes import is_main
from rlsc.types import AnswerKey
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.test_trainer import CHATS, config


def main() -> None:
    folder, size, objective, more = sys.argv[1:]
    settings = json.loads(more)
    dtype = getattr(torch, settings.pop("dtype", "float32"))
    fail = settings.pop("fail", None)
    args = config(
        Path(folder),
        per_device_train_batch_size=int(size),
        objective=objective,
        max_steps=2,
        save_steps=1,
        use_cpu=True,
        max_grad_norm=1e9,
        **settings,
    )
    rows = [{"id": str(index), "prompt": chat} for index, chat in enumerate(CHATS[:8])]
    run = RLSCTrainer(
        model=tiny_model().to(dtype),
        args=args,
        train_dataset=rows,
        processing_class=tiny_tokenizer(),
        answer_key=AnswerKey({row["id"]: "1" for row in rows}),
        probe_dataset=rows[:3],
    )
    gradients: list[dict[str, torch.Tensor]] = []

    def remember(*_: object, **__: object) -> None:
        gradients.append({n: p.grad.clone() for n, p in run.model.named_parameters()})
        if fail is not None and int(os.environ.get("RANK", "0")) == fail:
            raise RuntimeError("this rank fails")

    run.callback_handler.callbacks[0].on_pre_optimizer_step = remember
    run.train()
    if is_main():
        state = {"gradients": gradients, "weights": run.model.state_dict()}
        torch.save(state, Path(folder) / "state.pt")


if __name__ == "__main__":
    main()
