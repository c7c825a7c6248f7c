"""A step's completions: sampled by the engine, weighed by the objective, cut into micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from rlsc.batching import Row, make_rows
from rlsc.callbacks import StepProgress
from rlsc.config import RLSCConfig
from rlsc.engines import Engine, SamplingParams, seed_for
from rlsc.errors import ModelError
from rlsc.memory import keep_freed_memory, release_freed_memory
from rlsc.objectives import Objective
from rlsc.reward_model import RewardModel
from rlsc.scoring import Batch, Scorer, Scores
from rlsc.types import AnswerKey, CompletionGroup, Prompt
from rlsc.update import (
    StepBatch,
    engine_mismatch,
    first_of_each,
    split_unalike,
    summed_logps,
    without_idle,
)
from rlsc.value_head import ValueHead
from rlsc.weighing import Weigher

_CHECKED, _CHECKED_TOKENS = 8, 64  # questions, and tokens of each
_MISMATCH_BOUND = 0.1  # nats a token: five times what bfloat16 does at temperature 0.5


class Rollouts:
    """Samples and weighs. `score` is the policy's forward, under the trainer's precision."""

    def __init__(
        self,
        args: RLSCConfig,
        sampling: SamplingParams,
        weigher: Weigher,
        scorer: Scorer,
        score: Callable[..., Scores],
    ) -> None:
        self._args, self.sampling = args, sampling
        self._weigher, self._scorer, self._score = weigher, scorer, score
        self._engine_is_checked = False

    def sample(
        self, step: int, prompts: list[Prompt], engine: Engine, progress: StepProgress
    ) -> StepBatch:
        """Completions of these questions by the policy that the engine has, and their weights."""
        args = self._args
        with progress.sampling(len(prompts) * args.num_generations) as on_progress:
            groups = engine.generate(
                prompts,
                args.num_generations,
                self.sampling,
                # Seeded explicitly: on resume the parent restores the global stream too late.
                [seed_for(args.seed, step, prompt.id) for prompt in prompts],
                on_progress,
            )
        release_freed_memory()
        if getattr(engine, "foreign", False) and not self._engine_is_checked:
            self._check_engine(engine, prompts[:_CHECKED])
        return self._weigh(step, groups)

    def cut(self, rows: Sequence[Row]) -> Sequence[Batch]:
        """Rows as micro-batches."""
        return self._scorer.layout.cut(rows, self._args.tokens_per_microbatch)

    def _weigh(self, step: int, groups: Sequence[CompletionGroup]) -> StepBatch:
        args, states = self._args, "values" in self._weigher.objective.needs
        rows = make_rows(groups, args.merge_duplicates)
        with self._scoring():
            weights = self._weigher.weigh(
                groups,
                [seed_for(args.seed, "objective", step, group.prompt.id) for group in groups],
                lambda: self.cut(rows),
                lambda batch: self._score(batch, args.loss_temperature, states=states),
                args.loss_temperature,
                args.mask_truncated_completions,
            )
        if args.importance_sampling_correction:
            weights.engine_logps_N = summed_logps(groups)
        if args.train_generations:
            groups, weights = first_of_each(groups, weights, args.train_generations)
            rows = make_rows(groups, args.merge_duplicates)
        rows = split_unalike(rows, weights)
        if not self._weigher.objective.spares_idle:
            return StepBatch(groups, self.cut(rows), weights)
        weighty, idle = without_idle(rows, weights)
        return StepBatch(groups, self.cut(weighty), weights, self.cut(idle))

    @contextmanager
    def _scoring(self) -> Iterator[None]:
        """Where the objective weighs by the policy's own scores, a forward pass lies within."""
        objective = self._weigher.objective
        if not (objective.weights_refer or {"scores", "values"} & set(objective.needs)):
            yield
            return
        with keep_freed_memory(), self._scorer.attached():
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
        mismatch = engine_mismatch(groups, lambda one: self._score(one, plain.temperature))
        if not mismatch <= _MISMATCH_BOUND:
            raise ModelError(
                f"{type(engine).__name__}'s log-probs are {mismatch:.2g} nats a token off "
                f"the training forward's (bound {_MISMATCH_BOUND}): take --engine native, or weigh "
                "completions for it by --importance_sampling_correction true"
            )


def create_weigher(
    args: RLSCConfig,
    objective: Objective,
    model: Any,
    prompts: Mapping[str, Any],
    answer_key: AnswerKey | None,
) -> Weigher:
    """With what the objective needs beside the policy and the model before training."""
    needs, head = objective.needs, None
    if "values" in needs:
        size = model.config.get_text_config().hidden_size
        head = ValueHead(size, args.value_learning_rate, args.device)
    named = "reward_model" in needs and args.reward_model
    return Weigher(
        objective,
        prompts,
        answer_key,
        RewardModel(str(args.reward_model), args.device) if named else None,
        head,
    )
