"""`RLSCTrainer`: transformers' Trainer, with sampling where it fetches its batches.

Everything else (checkpoints, resume, mixed precision, optimizers, trackers) is the parent's.
Two hooks carry the method: `get_batch_samples` samples the completions of one optimizer step,
and `training_step` weighs them and backpropagates, micro-batch by micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers import PrinterCallback, ProgressCallback, Trainer, set_seed

from rlsc.batching import Row, make_rows
from rlsc.callbacks import StepProgress, StopOnNonFinite, non_finite_message
from rlsc.config import RLSCConfig
from rlsc.display import console
from rlsc.engines import Engine, SamplingParams, create_engine, seed_for
from rlsc.errors import ConfigError, ModelError, NonFiniteError, QuestionError
from rlsc.memory import keep_freed_memory, release_freed_memory
from rlsc.metrics import StepRecord, step_metrics
from rlsc.models import context_length, disable_dropout, load_model
from rlsc.objectives import RLSC, Objective
from rlsc.prompts import fit_context, render, stop_token_ids
from rlsc.runlog import RunLog
from rlsc.scoring import Batch, Layout, Scorer, supported_layout
from rlsc.types import Prompt
from rlsc.update import (
    SiblingView,
    StepBatch,
    engine_mismatch,
    micro_batch_loss,
    rows_that_weigh,
)

_CHECKED, _CHECKED_TOKENS = 8, 64  # questions, and tokens of each
_MISMATCH_BOUND = 0.1  # nats a token: five times what bfloat16 does at temperature 0.5


class RLSCTrainer(Trainer):
    """Fine-tune a causal language model on its own confidence.

    Args:
        model: a transformers model, a Hub id or a folder.
        args: an `RLSCConfig`.
        train_dataset: rows with a `prompt`, a string or a list of messages, and optionally an
            `id`. Other columns are not read: there is no way for a label to get in.
        processing_class: the model's tokenizer; loaded with the model where that is a name.
        engine: an `Engine`; by default the one that `args.engine` names.
        objective: by default `RLSC(args.weight, args.alpha)`.
        peft_config: trains an adapter instead of the weights.

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
        callbacks: list[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        args = args if args is not None else RLSCConfig()
        if isinstance(model, str):
            model, tokenizer, _ = load_model(model)
            processing_class = processing_class or tokenizer
        if processing_class is None:
            raise ConfigError("processing_class is missing: pass the model's tokenizer")
        if args.n_gpu > 1 or args.world_size > 1:
            raise ConfigError("one process and one GPU for now: set CUDA_VISIBLE_DEVICES=0")
        if peft_config is not None:
            from peft import get_peft_model

            set_seed(args.seed)  # the adapter's first values are drawn here
            model = get_peft_model(model, peft_config)
        if args.disable_dropout:
            disable_dropout(model)
        prompts, self.skipped_prompts = _render_all(train_dataset, model, processing_class, args)
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
        # The loss is divided by the step's own denominator, and accumulation is always 1.
        self.loss_is_scaled_for_ga = True
        self.objective: Objective = objective or RLSC(args.weight, args.alpha)
        dtype = torch.bfloat16 if args.bf16 else next(self.model.parameters()).dtype
        self.engine: Engine = engine or create_engine(args, self.model, processing_class, dtype)
        self._sampling = SamplingParams(
            max_new_tokens=args.max_completion_length,
            stop_token_ids=stop_token_ids(processing_class, self.model),
            temperature=args.temperature,
            top_p=args.top_p,
            top_k=args.top_k,
        )
        self._scorer = Scorer(self.model, _layout(self.model, args))
        self._metrics: dict[str, float] = {}
        self._engine_is_checked = False
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        self.progress = StepProgress(enabled=not args.disable_tqdm)
        self.add_callback(self.progress)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().train(*args, **kwargs)
        finally:
            self.progress.stop()

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
        self.engine.sync(self.accelerator.unwrap_model(self.model))
        with self.progress.sampling(len(prompts) * self.args.num_generations) as on_progress:
            groups = self.engine.generate(
                prompts,
                self.args.num_generations,
                self._sampling,
                # Seeded explicitly: on resume the parent restores the global stream too late.
                [seed_for(self.args.seed, step, prompt.id) for prompt in prompts],
                on_progress,
            )
        release_freed_memory()
        if getattr(self.engine, "foreign", False) and not self._engine_is_checked:
            self._check_engine(prompts[:_CHECKED])
        rows = make_rows(groups, self.args.merge_duplicates)
        batch = StepBatch(groups, self._cut(rows))
        # The parent's loop takes a step per item: all micro-batches travel as one.
        return [batch], None

    def _check_engine(self, prompts: list[Prompt]) -> None:
        """On the first step: another library's log-probs must be the training forward's."""
        self._engine_is_checked = True
        if self.args.importance_sampling_correction:
            return
        # Without top-p and top-k, whose cut the forward does not make.
        cap = min(self._sampling.max_new_tokens, _CHECKED_TOKENS)
        plain = replace(self._sampling, top_p=1.0, top_k=0, max_new_tokens=cap)
        groups = self.engine.generate(prompts, 1, plain, range(len(prompts)))
        mismatch = engine_mismatch(groups, lambda one: self._score(one, plain.temperature))
        if not mismatch <= _MISMATCH_BOUND:
            raise ModelError(
                f"{type(self.engine).__name__}'s log-probs are {mismatch:.2g} nats a token off the "
                f"training forward's (bound {_MISMATCH_BOUND}): take --engine native, or weigh "
                "completions for it by --importance_sampling_correction true"
            )

    # The update: called by the parent with the single item that `get_batch_samples` returned.

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: StepBatch,
        num_items_in_batch: Any = None,
    ) -> Tensor:
        model.train()
        with keep_freed_memory(), self._scorer.attached():
            return self._update(model, inputs)

    def _update(self, model: torch.nn.Module, inputs: StepBatch) -> Tensor:
        step, args = self.state.global_step, self.args
        view = SiblingView.of(
            inputs,
            self.objective,
            args.mask_truncated_completions,
            lambda batch: self._score(batch, args.loss_temperature, model),
            args.importance_sampling_correction,
        )
        record = StepRecord.empty(inputs.size)

        def loss_of(batch: Batch) -> Tensor:
            scores = self._score(batch, args.loss_temperature, model)
            # The mean over the step's completions; masked ones count as 0.
            cap = args.importance_sampling_cap
            loss = micro_batch_loss(batch, scores, self.objective, view, record, cap)
            loss = loss / inputs.size
            if not torch.isfinite(loss):
                raise NonFiniteError(non_finite_message("loss", step, args.output_dir))
            return loss

        micro_batches, total = inputs.micro_batches, torch.zeros((), device=args.device)
        if args.skip_weight_below:
            with torch.no_grad():
                total = torch.stack([loss_of(batch) for batch in micro_batches]).sum()
            micro_batches = self._without_light_rows(inputs, record)
        with self.progress.updating(len(micro_batches)) as on_progress:
            for batch in micro_batches:
                loss = loss_of(batch)
                self.accelerator.backward(loss)
                if not args.skip_weight_below:
                    total += loss.detach()
                on_progress(1)
        self._record_step(step, inputs, record, view)
        return total

    def _cut(self, rows: Sequence[Row]) -> Sequence[Batch]:
        return self._scorer.layout.cut(rows, self.args.tokens_per_microbatch)

    def _without_light_rows(self, inputs: StepBatch, record: StepRecord) -> Sequence[Batch]:
        rows = [row for batch in inputs.micro_batches for row in batch.rows]
        kept = rows_that_weigh(inputs.groups, record, rows, self.args.skip_weight_below)
        # Where nothing weighs, e.g. all are masked, the gradient is 0 and not missing.
        return self._cut(kept) if kept else inputs.micro_batches

    def _score(
        self, batch: Batch, temperature: float, model: torch.nn.Module | None = None
    ) -> tuple[Tensor, Tensor]:
        with self.compute_loss_context_manager():
            return self._scorer(batch, temperature, model)

    # Records.

    def _record_step(
        self, step: int, inputs: StepBatch, record: StepRecord, view: SiblingView
    ) -> None:
        alpha = getattr(self.objective, "alpha", 0.0)
        self._metrics = step_metrics(inputs.groups, record, alpha, int(view.kept_N.sum()))
        masked = 1.0 - float(view.kept_N.double().mean())
        self._metrics |= {"masked_completions": masked, "all_masked": float(masked == 1.0)}
        if self.args.should_save:
            self.runlog.write_completions(step, inputs.groups, record)

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


