"""vLLM, the extra `rlsc[vllm]`: in this process, or as a server of its own.

Weights go over at every `sync`. A server and a CPU get no seeds, and elsewhere vLLM's kernels add
in an order that depends on the batch: the same seed need not give the same text.
"""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from rlsc.config import EngineArguments
from rlsc.data import vocabulary_size
from rlsc.engines.base import Engine, Progress, SamplingParams, grouped, make_completion
from rlsc.engines.memory import Part, Workload
from rlsc.errors import ConfigError, ModelError
from rlsc.models import context_length
from rlsc.runtime import from_main, full_tensor, is_main, wait
from rlsc.types import CompletionGroup, Prompt

_WORKER = "rlsc.engines.vllm_worker.PolicyWorker"
_TIMEOUT = 3600  # seconds for one request to a server
_NEVER = -100.0  # the least that may be added to a logit


class _VLLM(Engine):
    foreign = True
    seeded = False
    takes_zero3 = True

    @classmethod
    def check_supports(cls, model: Any) -> None:
        if hasattr(model, "peft_config"):
            raise ModelError("engine vllm takes no adapters yet: use --engine native")


class VLLMEngine(_VLLM):
    """vLLM in this process, beside the policy: on its GPU, or on the CPU."""

    @classmethod
    def variant(cls, config: EngineArguments) -> type[Engine]:
        return VLLMServerEngine if config.vllm_mode == "server" else cls

    @classmethod
    def preferred(cls) -> bool:
        """Where it is installed and a GPU is there."""
        return _is_installed() and torch.cuda.is_available()

    @classmethod
    def create(
        cls, config: EngineArguments, model: Any, tokenizer: Any, dtype: torch.dtype
    ) -> VLLMEngine:
        return cls(model, tokenizer, dtype, config)

    @classmethod
    def check_installed(cls) -> None:
        if not _is_installed():
            raise ConfigError(
                "engine vllm needs vLLM: pip install 'rlsc[vllm]' (on a CPU: make install-vllm), "
                "or choose --engine native"
            )

    @classmethod
    def memory(cls, config: EngineArguments, work: Workload) -> tuple[list[Part], int]:
        taken = int(config.vllm_gpu_memory_utilization * (work.device_memory or 0))
        sleeps = config.vllm_enable_sleep_mode and work.device == "cuda"
        part = Part("vLLM: weights and cache", taken, taken, 0 if sleeps else taken)
        return [part], min(config.rollout_batch_size, work.completions)

    @classmethod
    def smaller(cls, config: EngineArguments) -> list[tuple[str, Any]]:
        return [("vllm_enable_sleep_mode", True), ("vllm_mode", "server")]

    def __init__(
        self, model: Any, tokenizer: Any, dtype: torch.dtype, config: EngineArguments
    ) -> None:
        self.check_installed()
        self.check_supports(model)
        self._tokenizer, self._rows = tokenizer, vocabulary_size(model) or 0
        self._on_cpu = next(model.parameters()).device.type == "cpu"
        self._sleeps = config.vllm_enable_sleep_mode and not self._on_cpu
        self._asleep = False
        self._length = config.vllm_max_model_length or context_length(model) or 4096
        self._llm = self._start(model, dtype, config)
        self.sync(model)

    def _start(self, model: Any, dtype: torch.dtype, config: EngineArguments) -> Any:
        # In this process, or weights would have to be serialised.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        # By default vLLM leaves a core idle, which in this process nothing else needs.
        os.environ.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")
        from vllm import LLM

        with tempfile.TemporaryDirectory(prefix="rlsc-vllm-") as folder:
            model.config.save_pretrained(folder)
            return LLM(
                folder,
                skip_tokenizer_init=True,
                load_format="dummy",  # the policy's weights come with the first sync
                dtype=str(dtype).removeprefix("torch."),
                max_model_len=self._length,
                max_num_seqs=config.rollout_batch_size,
                logprobs_mode="processed_logprobs",  # of the distribution sampled from
                worker_extension_cls=_WORKER,
                enforce_eager=self._on_cpu,
                enable_sleep_mode=self._sleeps,
                # On a CPU too, in spite of its name.
                gpu_memory_utilization=config.vllm_gpu_memory_utilization,
            )

    def sync(self, model: Any) -> None:
        self._wake()
        self._llm.collective_rpc("load_policy", args=(list(_weights(model)),))
        self._llm.reset_prefix_cache()  # keys and values of the old weights

    def _wake(self) -> None:
        if self._asleep:
            self._llm.wake_up()
            self._asleep = False

    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int,
        params: SamplingParams,
        seeds: Sequence[int],
        on_progress: Progress | None = None,
    ) -> list[CompletionGroup]:
        from vllm import SamplingParams as VLLMSamplingParams

        _check_length(prompts, params, self._length)
        self._wake()
        if not prompts:
            return []
        settings = _settings(params, self._rows)
        stops = settings.pop("stop")
        requests = [
            VLLMSamplingParams(
                n=n,
                **settings,
                # A text is needed only to look for a stop string.
                stop=list(stops) or None,
                detokenize=bool(stops),
                seed=None if self._on_cpu else seed % 2**31,
            )
            for seed in seeds
        ]
        inputs = [{"prompt_token_ids": list(prompt.token_ids)} for prompt in prompts]
        outputs = self._llm.generate(inputs, requests, use_tqdm=False)
        if self._sleeps:
            self._llm.sleep(level=1)
            self._asleep = True
        completions = []
        for output in outputs:
            for sample in output.outputs:
                ids = list(sample.token_ids)
                steps = zip(sample.logprobs, ids, strict=True)
                logps = [logprobs[token].logprob for logprobs, token in steps]
                completions.append(make_completion(self._tokenizer, ids, logps, params))
            if on_progress:
                on_progress(n)
        return grouped(prompts, completions, n)


