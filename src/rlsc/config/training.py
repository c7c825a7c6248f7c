"""What can be set of sampling, of the loss and of its cost. `RLSCConfig` has these and more."""

from __future__ import annotations

from dataclasses import dataclass

from rlsc.config.fields import setting


@dataclass
class NucleusArguments:
    """Sampling"""

    top_p: float = setting(1.0, "Nucleus sampling.", above=0, most=1, hint="1 turns it off")
    top_k: int = setting(0, "Top-k sampling; 0 is off.", least=0)


@dataclass
class SamplingArguments(NucleusArguments):
    """Sampling"""

    num_generations: int = setting(16, "Completions of a question, K.", least=1)
    max_completion_length: int = setting(3072, "Most tokens of a completion.", least=1)
    temperature: float = setting(0.5, "Sampling temperature.", above=0)
    skip_long_prompts: bool = setting(False, "Leave out prompts that do not fit the context.")


@dataclass
class LossArguments:
    """The loss"""

    logprob_temperature: str = setting(
        "sampling", "Temperature of the loss's log-probs: sampling, or a number above 0."
    )
    importance_sampling_correction: bool = setting(
        False, "Weigh completions by p(policy) / p(engine) where an engine is off."
    )
    importance_sampling_cap: float = setting(2.0, "The largest importance weight.", above=0)
    mask_truncated_completions: bool = setting(False, "Leave cut-off completions out of the loss.")
    disable_dropout: bool = setting(True, "No dropout: exact probabilities.")


OF_ENVIRONMENT = "environment"


@dataclass
class SupervisedArguments:
    """A supervised start"""

    sft_rows: str | None = setting(
        None,
        "Given completions that a game's first steps are trained on: a file with the columns "
        "prompt, completion and perhaps stop, or environment, those that a game writes itself "
        "(spc).",
    )
    sft_steps: int = setting(
        0, "How many of max_steps, the first ones, are on --sft_rows.", least=0
    )
    sft_batch_size: int = setting(16, "Rows of such a step.", least=1)


@dataclass
class CostArguments:
    """Time and memory of an update"""

    tokens_per_microbatch: int = setting(
        1024, "Tokens of one forward and backward pass, besides its first prompt.", least=1
    )
    padding_free: bool = setting(True, "Completions laid end to end instead of padded (exact).")
    share_prefixes: bool = setting(True, "Compute common beginnings once (exact).")
    logits_chunk_size: int = setting(
        256, "Tokens whose logits are held at once (exact); 0: all, no recomputing.", least=0
    )
    merge_duplicates: bool = setting(True, "Compute identical completions once (exact).")
    skip_weight_below: float = setting(
        0.0,
        "Leave completions out of the backward pass whose weight is below this share of their "
        "group's largest; 0: none. Costs a forward pass, spares most backward ones.",
        least=0,
        below=1,
    )


@dataclass
class TrainerArguments:
    """Steps, optimizer, log and checkpoints (transformers' own, with other defaults)"""

    output_dir: str = setting("rlsc-output", "Folder of the run.")
    per_device_train_batch_size: int = setting(8, "Questions of a step, per device.", least=1)
    max_steps: int = setting(10, "Optimizer steps; -1: num_train_epochs.", least=1, also=(-1,))
    num_train_epochs: float = setting(
        0.0, "Passes over the questions, with max_steps -1; 0: max_steps counts.", least=0
    )
    learning_rate: float = setting(1e-5, "AdamW's learning rate.", least=0)
    lr_scheduler_type: str = setting("constant", "Schedule of the rate.")
    weight_decay: float = setting(0.01, "AdamW's weight decay.", least=0)
    max_grad_norm: float = setting(1.0, "Gradients are scaled down to this norm.", least=0)
    seed: int = setting(42, "Seed of everything that is drawn.", least=0, below=2**32)
    data_seed: int | None = setting(
        None, "Seed of the questions' order; else seed.", least=0, below=2**32
    )
    bf16: bool | None = setting(None, "bf16 autocast; by default where the device has it.")
    logging_steps: float = setting(1, "Steps between log lines: 1.")
    logging_nan_inf_filter: bool = setting(False, "Hide NaN in logs.")
    eval_steps: float | None = setting(None, "Evaluate every so many steps.", least=1)
    save_steps: float = setting(5, "Between checkpoints; below 1, a share of all steps.", above=0)
    save_total_limit: int | None = setting(2, "Checkpoints kept.")
    report_to: str | list[str] | None = setting("none", "Trackers, as transformers has them.")
    dataloader_drop_last: bool = setting(True, "Never a short last batch: steps have one size.")
    disable_tqdm: bool | None = setting(False, "No progress bars.")
    ddp_find_unused_parameters: bool | None = setting(
        False, "With several processes: false, since every parameter has a gradient."
    )
    use_cache: bool = setting(True, "Kept in the saved model's config.")
