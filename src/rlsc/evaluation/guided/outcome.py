"""From rows on disk to figures: each critic's answers beside a majority at equal tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import TypedDict

from rlsc.evaluation.scoring import Votes, by_question, score
from rlsc.records import (
    GUIDED,
    PERFECT,
    RANDOM,
    AnswerRow,
    GuidedResults,
    GuidedScore,
    GuidedTokens,
    read_rows,
    rows_file,
)
from rlsc.statistics import majority_at_k, paired_difference, share
from rlsc.types import Setting, Spent

CRITICS = {GUIDED: "model", RANDOM: "random", PERFECT: "perfect"}
"""By the label of its setting."""


class Description(TypedDict):
    """The fields of `GuidedResults` that rows do not say."""

    critic: str
    steps: str
    tries: int
    threshold: float
    step_tokens: int
    no_perfect_critic: str


@dataclass(frozen=True)
class GuidedArms:
    """What was asked of a task: the plain setting, and one for each critic."""

    plain: Setting
    guided: tuple[Setting, ...]
    described: Description

    @classmethod
    def of(cls, results: GuidedResults) -> GuidedArms:
        """As results that are there say it."""
        described: Description = {
            "critic": results.critic,
            "steps": results.steps,
            "tries": results.tries,
            "threshold": results.threshold,
            "step_tokens": results.step_tokens,
            "no_perfect_critic": results.no_perfect_critic,
        }
        return cls(results.plain.setting, tuple(g.score.setting for g in results.guided), described)

    @property
    def settings(self) -> tuple[Setting, ...]:
        return (self.plain, *self.guided)


def rejection_rate(rows: Sequence[AnswerRow]) -> float:
    """The share of steps that were rejected, of those judged or not to be shown; 0 of none.

    A critic by chance is shown every step: so it rejects as many.
    """
    spent = [_spent(row) for row in rows]
    steps = sum(cost.judged + cost.unjudged for cost in spent)
    return sum(cost.rejected for cost in spent) / steps if steps else 0.0


def samples_for(tokens: float, a_sample: float) -> int:
    """The fewest samples that take at least so many tokens, where one takes `a_sample`.

    >>> samples_for(25.0, 10.0), samples_for(20.0, 10.0), samples_for(0.0, 10.0)
    (3, 2, 1)
    """
    return max(1, ceil(tokens / a_sample - 1e-9))


def plain_samples(arms: Sequence[Sequence[AnswerRow]], a_sample: float) -> int:
    """How many plain samples of so many tokens take the tokens of the dearest of these answers."""
    return max(samples_for(_tokens_a_question(rows), a_sample) for rows in arms)


def shortest_mean(arms: Sequence[Sequence[AnswerRow]]) -> float:
    """Tokens of an answer, a mean, of those critics whose answers are the shortest."""
    return min(mean_length(rows) for rows in arms)


def mean_length(rows: Sequence[AnswerRow]) -> float:
    """Tokens of an answer, a mean."""
    return fmean(row.tokens for row in rows)


def guided_results(folder: Path, task: str, arms: GuidedArms) -> GuidedResults:
    """Of the answers that lie in a folder."""
    plain = read_rows(rows_file(folder, task, arms.plain.label))
    scores = tuple(
        _guided_score(read_rows(rows_file(folder, task, each.label)), each, plain)
        for each in arms.guided
    )
    return GuidedResults(**arms.described, plain=score(plain, arms.plain), guided=scores)


def _guided_score(
    rows: Sequence[AnswerRow], setting: Setting, plain_rows: Sequence[AnswerRow]
) -> GuidedScore:
    spent = [_spent(row) for row in rows]
    a_sample = mean_length(plain_rows)
    plain, mine = by_question(plain_rows), by_question(rows)
    if list(plain) != list(mine):
        raise ValueError("the answers are to different questions")
    there = len(plain_rows) // len({row.id for row in plain_rows})
    k = min(there, samples_for(_tokens_a_question(rows), a_sample))
    figures = [
        votes.majority if len(votes.right) > 1 else votes.accuracy for votes in mine.values()
    ]
    majorities = [_majority(votes, k) for votes in plain.values()]
    judged = sum(cost.judged for cost in spent)
    return GuidedScore(
        critic=CRITICS[setting.label],
        score=score(rows, setting),
        figure=share(figures) if figures else None,
        tokens=GuidedTokens(
            fmean(cost.sampled for cost in spent),
            fmean(cost.judging for cost in spent),
            fmean(cost.read for cost in spent),
        ),
        judged=judged / len(spent),
        rejected=sum(cost.rejected for cost in spent) / judged if judged else None,
        unjudged=fmean(cost.unjudged for cost in spent),
        plain_samples=k,
        plain_tokens=k * a_sample,
        majority=share(majorities) if majorities else None,
        difference=paired_difference(majorities, figures) if figures else None,
    )


def _majority(votes: Votes, k: int) -> float:
    return majority_at_k(votes.keys, votes.right, k)


def _tokens_a_question(rows: Sequence[AnswerRow]) -> float:
    questions = len({row.id for row in rows})
    return sum(_spent(row).total for row in rows) / questions


def _spent(row: AnswerRow) -> Spent:
    if row.spent is None:
        raise ValueError(f"the answer to {row.id} does not say what it took")
    return row.spent
