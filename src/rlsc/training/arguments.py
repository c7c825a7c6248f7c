"""What can be set of training: `RLSCConfig`, and the checks of its values."""

from __future__ import annotations

import copy
import importlib.util
import math
import os
from dataclasses import dataclass

import torch
from transformers import TrainingArguments
from transformers.integrations import unset_hf_deepspeed_config

from rlsc.config import (
    ChatTemplateArguments,
    CostArguments,
    EngineArguments,
    FilterArguments,
    GuardArguments,
    LossArguments,
    SamplingArguments,
    SupervisedArguments,
    TrainerArguments,
    check_chat_template_kwargs,
    check_engine,
    check_objective,
    check_output_dir,
    check_settings,
)
from rlsc.errors import ConfigError
from rlsc.objectives import ObjectiveFlags, create_objective, settings_in_use
from rlsc.runtime import cpu_has_bf16
from rlsc.training.refused import check_parsed, check_refused


def device_has_bf16() -> bool:
    """Whether the device that training would use is fast in bfloat16."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return not torch.backends.mps.is_available() and cpu_has_bf16()


@dataclass
class RLSCConfig(
    ObjectiveFlags,
    ChatTemplateArguments,
    SamplingArguments,
    TrainerArguments,
    LossArguments,
    FilterArguments,
    GuardArguments,
    EngineArguments,
    CostArguments,
    SupervisedArguments,
    TrainingArguments,
):
    """Settings of `RLSCTrainer`: those of `transformers.TrainingArguments` and rlsc's own.

    The defaults are those of the RLSC paper (arXiv 2506.06395, v3) where it states them.
    `per_device_train_batch_size` counts *questions* and each brings its `num_generations`
    completions (TRL counts completions); a step is one optimizer step. Raises `ConfigError`
    (a ValueError) on a setting that cannot work.
    """

    def __post_init__(self) -> None:
        check_training(self)
        for name, value in settings_in_use(create_objective(self)).items():
            if name not in self.objective_settings:
                setattr(self, name, value)
        zero = _uses_zero()
        if (zero or self.deepspeed) and importlib.util.find_spec("deepspeed") is None:
            raise ConfigError("ZeRO needs DeepSpeed: pip install 'rlsc[deepspeed]'")
        # accelerate leaves DeepSpeed out, without a word, where use_cpu is set.
        if not zero and not torch.cuda.is_available() and not torch.backends.mps.is_available():
            self.use_cpu = True
        if self.bf16 is None:
            self.bf16 = not self.fp16 and (cpu_has_bf16() if self.use_cpu else device_has_bf16())
        super().__post_init__()
        check_parsed(self)
        # A model is loaded whole, and checked; ZeRO-3 cuts it up when training begins.
        unset_hf_deepspeed_config()

    def without_push(self) -> RLSCConfig:
        """The same for a trainer that leaves pushing to others, as the end of a whole run."""
        local = copy.copy(self)
        local.push_to_hub = False
        return local

    @property
    def autocast_dtype(self) -> torch.dtype | None:
        """Of sampling and of the update's products; None: that of the weights."""
        if self.bf16:
            return torch.bfloat16
        return torch.float16 if self.fp16 else None

    @property
    def loss_temperature(self) -> float:
        """The number behind `logprob_temperature`."""
        if self.logprob_temperature == "sampling":
            return self.temperature
        return float(self.logprob_temperature)


def check_training(config: RLSCConfig) -> None:
    """Raise `ConfigError` on the first training setting that cannot work."""
    check_settings(config)
    check_engine(config)
    check_output_dir(config.output_dir)
    check_refused(config)
    check_chat_template_kwargs(config.chat_template_kwargs)
    _check_trainer(config)
    _check_duration(config)
    _check_skipping(config)
    check_objective(config, config.num_generations)
    if config.skip_unanimous and config.num_generations < 2:
        raise ConfigError("skip_unanimous compares siblings: num_generations must be 2 or more")
    if config.entropy_floor is not None and config.rollout_policy == "base":
        raise ConfigError(
            "entropy_floor is of the policy's own samples: not for rollout_policy base"
        )
    _check_iterations(config)
    _check_importance_sampling(config)
    _check_evaluation(config)
    _check_supervised(config)


