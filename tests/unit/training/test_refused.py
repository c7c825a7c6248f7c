"""Settings of transformers' Trainer that mean nothing here are refused in one line."""

import pytest
import torch

from rlsc import RLSCConfig, RLSCTrainer
from rlsc.errors import ConfigError
from rlsc.training.refused import REFUSED, naming_the_optimizer

OTHER = {
    "auto_find_batch_size": True,
    "neftune_noise_alpha": 5.0,
    "label_smoothing_factor": 0.1,
    "do_eval": True,
    "do_predict": True,
    "eval_delay": 1.0,
    "eval_on_start": True,
    "eval_accumulation_steps": 2,
    "per_device_eval_batch_size": 4,
    "prediction_loss_only": True,
    "include_for_metrics": ["loss"],
    "batch_eval_metrics": True,
    "eval_do_concat_batches": False,
    "eval_use_gather_object": True,
    "bf16_full_eval": True,
    "fp16_full_eval": True,
    "load_best_model_at_end": True,
    "metric_for_best_model": "loss",
    "greater_is_better": True,
    "dataloader_persistent_workers": True,
    "dataloader_in_order": False,
    "dataloader_prefetch_factor": 2,
    "dataloader_multiprocessing_context": "spawn",
    "dataloader_num_workers": -1,
    "remove_unused_columns": False,
    "label_names": ["label"],
    "length_column_name": "size",
    "train_sampling_strategy": "sequential",
}


def test_all_are_tried() -> None:
    assert OTHER.keys() == REFUSED.keys()


@pytest.mark.parametrize("name", OTHER)
def test_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} .*leave it out$"):
        RLSCConfig(**{name: OTHER[name]})


def test_accumulation_by_another_way_is_refused() -> None:
    with pytest.raises(ConfigError, match="accelerator_config gradient_accumulation_kwargs"):
        RLSCConfig(accelerator_config={"gradient_accumulation_kwargs": {"num_steps": 4}})
    assert RLSCConfig(accelerator_config={"non_blocking": True}).accelerator_config.non_blocking


@pytest.mark.parametrize("name", ["eval_dataset", "compute_metrics", "model_init"])
def test_arguments_of_the_parent_without_effect(name: str) -> None:
    with pytest.raises(ConfigError, match=f"RLSCTrainer has no {name}"):
        RLSCTrainer(None, RLSCConfig(), **{name: object()})


def test_steps_or_epochs() -> None:
    with pytest.raises(ConfigError, match="num_train_epochs 2 has no effect beside max_steps 10"):
        RLSCConfig(num_train_epochs=2)
    with pytest.raises(ConfigError, match="must be above 0"):
        RLSCConfig(max_steps=-1)
    epochs = RLSCConfig(max_steps=-1, num_train_epochs=2)
    assert (epochs.max_steps, epochs.num_train_epochs) == (-1, 2)


def test_what_is_stored_is_read_back() -> None:
    from rlsc.commands.arguments import parse, recipe_flags, resolved

    run, training = parse(["--questions=arithmetic"])
    again = parse(recipe_flags(resolved(run, training)))
    assert resolved(*again) == resolved(run, training)


@pytest.mark.parametrize("name", ["gradient_checkpointing_kwargs", "lr_scheduler_kwargs"])
def test_mappings(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be a mapping"):
        RLSCConfig(**{name: "a=b"})
    assert getattr(RLSCConfig(**{name: '{"a": 1}'}), name) == {"a": 1}


def test_liger_kernels_are_for_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="use_liger_kernel is for CUDA"):
        RLSCConfig(use_liger_kernel=True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with pytest.raises(ConfigError, match="pip install liger-kernel"):
        RLSCConfig(use_liger_kernel=True, bf16=False)


def test_what_an_optimizer_refuses_names_the_settings_and_lack_of_memory_does_not() -> None:
    said = pytest.raises(ConfigError, match=r"does not take these settings .*: no beta")
    with said, naming_the_optimizer():
        raise RuntimeError("no beta")
    for lack in (torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("not enough memory")):
        with pytest.raises(RuntimeError) as caught, naming_the_optimizer():
            raise lack
        assert caught.value is lack
