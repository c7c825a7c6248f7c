"""From a step's pools to the weights of their completions, before the loss.

Here an objective's `weights_need` is met: answers and their clusters, labels, a reward model's
scores, and a forward pass without gradient where token log-probs count.
Shapes: _N the step's completions, pool after pool; _K those of a pool; _T their tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rlsc.errors import ConfigError, NonFiniteError
from rlsc.grading import Item, answer_texts, cluster_answers, shared_grader
from rlsc.logprobs import Batch, TokenStats
from rlsc.objectives import FORWARD_NEEDS, NEED_OF, Objective, PolicyGradient, PoolView, parts_of
from rlsc.training.auxiliary import AuxiliaryModels
from rlsc.types import AnswerKey, Message, Pool, Verdict

Score = Callable[[Batch], TokenStats]
Prompts = Mapping[str, str | Sequence[Message]]


@dataclass(frozen=True)
class Advantages:
    """What each of the step's N completions weighs in the loss."""

    kept_N: Tensor
    """False where a completion is masked out of the loss."""
    parts: tuple[Tensor, ...]
    """Of each part of the objective its weights, [N, 1] or [N, T]."""
    returns_NT: Tensor | None = None
    """With a value head: what it learns."""
    sampler_logps_NT: Tensor | None = None
    """Where the model before training has sampled, its log-probs: ratios refer to them."""
    metrics: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def empty(cls, parts: int) -> Advantages:
        """Those of no completion, under an objective of so many parts."""
        nothing = tuple(torch.zeros(0, 1, dtype=torch.float64) for _ in range(parts))
        return cls(torch.zeros(0, dtype=torch.bool), nothing)

    def select(self, places: Tensor) -> Advantages:
        """Those of some of the completions, by their indices."""

        def pick(values_N: Tensor | None) -> Tensor | None:
            return None if values_N is None else values_N[places]

        return Advantages(
            self.kept_N[places],
            tuple(part[places] for part in self.parts),
            pick(self.returns_NT),
            pick(self.sampler_logps_NT),
            self.metrics,
        )

    def alike(self, members: Sequence[int]) -> bool:
        """Whether these completions, identical ones, have the same weights."""
        return all(bool((part[list(members)] == part[members[0]]).all()) for part in self.parts)


@dataclass(frozen=True)
class Forward:
    """The step's rows as micro-batches, and the sampling model's forward pass over one of them.

    Nothing of it is called for an objective that needs no token log-probs.
    """

    batches: Callable[[], Sequence[Batch]]
    score: Score
    temperature: float
    of_reference: bool = False
    """Whether the model before training has sampled, and not the policy."""


@dataclass(frozen=True)
class Source:
    """What a data set says of its questions, by id."""

    prompts: Prompts
    answers: AnswerKey | None = None
    """Only objectives with labels touch it."""


def takes_forward(objective: Objective, of_reference: bool = False) -> bool:
    """Whether weighing takes a forward pass over the step's completions."""
    return of_reference or bool(FORWARD_NEEDS & set(objective.weights_need))


def advantages(
    pools: Sequence[Pool],
    objective: Objective,
    auxiliary: AuxiliaryModels,
    forward: Forward,
    source: Source,
    seeds: Sequence[int],
    kept_N: Tensor | None = None,
) -> Advantages:
    """The weights of all completions of these pools, in order; `seeds` has one for each pool.

    Raises `ConfigError` for weights that do not fit the completions, `NonFiniteError` for weights
    that are not finite.
    """
    parts = [part for part, _ in parts_of(objective)]
    if not pools:
        return Advantages.empty(len(parts))
    needs = set(objective.weights_need)
    sizes = [len(pool.completions) for pool in pools]
    mask_NT, tokens = _token_fields(pools, needs, auxiliary, forward)
    weights: list[list[Tensor]] = [[] for _ in parts]
    rewards: list[Tensor] = []
    returns: list[Tensor] = []
    columns = [values_NT.split(sizes) for values_NT in tokens.values()]
    rows = zip(pools, seeds, mask_NT.split(sizes), *columns, strict=True)
    for pool, seed, mask_KT, *values in rows:
        known = dict(zip(tokens, values, strict=True)) | _judged(pool, needs, auxiliary, source)
        view = _view(pool, mask_KT, seed, source, known)
        for part, of_part in zip(parts, weights, strict=True):
            seen = view.seen_by(part)
            of_part.append(_weights(part, seen, rewards))
            if "values" in part.weights_need:
                returns.append(of_part[-1] + seen.values_KT)  # A_t + V_t
    return Advantages(
        torch.ones(sum(sizes), dtype=torch.bool) if kept_N is None else kept_N,
        tuple(torch.cat(_widened(of_part)) for of_part in weights),
        torch.cat(returns) if returns else None,
        tokens["logps_KT"] if forward.of_reference else None,
        _metrics(weights, rewards),
    )


def _view(
    pool: Pool, mask_KT: Tensor, seed: int, source: Source, known: Mapping[str, object]
) -> PoolView:
    prompts = [source.prompts[group.prompt.id] for group in pool.groups]
    alike = all(prompt == prompts[0] for prompt in prompts)
    texts = tuple(completion.text for completion in pool.completions)
    cut = torch.tensor([completion.finish_reason == "length" for completion in pool.completions])
    return PoolView(pool.name, prompts[0] if alike else "", texts, mask_KT, cut, seed, known)


