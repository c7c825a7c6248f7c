r"""Critic-guided decoding (arXiv 2504.19162): a step that the critic objects to is sampled anew.

A step s after a prefix has probability π(s) by the solver, and is kept with k(s) ∈ {0, 1}. Of at
most B tries, the last of which is kept unseen, it becomes the next step with probability

    π(s) k(s) (1 + r + … + r^(B−2)) + π(s) r^(B−1),   r = Σ_s π(s) (1 − k(s)).

A critic that objects by chance, whatever the step, leaves π as it is: it costs tokens alone. The
end of an answer, and an empty step, is not judged and so k = 1: where other steps are objected to,
it comes more often than by π, under any critic.

Left out: going back behind a step that was kept, and several candidates of a step side by side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rlsc.engines import (
    Engine,
    Progress,
    SamplingParams,
    completes_stop_string,
    grouped,
    make_completion,
    seed_for,
)
from rlsc.types import Completion, CompletionGroup, Prompt, Spent


@dataclass(frozen=True)
class Guidance:
    """When a step is over, and when it is kept."""

    separator: str
    """The text that ends a step."""
    tries: int
    """Most samples of a step; the last is kept without being judged."""
    threshold: float
    """A step is kept where the critic's probability of `correct` is this or more."""
    step_tokens: int
    """Most tokens of a step: what is longer is judged in parts."""


@dataclass(frozen=True)
class SampledStep:
    """What a critic is to judge."""

    question: str
    """Its id."""
    done: Sequence[str]
    text: str
    seed: int
    """Of this try, for critics that draw."""
    new: int = 0
    """Of `done`, those at its end that no earlier judgement of the same answer had there."""


@dataclass(frozen=True)
class Judgement:
    """p: the critic's probability that the step is correct; None where it cannot be shown it."""

    p: float | None
    tokens: int = 0
    """Of the step, as the critic reads it, of what is newly done before it, and of a verdict."""
    read: int = 0
    """Of the whole prompt, and of a verdict."""


class Critic(ABC):
    """Judges steps."""

    @abstractmethod
    def judge(self, steps: Sequence[SampledStep]) -> list[Judgement]:
        """In the order of the steps."""


@dataclass(eq=False)
class _Chain:
    """An answer in the making."""

    prompt: Prompt
    seed: int
    ids: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    text: str = ""
    parts: int = 0
    """Times that something was kept, empty steps too."""
    rejected: int = 0
    """Tries of the present step."""
    shown: int = 0
    """Steps that the critic has read as done."""
    ended: bool = False
    spent: Spent = field(default_factory=Spent)

    @property
    def try_seed(self) -> int:
        return seed_for(self.seed, self.parts, self.rejected)

    def sampled(self, text: str) -> SampledStep:
        """What is to be judged."""
        new = len(self.steps) - self.shown
        return SampledStep(self.prompt.id, tuple(self.steps), text.strip(), self.try_seed, new)

    def went_on(self) -> Prompt:
        """The prompt with all that was kept: the very tokens, none written anew."""
        ids = (*self.prompt.token_ids, *self.ids)
        return Prompt(self.prompt.id, self.prompt.text + self.text, ids)


