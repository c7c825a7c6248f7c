"""What can be set of the engines that sample completions: shared by training and evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from rlsc.config.fields import setting
from rlsc.errors import ConfigError
from rlsc.runtime import SYNTAX, is_user_code

ENGINES = {
    "native": "rlsc.engines.native.engine:NativeEngine",
    "hf": "rlsc.engines.hf:HFEngine",
    "vllm": "rlsc.engines.vllm:VLLMEngine",
}
"""The registry of engines, as text: an engine's module is imported only where it is used."""
AUTO = "auto"


@dataclass
class EngineArguments:
    """The engine that samples (vLLM's settings have the names of TRL)."""

    engine: str = setting(
        "native", f"One of {', '.join((*ENGINES, AUTO))}, or your own as {SYNTAX}."
    )
    rollout_batch_size: int = setting(256, "Completions decoded at once.", least=1)
    rollout_memory_gb: float | None = setting(
        None, "Most key/value cache of native, in GB; by default half of the free memory.", above=0
    )
    vllm_mode: str = setting(
        "colocate",
        "colocate: in this process; server: one that runs at its URL.",
        choices=("colocate", "server"),
    )
    vllm_server_base_url: str = setting("http://localhost:8000", "Where its server listens.")
    vllm_sync_dir: str | None = setting(None, "Where the server gets weights; else /dev/shm.")
    vllm_gpu_memory_utilization: float = setting(
        0.3, "Share of the device's memory for a colocated vLLM.", above=0, most=1
    )
    vllm_max_model_length: int | None = setting(
        None, "Tokens of prompt and completion; by default the model's context.", least=2
    )
    vllm_enable_sleep_mode: bool = setting(False, "Free its memory while the policy is updated.")


def check_engine(config: EngineArguments) -> None:
    """Raise `ConfigError` for an engine that is neither known nor a user's own, and for no URL."""
    check_engine_name(config.engine)
    if not config.vllm_server_base_url.startswith(("http://", "https://")):
        raise ConfigError(
            "vllm_server_base_url must start with http:// or https://, "
            f"not {config.vllm_server_base_url!r}"
        )


def check_engine_name(name: str) -> None:
    """Raise `ConfigError` unless it is in the table, `auto`, or has the form of a user's own."""
    if not is_user_code(name) and name not in (*ENGINES, AUTO):
        known = ", ".join((*ENGINES, AUTO))
        raise ConfigError(f"engine must be one of {known}, or your own as {SYNTAX}, not {name!r}")
