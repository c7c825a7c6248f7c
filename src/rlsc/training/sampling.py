"""A step's completions: an environment's asks rendered, sampled by the engine, pooled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from rlsc.data import check_vocabulary, render
from rlsc.engines import Engine, SamplingParams, seed_for
from rlsc.environments import Environment, drive, drive_beginning, drive_examination
from rlsc.errors import ConfigError, ModelError
from rlsc.logprobs import Batch, Scorer, TokenStats, make_rows, pad, score_texts
from rlsc.models import RoleAdapters, context_length
from rlsc.runtime import Advance, gathered, keep_freed_memory, release_freed_memory
from rlsc.training.arguments import RLSCConfig
from rlsc.training.progress import StepProgress
from rlsc.training.reference import Reference
from rlsc.training.teacher import Teacher
from rlsc.training.weighing import Forward
from rlsc.types import Ask, CompletionGroup, Example, Message, Pool, Prompt

_CHECKED, _CHECKED_TOKENS = 8, 64  # prompts, and tokens of each
_MISMATCH_BOUND = 0.1  # nats a token: five times what bfloat16 does at temperature 0.5


@dataclass(frozen=True)
class Rollout:
    """What an environment's play of one step came to, of this process."""

    pools: Sequence[Pool]
    prompts: Mapping[str, str | Sequence[Message]]
    """What was asked, text or messages, by the ask's id."""
    too_long: int
    """Asks whose prompt does not fit the model's context: they have no completions."""
    adapters: Mapping[str, str] = field(default_factory=dict)
    """By the ask's id whose adapter has sampled, where roles have adapters."""

    @property
    def groups(self) -> list[CompletionGroup]:
        """Those of the pools, in their order: the step's N completions are theirs."""
        return [group for pool in self.pools for group in pool.groups]


Aside = Callable[[str, int, str], AbstractContextManager[Advance]]
"""From a description, a total and its unit to what is told how many more are done."""


