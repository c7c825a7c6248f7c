"""LoRA adapters: made from settings, one or one a role, and merged into a model for anywhere."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import set_seed

from rlsc.errors import ConfigError, ModelError


def with_adapter(model: Any, peft_config: Any, seed: int, roles: Sequence[str] = ()) -> Any:
    """The model with an adapter, whose first values are drawn from the seed.

    With `roles` it has one for each of them by its name, all trained, the first one active. Raises
    `ConfigError` for a model that has one.
    """
    if hasattr(model, "peft_config"):
        raise ConfigError(
            "the model has an adapter, and peft_config would put one into it: leave peft_config "
            "out to train that, or merge_and_unload() it first"
        )
    if not isinstance(peft_config, PeftConfig):
        raise ConfigError(
            f"peft_config is a PeftConfig such as LoraConfig(…), not {peft_config!r:.40}"
        )
    set_seed(seed)
    first, *others = roles or ("default",)
    adapted = get_peft_model(model, peft_config, adapter_name=first)
    for role in others:
        adapted.add_adapter(role, copy.deepcopy(peft_config))
    check_adapter(adapted)
    RoleAdapters(adapted, roles)
    return adapted


class RoleAdapters:
    """The adapters of one base by the roles of a game, whose first role is active in between.

    All are trainable in between, so that an optimizer made then has them all; in `active` that one
    alone, so that nothing else has a gradient. Without roles it does nothing.
    """

    def __init__(self, model: Any, roles: Sequence[str]) -> None:
        self._model, self.roles = model, tuple(roles)
        self.restore()

    @contextmanager
    def active(self, role: str) -> Iterator[None]:
        """Within, the model is the base with this role's adapter; with "" as it is in between."""
        if not role:
            yield
            return
        self._model.set_adapter(role)
        try:
            yield
        finally:
            self.restore()

    def restore(self) -> None:
        """As it is in between; a checkpoint that is read leaves all but one frozen."""
        if self.roles:
            self._model.set_adapter(self.roles[0])
            self._model.set_requires_grad(self.roles, True)


def check_adapter(model: Any) -> None:
    """Raise `ConfigError` where an adapted weight is another layer's too: a merge changes both."""
    owners: dict[int, list[str]] = {}
    for path, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(path.removesuffix(".base_layer"))
    for path, module in model.named_modules():
        if isinstance(module, BaseTunerLayer):
            weights = module.get_base_layer().parameters(recurse=False)
            others = {name for weight in weights for name in owners[id(weight)]} - {path}
            if others:
                short = [name.removeprefix("base_model.model.") for name in (path, min(others))]
                raise ConfigError(
                    f"lora_target_modules: {short[0]} shares its weights with {short[1]}, which a "
                    "merge would change too: leave it out"
                )


def adapter_is_off(model: Any) -> bool:
    """Whether the model, at this moment, is computed without its adapter."""
    layers = (layer for layer in model.modules() if isinstance(layer, BaseTunerLayer))
    return any(layer.disable_adapters for layer in layers)


@contextmanager
def adapter_off(model: Any) -> Iterator[None]:
    """Within, the model is computed without its adapters.

    After it the weights are as trainable as before: PEFT would leave those frozen that belong to
    another adapter than the active one.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        with model.disable_adapter():
            yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def activate_as(copied: Any, model: Any) -> None:
    """Have a copy of a model compute with the adapter that is active in the model."""
    if hasattr(model, "peft_config") and copied.active_adapter != model.active_adapter:
        copied.set_adapter(model.active_adapter, inference_mode=True)


def adapter_is_new(model: Any) -> bool:
    """Whether the model is with its adapter what it is without: a LoRA whose B are all 0."""
    ends = [p for name, p in model.named_parameters() if "lora_B" in name or "embedding_B" in name]
    return bool(ends) and not any(bool(p.any()) for p in ends)


def is_quantised(model: Any) -> bool:
    """Whether weights are held in fewer bits than they are multiplied in."""
    return getattr(model, "quantization_method", None) is not None


def _folder_of_adapter(folder: str) -> Path:
    path = Path(folder).expanduser()
    if not (path / "adapter_config.json").is_file():
        places = [str(file.parent) for file in sorted(path.glob("*/adapter_config.json"))]
        hint = f"; there is one at {' and at '.join(places)}" if places else ""
        raise ModelError(f"no PEFT adapter at {folder}: it has no adapter_config.json{hint}")
    return path


def adapter_config(model: Any, lora: tuple[int, int, str], folder: str | None) -> Any:
    """The PEFT config of the adapter in a folder, else of a new one of these LoRA settings."""
    if folder is None:
        return lora_config(model, *lora)
    path = _folder_of_adapter(folder)
    try:
        config = PeftConfig.from_pretrained(path)
    except Exception as error:  # JSON errors and those of fields share no base
        raise ModelError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    config.inference_mode = False
    return config


def load_adapter(model: Any, folder: str, trainable: bool) -> Any:
    """The model with a PEFT adapter from a folder. Raises `ModelError`."""
    path = _folder_of_adapter(folder)
    try:
        adapted = PeftModel.from_pretrained(model, path, is_trainable=trainable)
    except Exception as error:  # JSON, safetensors and shape errors share no base
        reason = " ".join(str(error).split())
        raise ModelError(f"the adapter at {folder} does not fit the model: {reason}") from error
    if trainable:
        check_adapter(adapted)
    return adapted


def lora_config(model: Any, r: int, alpha: int, target_modules: str) -> LoraConfig:
    """`target_modules`: "all-linear", or the names of layers between commas."""
    names = [name.strip() for name in target_modules.split(",") if name.strip()]
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=r,
        lora_alpha=alpha,
        target_modules="all-linear" if names == ["all-linear"] else names,
    )


def save_merged(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write base and adapter as one plain model, merging them in place.

    In float32: in bfloat16 most of an adapter's changes would be rounded away. On the CPU: a
    device that trained an adapter need not hold the whole model in float32.
    """
    merged = model.cpu().float().merge_and_unload()
    merged.config.dtype = torch.float32
    merged.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