def _layout(model: Any, args: RLSCConfig) -> Layout:
    wanted = Layout(args.padding_free, args.share_prefixes, args.logits_chunk_size)
    layout, reason = supported_layout(model, wanted)
    if reason:
        name = type(model).__name__
        console.print(
            f"{name} can't be computed without padding: {reason}; padded, all logits held"
        )
    return layout


def _render_all(
    dataset: Any, model: Any, tokenizer: Any, args: RLSCConfig
) -> tuple[list[Prompt], list[Prompt]]:
    """The data set's prompts as token ids: those that fit the context, and those skipped."""
    if dataset is None or len(dataset) == 0:
        raise QuestionError("train_dataset is empty: it needs rows with a 'prompt'")
    prompts = []
    for index, row in enumerate(dataset):
        if "prompt" not in row:
            raise QuestionError(f"train_dataset row {index} has no 'prompt' (it has {list(row)})")
        prompts.append(render(row["prompt"], str(row.get("id", index)), tokenizer))
    fitting, skipped = fit_context(
        prompts, args.max_completion_length, context_length(model), args.skip_long_prompts
    )
    needed = args.per_device_train_batch_size
    if len(fitting) < needed:
        raise ConfigError(
            f"{len(fitting)} questions are too few for {needed} distinct ones a step: "
            "lower --per_device_train_batch_size"
        )
    return fitting, skipped