class Sampler:
    """Plays an environment with an engine.

    With `rollout_policy base` the `reference` samples in place of the policy; with given
    completions `engine` is the one that has them.
    """

    def __init__(
        self,
        args: RLSCConfig,
        engine: Engine,
        tokenizer: Any,
        params: SamplingParams,
        scorer: Scorer,
        adapters: RoleAdapters,
        reference: Reference | None = None,
    ) -> None:
        self._args, self._engine, self._tokenizer = args, engine, tokenizer
        self._params, self._scorer, self._reference = params, scorer, reference
        check_engine_of_roles(adapters.roles, type(engine))
        self._adapters = adapters
        self._context = context_length(scorer.model)
        self._engine_is_checked = False

    @property
    def by_reference(self) -> bool:
        """Whether the model before training samples, and not the policy."""
        return self._args.rollout_policy == "base"

    def collect(
        self,
        environment: Environment,
        step: int,
        rows: Sequence[Example],
        progress: StepProgress | None = None,
    ) -> Rollout:
        """The pools that the environment makes of this step's rows. The engine has the policy then.

        Raises `ConfigError` for an environment that asks or pools what cannot be, `ModelError`
        for an engine whose log-probs are not the model's.
        """
        bounds = environment.bounds()
        waves = _Waves(self, step, self._params)
        waves.shown = partial(_in_bar, progress, bounds.completions if bounds else None)
        self._sync("current")
        play = environment.play(step, seed_for(self._args.seed, "environment", step), rows)
        pools = drive(play, waves.answer)
        if self._engine.foreign and not self._engine_is_checked:
            self._check_engine(list(waves.prompts.values())[:_CHECKED])
        raw = {name: ask.prompt for name, ask in waves.asks.items()}
        adapters = {name: ask.adapter for name, ask in waves.asks.items() if ask.adapter}
        return Rollout(pools, raw, len(waves.asks) - len(waves.prompts), adapters)

    def begin(self, environment: Environment, aside: Aside) -> None:
        """Drive an environment's `begin`, at the run's temperature."""
        beginning = environment.begin(seed_for(self._args.seed, "environment", "begin"))
        if beginning is None:
            return
        waves = _Waves(self, "begin", self._params)
        waves.shown = lambda total: aside("the environment begins", total, "completions")
        self._sync("current")
        drive_beginning(beginning, waves.answer)

    def examine(self, environment: Environment, aside: Aside) -> dict[str, float]:
        """The figures of an environment's `examine`, whose waves are sampled greedily."""
        examination = environment.examine(seed_for(self._args.seed, "environment", "examine"))
        if examination is None:
            return {}
        waves = _Waves(self, "examine", replace(self._params, temperature=0.0))
        waves.shown = lambda total: aside("the environment examines", total, "completions")
        self._sync("current")
        return drive_examination(examination, waves.answer)

    def votes(
        self, step: int, prompts: Mapping[str, Prompt], teacher: Teacher | None = None
    ) -> dict[str, CompletionGroup]:
        """`num_generations` completions of each prompt that vote, and are not trained on, by id.

        Of the teacher, where there is one, else of the policy. The engine has the policy after.
        """
        args = self._args
        with teacher.in_place_of_policy() if teacher else nullcontext():
            self._engine.sync(self._scorer.model)
            groups = self._engine.generate(
                list(prompts.values()),
                args.num_generations,
                self._params,
                [seed_for(args.seed, "votes", step, name) for name in prompts],
            )
        self._check_ids(groups)
        if teacher:
            self._sync("current")
        return dict(zip(prompts, groups, strict=True))

    def forward(self, rollout: Rollout, states: bool = False) -> Forward:
        """Over all completions of a rollout, by the model that has sampled them."""
        args, rows = self._args, make_rows(rollout.groups, self._args.merge_duplicates)
        score = partial(self._score, temperature=args.loss_temperature, states=states)
        cut = partial(self._scorer.cut, rows)
        gaps = partial(self._scorer.gaps, temperature=args.loss_temperature)
        return Forward(cut, score, args.loss_temperature, self.by_reference, gaps)

    @contextmanager
    def scoring(self) -> Iterator[None]:
        """Forward passes without gradient before the update belong within."""
        with keep_freed_memory(), self._scorer.alone(), self._scorer.attached():
            yield
        release_freed_memory()

    def _score(self, batch: Batch, temperature: float, states: bool = False) -> TokenStats:
        """By the model that samples: the policy, or the model before training."""
        if self.by_reference:
            assert self._reference is not None
            return self._reference.scores(batch, temperature, states)
        return self._scorer(batch, temperature, states=states)

    def _rendered(self, wave: Sequence[Ask]) -> dict[str, Prompt]:
        """The prompts of a wave that leave room in the context for the completion, by id."""
        prompts = {}
        for ask in wave:
            cap = self._cap(ask)
            self._check_adapter(ask)
            kwargs = self._args.chat_template_kwargs
            prompt = render(ask.prompt, ask.id, self._tokenizer, kwargs)
            check_vocabulary([prompt], self._tokenizer, self._scorer.model)
            if self._context is None or len(prompt.token_ids) <= self._context - cap:
                prompts[ask.id] = prompt
        return prompts

    def _cap(self, ask: Ask) -> int:
        most = self._params.max_new_tokens
        cap = most if ask.max_new_tokens is None else ask.max_new_tokens
        if not 1 <= cap <= most:
            raise ConfigError(
                f"the environment asks {ask.id!r} for {cap} new tokens: from 1 to "
                f"--max_completion_length {most}"
            )
        return cap

    def _check_adapter(self, ask: Ask) -> None:
        known = self._adapters.roles if ask.policy == "current" else ()
        if ask.adapter not in (known or ("",)):
            raise ConfigError(
                f"the environment asks {ask.id!r} of adapter {ask.adapter!r}: of "
                + (f"{', '.join(known)} (its class's adapters)" if known else "none here")
            )

    def _sampled(
        self,
        step: int | str,
        asks: Sequence[Ask],
        prompts: Mapping[str, Prompt],
        params: SamplingParams,
        on_progress: Advance,
    ) -> dict[str, CompletionGroup]:
        """The completions of these asks, by id: one call of the engine for all that are alike."""
        alike: dict[tuple[str, str, int, int, tuple[str, ...]], list[Ask]] = {}
        for ask in (ask for ask in asks if not ask.scored):
            key = (ask.policy, ask.adapter, ask.n, self._cap(ask), ask.stop)
            alike.setdefault(key, []).append(ask)
        # Where weights are sharded, all processes must come to each call.
        calls = dict.fromkeys(call for part in gathered(list(alike)) for call in part)
        groups: dict[str, CompletionGroup] = {}
        scored = [ask for ask in asks if ask.scored]
        for adapter in dict.fromkeys(ask.adapter for ask in scored):
            of_adapter = [ask for ask in scored if ask.adapter == adapter]
            with self._adapters.active(adapter):
                groups |= self._scored_groups(of_adapter, prompts, on_progress)
        for policy, adapter, n, cap, stop in calls:
            mine = alike.get((policy, adapter, n, cap, stop), [])
            with self._adapters.active(adapter):
                if adapter or policy == "base":
                    self._sync(policy)
                sampled = self._engine.generate(
                    [prompts[ask.id] for ask in mine],
                    n,
                    replace(params, max_new_tokens=cap, stop_strings=stop),
                    # Seeded explicitly: on resume the parent restores the global stream too late.
                    [seed_for(self._args.seed, step, ask.id) for ask in mine],
                    on_progress,
                )
            self._check_ids(sampled)
            groups |= {ask.id: group for ask, group in zip(mine, sampled, strict=True)}
            if adapter or policy == "base":
                self._sync("current")
        return groups

    def _scored_groups(
        self, asks: Sequence[Ask], prompts: Mapping[str, Prompt], on_progress: Advance
    ) -> dict[str, CompletionGroup]:
        """Of these asks their own texts with the policy's log-probs at temperature 1, by id."""
        scored = score_texts(
            self._scorer,
            self._tokenizer,
            [prompts[ask.id] for ask in asks],
            [ask.scored for ask in asks],
            on_progress,
        )
        return {ask.id: group for ask, group in zip(asks, scored, strict=True)}

    def _check_ids(self, groups: Sequence[CompletionGroup]) -> None:
        """An engine of the user's own may not know of ids that are no tokens."""
        size = self._params.vocabulary
        if size is None:
            return
        completions = (completion for group in groups for completion in group.completions)
        highest = max((id for completion in completions for id in completion.token_ids), default=0)
        if highest >= size:
            raise ModelError(
                f"{type(self._engine).__name__} has sampled the id {highest}, which pads the "
                f"vocabulary and is no token: it must leave ids from {size} on out "
                "(SamplingParams.vocabulary)"
            )

    def _sync(self, policy: str) -> None:
        """Give the engine the weights that asks of this policy are sampled with."""
        model: AbstractContextManager[Any] = nullcontext(self._scorer.model)
        if policy == "base" or self.by_reference:
            if self._reference is None:
                raise ConfigError(
                    "the environment asks the model before training, which this run does not hold: "
                    "set asks_base = True in its class"
                )
            model = self._reference.untrained()
        with model as sampling_model:
            self._engine.sync(sampling_model)

    def _check_engine(self, prompts: list[Prompt]) -> None:
        """On the first step: another library's log-probs must be the training forward's."""
        self._engine_is_checked = True
        if self._args.importance_sampling_correction:
            return
        # Without top-p and top-k, whose cut the forward does not make.
        cap = min(self._params.max_new_tokens, _CHECKED_TOKENS)
        plain = replace(self._params, top_p=1.0, top_k=0, max_new_tokens=cap)
        groups = self._engine.generate(prompts, 1, plain, range(len(prompts)))
        with self._scorer.alone():
            mismatch = self._mismatch(groups, plain.temperature) if groups else 0.0
        if not mismatch <= _MISMATCH_BOUND:
            raise ModelError(
                f"{type(self._engine).__name__}'s log-probs are {mismatch:.2g} nats a token off "
                f"the training forward's (bound {_MISMATCH_BOUND}): take --engine native, or weigh "
                "completions for it by --importance_sampling_correction true"
            )

    @torch.no_grad()
    def _mismatch(self, groups: Sequence[CompletionGroup], temperature: float) -> float:
        """Mean |log q − log p| in nats a token, over completions that the engine q has sampled."""
        completions = [completion for group in groups for completion in group.completions]
        logps_BT = self._score(pad(make_rows(groups, merge_duplicates=False)), temperature).logps_BT
        differences = [
            (logps_T[: len(completion.logps)].cpu() - torch.tensor(completion.logps)).abs()
            for logps_T, completion in zip(logps_BT, completions, strict=True)
        ]
        return torch.cat(differences).mean().item()


