"""What can be set of training: `RLSCConfig`, and the checks of its values."""

from __future__ import annotations

import importlib.util
import math
import os
from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments
from transformers.integrations import unset_hf_deepspeed_config

from rlsc.config.checks import at_least, positive
from rlsc.config.engine import EngineArguments, check_engine
from rlsc.config.guard import GuardArguments, check_guard
from rlsc.config.objective import check_objective
from rlsc.errors import ConfigError
from rlsc.objectives.create import create_objective, settings_in_use
from rlsc.objectives.settings import ObjectiveSettings


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices itself rather than emulating it."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def device_has_bf16() -> bool:
    """Whether the device that training would use is fast in bfloat16."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return not torch.backends.mps.is_available() and cpu_has_bf16()


@dataclass
class RLSCConfig(EngineArguments, ObjectiveSettings, GuardArguments, TrainingArguments):
    """Settings of `RLSCTrainer`: those of `transformers.TrainingArguments` and these.

    The defaults are those of the RLSC paper (arXiv 2506.06395, v3) where it states them.
    `per_device_train_batch_size` counts *questions* and each brings its `num_generations`
    completions (TRL counts completions); a step is one optimizer step. Raises `ConfigError`
    (a ValueError) on a setting that cannot work.
    """

    # What differs from transformers' own defaults.
    output_dir: str = field(default="rlsc-output", metadata={"help": "Folder of the run."})
    per_device_train_batch_size: int = field(
        default=8, metadata={"help": "Distinct questions per device and optimizer step."}
    )
    max_steps: int = field(default=10, metadata={"help": "Optimizer steps; -1: num_train_epochs."})
    learning_rate: float = field(default=1e-5, metadata={"help": "AdamW's learning rate."})
    lr_scheduler_type: str = field(default="constant", metadata={"help": "Schedule of the rate."})
    weight_decay: float = field(default=0.01, metadata={"help": "AdamW's weight decay."})
    bf16: bool | None = field(
        default=None,
        metadata={"help": "bf16 autocast over the weights; by default where the device has it."},
    )
    logging_steps: float = field(default=1, metadata={"help": "Steps between log lines."})
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Hide NaN in logs."})
    save_steps: float = field(default=5, metadata={"help": "Steps between checkpoints."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints kept."})
    report_to: str | None = field(default="none", metadata={"help": "Trackers, as transformers."})
    dataloader_drop_last: bool = field(
        default=True, metadata={"help": "Never a short last batch: a step has a fixed size."}
    )
    disable_tqdm: bool | None = field(default=False, metadata={"help": "No progress bars."})
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "With several processes: every parameter has a gradient."}
    )
    use_cache: bool = field(default=True, metadata={"help": "Kept in the saved model's config."})

    # Sampling.
    num_generations: int = field(default=16, metadata={"help": "Completions per question, K."})
    max_completion_length: int = field(default=3072, metadata={"help": "Cap on new tokens."})
    temperature: float = field(default=0.5, metadata={"help": "Sampling temperature, > 0."})
    top_p: float = field(default=1.0, metadata={"help": "Nucleus sampling; 1 is off."})
    top_k: int = field(default=0, metadata={"help": "Top-k sampling; 0 is off."})
    skip_long_prompts: bool = field(
        default=False,
        metadata={"help": "Leave out (and count) prompts that do not fit the model's context."},
    )

    # The loss; ObjectiveSettings has the objectives' own settings.
    logprob_temperature: str = field(
        default="sampling",
        metadata={"help": "Temperature of the loss's log-probs: 'sampling' or a number."},
    )
    importance_sampling_correction: bool = field(
        default=False,
        metadata={"help": "Weigh completions by p(policy) / p(engine) where an engine is off."},
    )
    importance_sampling_cap: float = field(
        default=2.0, metadata={"help": "The largest importance weight."}
    )
    mask_truncated_completions: bool = field(
        default=False, metadata={"help": "Leave completions without an end out of the loss."}
    )
    disable_dropout: bool = field(
        default=True, metadata={"help": "The weight is the policy's own probability."}
    )

    # Cost.
    tokens_per_microbatch: int = field(
        default=1024,
        metadata={"help": "Tokens of one forward and backward pass, besides its first prompt."},
    )
    padding_free: bool = field(
        default=True, metadata={"help": "Completions laid end to end instead of padded (exact)."}
    )
    share_prefixes: bool = field(
        default=True,
        metadata={"help": "What completions begin with is computed once a micro-batch (exact)."},
    )
    logits_chunk_size: int = field(
        default=256,
        metadata={"help": "Tokens whose logits are held at once (exact); 0: all, no recomputing."},
    )
    merge_duplicates: bool = field(
        default=True,
        metadata={"help": "Compute identical completions of a question once (exact)."},
    )
    skip_weight_below: float = field(
        default=0.0,
        metadata={
            "help": "Leave completions out of the backward pass whose weight is below this share "
            "of their group's largest; 0: none. Costs a forward pass, spares most backward ones."
        },
    )

    def __post_init__(self) -> None:
        check_training(self)
        for name, value in settings_in_use(create_objective(self)).items():
            setattr(self, name, value)
        zero = os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() in ("1", "true")
        if (zero or self.deepspeed) and importlib.util.find_spec("deepspeed") is None:
            raise ConfigError("ZeRO needs DeepSpeed: pip install 'rlsc[deepspeed]'")
        # accelerate leaves DeepSpeed out, without a word, where use_cpu is set.
        if not zero and not torch.cuda.is_available() and not torch.backends.mps.is_available():
            self.use_cpu = True
        if self.bf16 is None:
            self.bf16 = not self.fp16 and (cpu_has_bf16() if self.use_cpu else device_has_bf16())
        super().__post_init__()
        # A model is loaded whole, and checked; ZeRO-3 cuts it up when training begins.
        unset_hf_deepspeed_config()

    @property
    def loss_temperature(self) -> float:
        """The number behind `logprob_temperature`."""
        if self.logprob_temperature == "sampling":
            return self.temperature
        return float(self.logprob_temperature)


def check_training(config: RLSCConfig) -> None:
    """Raise `ConfigError` on the first training setting that cannot work."""
    at_least("num_generations", config.num_generations, 1)
    at_least("max_completion_length", config.max_completion_length, 1)
    at_least("per_device_train_batch_size", config.per_device_train_batch_size, 1)
    check_engine(config)
    at_least("tokens_per_microbatch", config.tokens_per_microbatch, 1)
    at_least("logits_chunk_size", config.logits_chunk_size, 0)
    _check_skipping(config)
    at_least("top_k", config.top_k, 0)
    for name in ("learning_rate", "weight_decay", "max_grad_norm"):
        value = getattr(config, name)
        if not (math.isfinite(float(value)) and float(value) >= 0):
            raise ConfigError(f"{name} must be 0 or more, not {value}")
    if not config.output_dir or "\0" in config.output_dir:
        raise ConfigError("output_dir is empty: name a folder")
    for name in ("seed", "data_seed"):
        value = getattr(config, name)
        if value is not None and not 0 <= value < 2**32:
            raise ConfigError(f"{name} must be 0 or more and below 2**32, not {value}")
    if config.fp16:
        raise ConfigError("fp16 is not supported: use bf16")
    if float(config.logging_steps) != 1 or _text(config.logging_strategy) != "steps":
        raise ConfigError("logging_steps must be 1: every step is logged")
    if _text(config.include_num_input_tokens_seen) not in ("no", "False"):
        raise ConfigError("include_num_input_tokens_seen must be 'no': prompts become tokens here")
    if config.max_steps != -1:
        at_least("max_steps", config.max_steps, 1)
    positive("save_steps", float(config.save_steps))
    positive("temperature", config.temperature)
    if not 0 < config.top_p <= 1:
        raise ConfigError(f"top_p must be in (0, 1], not {config.top_p}; 1 turns it off")
    check_objective(config, config.num_generations)
    check_guard(config, config.num_generations)
    if config.entropy_floor is not None and config.rollout_policy == "base":
        raise ConfigError(
            "entropy_floor is of the policy's own samples: not for rollout_policy base"
        )
    _check_iterations(config)
    _check_importance_sampling(config)
    if config.logprob_temperature != "sampling":
        try:
            positive("logprob_temperature", float(config.logprob_temperature))
        except ValueError as error:
            raise ConfigError(
                "logprob_temperature must be 'sampling' or a number above 0, "
                f"not {config.logprob_temperature!r}"
            ) from error
    if config.resume_from_checkpoint is not None:
        raise ConfigError(
            "resume_from_checkpoint: use --resume, or train(resume_from_checkpoint=…)"
        )
    _check_evaluation(config)
    if config.gradient_accumulation_steps != 1:
        raise ConfigError(
            "gradient_accumulation_steps must be 1: per_device_train_batch_size sets the questions "
            "of a step, and tokens_per_microbatch cuts them to fit memory"
        )


def _check_evaluation(config: RLSCConfig) -> None:
    if config.eval_steps is not None and config.eval_steps != int(config.eval_steps):
        raise ConfigError(f"eval_steps must be a whole number of steps, not {config.eval_steps}")
    if config.eval_steps is not None:
        at_least("eval_steps", config.eval_steps, 1)
    if _text(config.eval_strategy) != "no":
        raise ConfigError("eval_strategy must be 'no': --eval_steps N evaluates between")


def _check_importance_sampling(config: RLSCConfig) -> None:
    positive("importance_sampling_cap", config.importance_sampling_cap)
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
    if not 0 <= config.skip_weight_below < 1:
        raise ConfigError(
            f"skip_weight_below must be 0 or more and below 1, not {config.skip_weight_below}"
        )
    if config.skip_weight_below and (config.weight_clip or config.num_iterations > 1):
        raise ConfigError(
            "skip_weight_below is for num_iterations 1 without weight_clip: its bound is of those"
        )
    if config.skip_weight_below and config.importance_sampling_correction:
        raise ConfigError(
            "skip_weight_below and importance_sampling_correction exclude each other: the bound on "
            "what skipping changes does not hold for the corrected weights"
        )


def _text(value: object) -> str:
    """A setting that transformers takes as text or as its enumeration."""
    return str(getattr(value, "value", value))
