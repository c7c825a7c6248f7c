"""`RLSCTrainer`: transformers' Trainer, with sampling where it fetches its batches.

Everything else (checkpoints, resume, mixed precision, optimizers, trackers) is the parent's.
Two hooks carry the method: `get_batch_samples` samples the completions of one optimizer step,
and `training_step` weighs them and backpropagates, micro-batch by micro-batch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import torch
from torch import Tensor
from transformers import PrinterCallback, ProgressCallback

from rlsc.engines import Engine, create_engine
from rlsc.errors import ConfigError
from rlsc.guard.guard import create_guard
from rlsc.logprobs.scorer import Batch, Scorer, TokenStats
from rlsc.models.adapters import with_adapter
from rlsc.models.loading import disable_dropout, load_model
from rlsc.objectives import Objective, create_objective
from rlsc.runtime.console import stops_untold
from rlsc.runtime.memory import keep_freed_memory
from rlsc.runtime.processes import rank
from rlsc.training.arguments import RLSCConfig
from rlsc.training.auxiliary import create_auxiliary
from rlsc.training.checkpoints import WholeCheckpoints
from rlsc.training.gradients import Gradients
from rlsc.training.inputs import (
    check_processes,
    check_sharding,
    check_zero3,
    given_pairs,
    layout_of,
    probe_prompts,
    raw_prompts,
    render_all,
    sampling_of,
    step_loader,
)
from rlsc.training.metrics import StepRecord, step_metrics
from rlsc.training.progress import KeepValueHead, StepProgress, StopOnNonFinite
from rlsc.training.runlog import RunLog
from rlsc.training.sampling import Rollouts
from rlsc.training.update import StepBatch, of_all_processes
from rlsc.training.weighing import Source
from rlsc.types import AnswerKey, Prompt


class RLSCTrainer(WholeCheckpoints):
    """Fine-tune a causal language model on its own confidence.

    Args:
        model: a transformers model, a Hub id or a folder.
        args: an `RLSCConfig`.
        train_dataset: rows with a `prompt`, a string or a list of messages, and optionally an
            `id`; with `dpo_pairs="given"` also `chosen` and `rejected`, text or messages. Other
            columns are not read: a label cannot get in with them.
        processing_class: the model's tokenizer; loaded with the model where that is a name.
        engine: an `Engine`; by default the one that `args.engine` names.
        objective: by default the one that `args.objective` names.
        answer_key: reference answers by id; only an objective that needs labels touches it.
        peft_config: trains an adapter instead of the weights.
        probe_dataset: rows with a `prompt`, for the guard alone; None: it sees rollouts only.

    Raises `ConfigError` or `QuestionError` on input that cannot work, `NonFiniteError` when loss
    or gradient is no longer finite (the checkpoints written until then stand).

    >>> trainer = RLSCTrainer(
    ...     model="HuggingFaceTB/SmolLM2-135M-Instruct",
    ...     args=RLSCConfig(output_dir="out", max_completion_length=64),
    ...     train_dataset=[{"prompt": [{"role": "user", "content": "What is 3 + 8?"}]}, ...],
    ... )  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Any,
        args: RLSCConfig | None = None,
        train_dataset: Any = None,
        processing_class: Any = None,
        engine: Engine | None = None,
        objective: Objective | None = None,
        peft_config: Any = None,
        answer_key: AnswerKey | None = None,
        callbacks: list[Any] | None = None,
        probe_dataset: Any = None,
        **kwargs: Any,
    ) -> None:
        args = args if args is not None else RLSCConfig()
        if isinstance(model, str):
            model, tokenizer, _ = load_model(model)
            processing_class = processing_class or tokenizer
        if processing_class is None:
            raise ConfigError("processing_class is missing: pass the model's tokenizer")
        check_processes(args)
        if peft_config is not None:
            model = with_adapter(model, peft_config, args.seed)
        if args.disable_dropout:
            disable_dropout(model)
        prompts, self.skipped_prompts = render_all(train_dataset, model, processing_class, args)
        self.runlog = RunLog(args.output_dir)
        super().__init__(
            model=model,
            args=args,
            train_dataset=prompts,
            data_collator=list,
            processing_class=processing_class,
            callbacks=[StopOnNonFinite(), self.runlog, *(callbacks or [])],
            **kwargs,
        )
        check_sharding(self.accelerator, args)
        if self.is_fsdp_enabled:  # the parent leaves it where it is until training begins
            self.model.to(args.device)
        # The loss is divided by the step's own denominator, and accumulation is always 1.
        self.loss_is_scaled_for_ga = True
        self._prepare_step(train_dataset, engine, objective, answer_key, probe_dataset)

    def _prepare_step(
        self,
        dataset: Any,
        engine: Engine | None,
        objective: Objective | None,
        answer_key: AnswerKey | None,
        probe_dataset: Any,
    ) -> None:
        """What samples, what watches, what updates, in this order."""
        args, processing_class = self.args, self.processing_class
        self.objective: Objective = objective or create_objective(args)
        self.objective.check(args)
        check_zero3(self.accelerator, args, self.objective)
        dtype = torch.bfloat16 if args.bf16 else next(self.model.parameters()).dtype
        self.engine: Engine = engine or create_engine(args, self.model, processing_class, dtype)
        self._scorer = Scorer(self.model, layout_of(self.model, args))
        self._prepare_rollouts(dataset, answer_key)
        probe = probe_prompts(probe_dataset, self.model, processing_class, args)
        self.guard = create_guard(args, probe, self._rollouts, self._scorer, self._score)
        if self.guard:
            self.keep(self.guard)
        self._reused: StepBatch | None = None
        self._metrics: dict[str, float] = {}
        self._clock = 0.0
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        self.progress = StepProgress(enabled=not args.disable_tqdm)
        self.add_callback(self.progress)
        self._gradients = Gradients(
            args,
            self.objective,
            self.auxiliary,
            self._score,
            self._rollouts.cut,
            self.accelerator,
            self.progress,
        )

    def _prepare_rollouts(self, dataset: Any, answer_key: AnswerKey | None) -> None:
        """What samples and weighs, and what the objective needs beside the policy."""
        args, source = self.args, Source(raw_prompts(dataset), answer_key)
        self.objective.check_labels(source.prompts, answer_key)
        self.auxiliary = create_auxiliary(
            args,
            self.objective,
            self.model,
            self._scorer.layout,
            self.compute_loss_context_manager,
        )
        if self.auxiliary.value_head is not None:
            self.keep(KeepValueHead(self.auxiliary.value_head))
        sampling = sampling_of(self.processing_class, self.model, args)
        given: Engine | None = None
        if self.objective.completions_given:
            given = given_pairs(dataset, self.processing_class, args.max_completion_length)
        self._rollouts = Rollouts(
            args,
            sampling,
            self.objective,
            self.auxiliary,
            source,
            self._scorer,
            self._score,
            given,
        )

    def get_train_dataloader(self) -> Any:
        return step_loader(self.train_dataset, self._train_batch_size, self.args)

    def begin_afresh(self) -> None:
        self.runlog.rewind(0)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        with closing(self.progress), stops_untold(lambda: self.control.should_training_stop):
            output = super().train(*args, **kwargs)
            size = self.args.per_device_train_batch_size
            prompts = self.train_dataset[rank() * size : (rank() + 1) * size]
            self._rollouts.finish(self.state.global_step, prompts, self.engine, self.model)
            return output

    # Sampling: called by the parent once per optimizer step, before its micro-batches.

    def get_batch_samples(
        self, epoch_iterator: Iterator[list[Prompt]], num_batches: int, device: torch.device
    ) -> tuple[list[StepBatch], None]:
        step = self.state.global_step
        # A run resumed at its last step would otherwise be given one more by the parent's loop.
        self.control.should_training_stop |= step >= self.state.max_steps
        prompts = None if self.control.should_training_stop else next(epoch_iterator, None)
        if prompts is None:
            return [], None
        self._clock = time.perf_counter()
        if step % self.args.num_iterations == 0 or self._reused is None:
            self._reused = self._rollouts.sample(
                step, prompts, self.engine, self.model, self.progress
            )
        if self._reused is None:  # the guard has seen a collapse
            self.control.should_training_stop = True
            return [], None
        # The parent's loop takes a step per item: all micro-batches travel as one.
        return [self._reused], None

    # The update: called by the parent with the single item that `get_batch_samples` returned.

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: StepBatch,
        num_items_in_batch: Any = None,
    ) -> Tensor:
        model.train()
        step, record = self.state.global_step, StepRecord.empty(inputs.size)
        with keep_freed_memory(), self._scorer.attached():
            loss = self._gradients(model, inputs, record, step)
        self._record_step(step, inputs, record)
        inputs.updated()
        return loss

    def _score(
        self,
        batch: Batch,
        temperature: float,
        model: torch.nn.Module | None = None,
        states: bool = False,
    ) -> TokenStats:
        with self.compute_loss_context_manager():
            entropy_gradient = "entropy_gradient" in self.objective.loss_needs
            return self._scorer(batch, temperature, model, entropy_gradient, states)

    def _record_step(self, step: int, inputs: StepBatch, record: StepRecord) -> None:
        groups, record, kept_N, metrics = of_all_processes(inputs, record)
        self._metrics = step_metrics(groups, record, self.objective.added, int(kept_N.sum()))
        masked = 1.0 - float(kept_N.double().mean())
        self._metrics |= {"masked_completions": masked, "all_masked": float(masked == 1.0)}
        self._metrics |= metrics
        if self.guard:
            self._metrics = self.guard.metrics | self._metrics
        self._metrics["seconds"] = time.perf_counter() - self._clock
        if self.auxiliary.value_head is not None:
            self._metrics["value_loss"] = self.auxiliary.value_head.step()
        if self.args.should_save:
            self.runlog.write_completions(step, groups, record)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the step's metrics to what the parent logs, and append them to metrics.jsonl."""
        is_step = "loss" in logs
        if is_step:
            logs |= self._metrics
        super().log(logs, start_time)
        if is_step and self.args.should_save:
            self.runlog.write_metrics(self.state.global_step - 1, logs)

    def floating_point_ops(self, inputs: Any) -> int:
        """6 · parameters · tokens of a forward and backward pass."""
        if not isinstance(inputs, StepBatch):
            return 0
        tokens = sum(batch.tokens for batch in inputs.micro_batches)
        return 6 * sum(p.numel() for p in self.model.parameters()) * tokens
