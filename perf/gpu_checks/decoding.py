"""A decoding step of one row, called kernel by kernel and as one CUDA graph.

Without a batch the GPU waits for its kernels to be launched: what a graph saves is the most that
launching costs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import StaticCache

from gpu_checks.isolation import first_line
from gpu_checks.products import DTYPES, synchronize
from gpu_checks.rows import EAGER, Figures, NotHere, Row, Setting, ratio
from rlsc.models import cache_argument, load_model

_CONTEXT = 256
_TOKENS = 32
_EQUAL = 1e-3
"""A graph runs the same kernels: its logits may differ by the order of atomic sums alone."""


def decoding(setting: Setting, earlier: Figures, graph: bool) -> list[Row]:
    """Milliseconds a token; with `graph` also the logits' difference from the eager ones."""
    model, _, _ = load_model(setting.model, DTYPES[setting.precision])
    model = model.to(setting.device).eval()
    with torch.inference_mode():
        step = _Step(model, setting.device)
        if not graph:
            return [Row("a step", _milliseconds(step, step.eager, setting), "ms")]
        eager = [step.eager().clone() for _ in step.positions()]
        replay = step.captured()
        apart = [
            (logits.float() - replay().float()).abs().max().item()
            for logits, _ in zip(eager, step.positions(), strict=True)
        ]
        scale = max(logits.float().abs().max().item() for logits in eager)
        milliseconds = _milliseconds(step, replay, setting)
    rows = [
        Row("logits, against eager ones", max(apart) / scale, "relative", _EQUAL),
        Row("a step", milliseconds, "ms"),
    ]
    share = ratio(earlier, EAGER, "a step", milliseconds)
    if share:
        rows.append(Row("saved of an eager step", 100 * (1 - share), "%"))
    return rows


class _Step:
    """One token after another into a cache of fixed size: static shapes, as a graph needs."""

    def __init__(self, model: Any, device: str) -> None:
        self._model, self._device = model, device
        self._cache = StaticCache(config=model.config, max_cache_len=_CONTEXT)
        self._token_11 = torch.ones(1, 1, dtype=torch.long, device=device)
        self._position_11 = torch.zeros(1, 1, dtype=torch.long, device=device)
        places = torch.arange(_CONTEXT, device=device)
        self._places = places[None, None, None]
        self.eager()  # makes the cache

    def eager(self) -> Tensor:
        """Logits [V] of the token at the position, which is put into the cache there."""
        visible = self._places <= self._position_11
        logits: Tensor = self._model(
            input_ids=self._token_11,
            position_ids=self._position_11,
            attention_mask=visible,
            use_cache=True,
            **{cache_argument(self._model): self._cache},
        ).logits[0, -1]
        return logits

    def positions(self) -> Any:
        """Sets one position after the other, from an empty cache on."""
        self._cache.reset()
        for position in range(_TOKENS):
            self._position_11.fill_(position)
            yield position

    def captured(self) -> Callable[[], Tensor]:
        """The same as one graph. Raises `NotHere` where a call cannot be captured, and why."""
        if self._device != "cuda":
            raise NotHere("CUDA graphs are of CUDA")
        try:
            return self._captured()
        except RuntimeError as error:
            raise NotHere(f"a step cannot be captured: {first_line(error)}") from error

    def _captured(self) -> Callable[[], Tensor]:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # torch asks for a few calls outside the graph
            for _ in range(3):
                self._cache.reset()
                self.eager()
        torch.cuda.current_stream().wait_stream(stream)
        self._cache.reset()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits_V = self.eager()

        def replay() -> Tensor:
            graph.replay()
            return logits_V

        return replay


def _milliseconds(step: _Step, call: Callable[[], Tensor], setting: Setting) -> float:
    times = []
    for _ in range(setting.rounds):
        synchronize(setting.device)
        start = time.perf_counter()
        for _ in step.positions():
            call()
        synchronize(setting.device)
        times.append(1000 * (time.perf_counter() - start) / _TOKENS)
    return statistics.median(times)
