"""What a vLLM worker learns from us: to take over a policy's weights while it runs.

`vllm serve … --worker-extension-cls rlsc.engines.vllm_worker.PolicyWorker` adds it to a server.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


class PolicyWorker:
    """Mixed into vLLM's own worker class, whose `model_runner` holds the model."""

    model_runner: Any

    def load_policy(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Take over parameters named as in the checkpoint."""
        self.model_runner.reload_weights(weights_iterator=iter(weights))
        # On a CPU an output head that shares the embedding's weight keeps a packed copy of it,
        # which reloading passes over.
        for module in self.model_runner.model.modules():
            if hasattr(module, "cpu_linear") and module.weight.numel():
                module.quant_method.process_weights_after_loading(module)

    def load_policy_from(self, file: str) -> None:
        """The same from a safetensors file that both processes see."""
        self.load_policy(load_file(Path(file)).items())
