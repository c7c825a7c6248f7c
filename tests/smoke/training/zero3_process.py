"""What `test_zero3.py` starts under ZeRO-3: steps on given completions, of several lengths.

Arguments: folder, questions a step and process; or those of `rlsc train`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from accelerate.state import PartialState

from rlsc import RLSCTrainer
from rlsc.commands.main import main as rlsc
from rlsc.engines import ScriptedEngine
from rlsc.runtime.processes import is_main
from rlsc.runtime.sharding import full_tensor, in_step
from rlsc.types import Completion
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.training.test_trainer import CHATS, config

ZERO3 = os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true"


class Given(ScriptedEngine):
    """Stands for an engine that samples elsewhere; it sees every weight whole, as those do."""

    seen = 0

    def sync(self, model: torch.nn.Module) -> None:
        self.seen = sum(full_tensor(one).numel() for one in model.parameters())


def on_cpus() -> None:
    """accelerate starts DeepSpeed on CPUs, and then counts one process."""
    import deepspeed

    deepspeed.ops.__compatible_ops__.clear()  # none that a compiler would have to build
    init = PartialState.__init__

    def counted(self: PartialState, *args: object, **more: object) -> None:
        init(self, *args, **more)
        self.num_processes = int(os.environ["WORLD_SIZE"])
        self.process_index = self.local_process_index = int(os.environ["RANK"])

    PartialState.__init__ = counted


def main() -> None:
    if ZERO3:
        on_cpus()
    if sys.argv[1] == "train":
        rlsc(sys.argv[1:])
    folder, size = sys.argv[1:]
    args = config(
        Path(folder),
        per_device_train_batch_size=int(size),
        max_steps=2,
        save_steps=2,
        use_cpu=not ZERO3,
        optim="sgd",
        tokens_per_microbatch=64,
        engine="vllm",
        guard="off",
    )
    script = {
        str(index): [
            Completion(
                "",
                tuple(3 + (index * at + n) % 20 for n in range(at + 1)),
                (-1.0,) * (at + 1),
                "stop",
            )
            for at in range(1, 5)
        ]
        for index in range(8)
    }
    engine = Given(script)
    run = RLSCTrainer(
        model=tiny_model(),
        args=args,
        train_dataset=[{"id": str(at), "prompt": chat} for at, chat in enumerate(CHATS[:8])],
        processing_class=tiny_tokenizer(),
        engine=engine,
    )
    run.train()
    assert in_step(run.model) == ZERO3  # or it would be plain DDP
    weights = {name: full_tensor(one).detach() for name, one in run.model.named_parameters()}
    assert engine.seen == sum(one.numel() for one in weights.values())
    if is_main():
        torch.save(weights, Path(folder) / "state.pt")


if __name__ == "__main__":
    main()
