"""The engines that the rollout benchmark compares, each as a function that samples a case."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from rollout import _ROWS
from transformers.pytorch_utils import Conv1D
from workloads import Case

from rlsc.config import EngineArguments
from rlsc.data import render, stop_token_ids
from rlsc.engines import SamplingParams, create_engine
from rlsc.engines.packed import PackedLinears
from rlsc.models import load_model
from rlsc.types import Prompt

Runner = Callable[[Case, Sequence[str], int], dict[str, Any]]
_REPEATS = 5


def make_runner(name: str, model_name: str | None, dtype_name: str, rows: int) -> Runner:
    """A function (case, questions, cap) → {"tokens", "lengths"}; for "bound", products' times."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[dtype_name]
    model, tokenizer, _ = load_model(model_name, dtype)
    model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    if name == "bound":
        return lambda case, questions, cap: _products(model)
    if name == "hf_continuous":
        return lambda case, questions, cap: _continuous(
            model, tokenizer, case, questions, cap, rows
        )
    config = EngineArguments(engine=name, rollout_batch_size=rows, vllm_max_model_length=2048)
    engine = create_engine(config, model, tokenizer, dtype)

    def run(case: Case, questions: Sequence[str], cap: int) -> dict[str, Any]:
        prompts = _prompts(questions, tokenizer)
        stops = () if case.forced_length else stop_token_ids(tokenizer, model)
        params = SamplingParams(cap, stops, temperature=case.temperature)
        groups = engine.generate(prompts, case.samples, params, range(len(prompts)))
        return _lengths(
            [len(completion.token_ids) for group in groups for completion in group.completions]
        )

    return run


def _prompts(questions: Sequence[str], tokenizer: Any) -> list[Prompt]:
    chats = [[{"role": "user", "content": text}] for text in questions]
    return [render(chat, str(index), tokenizer) for index, chat in enumerate(chats)]


def _lengths(lengths: list[int]) -> dict[str, Any]:
    return {"tokens": sum(lengths), "lengths": lengths}


def _continuous(
    model: Any, tokenizer: Any, case: Case, questions: Sequence[str], cap: int, rows: int
) -> dict[str, Any]:
    from transformers import ContinuousBatchingConfig, GenerationConfig

    prompts = _prompts(questions, tokenizer)
    inputs = [list(prompt.token_ids) for prompt in prompts for _ in range(case.samples)]
    stops = [-1] if case.forced_length else list(stop_token_ids(tokenizer, model))
    config = GenerationConfig(
        max_new_tokens=cap,
        do_sample=case.temperature > 0,
        temperature=case.temperature or None,
        top_k=0 if case.temperature else None,
        eos_token_id=stops,
        pad_token_id=0,
    )
    # By default its cache takes all the memory there is. Pages hold 256 tokens.
    pages = -(-(max(map(len, inputs)) + cap) // 256)
    batching = ContinuousBatchingConfig(num_blocks=rows * pages, max_batch_tokens=1024)
    outputs = model.generate_batch(
        inputs, generation_config=config, continuous_batching_config=batching
    )
    return _lengths([len(output.generated_tokens) for output in outputs.values()])


@torch.inference_mode()
def _products(model: Any) -> dict[str, Any]:
    """The median time of all linear layers by rows; the faster of plain and packed.

    One after the other with the model's own weights, which no cache holds at once.
    """
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear | Conv1D)]
    weight = layers[0].weight
    inputs = {_inputs(layer) for layer in layers}
    packed = PackedLinears.of(model)
    seconds = {}
    for rows in _ROWS:
        xs = {size: torch.randn(rows, size).to(weight) for size in inputs}
        times = [_time(layers, xs)]
        if packed:
            with packed.lent():
                times.append(_time(layers, xs))
        seconds[rows] = min(times)
    return {"seconds_by_rows": seconds}


def _inputs(layer: torch.nn.Linear | Conv1D) -> int:
    return layer.nx if isinstance(layer, Conv1D) else layer.in_features


def _time(layers: Sequence[torch.nn.Linear | Conv1D], xs: dict[int, torch.Tensor]) -> float:
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        for layer in layers:
            layer(xs[_inputs(layer)])
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
