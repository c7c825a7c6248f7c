"""`rlsc plan`: the memory that a run would take, and what to change where it does not fit."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psutil
import torch
from rich.table import Table

from rlsc.config import PlanConfig, RunConfig
from rlsc.engines import engine_class
from rlsc.environments import Bounds, create_environment
from rlsc.errors import ConfigError
from rlsc.models import policy_config
from rlsc.planning.memory import Device, Footprint, footprint, optimizer_name
from rlsc.runtime import console, device_name, waiting
from rlsc.training import RLSCConfig

ROOM = 0.9
"""The share of a device's memory that may be planned: its driver and holes take some."""


def run_plan(plan: PlanConfig, config: RunConfig, training: RLSCConfig) -> bool:
    """Print the plan of a run; whether it fits. Raises `RLSCError` for input that cannot work."""
    model_config, origin = policy_config(config)
    device = this_device(training)
    if plan.device_type is not None and plan.device_type != device.kind:
        device = Device(plan.device_type)
    if plan.device_memory_gb is not None:
        device = replace(device, memory=int(plan.device_memory_gb * 1e9))
    device = replace(device, processes=plan.num_processes, sharded=plan.sharded)
    console.print(f"model   {origin}", soft_wrap=True)
    return show(config, training, model_config, device, plan.prompt_length)


