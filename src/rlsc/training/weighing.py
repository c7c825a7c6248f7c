"""From a step's groups to the weights of their completions, before the loss.

Here an objective's `needs` are met: answers and their clusters, labels, a reward model's scores,
and a forward pass without gradient where the policy's own scores count.
Shapes: _N the step's completions, _K those of a question, _T their tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from rlsc.errors import ConfigError, NonFiniteError
from rlsc.grading import Item, cluster_answers, shared_grader
from rlsc.logprobs.scorer import Batch, TokenStats
from rlsc.models.reward_model import RewardModel
from rlsc.objectives import Objective, PolicyGradient, PoolView, parts_of
from rlsc.training.reference import Reference
from rlsc.training.value_head import ValueHead
from rlsc.types import AnswerKey, CompletionGroup, Message, Verdict

Score = Callable[[Batch], TokenStats]


@dataclass
class Advantages:
    """What is known of each of the step's N completions before its loss."""

    kept_N: Tensor
    """False where a completion is masked out of the loss."""
    parts: tuple[Tensor, ...]
    """Of each part of the objective its weights, [N, 1] or [N, T]."""
    engine_logps_N: Tensor | None = None
    """Where importance weights are asked for: log q(y|x) of the engine that sampled."""
    old_logps_NT: Tensor | None = None
    """From the second of several updates on, the log-probs at the first; where the model before
    training has sampled, its own."""
    noted_NT: Tensor | None = None
    """Those, while the first goes on."""
    returns_NT: Tensor | None = None
    """With a value head: what it learns."""
    metrics: dict[str, float] = field(default_factory=dict)

    @classmethod
    def none(cls, parts: int) -> Advantages:
        """Those of no completion, under an objective of so many parts."""
        empty = tuple(torch.zeros(0, 1, dtype=torch.float64) for _ in range(parts))
        return cls(torch.zeros(0, dtype=torch.bool), empty)

    def of(self, places: Tensor) -> Advantages:
        """Those of some of the completions."""

        def pick(values_N: Tensor | None) -> Tensor | None:
            return None if values_N is None else values_N[places]

        return Advantages(
            self.kept_N[places],
            tuple(part[places] for part in self.parts),
            pick(self.engine_logps_N),
            pick(self.old_logps_NT),
            returns_NT=pick(self.returns_NT),
            metrics=self.metrics,
        )

    def alike(self, members: Sequence[int]) -> bool:
        """Whether these completions, identical ones, have the same weights."""
        first = [part[members[0]] for part in self.parts]
        return all(
            bool((part[index] == one).all())
            for index in members[1:]
            for part, one in zip(self.parts, first, strict=True)
        )


def check_judges(
    objective: Objective, ids: Collection[str], labelled: AnswerKey | None, reward_model: Any
) -> None:
    """Raise `ConfigError` where an objective needs labels or a reward model that are not there."""
    if "labels" in objective.needs:  # others never touch the answers
        missing = [name for name in ids if name not in (labelled or ())]
        if missing:
            raise ConfigError(
                f"this objective needs labels, and {len(missing)} of {len(ids)} "
                f"training questions have no reference answer (such as {missing[0]!r}): name "
                "the column with --answer_column, or take an objective without labels"
            )
    if "reward_model" in objective.needs and reward_model is None:
        raise ConfigError("this objective needs a reward model: name one with --reward_model")