def _judged(
    pool: Pool, needs: Collection[str], auxiliary: AuxiliaryModels, source: Source
) -> dict[str, object]:
    """The fields of `PoolView` that are of texts."""
    known: dict[str, object] = {}
    if "answers" in needs:
        texts = [text for group in pool.groups for text in answer_texts(group)]
        known["answers"], known["clusters"] = cluster_answers(texts, shared_grader())
    if "labels" in needs and source.answers is not None:
        items = [
            Item(text, _label(group.prompt.id, source.answers))
            for group in pool.groups
            for text in answer_texts(group)
        ]
        verdicts = [grade.verdict for grade in shared_grader().grade_all(items)]
        right = [float(verdict is Verdict.CORRECT) for verdict in verdicts]
        known["correct_K"] = torch.tensor(right, dtype=torch.float64)
    if "reward_model" in needs and auxiliary.reward_model is not None:
        model = auxiliary.reward_model
        known["reward_model_K"] = torch.cat(
            [
                model(source.prompts[group.prompt.id], [c.text for c in group.completions])
                for group in pool.groups
            ]
        )
    if "environment" in needs and pool.rewards is not None:
        given = [reward for rewards in pool.rewards for reward in rewards]
        known["environment_K"] = torch.tensor(given, dtype=torch.float64)
    return known


def _label(name: str, answers: AnswerKey) -> str:
    if name not in answers:
        raise ConfigError(
            f"the environment asks {name!r}, which is no question of the data set and has no "
            "reference answer: take an objective without labels"
        )
    return answers[name]


@torch.no_grad()
def _token_fields(
    pools: Sequence[Pool], needs: Collection[str], auxiliary: AuxiliaryModels, forward: Forward
) -> tuple[Tensor, dict[str, Tensor]]:
    """The mask of all completions' tokens, and the fields that take a forward pass; [N, T]."""
    completions = [completion for pool in pools for completion in pool.completions]
    lengths_N = torch.tensor([len(completion.token_ids) for completion in completions])
    width = int(lengths_N.max())
    mask_NT = torch.arange(width) < lengths_N[:, None]
    names = [name for name, need in NEED_OF.items() if need in FORWARD_NEEDS & set(needs)]
    if forward.of_reference and "logps_KT" not in names:
        names.append("logps_KT")
    fields = {name: torch.zeros(len(completions), width, dtype=torch.float64) for name in names}
    for batch in forward.batches() if names else ():
        values = _of_batch(batch, names, auxiliary, forward)
        inside_BT = batch.completion_mask_BT
        for index, row in enumerate(batch.rows):
            members = list(row.members)
            for name, target_NT in fields.items():
                values_T = (values[name][index].cpu() * inside_BT[index]).double()
                target_NT[members, : inside_BT.shape[1]] = values_T
    return mask_NT, fields


def _of_batch(
    batch: Batch, names: Collection[str], auxiliary: AuxiliaryModels, forward: Forward
) -> dict[str, Tensor]:
    stats = forward.score(batch)
    values = {
        "logps_KT": stats.logps_BT,
        "entropies_KT": stats.entropies_BT,
        "self_certainty_KT": stats.self_certainty_BT,
    }
    if "values_KT" in names and auxiliary.value_head and stats.states_BTH is not None:
        values["values_KT"] = auxiliary.value_head(stats.states_BTH)
    if "reference_logps_KT" in names and auxiliary.reference:
        values["reference_logps_KT"] = auxiliary.reference(batch, forward.temperature)
    return values


def _weights(part: Objective, pool: PoolView, rewards: list[Tensor]) -> Tensor:
    """The part's weights, [K, 1] or [K, T], 1 where it gives none; its rewards, if any, kept."""
    weights: Tensor | None
    if isinstance(part, PolicyGradient) and part.weighs_by_reward:
        rewards.append(_checked(part, pool, part.reward(pool), (1,))[:, 0])
        weights = part.shaped(rewards[-1], pool)
    else:
        weights = part.weigh(pool)
    if weights is None:
        return pool.zeros()[:, None] + 1
    return _checked(part, pool, weights, (1, pool.mask_KT.shape[1]))


def _checked(part: Objective, pool: PoolView, values: Any, widths: Collection[int]) -> Tensor:
    """As [K, 1], or [K, T] where a number a token is allowed."""
    name, count = type(part).__name__, len(pool)
    try:
        values = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{name} must give a tensor or a list of numbers: {error}") from error
    columns = values[:, None] if values.ndim == 1 else values
    if columns.ndim != 2 or len(columns) != count or columns.shape[1] not in widths:
        raise ConfigError(
            f"{name} must give a number for each of the {count} completions, not a tensor of "
            f"shape {list(values.shape)}"
        )
    if not torch.isfinite(values).all():
        raise NonFiniteError(f"{name}: a reward or weight of question {pool.id} is not finite")
    return columns.detach().double().cpu()


def _widened(weights: Sequence[Tensor]) -> list[Tensor]:
    """One weight a completion as one a token, where another pool has these."""
    width = max(weights_K.shape[1] for weights_K in weights)
    return [w if w.shape[1] == width else w.expand(-1, width) for w in weights]


def _metrics(weights: Sequence[Sequence[Tensor]], rewards: Sequence[Tensor]) -> dict[str, float]:
    """`zero_weight`: share of pools whose completions all weigh nothing in every part."""
    metrics: dict[str, float] = {}
    if not all(bool((w == 1).all()) for of_part in weights for w in of_part):
        of_pools = list(zip(*weights, strict=True))
        idle = [not any(bool(w.any()) for w in of_pool) for of_pool in of_pools]
        metrics["zero_weight"] = sum(idle) / len(idle)
    if rewards:
        metrics["reward"] = float(torch.cat(list(rewards)).mean())
        spreads = [rewards_K.std().item() for rewards_K in rewards if len(rewards_K) > 1]
        metrics["reward_std"] = math.fsum(spreads) / len(spreads) if spreads else math.nan
    return metrics