def this_device(training: RLSCConfig) -> Device:
    """What a process here would run on. A CPU's memory is what is free, for each process alike."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    sharded = bool(training.fsdp) or os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
    if torch.cuda.is_available() and not training.use_cpu:
        memory = torch.cuda.mem_get_info()[1]
        return Device("cuda", memory, processes, sharded and processes > 1)
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    memory = psutil.virtual_memory().available // beside
    return Device("cpu", memory, processes, sharded and processes > 1)


def show(
    config: RunConfig, training: RLSCConfig, model_config: Any, device: Device, prompt_length: int
) -> bool:
    """Print the plan, and where it does not fit what would save how much; whether it fits."""
    with waiting("planning"):
        expected = footprint(config, training, model_config, device, prompt_length)
    console.print(_table(expected, device))
    bounds = create_environment(config, training.num_generations).bounds()
    console.print(_step(training, expected, device, prompt_length, bounds), soft_wrap=True)
    for note in expected.notes:
        console.print(f"note    {note}", soft_wrap=True)
    if device.memory is None:
        console.print(f"peak    {_gb(expected.peak)}; --device_memory_gb says whether that fits")
        return True
    fits = expected.peak <= ROOM * device.memory
    console.print(
        f"{'fits' if fits else 'DOES NOT FIT'}: {_gb(expected.peak)} of {_gb(device.memory)}, "
        f"of which {ROOM:.0%} may be planned",
        soft_wrap=True,
    )
    if not fits:
        with waiting("planning what to change"):
            changes = advice(config, training, model_config, device, prompt_length)
        for name, saved, enough in changes:
            console.print(
                f"  {name}: saves {_gb(saved)}{', and fits' if enough else ''}", soft_wrap=True
            )
    return fits


def check_fits(
    config: RunConfig, training: RLSCConfig, model_config: Any, device: Device, prompt_length: int
) -> str | None:
    """Raise `ConfigError` where the plan is larger than all the memory that the device has.

    A line to show where it only leaves less than is to be left: the plan may be wrong by that.
    """
    if device.memory is None:
        return None
    peak = footprint(config, training, model_config, device, prompt_length).peak
    if peak <= ROOM * device.memory:
        return None
    name = device_name()
    if peak <= device.memory:
        return (
            f"note: the plan is {_gb(peak)} of the {_gb(device.memory)} of {name}, of which "
            f"{ROOM:.0%} may be planned: the memory may not suffice (--dry_run says more)"
        )
    changes = advice(config, training, model_config, device, prompt_length)
    fitting = [change for change in changes if change[2]]
    shown = [f"{flags} saves {_gb(saved)}" for flags, saved, _ in (fitting or changes)[:3]]
    enough = "each of these would be enough" if fitting else "none alone is enough"
    raise ConfigError(
        f"the run would take {_gb(peak)}, {_gb(peak - device.memory)} more than {name} has "
        f"({_gb(device.memory)}); {enough}: {'; '.join(shown) or 'a smaller model'}"
    )


def advice(
    config: RunConfig, training: RLSCConfig, model_config: Any, device: Device, prompt_length: int
) -> list[tuple[str, int, bool]]:
    """Of single changes: the flags, the bytes saved at the peak, whether it fits then.

    Those that save the most first; ones that save nothing are left out.
    """
    now = footprint(config, training, model_config, device, prompt_length).peak
    changes = []
    for name, changed in _changes(config, training, device):
        try:
            peak = footprint(*changed[:2], model_config, changed[2], prompt_length).peak
        except ConfigError:  # such as an objective that does not go with adapters
            continue
        enough = device.memory is not None and peak <= ROOM * device.memory
        if peak < now:
            changes.append((name, now - peak, enough))
    return sorted(changes, key=lambda change: -change[1])


def _changes(
    config: RunConfig, training: RLSCConfig, device: Device
) -> Iterator[tuple[str, tuple[RunConfig, RLSCConfig, Device]]]:
    """Settings that take less memory than these, one at a time."""

    def of_training(**values: Any) -> tuple[RunConfig, RLSCConfig, Device]:
        changed = copy.copy(training)  # replace() would make the devices ready again
        for name, value in values.items():
            setattr(changed, name, value)
        return config, changed, device

    all_weights = not config.use_peft
    if not training.gradient_checkpointing:
        yield "--gradient_checkpointing true", of_training(gradient_checkpointing=True)
    if all_weights or config.model_dtype == "float32":
        adapter = replace(config, use_peft=True, model_dtype="bfloat16")
        yield "--use_peft true --model_dtype bfloat16", (adapter, training, device)
    if all_weights and "8bit" not in optimizer_name(training):
        yield "--optim adamw_8bit (needs bitsandbytes)", of_training(optim="adamw_8bit")
    if all_weights and optimizer_name(training) != "adafactor":
        yield "--optim adafactor", of_training(optim="adafactor")
    if training.tokens_per_microbatch > 1:
        half = training.tokens_per_microbatch // 2
        yield f"--tokens_per_microbatch {half}", of_training(tokens_per_microbatch=half)
    if not training.padding_free:
        yield "--padding_free true", of_training(padding_free=True)
    if training.padding_free and not training.logits_chunk_size:
        yield "--logits_chunk_size 256", of_training(logits_chunk_size=256)
    for name, value in engine_class(training).smaller(training):
        yield f"--{name} {str(value).lower()}", of_training(**{name: value})
    if training.max_completion_length > 1:
        half = training.max_completion_length // 2
        yield f"--max_completion_length {half}", of_training(max_completion_length=half)
    if device.processes > 1 and not device.sharded and all_weights:
        sharded = replace(device, sharded=True)
        changed = of_training(engine="vllm", vllm_mode="server")[1]
        name = "FSDP2 (accelerate launch --use_fsdp --fsdp_version 2, a vLLM server)"
        yield name, (config, changed, sharded)


def _table(expected: Footprint, device: Device) -> Table:
    names = {"start": "the engine is made", "sampling": "sampling", "update": "the update"}
    table = Table(title=f"GB on each device ({device.kind}), from the second step on")
    table.add_column("", no_wrap=True)
    for phase in expected.phases:
        table.add_column(names[phase], justify="right")
    for part in expected.parts:
        sizes = [getattr(part, phase) for phase in expected.phases]
        table.add_row(part.name, *(f"{size / 1e9:.2f}" if size else "" for size in sizes))
    table.add_section()
    table.add_row("sum", *(f"{size / 1e9:.2f}" for size in expected.phases.values()))
    return table


def _step(
    training: RLSCConfig,
    expected: Footprint,
    device: Device,
    prompt_length: int,
    bounds: Bounds | None,
) -> str:
    if bounds is not None:
        return (
            f"a step  at most {bounds.completions} completions × {training.max_completion_length:,}"
            f" tokens, of which {bounds.trained} are trained on; {expected.rows} sampled at once; "
            f"prompts of up to {prompt_length} tokens"
        )
    questions, completions = training.per_device_train_batch_size, training.num_generations
    tokens = questions * completions * training.max_completion_length
    several = device.processes > 1
    everywhere = f", {tokens * device.processes:,} in all" if several else ""
    return (
        f"a step  {questions} questions × {completions} completions × at most "
        f"{training.max_completion_length:,} tokens: {tokens:,} tokens on each of "
        f"{device.processes} process{'es' if several else ''}{everywhere}; "
        f"{expected.rows} completions sampled at once; prompts of up to {prompt_length} tokens"
    )


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
