"""Settings of transformers' Trainer that have no meaning here: refused, rather than ignored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from rlsc.config import default_of
from rlsc.errors import ConfigError
from rlsc.runtime import is_out_of_memory

_EVALUATION = "the parent's evaluation is not used: --eval_steps N evaluates between"
_LOADER = "a step's questions are text, read at once: there is nothing to load"
_COLUMNS = "rows are questions: no columns reach the model"
REFUSED = {
    "auto_find_batch_size": "the batch is the questions of a step: lower tokens_per_microbatch, "
    "which changes nothing but memory",
    "neftune_noise_alpha": "noise on the embeddings changes the log-probs that are the objective",
    "label_smoothing_factor": "there are no labels to smooth",
    **dict.fromkeys(
        (
            *("do_eval", "do_predict", "eval_delay", "eval_on_start", "eval_accumulation_steps"),
            *("per_device_eval_batch_size", "prediction_loss_only", "include_for_metrics"),
            *("batch_eval_metrics", "eval_do_concat_batches", "eval_use_gather_object"),
            *("bf16_full_eval", "fp16_full_eval", "load_best_model_at_end"),
            *("metric_for_best_model", "greater_is_better"),
        ),
        _EVALUATION,
    ),
    **dict.fromkeys(
        (
            *("dataloader_persistent_workers", "dataloader_in_order"),
            *("dataloader_prefetch_factor", "dataloader_multiprocessing_context"),
            "dataloader_num_workers",
        ),
        _LOADER,
    ),
    **dict.fromkeys(
        ("remove_unused_columns", "label_names", "length_column_name", "train_sampling_strategy"),
        _COLUMNS,
    ),
}
"""By name why; each must have its default."""
_ACCELERATOR = ("gradient_accumulation_kwargs", "split_batches", "dispatch_batches")
TRAINER_ARGUMENTS = frozenset({"optimizers", "optimizer_cls_and_kwargs"})
"""Keyword arguments of transformers' Trainer that this one passes on."""


def check_refused(config: Any) -> None:
    """Raise `ConfigError` for a setting that would be ignored, or cannot work here."""
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name in REFUSED and value != default_of(field):
            raise ConfigError(f"{field.name} {value!r}: {REFUSED[field.name]}; leave it out")


def check_parsed(config: Any) -> None:
    """As `check_refused`, for mappings, once the parent has read them."""
    for name in ("gradient_checkpointing_kwargs", "lr_scheduler_kwargs"):
        value = getattr(config, name)
        if value is not None and not isinstance(value, dict):
            raise ConfigError(f'{name} must be a mapping, as {{"name": value}}, not {value!r}')
    for name in _ACCELERATOR:
        value = getattr(config.accelerator_config, name, None)
        if value:
            raise ConfigError(
                f"accelerator_config {name} {value!r}: a step is one batch, which "
                "per_device_train_batch_size sets and tokens_per_microbatch cuts; leave it out"
            )


def check_arguments(names: Iterable[str]) -> None:
    """Raise `ConfigError` for arguments of transformers' Trainer that have no meaning here."""
    for name in sorted(set(names) - TRAINER_ARGUMENTS):
        raise ConfigError(
            f"RLSCTrainer has no {name}: evaluation is rlsc.evaluate's or --eval_steps N's, and "
            "the loss is the objective's; leave it out"
        )


@contextmanager
def naming_the_optimizer() -> Iterator[None]:
    """Within, what refuses an optimizer's or a schedule's settings is raised as `ConfigError`.

    The libraries speak of "index 0" and of "values to unpack", never of a setting. Lack of memory
    is no setting's.
    """
    try:
        yield
    except (ImportError, RuntimeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        raise ConfigError(
            "the optimizer or its schedule does not take these settings (optim, optim_args, "
            "learning_rate, weight_decay, adam_…, lr_scheduler_…): " + " ".join(str(error).split())
        ) from error
