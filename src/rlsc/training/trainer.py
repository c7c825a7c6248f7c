"""`RLSCTrainer`: transformers' Trainer, with sampling where it fetches its batches.

Everything else (checkpoints, resume, mixed precision, optimizers, trackers) is the parent's.
Two hooks carry the method, in five verbs: `get_batch_samples` collects the completions of a step,
has the guard observe them, weighs them and cuts them into micro-batches; `training_step` goes
backward through these.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PrinterCallback, ProgressCallback

from rlsc.data import Rows, rows_of
from rlsc.engines import Engine, create_engine, seed_for
from rlsc.environments import DatasetEnvironment, Environment
from rlsc.errors import ConfigError
from rlsc.guard import create_guard
from rlsc.logprobs import Scorer
from rlsc.models import RoleAdapters, disable_dropout, is_quantised, load_model, weights_hash
from rlsc.objectives import Objective, create_objective
from rlsc.records import content_hash, locked, prompt_parts
from rlsc.runtime import (
    console,
    from_main,
    gathered,
    rank,
    release_freed_memory,
    without_missing_data_warning,
)
from rlsc.training.answer_tokens import answer_mask
from rlsc.training.arguments import RLSCConfig
from rlsc.training.auxiliary import create_auxiliary
from rlsc.training.checkpoints import WholeCheckpoints
from rlsc.training.filters import kept_by_filters
from rlsc.training.games import KeepEnvironment, check_state, game_loader, keeps_state
from rlsc.training.identity import (
    WEIGHTS,
    check_start,
    code_parts,
    engine_parts,
    label_parts,
    tokenizer_parts,
    write_record,
)
from rlsc.training.labels import (
    check_judged,
    judge_by,
    labels_in_use,
    labels_used,
    reads_labels,
)
from rlsc.training.metrics import of_all_processes, rollout_metrics, step_metrics
from rlsc.training.moved import MovedWeights
from rlsc.training.preparation import (
    adapted,
    check_environment,
    check_pools,
    check_processes,
    check_sharding,
    check_trained,
    check_votes,
    check_zero3,
    examples_of,
    given_pairs,
    layout_of,
    paraphrases_of,
    probe_prompts,
    render_all,
    sampling_of,
    step_loader,
)
from rlsc.training.progress import KeepValueHead, StepProgress, StopOnNonFinite
from rlsc.training.refused import check_arguments, naming_the_optimizer
from rlsc.training.runlog import Rewards, RunLog, rewards_of
from rlsc.training.sampling import Rollout, Sampler
from rlsc.training.supervised import supervised_parts, supervised_rows, supervised_start
from rlsc.training.update import Outcome, StepBatch, Update
from rlsc.training.weighing import Advantages, Source, advantages, takes_forward
from rlsc.types import AnswerKey, CompletionGroup, Example, Prompt


class RLSCTrainer(WholeCheckpoints):
    """Fine-tune a causal language model on its own confidence.

    Args:
        model: a transformers model, a Hub id or a folder.
        args: an `RLSCConfig`.
        train_dataset: rows with a `prompt`, a string or a list of messages, and optionally an
            `id`: mappings, a `datasets` data set, streamed ones too (read once, to the end), a
            DataFrame, or columns. With `dpo_pairs="given"` also `chosen` and `rejected`, text or
            messages; an objective whose `votes_of` is paraphrase reads `paraphrase`. Other columns
            are not read: a label cannot get in with them.
        processing_class: the model's tokenizer; loaded with the model where that is a name.
        engine: an `Engine`; by default the one that `args.engine` names.
        objective: by default the one that `args.objective` names.
        answer_key: reference answers by id; only an objective or an environment that needs labels
            touches it.
        peft_config: trains an adapter instead of the weights; of an environment whose class names
            `adapters` one for each role.
        probe_dataset: rows with a `prompt`, for the guard alone; None: it sees rollouts only.
        environment: makes the completions of a step of its rows; by default each question is asked
            `num_generations` times and its siblings are compared with each other. With a game,
            whose class says `needs_rows = False`, there is no `train_dataset`.

    Raises `ConfigError` or `QuestionError` on input that cannot work, `NonFiniteError` when loss
    or gradient is no longer finite (the checkpoints written until then stand).

    >>> trainer = RLSCTrainer(
    ...     model="HuggingFaceTB/SmolLM2-135M-Instruct",
    ...     args=RLSCConfig(output_dir="out", max_completion_length=64),
    ...     train_dataset=[{"prompt": [{"role": "user", "content": "What is 3 + 8?"}]}, ...],
    ... )  # doctest: +SKIP
    """

    optimizer: Any

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
        environment: Environment | None = None,
        **kwargs: Any,
    ) -> None:
        args = args if args is not None else RLSCConfig()
        check_arguments(kwargs)
        if isinstance(model, str):
            model, tokenizer, _ = load_model(model)
            processing_class = processing_class or tokenizer
        if processing_class is None:
            raise ConfigError("processing_class is missing: pass the model's tokenizer")
        check_processes(args)
        hashed = {WEIGHTS: weights_hash(model)}  # before anything is added, moved or spread
        self.environment = environment or DatasetEnvironment(args.num_generations)
        model = adapted(model, peft_config, self.environment, args.seed)
        self.roles = RoleAdapters(model, self.environment.adapters)
        check_trained(model)
        if args.disable_dropout:
            disable_dropout(model)
        rows, examples, prompts, self.skipped_prompts = self._questions(
            train_dataset, model, processing_class, args
        )
        fitting = {prompt.id for prompt in prompts}
        self.runlog = RunLog(args.output_dir)
        super().__init__(
            model=model,
            args=args,
            train_dataset=[example for example in examples if example.id in fitting],
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
        self._answer_key = labels_in_use(answer_key, args)
        self._set_task(objective)
        self.identity = hashed | self._identity(prompts, rows)
        self._make_parts(examples, rows, probe_dataset, engine)
        self._batch: StepBatch | None = None
        self._rewards: list[Rewards] = []
        self._rollout_metrics: dict[str, float] = {}
        self._metrics: dict[str, float] = {}
        self._clock = 0.0

    def _questions(
        self, dataset: Any, model: Any, tokenizer: Any, args: RLSCConfig
    ) -> tuple[Rows, list[Example], list[Prompt], list[Prompt]]:
        """The data set's rows, as examples, and as prompts that fit and that do not."""
        if self.environment.needs_rows:
            rows = [] if dataset is None else rows_of(dataset, "train_dataset")
            examples = examples_of(rows)
            return rows, examples, *render_all(examples, model, tokenizer, args)
        if dataset is not None:
            name = type(self.environment).__name__
            raise ConfigError(f"environment {name} makes its own prompts: leave train_dataset out")
        return [], [], [], []

    def _set_task(self, objective: Objective | None) -> None:
        """What is trained for; raises where it, the environment and settings exclude each other."""
        args = self.args
        self.objective = objective or create_objective(args)
        self.objective.check(args)
        ids = [example.id for example in self.train_dataset]
        self.objective.check_labels(ids, self._answer_key, args.label_share is not None)
        check_judged(self.environment, ids, self._answer_key)
        if self.environment.needs_labels and self._answer_key is not None:
            self.environment.take_judge(judge_by(self._answer_key))
        needed = reads_labels(self.objective, self.environment)
        self.labels_used = labels_used(needed, ids, self._answer_key)
        check_zero3(self.accelerator, args, self.objective)
        check_environment(self.environment, self.objective, args)
        check_state(self.environment)
        check_votes(self.accelerator, self.environment, self.objective)

    def _make_parts(
        self, examples: Sequence[Example], rows: Rows, probe_dataset: Any, engine: Engine | None
    ) -> None:
        """What samples, what watches, what updates: each is made of those before it."""
        args, model, tokenizer = self.args, self.model, self.processing_class
        self.scorer = Scorer(model, layout_of(tokenizer, model, args), args.tokens_per_microbatch)
        self.auxiliary = create_auxiliary(
            args, self.objective, model, self.scorer.layout, self.environment.asks_base
        )
        dtype = next(model.parameters()).dtype
        if args.autocast_dtype and not is_quantised(model):  # those stay as they are
            dtype = args.autocast_dtype
        self.engine = engine or create_engine(args, model, tokenizer, dtype)
        self.identity |= engine_parts(self.engine)
        params = sampling_of(tokenizer, model, args)
        given: Engine | None = None
        if self.objective.completions_given:
            given = given_pairs(examples, rows, model, tokenizer, args.max_completion_length)
        reference = self.auxiliary.reference
        self.sampler = Sampler(
            args, given or self.engine, tokenizer, params, self.scorer, self.roles, reference
        )
        own = given is None and not self.sampler.by_reference
        # Of prompts that change from step to step two steps' completions do not compare.
        self._policy_samples = own and not self.environment.is_game
        probe = probe_prompts(probe_dataset, model, tokenizer, args)
        self.identity |= prompt_parts("guard", probe)
        if self.auxiliary.reward_model is not None:
            self.identity |= {"reward model": self.auxiliary.reward_model.weights_hash()}
        self.progress = StepProgress(enabled=not args.disable_tqdm)
        self.guard = create_guard(
            args, probe, self.engine, self.scorer, params, self._policy_samples, self.progress.aside
        )
        if self.guard is None and args.guard != "off" and self.environment.is_game:
            console.print("note: no guard: it sees a game by --guard_questions alone")
        sft_rows = supervised_rows(args, self.environment)
        self.identity |= supervised_parts(sft_rows)
        how = (self.scorer, self.roles, self.accelerator, self.progress)
        self.update = Update(args, self.objective, self.auxiliary, *how)
        self.supervised = supervised_start(sft_rows, tokenizer, args, self.environment, *how)
        self._paraphrases: dict[str, Prompt] = {}
        if self.objective.votes_of == "paraphrase":
            self._paraphrases = paraphrases_of(self.train_dataset, model, tokenizer, args)
            self.identity |= prompt_parts("paraphrase", list(self._paraphrases.values()))
        head = self.auxiliary.value_head
        for part in (self.auxiliary.teacher, head and KeepValueHead(head), self.guard):
            if part is not None:
                self.keep(part)
        self._moved = MovedWeights(self.model, args.learning_rate)
        self.add_callback(self._moved)
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        self.add_callback(self.progress)
        folder = Path(args.output_dir)
        self.kept = KeepEnvironment(self.environment, self.sampler, self.progress, folder)
        if keeps_state(self.environment):  # after the bar, which shows how far it has begun
            self.keep(self.kept)

    def _identity(self, prompts: Sequence[Prompt], rows: Rows) -> dict[str, str]:
        """What the run is of, beside its weights; `WholeCheckpoints` has the rest checked."""
        objective, ids = self.objective, [prompt.id for prompt in prompts]
        parts = {
            **(prompt_parts("training", prompts) if self.environment.needs_rows else {}),
            **tokenizer_parts(self.processing_class),
            **label_parts(reads_labels(objective, self.environment), ids, self._answer_key),
            **code_parts(objective, self.environment),
            "number of processes": str(self.args.world_size),
        }
        if objective.completions_given:
            pairs = [[row.get("chosen"), row.get("rejected")] for _, row in rows]
            parts["preference pairs"] = content_hash(pairs)
        return parts

    def get_train_dataloader(self) -> Any:
        if not self.environment.needs_rows:
            return game_loader(self.args.max_steps)
        return step_loader(self.train_dataset, self._train_batch_size, self.args)

    def _load_from_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_checkpoint(*args, **kwargs)
        self.roles.restore()

    def begin_afresh(self) -> None:
        self.runlog.rewind(0)

    def check_start(self, resume: Any) -> None:
        args = self.args
        trained = self.state.global_step > 0
        from_main(lambda: check_start(args, self.identity, resume, trained))
        write_record(Path(args.output_dir), args, self.identity)
        if args.save_only_model:
            console.print("note: save_only_model: no run can go on from these checkpoints")

    def train(self, *args: Any, **kwargs: Any) -> Any:
        with (
            locked(Path(self.args.output_dir)),
            closing(self.progress),
            closing(self.environment),
            without_missing_data_warning(lambda: self.control.should_training_stop),
        ):
            output = super().train(*args, **kwargs)
            stopped = self.guard is not None and self.guard.stopped_at is not None
            if not self.state.global_step and not stopped:
                raise ConfigError(
                    "no step was made: there were questions for none; look at max_steps, "
                    "num_train_epochs and per_device_train_batch_size"
                )
            self._finish_guard(self.state.global_step)
            return output

    def check_optimizer(self) -> None:
        """Make optimizer and schedule, and drop them: what cannot be made is said before sampling.

        Raises `ConfigError`. Where weights are sharded the parent makes them later.
        """
        if self.optimizer is not None or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return
        with naming_the_optimizer():
            self.create_optimizer()
            self.create_scheduler(num_training_steps=max(1, self.args.max_steps))
        self.optimizer = self.lr_scheduler = None

    def forget_optimizer(self) -> None:
        """Gives its memory back, twice the weights; the model stays, and is not trained on."""
        self.optimizer = self.lr_scheduler = None
        self.accelerator.free_memory()

    def _finish_guard(self, step: int) -> None:
        """After the last update the guard sees what came of it, and keeps what it holds best."""
        if self.guard is None:
            return
        if self.guard.stopped_at is None:
            groups: list[CompletionGroup] | None = None
            if self._policy_samples:
                size = self.args.per_device_train_batch_size
                rows = self.train_dataset[rank() * size : (rank() + 1) * size]
                groups = _of_all(self.sampler.collect(self.environment, step, rows))
            self.guard.observe(step, groups, last=True)
        self.guard.finish()

    # Sampling: called by the parent once per optimizer step, before its micro-batches.

    def get_batch_samples(
        self, epoch_iterator: Iterator[list[Example]], num_batches: int, device: torch.device
    ) -> tuple[list[StepBatch], None]:
        step = self.state.global_step
        # A run resumed at its last step would otherwise be given one more by the parent's loop.
        self.control.should_training_stop |= step >= self.state.max_steps
        rows = None if self.control.should_training_stop else next(epoch_iterator, None)
        if rows is None:
            return [], None
        self._clock = time.perf_counter()
        if self.supervised.has(step):
            self._batch = self._supervised_batch(step)
        elif step % self.args.num_iterations == 0 or self._batch is None:
            self._batch = self._next_batch(step, rows)
        if self._batch is None:  # the guard has seen a collapse
            self.control.should_training_stop = True
            return [], None
        # The parent's loop takes a step per item: all micro-batches travel as one.
        return [self._batch], None

    def _next_batch(self, step: int, rows: list[Example]) -> StepBatch | None:
        """A new rollout, weighed and cut; None where the guard stops the run."""
        clock = time.perf_counter()
        rollout = self.sampler.collect(self.environment, step, rows, self.progress)
        self.kept.write_records(step)
        groups = _of_all(rollout)
        if not groups:
            raise ConfigError(f"step {step}: the environment gave no completion to train on")
        check_pools(rollout.pools, self.environment, self.objective, self.args)
        if self.guard and self.guard.observe(step, groups if self._policy_samples else None):
            return None
        votes = self._votes(step, rollout)
        self.engine.release()
        release_freed_memory()
        weighed = self._weigh(step, rollout, votes)
        batch = self.update.cut(rollout.groups, weighed, rollout.adapters)
        self._rewards = [pair for part in gathered(rewards_of(rollout.pools)) for pair in part]
        self._rollout_metrics = rollout_metrics(groups) | self.environment.metrics()
        if rollout.too_long:
            self._rollout_metrics["prompts_too_long"] = rollout.too_long
        self._rollout_metrics["sample_seconds"] = time.perf_counter() - clock
        return batch

    def _supervised_batch(self, step: int) -> StepBatch | None:
        """Given completions in place of a rollout; None where the guard stops the run."""
        if self.guard and self.guard.observe(step, None):
            return None
        self.engine.release()
        release_freed_memory()
        batch = self.supervised.batch(step)
        self._rewards = []
        self._rollout_metrics = rollout_metrics(batch.groups) | {"supervised": 1.0}
        return batch

    def _votes(self, step: int, rollout: Rollout) -> dict[str, CompletionGroup]:
        """Other completions that vote on these questions; none where the objective asks none."""
        if self.objective.votes_of is None:
            return {}
        prompts = {group.prompt.id: group.prompt for group in rollout.groups}
        prompts = {name: self._paraphrases.get(name, prompt) for name, prompt in prompts.items()}
        return self.sampler.votes(step, prompts, self.auxiliary.teacher)

    def _weigh(
        self, step: int, rollout: Rollout, votes: Mapping[str, CompletionGroup]
    ) -> Advantages:
        """By the objective, and by the filters that leave completions out."""
        args, by_reference = self.args, self.sampler.by_reference
        filters = (args.entropy_floor, args.skip_unanimous, args.mask_truncated_completions)
        states = bool({"values", "answer_gaps"} & set(self.objective.weights_need))
        forward = self.sampler.forward(rollout, states)
        scores = takes_forward(self.objective, by_reference)
        with self.sampler.scoring() if scores else nullcontext():
            return advantages(
                rollout.pools,
                self.objective,
                self.auxiliary,
                forward,
                Source(rollout.prompts, self._answer_key, args.label_share is not None, votes),
                [seed_for(args.seed, "objective", step, pool.name) for pool in rollout.pools],
                kept_by_filters(rollout.groups, *filters),
                answer_mask(self.processing_class, rollout.groups),
            )

    # The update: called by the parent with the single item that `get_batch_samples` returned.

    def training_step(
        self, model: torch.nn.Module, inputs: StepBatch, num_items_in_batch: Any = None
    ) -> Tensor:
        model.train()
        step = self.state.global_step
        update = self.supervised.update if self.supervised.has(step) else self.update
        outcome = update.backward(model, inputs, step)
        self._record_step(step, inputs, outcome)
        if outcome.logps_NT is not None:  # what the ratios of later updates refer to
            self._batch = replace(inputs, old_logps_NT=outcome.logps_NT)
        return outcome.loss

    def _record_step(self, step: int, batch: StepBatch, outcome: Outcome) -> None:
        """Write the completions, and keep the metrics until the parent logs."""
        kept_N, of_weights = batch.advantages.kept_N, batch.advantages.metrics
        groups, record, kept_N, of_weights = of_all_processes(
            batch.groups, outcome.record, kept_N, of_weights
        )
        masked = 1.0 - float(kept_N.double().mean())
        added = math.nan if self.supervised.has(step) else self.objective.added
        self._metrics = {
            **(self.guard.metrics if self.guard else {}),
            **step_metrics(groups, record, added, int(kept_N.sum())),
            **{"masked_completions": masked, "all_masked": float(masked == 1.0)},
            **of_weights,
            **self._rollout_metrics,
            "seconds": time.perf_counter() - self._clock,
        }
        self._rollout_metrics.pop("sample_seconds", None)  # later updates sample nothing
        if outcome.value_loss is not None:
            self._metrics["value_loss"] = outcome.value_loss
        if self.args.importance_sampling_correction:
            self._metrics["capped_weights"] = float(record.capped_N.mean())
        if self.args.fp16:
            self._metrics["overflows"] = outcome.overflows
        if self.args.should_save:
            self.runlog.write_completions(step, groups, record, self._rewards)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the step's metrics to what the parent logs, and append them to metrics.jsonl."""
        is_step = "loss" in logs
        if is_step:
            logs |= self._metrics | self._moved.metrics
        super().log(logs, start_time)
        if is_step and self.args.should_save:
            self.runlog.write_metrics(self.state.global_step - 1, logs)

    def floating_point_ops(self, inputs: Any) -> int:
        """6 · parameters · tokens of a forward and backward pass."""
        if not isinstance(inputs, StepBatch):
            return 0
        tokens = sum(batch.tokens for batch in inputs.micro_batches)
        return 6 * sum(p.numel() for p in self.model.parameters()) * tokens


def _of_all(rollout: Rollout) -> list[CompletionGroup]:
    """The groups of all processes, in order of rank."""
    return [group for part in gathered(rollout.groups) for group in part]
