"""The same numbers by different ways: engines against the training forward, layouts against rows.

As training computes: weights in float32, products in `dtype` by autocast, under float16 with a
loss scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from workloads import CASES

from gpu_checks.rows import Figures, Row, Setting
from rlsc.data import format_question, render, stop_token_ids
from rlsc.engines import SamplingParams, seed_for
from rlsc.engines.hf import HFEngine
from rlsc.engines.native.engine import NativeEngine
from rlsc.logprobs import Batch, Layout, ScoredSequence, Scorer, make_rows, pad
from rlsc.models import load_model
from rlsc.training.loss_scaling import overflowed
from rlsc.types import CompletionGroup, Prompt, Question

# Log-probs: nats a token, in the mean; gradients: relative. In bf16 a logit has 8 bits, in fp16
# 11. Random weights of SmolLM2's shape gave 0.05 and 0.02 in bfloat16 on a CPU; there a position
# off by one for the latter half is 0.4 nats a token, another first token 2.2.
BOUNDS = {
    "float32": {"log-probs": 1e-3, "gradient": 1e-3},
    "bfloat16": {"log-probs": 0.1, "gradient": 0.25},
    "float16": {"log-probs": 0.02, "gradient": 0.1},
}
_TEMPERATURE = 0.7
_SIBLINGS = 4
Passes = Iterable[tuple[Sequence[ScoredSequence], Callable[[], Tensor]]]
"""Rows, and a forward pass that gives their log-probs, [B, T]; backward belongs in the loop."""


def equality(setting: Setting, earlier: Figures, dtype: str) -> list[Row]:
    """Raises where a model or an engine does not work at all."""
    torch.set_float32_matmul_precision("highest")  # no TF32, whose products have 10 bits
    model, tokenizer, _ = load_model(setting.model, torch.float32)
    model = model.to(setting.device).eval()
    subject = _Subject(model, tokenizer, getattr(torch, dtype), setting)
    return [
        Row(what, value, unit, _bound(dtype, unit)) for what, value, unit in subject.differences()
    ]


def _bound(dtype: str, unit: str) -> float:
    if unit == "questions":
        return 0.0
    return BOUNDS[dtype]["log-probs" if unit == "nats" else "gradient"]


class _Subject:
    """One model in one dtype, and all ways to its numbers."""

    def __init__(self, model: Any, tokenizer: Any, dtype: torch.dtype, setting: Setting) -> None:
        self._model, self._tokenizer, self._dtype = model, tokenizer, dtype
        self._device = setting.device
        self._prompts = _prompts(tokenizer, 2 if setting.tiny else 8)
        cap = 8 if setting.tiny else 32
        stops = stop_token_ids(tokenizer, model)
        self._params = SamplingParams(cap, stops, temperature=_TEMPERATURE)
        # The loss is of the size of a training step's, for the loss scale.
        self._divisor = _SIBLINGS * len(self._prompts)
        self._seeds = [seed_for("gpu-check", prompt.id) for prompt in self._prompts]
        self._scorers = {
            "padded rows": Scorer(model, Layout(padding_free=False)),
            "token trees": Scorer(model, Layout()),
        }

    def differences(self) -> list[tuple[str, float, str]]:
        """Engines from the training forward; layouts from transformers' forward of each row."""
        differences = []
        for kind, name in ((HFEngine, "generate"), (NativeEngine, "the native engine")):
            engine = kind(self._model, self._tokenizer, self._dtype)
            groups = self._sampled(engine)
            differences.append((f"log-probs of {name}", self._from_forward(groups), "nats"))
        again = self._sampled(engine)
        other = [a.completions != b.completions for a, b in zip(groups, again, strict=True)]
        differences.append(("differ when sampled again", float(sum(other)), "questions"))
        engine.release()
        rows = make_rows(groups, merge_duplicates=False)
        reference = self._scored(partial(self._alone, rows))
        gradients = [weight.grad.cpu() for weight in self._model.parameters()]
        for layout in self._scorers:
            logps = self._scored(partial(self._in_batches, rows, layout))
            difference = (logps - reference).abs().mean().item()
            differences.append((f"log-probs of {layout}", difference, "nats"))
            differences.append((f"gradient of {layout}", self._from(gradients), "relative"))
        return differences

    def _sampled(self, engine: Any) -> list[CompletionGroup]:
        groups: list[CompletionGroup] = engine.generate(self._prompts, 4, self._params, self._seeds)
        return groups

    @torch.no_grad()
    def _from_forward(self, groups: list[CompletionGroup]) -> float:
        """What an engine says of its tokens against the forward, in nats a token."""
        completions = [completion for group in groups for completion in group.completions]
        scorer = self._scorers["padded rows"]
        with scorer.attached(), self._autocast():
            batch = pad(make_rows(groups, merge_duplicates=False))
            logps_BT = scorer(batch, _TEMPERATURE).logps_BT
        differences = [
            (row[: len(completion.logps)].float().cpu() - torch.tensor(completion.logps)).abs()
            for row, completion in zip(logps_BT, completions, strict=True)
        ]
        return torch.cat(differences).mean().item()

    def _autocast(self) -> torch.autocast:
        half = self._dtype != torch.float32
        return torch.autocast(self._device, self._dtype if half else None, enabled=half)

    def _alone(self, rows: Sequence[ScoredSequence]) -> Passes:
        """transformers' own forward, without padding and without our code."""

        def forward(row: ScoredSequence) -> Tensor:
            ids = torch.tensor([row.tokens], device=self._device)
            ends = torch.tensor(row.completion_ids, device=self._device)[:, None]
            logits_TV = self._model(ids).logits[0, len(row.prompt_ids) - 1 : -1].float()
            return logits_TV.log_softmax(-1).gather(-1, ends).T

        for row in rows:
            yield [row], partial(forward, row)

    def _in_batches(self, rows: Sequence[ScoredSequence], layout: str) -> Passes:
        scorer = self._scorers[layout]
        with scorer.attached():
            for batch in scorer.layout.cut(rows, 1024):
                yield batch.rows, partial(_logps, scorer, batch)

    def _scored(self, passes: Callable[[], Passes]) -> Tensor:
        """Each completion's tokens' log-probs, end to end; the gradient of their mean is in place.

        As in training, passes are made again at a smaller scale where float16 overflows.
        """
        scaler = torch.amp.GradScaler(self._device, enabled=self._dtype == torch.float16)
        logps: dict[int, Tensor] = {}
        while True:
            self._model.zero_grad()
            for rows, forward in passes():
                with self._autocast():
                    logps_BT = forward()
                scaler.scale(logps_BT.sum() / self._divisor).backward()
                for row, logps_T in zip(rows, logps_BT, strict=True):
                    ends = logps_T[: len(row.completion_ids)]
                    logps[row.members[0]] = ends.detach().float().cpu()
            if not overflowed(scaler, self._model, "gradients are not finite at any scale"):
                break
        for weight in self._model.parameters():
            weight.grad.div_(scaler.get_scale())
        return torch.cat([logps[index] for index in sorted(logps)])

    def _from(self, gradients: list[Tensor]) -> float:
        """How far the gradient in place is from this one, relative to it."""
        apart = whole = 0.0
        for weight, gradient in zip(self._model.parameters(), gradients, strict=True):
            expected = gradient.to(weight.grad)
            apart += (weight.grad - expected).norm().item() ** 2
            whole += expected.norm().item() ** 2
        return float((apart / whole) ** 0.5)


def _logps(scorer: Scorer, batch: Batch) -> Tensor:
    return scorer(batch, 1.0).logps_BT


def _prompts(tokenizer: Any, count: int) -> list[Prompt]:
    return [
        render(format_question(Question(str(index), text), tokenizer), str(index), tokenizer)
        for index, text in enumerate(CASES["words"].questions[:count])
    ]
