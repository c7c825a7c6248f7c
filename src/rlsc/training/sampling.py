"""A step's completions: sampled by the engine, weighed by the objective, cut into micro-batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from rlsc.engines import Engine, SamplingParams, seed_for
from rlsc.errors import ModelError
from rlsc.guard.guard import Guard
from rlsc.logprobs.padded_rows import ScoredSequence, make_rows
from rlsc.logprobs.scorer import Batch, Scorer, TokenStats
from rlsc.objectives import Objective
from rlsc.runtime.memory import keep_freed_memory, release_freed_memory
from rlsc.runtime.processes import count, gathered
from rlsc.training.arguments import RLSCConfig
from rlsc.training.auxiliary import AuxiliaryModels
from rlsc.training.filters import kept_by_filters
from rlsc.training.progress import StepProgress
from rlsc.training.update import (
    StepBatch,
    engine_mismatch,
    first_of_each,
    split_unalike,
    summed_logps,
    without_idle,
)
from rlsc.training.weighing import Forward, Source, advantages, takes_forward
from rlsc.types import CompletionGroup, Pool, Prompt

_CHECKED, _CHECKED_TOKENS = 8, 64  # questions, and tokens of each
_MISMATCH_BOUND = 0.1  # nats a token: five times what bfloat16 does at temperature 0.5


class Rollouts:
    """Samples, shows the guard, and weighs.

    `score` is the policy's forward, under the trainer's precision; `given` are completions to
    train on in place of sampled ones.
    """

    def __init__(
        self,
        args: RLSCConfig,
        sampling: SamplingParams,
        objective: Objective,
        auxiliary: AuxiliaryModels,
        source: Source,
        scorer: Scorer,
        score: Callable[..., TokenStats],
        given: Engine | None = None,
    ) -> None:
        self.guard: Guard | None = None
        self._given = given
        self._args, self.sampling = args, sampling
        self._objective, self._auxiliary, self._source = objective, auxiliary, source
        self._of_reference = args.rollout_policy == "base"
        self._scorer, self._score = scorer, score
        self._engine_is_checked = False

    @property
    def of_policy(self) -> bool:
        """Whether the policy itself samples, and not the model before training, or nobody."""
        return self._given is None and not self._of_reference

    def sample(
        self,
        step: int,
        prompts: list[Prompt],
        engine: Engine,
        policy: Any,
        progress: StepProgress,
    ) -> StepBatch | None:
        """Completions of these questions and their weights; None where the guard stops the run."""
        clock = time.perf_counter()
        if not self.of_policy and self._observe(step, None, engine, policy):
            return None
        sampler = self._given or engine
        with self._sampling_model(policy) as model:
            sampler.sync(model)
        with progress.sampling(len(prompts) * self._args.num_generations) as on_progress:
            groups = self._generate(step, prompts, sampler, on_progress)
        if self.of_policy and self._observe(step, groups, engine, policy):
            return None
        if sampler.foreign and not self._engine_is_checked:
            self._check_engine(sampler, prompts[:_CHECKED])
        engine.release()
        release_freed_memory()
        batch = self._weigh(step, groups)
        # A mean over the processes of these sums is the mean over all the step's completions.
        batch.divisor = sum(gathered(batch.size)) / count()
        batch.metrics["sample_seconds"] = time.perf_counter() - clock
        return batch

    def finish(self, step: int, prompts: list[Prompt], engine: Engine, policy: Any) -> None:
        """After the last update: the guard sees what came of it, and keeps what it holds best."""
        if self.guard is None:
            return
        if self.guard.stopped_at is None:
            groups = None
            if self.of_policy:
                engine.sync(policy)
                groups = self._generate(step, prompts, engine)
            self._observe(step, groups, engine, policy, last=True)
        self.guard.finish(policy)

    def _observe(
        self,
        step: int,
        groups: Sequence[CompletionGroup] | None,
        engine: Engine,
        policy: Any,
        last: bool = False,
    ) -> bool:
        """Whether the guard stops the run."""
        if self.guard is None:
            return False
        if groups is None:
            engine.sync(policy)
        else:
            groups = [group for part in gathered(groups) for group in part]
        stops = self.guard.observe(step, groups, engine, policy, last)
        release_freed_memory()
        return gathered(stops)[0]  # one decision for all processes

    def _sampling_model(self, policy: Any) -> AbstractContextManager[Any]:
        reference = self._auxiliary.reference if self._of_reference else None
        return nullcontext(policy) if reference is None else reference.untrained()

    def _generate(
        self,
        step: int,
        prompts: list[Prompt],
        engine: Engine,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[CompletionGroup]:
        args = self._args
        return engine.generate(
            prompts,
            args.num_generations,
            self.sampling,
            # Seeded explicitly: on resume the parent restores the global stream too late.
            [seed_for(args.seed, step, prompt.id) for prompt in prompts],
            on_progress,
        )

    def cut(self, rows: Sequence[ScoredSequence]) -> Sequence[Batch]:
        """Rows as micro-batches."""
        return self._scorer.layout.cut(rows, self._args.tokens_per_microbatch)

    def _weigh(self, step: int, groups: Sequence[CompletionGroup]) -> StepBatch:
        args, states = self._args, "values" in self._objective.weights_need
        rows = make_rows(groups, args.merge_duplicates)
        with self._scoring():
            weights = advantages(
                [Pool(group.prompt.id, (group,)) for group in groups],
                self._objective,
                self._auxiliary,
                Forward(
                    lambda: self.cut(rows),
                    lambda batch: self._sampler_score(batch, args.loss_temperature, states),
                    args.loss_temperature,
                    self._of_reference,
                ),
                self._source,
                [seed_for(args.seed, "objective", step, group.prompt.id) for group in groups],
                kept_by_filters(
                    groups,
                    args.entropy_floor,
                    args.skip_unanimous,
                    args.mask_truncated_completions,
                ),
            )
        if not groups:  # of a last step: other processes have its questions
            return StepBatch([], [], weights)
        if args.train_generations:
            groups, weights = first_of_each(groups, weights, args.train_generations)
            rows = make_rows(groups, args.merge_duplicates)
        rows = split_unalike(rows, weights)
        idle: Sequence[ScoredSequence] = ()
        if self._objective.zero_weight_is_zero_gradient:
            rows, idle = without_idle(rows, weights)
        batch = StepBatch(groups, self.cut(rows), weights, self.cut(idle))
        if args.importance_sampling_correction:
            batch.engine_logps_N = summed_logps(groups)
        return batch

    def _sampler_score(self, batch: Batch, temperature: float, states: bool = False) -> TokenStats:
        """By the policy that samples: the present one, or the model before training."""
        if self._of_reference and self._auxiliary.reference:
            return self._auxiliary.reference.scores(batch, temperature, states)
        return self._score(batch, temperature, states=states)

    @contextmanager
    def _scoring(self) -> Iterator[None]:
        """Where the objective weighs by the policy's own scores, a forward pass lies within."""
        if not takes_forward(self._objective, self._of_reference):
            yield
            return
        with keep_freed_memory(), self._scorer.alone(), self._scorer.attached():
            yield
        release_freed_memory()

    def _check_engine(self, engine: Engine, prompts: list[Prompt]) -> None:
        """On the first step: another library's log-probs must be the training forward's."""
        self._engine_is_checked = True
        if self._args.importance_sampling_correction:
            return
        # Without top-p and top-k, whose cut the forward does not make.
        cap = min(self.sampling.max_new_tokens, _CHECKED_TOKENS)
        plain = replace(self.sampling, top_p=1.0, top_k=0, max_new_tokens=cap)
        groups = engine.generate(prompts, 1, plain, range(len(prompts)))
        with self._scorer.alone():
            if not groups:
                return
            mismatch = engine_mismatch(
                groups, lambda one: self._sampler_score(one, plain.temperature)
            )
        if not mismatch <= _MISMATCH_BOUND:
            raise ModelError(
                f"{type(engine).__name__}'s log-probs are {mismatch:.2g} nats a token off "
                f"the training forward's (bound {_MISMATCH_BOUND}): take --engine native, or weigh "
                "completions for it by --importance_sampling_correction true"
            )
