"""An estimate of a step's time and a run's cost on GPUs, from stated rates. Nothing is measured.

    python perf/scaling.py [--gpus 1,8] [--tokens 900] [--price 2.0] [--dtype fp32]

The paper's run (arXiv 2506.06395): 16 completions a question, 10 steps; questions a step are ours.
Rates are shares of an A100's data sheet that such software is said to reach; set your own. Sampling
reads the weights once for every token of the longest completion, and each row's keys and values;
the update is 6 operations a parameter and token, 8 with checkpointing; weights are exchanged once a
step: gradients by a ring, and under FSDP2 the weights for every forward and backward pass.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    name: str
    parameters: float
    kv_values: int
    """Numbers in a token's keys and values."""
    sharded: bool


MODELS = (
    Model("Qwen2.5-Math-1.5B", 1.54e9, 2 * 28 * 2 * 128, False),
    Model("Qwen2.5-Math-7B", 7.62e9, 2 * 28 * 4 * 128, True),
)


@dataclass(frozen=True)
class Rates:
    """Of an A100-80GB: operations in bfloat16, bytes of its memory, of NVLink and between nodes."""

    flops: float = 312e12
    dtype_bytes: int = 2
    bandwidth: float = 2.0e12
    link: float = 300e9
    network: float = 25e9
    update_share: float = 0.35
    sampling_share: float = 0.5
    """Of the bandwidth, while it decodes."""
    link_share: float = 0.6
    node: int = 8


# In float32 without TF32, as torch has it by default.
RATES = {"bf16": Rates(), "fp32": Rates(flops=19.5e12, dtype_bytes=4)}


@dataclass(frozen=True)
class Step:
    sampling: float
    update: float
    sync: float

    @property
    def seconds(self) -> float:
        return self.sampling + self.update + self.sync


def step(model: Model, gpus: int, questions: int, tokens: int, longest: int, rates: Rates) -> Step:
    """Seconds of each part; `questions` of all GPUs together, `tokens` of a mean completion.

    A question's completions stay on one GPU, which takes at least one question.
    """
    rows = math.ceil(questions / gpus) * 16
    size = rates.dtype_bytes
    cache = rows * size * model.kv_values * tokens**2 / 2  # on average half of it is there
    read = longest * size * model.parameters + cache
    decode = read / (rates.bandwidth * rates.sampling_share)
    work = 8 * model.parameters * rows * tokens
    update = work / (rates.flops * rates.update_share)
    speed = (rates.link if gpus <= rates.node else rates.network) * rates.link_share
    passes = 2 + 2 * model.sharded  # a ring moves a payload twice; FSDP2 gathers for both passes
    ring = (gpus - 1) / gpus * passes * 4 * model.parameters / speed
    copy = (4 + size) * model.parameters / rates.bandwidth  # into the weights that sample
    return Step(decode, update, ring + copy)


def main() -> None:
    parser = argparse.ArgumentParser(description="An estimate, from stated rates.")
    parser.add_argument("--gpus", default="1,2,4,8,16,32,64")
    parser.add_argument("--questions", type=int, default=8, help="a step; one a GPU at the least")
    parser.add_argument("--tokens", type=int, default=900, help="of a mean completion")
    parser.add_argument("--longest", type=int, default=3072, help="tokens of the longest")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--price", type=float, default=2.0, help="of a GPU's hour, in dollars")
    parser.add_argument("--dtype", choices=RATES, default="bf16", help="of the products")
    args = parser.parse_args()
    rates = RATES[args.dtype]
    print(f"An estimate from an A100-80GB's data sheet, {args.dtype}: no CPU has part in it.\n")
    print("| model | GPUs | questions | s a step | sampling | update | sync | run, min | run, $ |")
    print("|---|---|---|---|---|---|---|---|---|")
    for model in MODELS:
        for gpus in map(int, args.gpus.split(",")):
            questions = max(args.questions, gpus)
            estimate = step(model, gpus, questions, args.tokens, args.longest, rates)
            parts = " | ".join(
                f"{part / estimate.seconds:.0%}"
                for part in (estimate.sampling, estimate.update, estimate.sync)
            )
            hours = args.steps * estimate.seconds / 3600
            print(
                f"| {model.name} | {gpus} | {questions} | {estimate.seconds:.0f} | {parts} "
                f"| {60 * hours:.0f} | {hours * gpus * args.price:.2f} |"
            )


if __name__ == "__main__":
    main()
