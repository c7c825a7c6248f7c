"""The memory that a run takes on a device, from settings and a model's config alone.

What is kept is added up by the rules of the code that keeps it; what an update takes beside that
is found by running the code of the update on tensors without data (`live_memory`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from rlsc.config import RunConfig
from rlsc.engines import Part, Workload, engine_class
from rlsc.environments import Bounds, create_environment
from rlsc.logprobs import Layout, ScoredSequence, Scorer
from rlsc.models import (
    adapter_config,
    disable_dropout,
    embedded_weights,
    empty_model,
    with_adapter,
)
from rlsc.objectives import create_objective
from rlsc.planning.live_memory import LiveMemory, give_shapes
from rlsc.runtime import nbytes
from rlsc.training import RLSCConfig, needs_reference

# Of gradients and of activations on a CPU, by `bf16`; fitted: see docs/memory.md.
_HOLES = {True: (1.0, 0.15), False: (1.0, 0.5)}
_HOLES_OF_ADAPTERS = (0.0, 1.0)  # what the update frees and keeps does not shrink with gradients
_MOMENTS = {"adamw": 2, "adam": 2, "nadam": 2, "lion": 1, "rmsprop": 1, "sgd": 0}  # of AdamW: two


@dataclass(frozen=True)
class Device:
    """What a process runs on. `memory` in bytes, None where it is not known."""

    kind: str = "cpu"
    memory: int | None = None
    processes: int = 1
    sharded: bool = False
    """Weights, gradients and optimizer state are divided over the processes (FSDP2)."""


@dataclass(frozen=True)
class Footprint:
    """Of one process. Every completion is taken to be as long as the cap."""

    parts: tuple[Part, ...]
    rows: int
    """Completions sampled at once."""
    notes: tuple[str, ...] = ()

    @property
    def phases(self) -> dict[str, int]:
        names = ("start", "sampling", "update")
        return {name: sum(getattr(part, name) for part in self.parts) for name in names}

    @property
    def peak(self) -> int:
        return max(self.phases.values())


def footprint(
    config: RunConfig, training: RLSCConfig, model_config: Any, device: Device, prompt_length: int
) -> Footprint:
    """Expected bytes, from the second step on; `prompt_length`: of the longest prompt, tokens.

    Raises `ConfigError` for adapters that cannot be made and objectives that there are not.
    """
    model = empty_model(model_config, getattr(torch, config.model_dtype))
    environment = create_environment(config, training.num_generations)
    if config.use_peft:
        peft_config = adapter_config(model, config.lora, config.adapter)
        model = with_adapter(model, peft_config, training.seed, environment.adapters)
    weights = nbytes(model) - (_spared_by_4_bits(model) if config.load_in_4bit else 0)
    gradients = sum(weight.nbytes for weight in _trained(model))
    share = device.processes if device.sharded else 1
    moments, notes = _optimizer(training, model)
    parts = [
        Part("weights", *[weights // share] * 3),
        Part("optimizer state", 0, moments // share, moments // share),
        Part("gradients", 0, 0, gradients // share),
    ]
    if device.sharded:
        gathered = _gathered(model) // (2 if _halved(training, model) else 1)
        parts.append(Part("layers put together from their shards", 0, gathered, gathered))
    elif device.processes > 1:
        parts.append(Part("buckets of the gradients' exchange", 0, gradients, gradients))
    objective = create_objective(training)
    asks_base, bounds = environment.asks_base, environment.bounds()
    if bounds is None and environment.is_game:
        notes.append("the environment does not say how much it samples: counted as of questions")
    copied = not config.use_peft or config.adapter is not None
    if needs_reference(training, objective, asks_base) and copied:
        parts.append(Part("the model before training", *[weights // share] * 3))
    if objective.votes_of == "teacher":
        own = sum(4 * weight.numel() for weight in _trained(model))
        # While the teacher samples, the policy's weights are held beside it.
        parts.append(Part("the teacher", 0, own + gradients, own))
    if training.guard == "stop" and device.kind == "cpu":
        kept = training.guard_snapshots * gradients
        parts.append(Part("the guard's snapshots", 0, kept, kept))
    if config.use_peft and device.kind == "cpu" and config.model_dtype == "bfloat16":
        notes.append("bfloat16 weights on a CPU: an update on padded rows takes more")
    if config.load_in_4bit:
        notes.append("in 4 bits: what sampling and reading take is counted as of whole weights")
    if objective.reward_model:
        notes.append("the reward model is not counted")
    engine, rows = _engine(training, model, device, prompt_length, parts, bounds)
    update = _update(model, training, device, prompt_length, bounds)
    parts.append(Part("activations of the update", 0, 0, update))
    if device.kind == "cpu":
        fitted = _HOLES[training.autocast_dtype is not None]
        of_gradients, of_activations = _HOLES_OF_ADAPTERS if config.use_peft else fitted
        holes = int(of_gradients * gradients // share + of_activations * update)
        parts.append(Part("holes in the C library's heap", 0, 0, holes))
    return Footprint((*parts, *engine), rows, tuple(notes))


def _spared_by_4_bits(model: Any) -> int:
    """nf4: half a byte a weight and a float32 for each 64; embedding and head stay as they are."""
    head = model.get_output_embeddings()
    linears = [m for m in model.modules() if type(m) is nn.Linear and m is not head]
    frozen = [layer.weight for layer in linears if not layer.weight.requires_grad]
    return sum(weight.nbytes - int(weight.numel() * (0.5 + 4 / 64)) for weight in frozen)


def _halved(training: RLSCConfig, model: Any) -> bool:
    """Whether shards are put together in bfloat16, as accelerate has FSDP2 do under bf16."""
    return bool(training.bf16) and next(model.parameters()).dtype == torch.float32


def optimizer_name(training: RLSCConfig) -> str:
    return str(getattr(training.optim, "value", training.optim))


def _optimizer(training: RLSCConfig, model: Any) -> tuple[int, list[str]]:
    """Bytes of its state, and what to say of the estimate."""
    name = optimizer_name(training)
    trained = _trained(model)
    if name == "adafactor":  # a row's and a column's means in place of a matrix
        return sum(4 * (sum(w.shape[-2:]) if w.ndim > 1 else len(w)) for w in trained), []
    known = name.removeprefix("paged_").split("_")[0]
    notes = [] if known in _MOMENTS else [f"optim {name} is counted as AdamW"]
    moments = _MOMENTS.get(known, 2)
    if "8bit" not in name:
        return moments * sum(weight.nbytes for weight in trained), notes
    # transformers has bitsandbytes keep the moments of embeddings in 32 bits.
    embedded = embedded_weights(model)
    sizes = (weight.numel() * (4 if id(weight) in embedded else 1) for weight in trained)
    return moments * sum(sizes), notes


def _trained(model: Any) -> list[Any]:
    return [weight for weight in model.parameters() if weight.requires_grad]


def _gathered(model: Any) -> int:
    """Two layers, one computed and one on its way, and what is in no layer, with gradients."""
    layers = next(layers for layers in model.modules() if isinstance(layers, nn.ModuleList))
    outside = nbytes(model) - nbytes(layers)
    return 2 * (outside + 2 * max(nbytes(layer) for layer in layers))


# The update.


def _update(
    model: Any,
    training: RLSCConfig,
    device: Device,
    prompt_length: int,
    bounds: Bounds | None = None,
) -> int:
    """The most bytes beside weights and gradients: activations, casts, logits of a chunk.

    Gives the model tensors without data.
    """
    halved = device.sharded and _halved(training, model)
    if training.disable_dropout:
        disable_dropout(model)
    if training.gradient_checkpointing:
        model.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs=training.gradient_checkpointing_kwargs
        )
    objective = create_objective(training)
    layout = Layout(training.padding_free, training.share_prefixes, training.logits_chunk_size)
    batches = layout.cut(_rows(training, prompt_length, bounds), training.tokens_per_microbatch)
    # Tensors without data say that they are on a CPU.
    scorer = Scorer(model, layout, device_type=device.kind)
    model.train()
    memory = LiveMemory()
    with memory:
        give_shapes(model, torch.bfloat16 if halved else None)
        for weight in _trained(model):
            if device.sharded:  # each gradient leaves for its shard as it comes
                weight.register_post_accumulate_grad_hook(_leave)
            elif len(batches) > 1:  # a later micro-batch adds to what is there
                weight.grad = torch.zeros_like(weight)
    before = memory.peak = memory.live
    with memory, scorer.attached():
        # On tensors without data: of any 16 bits alike.
        with torch.autocast("cpu", torch.bfloat16, enabled=training.autocast_dtype is not None):
            scores = scorer(
                max(batches, key=lambda batch: batch.tokens),
                training.loss_temperature,
                entropy_gradient="entropy_gradient" in objective.loss_needs,
                states=bool({"values", "answer_gaps"} & set(objective.weights_need)),
            )
        loss = scores.logps_BT.sum()
        if "entropy_gradient" in objective.loss_needs:
            loss = loss + scores.entropies_BT.sum()
        loss.backward()
        del scores, loss
        return max(0, memory.peak - max(before, memory.live))


def _leave(parameter: Any) -> None:
    parameter.grad = None


def _rows(
    training: RLSCConfig, prompt_length: int, bounds: Bounds | None = None
) -> list[ScoredSequence]:
    """Completions as long as the cap, no two with the same first token: enough for two batches.

    Of a game each has a prompt of its own.
    """
    rows: list[ScoredSequence] = []
    tokens = 0
    questions = training.per_device_train_batch_size
    siblings = training.train_generations or training.num_generations
    if bounds is not None:
        questions, siblings = bounds.trained, 1
    for question in range(questions):
        for sibling in range(siblings):
            if rows and len(rows) > 1 and tokens > 2 * training.tokens_per_microbatch:
                return rows
            prompt = (question,) + (0,) * (prompt_length - 1)
            completion = (sibling,) + (0,) * (training.max_completion_length - 1)
            rows.append(ScoredSequence(prompt, completion, (len(rows),)))
            tokens += len(completion)
    return rows


# The engine.


def _engine(
    training: RLSCConfig,
    model: Any,
    device: Device,
    prompt_length: int,
    parts: list[Part],
    bounds: Bounds | None = None,
) -> tuple[list[Part], int]:
    """What it keeps and takes, and how many completions it samples at once."""
    weights = next(model.parameters()).dtype
    questions = training.per_device_train_batch_size
    completions = questions * training.num_generations
    if bounds is not None:
        questions = completions = bounds.at_once
    work = Workload(
        model=model,
        dtype=training.autocast_dtype or weights,
        prompts=questions,
        completions=completions,
        prompt_length=prompt_length,
        max_new_tokens=training.max_completion_length,
        device=device.kind,
        device_memory=device.memory,
        resident=sum(part.sampling for part in parts),
    )
    return engine_class(training).memory(training, work)