class GuidedEngine(Engine):
    """Samples from `solver` step by step under a critic: completions are whole answers.

    Their tokens and log-probs are of what was kept, their `spent` of all. Same seed, same answer,
    as far as the solver's engine keeps to that.
    """

    def __init__(self, solver: Engine, tokenizer: Any, critic: Critic, guidance: Guidance) -> None:
        self._solver, self._tokenizer = solver, tokenizer
        self._critic, self._guidance = critic, guidance

    def sync(self, model: Any) -> None:
        self._solver.sync(model)

    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int,
        params: SamplingParams,
        seeds: Sequence[int],
        on_progress: Progress | None = None,
    ) -> list[CompletionGroup]:
        chains = [
            _Chain(prompt, seed_for(seed, number))
            for prompt, seed in zip(prompts, seeds, strict=True)
            for number in range(n)
        ]
        going = chains
        while going:
            steps = self._sample(going, params)
            texts = [self._text_of(*pair, params) for pair in zip(going, steps, strict=True)]
            for chain, step, text, keeps in zip(
                going, steps, texts, self._judge(going, texts), strict=True
            ):
                if keeps:
                    self._take(chain, step, text, params)
                else:
                    chain.rejected += 1
            left = [chain for chain in going if not chain.ended]
            if on_progress and len(left) < len(going):
                on_progress(len(going) - len(left))
            going = left
        return grouped(prompts, [self._completion(chain, params) for chain in chains], n)

    def _sample(self, chains: Sequence[_Chain], params: SamplingParams) -> list[Completion]:
        """A step of each: one call of the solver's engine for all with the same room left."""
        by_room: dict[int, list[_Chain]] = {}
        for chain in chains:
            room = min(self._guidance.step_tokens, params.max_new_tokens - len(chain.ids))
            by_room.setdefault(room, []).append(chain)
        completions: dict[int, Completion] = {}
        for room, mine in by_room.items():
            stops = (*params.stop_strings, self._guidance.separator)
            how = replace(params, max_new_tokens=room, stop_strings=stops)
            prompts = [chain.went_on() for chain in mine]
            groups = self._solver.generate(prompts, 1, how, [chain.try_seed for chain in mine])
            for chain, group in zip(mine, groups, strict=True):
                completions[id(chain)] = group.completions[0]
                tokens = len(group.completions[0].token_ids)
                chain.spent = replace(chain.spent, sampled=chain.spent.sampled + tokens)
        return [completions[id(chain)] for chain in chains]

    def _text_of(self, chain: _Chain, step: Completion, params: SamplingParams) -> str:
        """What the step adds to the answer's text, which ends before a stop string."""
        ids = [*chain.ids, *step.token_ids]
        whole = make_completion(self._tokenizer, ids, (), params).text
        return whole[len(chain.text) :]

    def _judge(self, chains: Sequence[_Chain], texts: Sequence[str]) -> list[bool]:
        """Whether each step is kept. An empty one, such as the end of an answer, is no step."""
        last = self._guidance.tries - 1
        asked = [
            (chain, chain.sampled(text))
            for chain, text in zip(chains, texts, strict=True)
            if text.strip() and chain.rejected < last
        ]
        judged = self._critic.judge([step for _, step in asked]) if asked else []
        kept = {id(chain): True for chain in chains}
        for (chain, _), said in zip(asked, judged, strict=True):
            if said.p is not None:
                chain.shown = len(chain.steps)
            rejects = said.p is not None and said.p < self._guidance.threshold
            kept[id(chain)] = not rejects
            spent = chain.spent
            chain.spent = replace(
                spent,
                judging=spent.judging + said.tokens,
                read=spent.read + said.read,
                judged=spent.judged + (said.p is not None),
                rejected=spent.rejected + rejects,
                unjudged=spent.unjudged + (said.p is None),
            )
        return [kept[id(chain)] for chain in chains]

    def _take(self, chain: _Chain, step: Completion, text: str, params: SamplingParams) -> None:
        chain.ids += step.token_ids
        chain.logps += step.logps
        chain.text += text
        if text.strip():
            chain.steps.append(text.strip())
        chain.parts, chain.rejected = chain.parts + 1, 0
        chain.ended = (
            chain.ids[-1] in params.stop_token_ids
            or len(chain.ids) >= params.max_new_tokens
            or completes_stop_string(self._tokenizer, chain.ids, params.stop_strings)
        )

    def _completion(self, chain: _Chain, params: SamplingParams) -> Completion:
        made = make_completion(self._tokenizer, chain.ids, chain.logps, params)
        return replace(made, spent=chain.spent)