def check_engine_of_roles(roles: Sequence[str], engine: type[Engine]) -> None:
    """Raise `ConfigError` where roles have adapters and the engine knows of one."""
    if roles and not engine.takes_active_adapter:
        raise ConfigError(
            f"{engine.__name__} does not change between adapters, and each of the roles "
            f"{', '.join(roles)} has one: take --engine native or hf"
        )


class _Waves:
    """Answers the waves of one play by a sampler, and keeps what was asked and what fitted."""

    def __init__(self, sampler: Sampler, step: int | str, params: SamplingParams) -> None:
        self._sampler, self._step, self._params = sampler, step, params
        self.asks: dict[str, Ask] = {}
        self.prompts: dict[str, Prompt] = {}
        self.shown: Callable[[int], AbstractContextManager[Advance]] = partial(_in_bar, None, None)

    def answer(self, wave: Sequence[Ask]) -> list[CompletionGroup | None]:
        """In the order of the asks; None for a prompt that does not fit."""
        self.asks |= {ask.id: ask for ask in wave}
        self.prompts |= self._sampler._rendered(wave)
        fitting = [ask for ask in wave if ask.id in self.prompts]
        with self.shown(sum(ask.n for ask in fitting)) as on_progress:
            groups = self._sampler._sampled(
                self._step, fitting, self.prompts, self._params, on_progress
            )
        return [groups.get(ask.id) for ask in wave]


def _in_bar(
    progress: StepProgress | None, expected: int | None, total: int
) -> AbstractContextManager[Advance]:
    """The step's own bar; `expected` completions of all waves, where that is known."""
    bar = (progress or StepProgress(enabled=False)).sampling
    return nullcontext(bar(max(total, expected or 0)))