@dataclass
class Weigher:
    """Weighs a step's completions by an objective."""

    objective: Objective
    prompts: Mapping[str, str | Sequence[Message]]
    """The data set's prompts by id."""
    answers: AnswerKey | None = None
    """Only labelled objectives touch it."""
    reward_model: RewardModel | None = None
    value_head: ValueHead | None = None
    reference: Reference | None = None
    sampled_by_reference: bool = False
    """Whether the completions are the reference's own: then their weights are by its scores."""

    def __post_init__(self) -> None:
        check_judges(self.objective, self.prompts, self.answers, self.reward_model)

    def weigh(
        self,
        groups: Sequence[CompletionGroup],
        seeds: Sequence[int],
        batches: Callable[[], Sequence[Batch]],
        score: Score,
        temperature: float,
        mask_truncated: bool = False,
    ) -> Advantages:
        """`batches` hold all rows of the groups, and `score` computes one of them."""
        parts = [one for one, _ in parts_of(self.objective)]
        scored = self._scored(groups, batches, score, temperature)
        weights: list[list[Tensor]] = [[] for _ in parts]
        rewards: list[Tensor] = []
        shares: list[tuple[float, float]] = []
        returns: list[Tensor] = []
        for group, seed, fields in zip(groups, seeds, scored, strict=True):
            siblings = self._siblings(group, seed, fields)
            for part, found in zip(parts, weights, strict=True):
                found.append(_weights(part, _seen_by(part, siblings), rewards))
                if "values" in part.needs and siblings.values_KT is not None:
                    returns.append(found[-1] + siblings.values_KT)  # A_t + V_t
            if siblings.clusters is not None:
                shares.append(_shares(siblings))
        completions = [one for group in groups for one in group.completions]
        kept = [not (mask_truncated and one.finish_reason == "length") for one in completions]
        return Advantages(
            torch.tensor(kept),
            tuple(torch.cat(_widened(found)) for found in weights),
            old_logps_NT=self._old_logps(scored),
            returns_NT=torch.cat(returns) if returns else None,
            metrics=_metrics(weights, rewards, shares),
        )

    def _old_logps(self, scored: Sequence[Mapping[str, Tensor]]) -> Tensor | None:
        """Those of the policy that sampled, where that is not the present one."""
        if not self.sampled_by_reference:
            return None
        return torch.cat([fields["logps_KT"] for fields in scored])

    def _siblings(
        self, group: CompletionGroup, seed: int, fields: Mapping[str, Tensor]
    ) -> PoolView:
        needs, texts = self.objective.needs, tuple(one.text for one in group.completions)
        known: dict[str, Any] = dict(fields)
        name = group.prompt.id
        if "answers" in needs:
            known["answers"], known["clusters"] = cluster_answers(texts, shared_grader())
        if "labels" in needs:
            assert self.answers is not None
            items = [Item(text, self.answers[name]) for text in texts]
            judged = [one.verdict for one in shared_grader().grade_all(items)]
            known["correct_K"] = torch.tensor(
                [float(v is Verdict.CORRECT) for v in judged]
            ).double()
        if "reward_model" in needs:
            assert self.reward_model is not None
            known["reward_model_K"] = self.reward_model(self.prompts[name], texts)
        cut = torch.tensor([one.finish_reason == "length" for one in group.completions])
        return PoolView(name, self.prompts[name], texts, cut, seed, **known)

    @torch.no_grad()
    def _scored(
        self,
        groups: Sequence[CompletionGroup],
        batches: Callable[[], Sequence[Batch]],
        score: Score,
        temperature: float,
    ) -> list[dict[str, Tensor]]:
        """The fields of `PoolView` that take a forward pass, of each group."""
        sizes = [len(group.completions) for group in groups]
        needs = self.objective.needs
        refers = self.reference is not None and self.objective.weights_refer
        if not (refers or self.sampled_by_reference or {"scores", "values"} & set(needs)):
            return [{} for _ in sizes]
        longest = max(len(one.token_ids) for group in groups for one in group.completions)
        names = ["logps_KT", "entropies_KT", "self_certainty_KT"]
        names += ["values_KT"] if "values" in needs else []
        names += ["reference_logps_KT"] if refers else []
        table = {name: torch.zeros(sum(sizes), longest, dtype=torch.float64) for name in names}
        mask_NT = torch.zeros(sum(sizes), longest, dtype=torch.bool)
        for batch in batches():
            scores = score(batch)
            found = dict(zip(names, scores[:3], strict=False))
            if "values" in needs:
                assert self.value_head is not None
                assert scores.states_BTH is not None
                found["values_KT"] = self.value_head(scores.states_BTH)
            if refers:
                assert self.reference is not None
                found["reference_logps_KT"] = self.reference(batch, temperature)
            inside_BT = batch.completion_mask_BT
            for index, row in enumerate(batch.rows):
                members, width = list(row.members), inside_BT.shape[1]
                mask_NT[members, :width] = inside_BT[index]
                for name, values in found.items():
                    table[name][members, :width] = (values[index].cpu() * inside_BT[index]).double()
        rows = zip(*(table[name].split(sizes) for name in names), strict=True)
        return [
            {**dict(zip(names, row, strict=True)), "mask_KT": mask}
            for row, mask in zip(rows, mask_NT.split(sizes), strict=True)
        ]


