"""Settings that several commands share: the model, its prompts, the run's folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlsc.config.fields import setting
from rlsc.errors import ConfigError

TEMPLATE_NAMES = ("auto", "chat", "qwen2.5-math", "evalchemy", "none", "few-shot")
"""Of all but the first two `data/templates.py` has the text; a test holds them against it."""
_TEMPLATE_HELP = (
    "auto (chat where the tokenizer has a chat template, else none), "
    f"{', '.join(TEMPLATE_NAMES[1:])}, or your own .jinja file."
)


@dataclass
class ModelArguments:
    """The model"""

    model: str | None = setting(
        None, "Hub id, folder or FILE.gguf; else the embedded SmolLM2-135M-Instruct."
    )
    model_revision: str | None = setting(None, "Branch, tag or commit of a Hub id.")
    adapter: str | None = setting(
        None, "Folder of a PEFT adapter of the model, to start from or to evaluate."
    )
    load_in_4bit: bool = setting(
        False, "Hold the model's weights in 4 bits (bitsandbytes, nf4); an adapter is trained."
    )
    trust_remote_code: bool = setting(False, "Run model code that comes with the weights.")


def check_model(config: ModelArguments) -> None:
    """Raise `ConfigError` for an empty name, and for what a file or the default has not."""
    for name in ("model", "adapter"):
        value = getattr(config, name)
        if value is not None and not value.strip():
            raise ConfigError(f"{name} is empty: name one, or leave it out")
    if config.model_revision is not None and config.model is None:
        raise ConfigError("model_revision is of a Hub id: name it with --model")
    if config.model_revision is not None and os.path.exists(os.path.expanduser(str(config.model))):
        raise ConfigError(
            f"model_revision is of a Hub id, and {config.model} is here: leave it out"
        )
    if config.load_in_4bit and str(config.model or ".gguf").endswith(".gguf"):
        raise ConfigError(
            "load_in_4bit is for a Hub id or a folder: a GGUF file is read into plain weights"
        )


@dataclass
class PromptArguments:
    """Prompts"""

    template: str = setting("auto", _TEMPLATE_HELP)
    system_prompt: str | None = setting(None, "Chat system message.")


@dataclass
class ChatTemplateArguments:
    """Prompts"""

    chat_template_kwargs: dict[str, Any] = setting(
        dict,
        "Arguments of the model's chat template: NAME=VALUE,NAME=VALUE, or a mapping, as "
        '{"enable_thinking": false}.',
    )


SANDBOXES = ("auto", "bwrap", "wasm", "process")


@dataclass
class SandboxArguments:
    """The sandbox"""

    sandbox: str | None = setting(
        None,
        "Where programs are run that a model wrote or gives inputs to (azr on Python, cruxeval_i); "
        "process protects nothing. Default: auto, the first of bwrap and wasm whose self-test "
        "passes.",
        choices=SANDBOXES,
    )


@dataclass
class FolderArguments:
    """The run's folder"""

    resume: bool = setting(False, "Go on where the run in output_dir stopped.")
    overwrite: bool = setting(False, "Replace what output_dir holds.")


def check_template(name: str, setting: str = "template") -> None:
    """Raise `ConfigError` unless `name` is a template's or that of a `.jinja` file."""
    if name not in TEMPLATE_NAMES and not name.endswith((".jinja", ".jinja2", ".j2")):
        choices = ", ".join(TEMPLATE_NAMES)
        raise ConfigError(f"{setting} must be one of {choices}, or a .jinja file, not {name!r}")


def check_chat_template_kwargs(value: object) -> None:
    """Raise `ConfigError` for what is no mapping of names."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ConfigError(
            f"chat_template_kwargs must be a mapping of names to values, not {value!r:.60}"
        )
    if taken := sorted(_OF_THE_PROMPT & value.keys()):
        raise ConfigError(f"chat_template_kwargs: {taken[0]} is the prompt's own: leave it out")


_OF_THE_PROMPT = {
    *("messages", "conversation", "tokenize", "add_generation_prompt", "continue_final_message"),
    *("chat_template", "return_dict", "return_tensors", "padding", "truncation", "max_length"),
}
"""What rendering a prompt sets itself."""


def check_output_dir(name: str) -> None:
    """Raise `ConfigError` for a folder without a name."""
    if not name or "\0" in name:
        raise ConfigError("output_dir is empty: name a folder")


def check_folder_flags(config: FolderArguments) -> None:
    if config.resume and config.overwrite:
        raise ConfigError("resume and overwrite exclude each other: choose one")
