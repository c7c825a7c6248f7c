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
from rlsc.statistics import commonest
from rlsc.training.auxiliary import AuxiliaryModels
from rlsc.types import AnswerKey, CompletionGroup, Message, Pool, Verdict

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
    answer_NT: Tensor | None = None
    """True on the tokens of the final answers, for the records."""
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
            pick(self.answer_NT),
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
    gaps: Callable[[Tensor], Tensor] | None = None
    """Of hidden states, [M, H], how much likelier the likeliest token is than the second, [M]."""


@dataclass(frozen=True)
class Source:
    """What a data set says of its questions, by id."""

    prompts: Prompts
    answers: AnswerKey | None = None
    """Only objectives with labels touch it."""
    some_labels: bool = False
    """Whether a question without an answer is judged by its siblings' majority."""
    votes: Mapping[str, CompletionGroup] = field(default_factory=dict)
    """Other completions whose answers vote, by the question's id."""


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
    answer_NT: Tensor | None = None,
) -> Advantages:
    """The weights of all completions of these pools, in order; `seeds` has one for each pool.

    `answer_NT` is True on the tokens of the final answers (`answer_tokens.py`).
    Raises `ConfigError` for weights that do not fit the completions, `NonFiniteError` for weights
    that are not finite.
    """
    parts = [part for part, _ in parts_of(objective)]
    if not pools:
        empty = Advantages.empty(len(parts))
        nothing = torch.zeros(0, 1, dtype=torch.float64)
        objective.over_step(empty.parts, nothing.bool(), nothing)  # other processes may wait for it
        return empty
    needs = set(objective.weights_need)
    sizes = [len(pool.completions) for pool in pools]
    mask_NT, tokens = _token_fields(pools, needs, auxiliary, forward, answer_NT)
    if "answer_tokens" in needs and answer_NT is not None:
        tokens["answer_mask_KT"] = answer_NT
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
        objective.over_step(
            tuple(torch.cat(_widened(of_part)) for of_part in weights),
            mask_NT,
            tokens.get("logps_KT"),
        ),
        torch.cat(returns) if returns else None,
        tokens["logps_KT"] if forward.of_reference else None,
        answer_NT,
        _metrics(weights, rewards) | _labelled(pools, needs, source),
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
        voters = [source.votes.get(group.prompt.id) for group in pool.groups]
        others = [text for group in voters if group for text in answer_texts(group)]
        answers, clusters = cluster_answers([*texts, *others], shared_grader())
        known["answers"], known["clusters"] = answers[: len(texts)], clusters[: len(texts)]
        if "votes" in needs:
            known["votes"] = clusters[len(texts) :]
    if "labels" in needs and source.answers is not None:
        right = [value for group in pool.groups for value in _right(group, source)]
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


def _right(group: CompletionGroup, source: Source) -> list[float]:
    """1 where an answer is the reference answer; with `some_labels`, in its place the majority's.

    Ties go to the answer seen first; nobody is right where nobody answers.
    """
    name, texts, answers = group.prompt.id, answer_texts(group), source.answers
    assert answers is not None
    if source.some_labels and name not in answers:
        _, clusters = cluster_answers(texts, shared_grader())
        winner, _ = commonest(clusters)
        return [float(winner is not None and cluster == winner) for cluster in clusters]
    label = _label(name, answers)
    grades = shared_grader().grade_all([Item(text, label) for text in texts])
    return [float(grade.verdict is Verdict.CORRECT) for grade in grades]


def _label(name: str, answers: AnswerKey) -> str:
    if name not in answers:
        raise ConfigError(
            f"the environment asks {name!r}, which is no question of the data set and has no "
            "reference answer: take an objective without labels"
        )
    return answers[name]


@torch.no_grad()
def _token_fields(
    pools: Sequence[Pool],
    needs: Collection[str],
    auxiliary: AuxiliaryModels,
    forward: Forward,
    answer_NT: Tensor | None,
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
        values = _of_batch(batch, names, auxiliary, forward, answer_NT)
        inside_BT = batch.completion_mask_BT
        for index, row in enumerate(batch.rows):
            members = list(row.members)
            for name, target_NT in fields.items():
                values_T = (values[name][index].cpu() * inside_BT[index]).double()
                target_NT[members, : inside_BT.shape[1]] = values_T
    return mask_NT, fields


def _of_batch(
    batch: Batch,
    names: Collection[str],
    auxiliary: AuxiliaryModels,
    forward: Forward,
    answer_NT: Tensor | None,
) -> dict[str, Tensor]:
    stats = forward.score(batch)
    values = {
        "logps_KT": stats.logps_BT,
        "entropies_KT": stats.entropies_BT,
        "self_certainty_KT": stats.self_certainty_BT,
    }
    if "values_KT" in names and auxiliary.value_head and stats.states_BTH is not None:
        values["values_KT"] = auxiliary.value_head(stats.states_BTH)
    if "answer_gaps_KT" in names and answer_NT is not None and stats.states_BTH is not None:
        assert forward.gaps is not None
        first_B = [row.members[0] for row in batch.rows]
        answer_BT = answer_NT[first_B, : stats.logps_BT.shape[1]].to(stats.logps_BT.device)
        gaps_BT = torch.zeros_like(stats.logps_BT)
        gaps_BT[answer_BT] = forward.gaps(stats.states_BTH[answer_BT]).to(gaps_BT)
        values["answer_gaps_KT"] = gaps_BT
    if "reference_logps_KT" in names and auxiliary.reference:
        values["reference_logps_KT"] = auxiliary.reference(batch, forward.temperature)
    return values


def _weights(part: Objective, pool: PoolView, rewards: list[Tensor]) -> Tensor:
    """The part's weights, [K, 1] or [K, T], 1 where it gives none; its rewards, if any, kept."""
    weights: Tensor | None
    if isinstance(part, PolicyGradient) and part.weighs_by_reward:
        rewards.append(_checked(part, pool, part.reward(pool), (1,))[:, 0])
        weights = part.weights_of(rewards[-1], pool)
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


def _labelled(pools: Sequence[Pool], needs: Collection[str], source: Source) -> dict[str, float]:
    """`labelled`, where not all questions need be."""
    if "labels" not in needs or not source.some_labels or source.answers is None:
        return {}
    names = [group.prompt.id for pool in pools for group in pool.groups]
    return {"labelled": sum(name in source.answers for name in names) / len(names)}


def _metrics(weights: Sequence[Sequence[Tensor]], rewards: Sequence[Tensor]) -> dict[str, float]:
    """`zero_weight`: share of pools whose completions all weigh nothing in every part."""
    metrics: dict[str, float] = {}
    if not all(bool((w == 1).all()) for of_part in weights for w in of_part):
        of_pools = list(zip(*weights, strict=True))
        weightless = [not any(bool(w.any()) for w in of_pool) for of_pool in of_pools]
        metrics["zero_weight"] = sum(weightless) / len(weightless)
    if rewards:
        metrics["reward"] = float(torch.cat(list(rewards)).mean())
        spreads = [rewards_K.std().item() for rewards_K in rewards if len(rewards_K) > 1]
        metrics["reward_std"] = math.fsum(spreads) / len(spreads) if spreads else math.nan
    return metrics