def _weights(part: Objective, siblings: PoolView, rewards: list[Tensor]) -> Tensor:
    """The part's weights, [K, 1] or [K, T], 1 where it gives none; its rewards, if any, noted."""
    if isinstance(part, PolicyGradient) and type(part).weigh is PolicyGradient.weigh:
        rewards.append(_checked(part, siblings, part.reward(siblings), (1,))[:, 0])
        weights: Tensor | None = part.shaped(rewards[-1])
    else:
        weights = part.weigh(siblings)
    if weights is None:
        return siblings.zeros()[:, None] + 1
    tokens = 1 if siblings.mask_KT is None else siblings.mask_KT.shape[1]
    return _checked(part, siblings, weights, (1, tokens))


def _seen_by(part: Objective, siblings: PoolView) -> PoolView:
    """Without labels where the part does not ask for them, though another part of a sum does."""
    return siblings if "labels" in part.needs else replace(siblings, correct_K=None)


def _checked(part: Objective, siblings: PoolView, values: Any, widths: Collection[int]) -> Tensor:
    """As [K, 1], or [K, T] where a number a token is allowed."""
    name, count = type(part).__name__, len(siblings)
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
        raise NonFiniteError(f"{name}: a reward or weight of question {siblings.id} is not finite")
    return columns.detach().double().cpu()


def _widened(found: Sequence[Tensor]) -> list[Tensor]:
    width = max(one.shape[1] for one in found)
    return [one if one.shape[1] == width else one.expand(-1, width) for one in found]


def _shares(siblings: PoolView) -> tuple[float, float]:
    """How many of a question's completions have an answer, and the majority's."""
    known = [one for one in siblings.clusters or () if one is not None]
    most = max((known.count(one) for one in set(known)), default=0)
    return len(known) / len(siblings), most / len(siblings)


def _metrics(
    weights: Sequence[Sequence[Tensor]],
    rewards: Sequence[Tensor],
    shares: Sequence[tuple[float, float]],
) -> dict[str, float]:
    """`zero_weight`: share of questions whose completions all weigh nothing in every part."""
    metrics: dict[str, float] = {}
    if not all(bool((one == 1).all()) for found in weights for one in found):
        questions = list(zip(*weights, strict=True))
        idle = [all(not bool(one.any()) for one in parts) for parts in questions]
        metrics["zero_weight"] = sum(idle) / len(idle)
    if rewards:
        metrics["reward"] = float(torch.cat(list(rewards)).mean())
        spread = [one.std().item() for one in rewards if len(one) > 1]
        metrics["reward_std"] = math.fsum(spread) / len(spread) if spread else math.nan
    if shares:
        metrics["answered"] = math.fsum(one for one, _ in shares) / len(shares)
        metrics["majority_share"] = math.fsum(one for _, one in shares) / len(shares)
    return metrics


def learn_values(head: ValueHead, batch: Batch, scores: TokenStats, weights: Advantages) -> None:
    """Show the head a micro-batch's states and what they came to, as often as each row counts."""
    assert scores.states_BTH is not None
    assert weights.returns_NT is not None
    mask_BT = batch.completion_mask_BT.cpu()
    first_B = torch.tensor([row.members[0] for row in batch.rows])
    returns_BT = weights.returns_NT[first_B, : mask_BT.shape[1]]
    head.accumulate(scores.states_BTH, returns_BT, mask_BT * batch.counts_B[:, None])