class VLLMServerEngine(_VLLM):
    """A `vllm serve` of the same model, on other devices or another machine.

    Weights go through a safetensors file in a folder that both see: that works on every device
    and needs no process group, where vLLM's own transfer engines need CUDA.
    """

    @classmethod
    def create(
        cls, config: EngineArguments, model: Any, tokenizer: Any, dtype: torch.dtype
    ) -> VLLMServerEngine:
        return cls(model, tokenizer, config)

    @classmethod
    def place(cls, config: EngineArguments) -> str:
        return f"the server at {config.vllm_server_base_url} (not asked)"

    @classmethod
    def memory(cls, config: EngineArguments, work: Workload) -> tuple[list[Part], int]:
        rows = min(config.rollout_batch_size, work.completions)
        return [Part("vLLM: a server on other devices")], rows

    def __init__(self, model: Any, tokenizer: Any, config: EngineArguments) -> None:
        self.check_supports(model)
        self._tokenizer, self._rows = tokenizer, vocabulary_size(model) or 0
        self._url = config.vllm_server_base_url.rstrip("/")
        shared = Path("/dev/shm")
        self._folder = config.vllm_sync_dir or (str(shared) if shared.is_dir() else None)
        served = self._call("/v1/models")["data"][0]
        self._name, self._length = served["id"], served["max_model_len"]
        self.sync(model)

    def sync(self, model: Any) -> None:
        """By the main process alone: the server is one for all of them."""
        weights = {}
        for name, tensor in _weights(model):  # all gather what is sharded, the main one keeps it
            if is_main():
                weights[name] = tensor.contiguous()
        wait()  # until nobody samples from the old ones
        from_main(lambda: self._send(weights))

    def _send(self, weights: dict[str, torch.Tensor]) -> None:
        with tempfile.TemporaryDirectory(prefix="rlsc-sync-", dir=self._folder) as folder:
            file = Path(folder) / "policy.safetensors"
            save_file(weights, file)
            self._call("/collective_rpc", {"method": "load_policy_from", "args": [str(file)]})
        self._call("/reset_prefix_cache", {})

    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int,
        params: SamplingParams,
        seeds: Sequence[int],
        on_progress: Progress | None = None,
    ) -> list[CompletionGroup]:
        if not prompts:
            return []
        _check_length(prompts, params, self._length)
        answer = self._call(
            "/v1/completions",
            {
                "model": self._name,
                "prompt": [list(prompt.token_ids) for prompt in prompts],
                "n": n,
                "return_token_ids": True,
                **_settings(params, self._rows),
            },
        )
        choices = sorted(answer["choices"], key=lambda choice: choice["index"])
        completions = [
            make_completion(
                self._tokenizer, choice["token_ids"], choice["logprobs"]["token_logprobs"], params
            )
            for choice in choices
        ]
        if on_progress:
            on_progress(len(completions))
        return grouped(prompts, completions, n)

    def _call(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._url + path, data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            reason = " ".join(error.read().decode(errors="replace").split())[:300]
            raise ConfigError(
                f"the vLLM server refused {path} ({error.code}): {reason or error.reason}; "
                "docs/engines.md says how to start it"
            ) from error
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"no vLLM server at {self._url} ({error}): docs/engines.md says how to start one"
            ) from error
        return json.loads(text) if text.strip() else None


def _settings(params: SamplingParams, rows: int) -> dict[str, Any]:
    """What both forms of vLLM take, by its names. `rows`: of the model's vocabulary."""
    padding = range(rows if params.vocabulary is None else params.vocabulary, rows)
    return {
        "logit_bias": dict.fromkeys(padding, _NEVER) or None,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "top_k": params.top_k,
        "max_tokens": params.max_new_tokens,
        "stop": list(params.stop_strings),
        "stop_token_ids": list(params.stop_token_ids),
        "ignore_eos": True,  # it is among the stop tokens where it should end a completion
        "logprobs": 0,  # of the sampled token alone
    }


def _weights(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Every parameter once, gathered from its shards: a tied head goes with its embedding."""
    for name, parameter in model.named_parameters():
        yield name, full_tensor(parameter).detach()


def _is_installed() -> bool:
    return importlib.util.find_spec("vllm") is not None


def _check_length(prompts: Sequence[Prompt], params: SamplingParams, length: int) -> None:
    longest = max((len(prompt.token_ids) for prompt in prompts), default=0)
    if longest + params.max_new_tokens > length:
        raise ConfigError(
            f"a prompt of {longest} tokens and {params.max_new_tokens} new ones exceed vLLM's "
            f"{length}: raise vllm_max_model_length (a server's --max-model-len), or lower the cap"
        )
