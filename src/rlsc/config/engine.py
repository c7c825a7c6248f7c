"""What can be set of the engines that sample completions: shared by training and evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field

from rlsc.config.checks import at_least, one_of, positive
from rlsc.errors import ConfigError
from rlsc.runtime.user_code import SYNTAX, is_user_code

ENGINES = {
    "native": "rlsc.engines.native.engine:NativeEngine",
    "hf": "rlsc.engines.hf:HFEngine",
    "vllm": "rlsc.engines.vllm:VLLMEngine",
}
"""The registry of engines, as text: an engine's module is imported only where it is used."""
AUTO = "auto"
_MEMORY_HELP = "Most key/value cache of native, in GB; by default half of the free memory."


@dataclass
class EngineArguments:
    """The engine and its means. Names of vLLM's settings are those of TRL."""

    engine: str = field(
        default="native",
        metadata={"help": f"One of {', '.join((*ENGINES, AUTO))}; your own as {SYNTAX}."},
    )
    rollout_batch_size: int = field(
        default=256, metadata={"help": "Completions decoded at once; bounds the key/value cache."}
    )
    rollout_memory_gb: float | None = field(default=None, metadata={"help": _MEMORY_HELP})
    vllm_mode: str = field(
        default="colocate",
        metadata={"help": "colocate: in this process; server: one that runs at its URL."},
    )
    vllm_server_base_url: str = field(
        default="http://localhost:8000", metadata={"help": "Where the vLLM server listens."}
    )
    vllm_sync_dir: str | None = field(
        default=None,
        metadata={"help": "Folder through which the server gets weights; by default /dev/shm."},
    )
    vllm_gpu_memory_utilization: float = field(
        default=0.3, metadata={"help": "Share of the device's memory for a colocated vLLM."}
    )
    vllm_max_model_length: int | None = field(
        default=None, metadata={"help": "Prompt and completion; by default the model's context."}
    )
    vllm_enable_sleep_mode: bool = field(
        default=False, metadata={"help": "Free vLLM's GPU memory while the policy is updated."}
    )


def check_engine(config: EngineArguments) -> None:
    """Raise `ConfigError` on the first setting that cannot work."""
    check_engine_name(config.engine)
    one_of("vllm_mode", config.vllm_mode, ("colocate", "server"))
    at_least("rollout_batch_size", config.rollout_batch_size, 1)
    if config.rollout_memory_gb is not None:
        positive("rollout_memory_gb", config.rollout_memory_gb)
    if config.vllm_max_model_length is not None:
        at_least("vllm_max_model_length", config.vllm_max_model_length, 2)
    if not 0 < config.vllm_gpu_memory_utilization <= 1:
        raise ConfigError(
            "vllm_gpu_memory_utilization must be above 0 and at most 1, "
            f"not {config.vllm_gpu_memory_utilization}"
        )
    if not config.vllm_server_base_url.startswith(("http://", "https://")):
        raise ConfigError(
            "vllm_server_base_url must start with http:// or https://, "
            f"not {config.vllm_server_base_url!r}"
        )


def check_engine_name(name: str) -> None:
    """Raise `ConfigError` unless it is in the table, `auto`, or has the form of a user's own."""
    if not is_user_code(name):
        one_of("engine", name, (*ENGINES, AUTO))