def _check_trainer(config: RLSCConfig) -> None:
    """Settings of transformers' Trainer that this one has no use for."""
    if config.logprob_temperature != "sampling" and not _is_positive(config.logprob_temperature):
        raise ConfigError(
            "logprob_temperature must be 'sampling' or a number above 0, "
            f"not {config.logprob_temperature!r}"
        )
    _check_fp16(config)
    if config.use_liger_kernel and not torch.cuda.is_available():
        raise ConfigError("use_liger_kernel is for CUDA: leave it out here")
    if config.use_liger_kernel and importlib.util.find_spec("liger_kernel") is None:
        raise ConfigError("use_liger_kernel needs its package: pip install liger-kernel")
    if float(config.logging_steps) != 1 or _text(config.logging_strategy) != "steps":
        raise ConfigError("logging_steps must be 1: every step is logged")
    if _text(config.include_num_input_tokens_seen) not in ("no", "False"):
        raise ConfigError("include_num_input_tokens_seen must be 'no': prompts become tokens here")
    if config.resume_from_checkpoint is not None:
        raise ConfigError(
            "resume_from_checkpoint: use --resume, or train(resume_from_checkpoint=…)"
        )
    if config.ignore_data_skip:
        raise ConfigError(
            "ignore_data_skip must be false: a run that goes on takes the questions that come next"
        )
    if config.gradient_accumulation_steps != 1:
        raise ConfigError(
            "gradient_accumulation_steps must be 1: per_device_train_batch_size sets the questions "
            "of a step, and tokens_per_microbatch cuts them to fit memory"
        )


def _check_duration(config: RLSCConfig) -> None:
    """Steps or epochs: one of them counts."""
    steps, epochs = config.max_steps, config.num_train_epochs
    if steps > 0 and epochs:
        raise ConfigError(
            f"num_train_epochs {epochs:g} has no effect beside max_steps {steps}: "
            "add --max_steps -1, or leave it out"
        )
    if steps < 0 and not epochs:
        raise ConfigError("max_steps -1 trains for num_train_epochs, which must be above 0")


def _check_fp16(config: RLSCConfig) -> None:
    if not config.fp16:
        return
    if config.bf16:
        raise ConfigError("fp16 and bf16 exclude each other: choose one")
    if config.use_cpu or not torch.cuda.is_available():
        raise ConfigError("fp16 is for CUDA: here --bf16 true, or neither for float32")
    sharded = bool(config.fsdp) or os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
    if sharded or config.deepspeed or _uses_zero():
        raise ConfigError("fp16 is not for sharded weights (FSDP, DeepSpeed): use bf16")


def _uses_zero() -> bool:
    return os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() in ("1", "true")


def _check_evaluation(config: RLSCConfig) -> None:
    if config.eval_steps is not None and config.eval_steps != int(config.eval_steps):
        raise ConfigError(f"eval_steps must be a whole number of steps, not {config.eval_steps}")
    if _text(config.eval_strategy) != "no":
        raise ConfigError("eval_strategy must be 'no': --eval_steps N evaluates between")


def _check_supervised(config: RLSCConfig) -> None:
    steps = config.sft_steps
    if (config.sft_rows is not None) != (steps > 0):
        raise ConfigError("sft_rows and sft_steps belong together: what the first steps are on")
    if not steps and config.sft_batch_size != SupervisedArguments().sft_batch_size:
        raise ConfigError("sft_batch_size is of --sft_rows: leave it out, or name these")
    if config.max_steps >= 0 and steps > config.max_steps:
        raise ConfigError(
            f"sft_steps {steps} are the first of max_steps {config.max_steps}: raise max_steps"
        )
    if steps % config.num_iterations:
        raise ConfigError(
            f"sft_steps {steps} must be a multiple of num_iterations {config.num_iterations}"
        )


def _check_importance_sampling(config: RLSCConfig) -> None:
    exact = config.logprob_temperature == "sampling" and config.top_p == 1 and config.top_k == 0
    if config.importance_sampling_correction and not exact:
        raise ConfigError(
            "importance_sampling_correction needs logprob_temperature 'sampling', top_p 1 and "
            "top_k 0: the ratio is between two forms of one distribution"
        )


def _check_iterations(config: RLSCConfig) -> None:
    """A rollout's steps belong together: the policy that sampled it is not kept in checkpoints."""
    saves = _text(config.save_strategy) == "steps"
    for name in ("save_steps", "max_steps") if saves else ("max_steps",):
        value = float(getattr(config, name))
        if config.num_iterations > 1 and value > 0 and value % config.num_iterations:
            raise ConfigError(
                f"{name} {value:g} must be a multiple of num_iterations {config.num_iterations}"
            )


def _check_skipping(config: RLSCConfig) -> None:
    if config.skip_weight_below and (config.weight_clip or config.num_iterations > 1):
        raise ConfigError(
            "skip_weight_below is for num_iterations 1 without weight_clip: its bound is of those"
        )
    if config.skip_weight_below and config.importance_sampling_correction:
        raise ConfigError(
            "skip_weight_below and importance_sampling_correction exclude each other: the bound on "
            "what skipping changes does not hold for the corrected weights"
        )


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _text(value: object) -> str:
    """A setting that transformers takes as text or as its enumeration."""
    return str(getattr(value, "value", value))
