"""The trainers that the step benchmark compares, each made to wait for its turn."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, TrainerCallback
from workers import Memory, chosen, never_stop, reply
from workloads import STEPS, StepCase

from rlsc import RLSCConfig, RLSCTrainer
from rlsc.engines import ScriptedEngine
from rlsc.logprobs.token_tree import TreeBatch
from rlsc.models import load_model
from rlsc.records import read_jsonl
from rlsc.training.update import StepBatch
from rlsc.types import Completion

# What each peer turns off; `plain` is a padded update with all logits, which most trainers do.
PARTS: dict[str, dict[str, Any]] = {
    "rlsc": {},
    "no_merging": {"merge_duplicates": False},
    "no_sharing": {"share_prefixes": False},
    "no_packing": {"padding_free": False},
    "no_chunks": {"logits_chunk_size": 0},
    "plain": {"padding_free": False, "merge_duplicates": False},
}


def work(args: argparse.Namespace) -> None:
    """In the worker: a step for every line read."""
    case, args.dtype = STEPS[args.case], chosen(args.dtype)
    model, tokenizer = _model(args.model, case)
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(model, tokenizer, case, folder, args)
        _take_turns(trainer, _a_line, lambda answer: reply(answer | {"dtype": args.dtype}))
        trainer.train()


def measured_steps(
    args: argparse.Namespace, case: StepCase, folder: str
) -> tuple[Any, list[dict[str, Any]]]:
    """The trainer, and what `work` would answer of its steps, one after the other."""
    answers: list[dict[str, Any]] = []
    trainer = _trainer(*_model(args.model, case), case, folder, args)
    _take_turns(trainer, lambda: None, answers.append)
    trainer.train()
    return trainer, answers


def _trainer(
    model: Any, tokenizer: Any, case: StepCase, folder: str, args: argparse.Namespace
) -> Any:
    make = _trl if args.worker == "trl" else _ours
    return make(model, tokenizer, case, folder, args)


def _a_line() -> None:
    if not sys.stdin.readline():
        sys.exit()


def _model(name: str | None, case: StepCase) -> tuple[Any, Any]:
    model, tokenizer, _ = load_model(name, torch.float32)
    if case.vocabulary:
        torch.manual_seed(0)
        config = AutoConfig.for_model(
            "qwen2",
            vocab_size=case.vocabulary,
            hidden_size=256,
            intermediate_size=768,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=True,
            eos_token_id=None,
        )
        model = AutoModelForCausalLM.from_config(config)
    return model, tokenizer


def _shared(case: StepCase, folder: str, args: argparse.Namespace) -> dict[str, Any]:
    return {
        "output_dir": folder,
        "max_steps": args.steps,
        "num_generations": case.samples,
        "max_completion_length": case.max_new_tokens,
        "temperature": 0.5,
        "learning_rate": 0.0,
        "gradient_checkpointing": False,  # TRL's default is True
        "bf16": args.dtype == "bf16",
        "fp16": args.dtype == "fp16",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "seed": 0,
    }


def _prompts(case: StepCase) -> list[dict[str, Any]]:
    return [{"prompt": [{"role": "user", "content": text}]} for text in case.questions]


def _ours(
    model: Any, tokenizer: Any, case: StepCase, folder: str, args: argparse.Namespace
) -> RLSCTrainer:
    settings = _shared(case, folder, args) | PARTS[args.worker]
    if args.tokens_per_microbatch is not None:
        settings["tokens_per_microbatch"] = args.tokens_per_microbatch
    prompts: list[dict[str, Any]] = _prompts(case)
    engine = None
    if args.run:
        prompts, engine = _replayed(f"{args.run}/completions/{args.at}.jsonl")
        settings["num_generations"] = len(next(iter(engine._script.values())))
    trainer = RLSCTrainer(
        model=model,
        args=RLSCConfig(
            per_device_train_batch_size=len(prompts), rollout_batch_size=case.rows, **settings
        ),
        train_dataset=prompts,
        processing_class=tokenizer,
        engine=engine,
    )
    if case.forced_length:
        never_stop(trainer.engine)
    return trainer


def _replayed(file: str) -> tuple[list[dict[str, Any]], ScriptedEngine]:
    """The questions and completions of a step of a past run."""
    from pathlib import Path

    script: dict[str, list[Completion]] = {}
    texts: dict[str, str] = {}
    for row in read_jsonl(Path(file)):
        ids = tuple(row["completion_token_ids"])
        completion = Completion(row["text"], ids, (0.0,) * len(ids), row["finish_reason"])
        script.setdefault(row["id"], []).append(completion)
        texts[row["id"]] = row["prompt"]
    if not script:
        sys.exit(f"{file} is missing or empty: --run names a folder of `rlsc train`")
    return [{"id": id, "prompt": text} for id, text in texts.items()], ScriptedEngine(script)


def _trl(model: Any, tokenizer: Any, case: StepCase, folder: str, args: argparse.Namespace) -> Any:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    count = len(case.questions) * case.samples
    generation = {"min_new_tokens": case.max_new_tokens} if case.forced_length else {}
    config = GRPOConfig(
        per_device_train_batch_size=case.trl_rows,
        gradient_accumulation_steps=count // case.trl_rows,
        beta=0.0,
        shuffle_dataset=False,
        logging_steps=1000,
        use_cpu=not torch.cuda.is_available(),
        generation_kwargs=generation,
        **_shared(case, folder, args),
    )

    def constant(completions: list[Any], **kwargs: Any) -> list[float]:
        return [1.0] * len(completions)

    return GRPOTrainer(
        model=model,
        reward_funcs=constant,
        args=config,
        train_dataset=Dataset.from_list(_prompts(case) * args.steps),
        processing_class=tokenizer,
    )


class _Report(TrainerCallback):
    """Measures from the turn's beginning to the optimizer step's end."""

    def __init__(self, wait: Callable[[], None], tell: Callable[[dict[str, Any]], None]) -> None:
        self._wait, self._tell = wait, tell
        self.answer: dict[str, Any] = {}
        self.start = 0.0
        self.memory = Memory()

    def begin(self) -> None:
        self._wait()
        self.answer = {"sample_seconds": 0.0, "tokens": 0}
        self.memory = Memory()
        self.memory.__enter__()
        self.start = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        _synchronize()
        seconds = time.perf_counter() - self.start
        self.memory.__exit__()
        self.answer |= {
            "seconds_per_step": seconds,
            "update_seconds": seconds - self.answer["sample_seconds"],
            "peak_memory_gb": self.memory.peak / 1e9,
        }
        batch = self.answer.pop("batch", None)
        if batch is not None:
            self.answer["bound_seconds"] = _bound(kwargs["model"], batch, args.autocast_dtype)
        self._tell(self.answer)


def _take_turns(
    trainer: Any, wait: Callable[[], None], tell: Callable[[dict[str, Any]], None]
) -> None:
    report = _Report(wait, tell)
    trainer.add_callback(report)
    fetch = trainer.get_batch_samples

    def wait_and_fetch(*args: Any) -> Any:
        if trainer.state.global_step < trainer.state.max_steps:
            report.begin()
        batches, count = fetch(*args)
        if batches and isinstance(batches[0], StepBatch):
            report.answer["batch"] = batches[0]
            report.answer["flops"] = trainer.floating_point_ops(batches[0])
        return batches, count

    trainer.get_batch_samples = wait_and_fetch
    if isinstance(trainer, RLSCTrainer):
        engine: Any = trainer.engine
        engine.generate = _timed(engine.generate, report, _tokens)
        engine.sync = _timed(engine.sync, report, lambda _: 0)
    else:
        trainer._generate = _timed(trainer._generate, report, _trl_tokens)


def _timed(function: Callable[..., Any], report: _Report, count: Callable[[Any], int]) -> Any:
    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = function(*args, **kwargs)
        report.answer["sample_seconds"] += time.perf_counter() - start
        report.answer["tokens"] += count(result)
        return result

    return timed


def _tokens(groups: Any) -> int:
    return sum(len(completion.token_ids) for group in groups for completion in group.completions)


def _trl_tokens(result: Any) -> int:
    _, completion_ids, *_ = result
    return sum(map(len, completion_ids))


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _bound(model: Any, batch: StepBatch, dtype: torch.dtype | None) -> float:
    """What the products of linear layers take for the step's tokens, forward and backward.

    In `dtype`; None: in that of the weights.
    """
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    head = model.get_output_embeddings()
    seconds = 0.0
    for part in batch.micro_batches:
        for layer in layers:
            predicting = part.predictor_U if isinstance(part, TreeBatch) else None
            rows = len(predicting) if layer is head and predicting is not None else part.tokens
            if layer is head and predicting is None:
                rows = part.completion_mask_BT.numel()
            weight = layer.weight.detach()
            weight = weight.to(dtype or weight.dtype)
            x = torch.randn(rows, layer.in_features, dtype=weight.dtype, device=weight.device)
            _synchronize()
            start = time.perf_counter()
            y = x @ weight.T  # the output, and the gradients of input and weight
            y @ weight
            y.T @ x
            _synchronize()
            seconds += time.perf_counter() - start
    return seconds
