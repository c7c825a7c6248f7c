"""Reward models: sequence classifiers with one score, from the Hub or a folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rlsc.errors import ConfigError, ModelError
from rlsc.models.loading import weights_hash
from rlsc.runtime import waiting
from rlsc.types import Message

_ROWS = 16


class RewardModel:
    """Scores completions. Raises `ModelError` where the model cannot be loaded."""

    def __init__(self, name: str, device: torch.device) -> None:
        try:
            with waiting(f"loading {name}"):
                self._tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
                self._model, loading = AutoModelForSequenceClassification.from_pretrained(
                    name, trust_remote_code=False, output_loading_info=True
                )
        except Exception as error:  # as of any model: Hub, JSON, safetensors share no base
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"cannot load the reward model {name!r}: {reason}") from error
        if loading["missing_keys"]:
            missing = sorted(loading["missing_keys"])[0]
            raise ModelError(f"reward model {name!r} lacks {missing}: its scores would be random")
        if self._model.config.num_labels != 1:
            raise ModelError(
                f"reward model {name!r} has {self._model.config.num_labels} labels: it needs one, "
                "the score"
            )
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        if self._tokenizer.pad_token_id is None:
            raise ModelError(f"the tokenizer of reward model {name!r} has no token to pad with")
        self._model.config.pad_token_id = self._tokenizer.pad_token_id
        self._model.to(device).eval().requires_grad_(False)

    def weights_hash(self) -> str:
        return weights_hash(self._model)

    @torch.no_grad()
    def __call__(self, prompt: str | Sequence[Message], texts: Sequence[str]) -> Tensor:
        """The score of each completion, [K], float64.

        A conversational prompt goes through the reward model's own chat template where it has
        one; else prompt and completion are one text.
        """
        encoded = [self._encoded(prompt, text) for text in texts]
        scores = []
        for start in range(0, len(encoded), _ROWS):
            batch = self._tokenizer.pad(
                {"input_ids": encoded[start : start + _ROWS]}, return_tensors="pt"
            )
            logits: Any = self._model(**batch.to(self._model.device)).logits
            scores.append(logits[:, 0].double().cpu())
        return torch.cat(scores)

    def _encoded(self, prompt: str | Sequence[Message], text: str) -> list[int]:
        limit = getattr(self._model.config, "max_position_embeddings", None)
        if isinstance(prompt, str):
            bos = self._tokenizer.bos_token
            begun = bool(bos) and prompt.startswith(bos)  # a template's text has its own
            ids = self._tokenizer(prompt + text, add_special_tokens=not begun)["input_ids"]
        elif self._tokenizer.chat_template:
            *before, last = prompt
            if last["role"] == "assistant":  # the completion goes on with it
                messages = [*before, {**last, "content": last["content"] + text}]
            else:
                messages = [*prompt, {"role": "assistant", "content": text}]
            try:
                conversation = self._tokenizer.apply_chat_template(messages, tokenize=False)
            except TemplateError as error:
                raise ConfigError(f"the reward model's template refuses it: {error}") from error
            ids = self._tokenizer(conversation, add_special_tokens=False)["input_ids"]
        else:
            turns = "\n".join(message["content"] for message in prompt)
            ids = self._tokenizer(f"{turns}\n{text}")["input_ids"]
        if limit and len(ids) > limit:
            raise ConfigError(
                f"a completion of {len(ids)} tokens does not fit the reward model's context of "
                f"{limit}: lower --max_completion_length"
            )
        return list(ids)
