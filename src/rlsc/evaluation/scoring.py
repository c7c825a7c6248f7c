"""From answers to figures: one model's score, and the paired difference of two.

One rule for each figure, wherever a model is evaluated. An accuracy is the mean over questions of
the share of right samples (pass@1); a majority is its expectation over the draws and their ties;
the interval of both is `share_interval`'s; a difference is paired by question, with the bootstrap
of its differences. Questions without a reference answer count in lengths alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean, median

from rlsc.grading import answer_key
from rlsc.records import AnswerRow
from rlsc.statistics import (
    KEPT,
    calibration_of,
    confidence,
    majority_at_k,
    mcnemar_exact,
    ngram_repetition,
    paired_difference,
    pass_at_k,
    share,
    signed_rank_p,
    weighted_majority_at_k,
)
from rlsc.types import Calibration, Difference, Estimate, LengthChange, Score, Setting, Verdict

KS = (1, 2, 4, 8, 16, 32, 64)
_SUBSETS = 200
"""So many are gone through one by one, a question."""
_CORRECT = Verdict.CORRECT.value


@dataclass(frozen=True)
class Votes:
    """One question's samples: what they vote by (None: no answer) and which are right."""

    keys: Sequence[str | None]
    right: Sequence[bool]
    confidences: Sequence[float] = ()
    """exp(log-prob a token) of each sample."""

    @property
    def accuracy(self) -> float:
        """The share of right samples."""
        return sum(self.right) / len(self.right)

    @property
    def majority(self) -> float:
        """The probability that the most frequent answer is right; a tie is drawn."""
        return majority_at_k(self.keys, self.right, len(self.right))

    @property
    def decided(self) -> bool:
        """Whether the question counts as right: its answer, or that of its samples' majority."""
        return self.majority > 0.5


@dataclass(frozen=True)
class Answers:
    """A figure that can be compared: a setting's answers, their accuracy or their majority."""

    label: str
    rows: Sequence[AnswerRow]
    majority: bool = False

    @property
    def name(self) -> str:
        return f"{self.label} majority" if self.majority else self.label


def by_question(rows: Iterable[AnswerRow]) -> dict[str, Votes]:
    """The graded samples of each question, in the order of the rows.

    Equal answers have one key: the row's (by `with_votes`, or a program's), else its answer's.
    """
    keys: dict[str, list[str | None]] = {}
    right: dict[str, list[bool]] = {}
    sure: dict[str, list[float]] = {}
    for row in rows:
        if row.verdict is not None:
            key = row.key
            if key is None and row.answer is not None:
                key = answer_key(row.answer)
            keys.setdefault(row.id, []).append(key)
            right.setdefault(row.id, []).append(row.verdict == _CORRECT)
            sure.setdefault(row.id, []).append(confidence(row.logprob, row.tokens) or 0.0)
    return {name: Votes(keys[name], right[name], sure[name]) for name in keys}


def score(rows: Sequence[AnswerRow], setting: Setting) -> Score:
    """Everything that one model's answers to one task in one setting say.

    ValueError without a row.
    """
    if not rows:
        raise ValueError("there are no answers to score")
    questions = list(by_question(rows).values())
    k_most = min((len(votes.right) for votes in questions), default=0)
    ks = sorted({k_most, *(k for k in KS if k < k_most)}) if questions else []
    counts = Counter(row.verdict for row in rows)
    lengths = [row.tokens for row in rows]
    return Score(
        setting=setting,
        questions=len({row.id for row in rows}),
        n=len(questions),
        accuracy=share([votes.accuracy for votes in questions]) if questions else None,
        pass_at={
            k: share([pass_at_k(len(votes.right), sum(votes.right), k) for votes in questions])
            for k in ks
        },
        majority_at={
            k: share([majority_at_k(votes.keys, votes.right, k) for votes in questions]) for k in ks
        },
        verdicts={verdict.value: counts[verdict.value] for verdict in Verdict},
        timeouts=tuple(sorted({row.id for row in rows if row.verdict == Verdict.TIMEOUT.value})),
        mean_length=fmean(lengths),
        median_length=float(median(lengths)),
        truncation_rate=fmean(row.finish_reason == "length" for row in rows),
        boxed_rate=fmean(r"\boxed" in row.text for row in rows),
        repetition=fmean(ngram_repetition(row.text.split()) for row in rows),
        calibration=calibration(rows) if questions else None,
        seconds=sum(row.seconds + row.grading_seconds for row in rows),
        weighted_majority_at=_by_confidence(questions, ks, 1.0),
        filtered_majority_at=_by_confidence(questions, ks, KEPT),
    )


def _by_confidence(
    questions: Sequence[Votes], ks: Sequence[int], kept: float
) -> dict[int, Estimate]:
    """By each k above 1 of few subsets a majority that is weighted by confidence."""
    few = [k for k in ks if k > 1 and all(comb(len(v.right), k) <= _SUBSETS for v in questions)]
    return {
        k: share(
            [
                weighted_majority_at_k(votes.keys, votes.right, votes.confidences, k, kept)
                for votes in questions
            ]
        )
        for k in few
    }


def calibration(rows: Iterable[AnswerRow]) -> Calibration:
    """Does exp(log-prob a token) tell right from wrong? Of graded answers with a token."""
    pairs = [
        (sure, row.verdict == _CORRECT)
        for row in rows
        if row.verdict is not None and (sure := confidence(row.logprob, row.tokens)) is not None
    ]
    return calibration_of([pair[0] for pair in pairs], [pair[1] for pair in pairs])


def compare(base: Answers, tuned: Answers) -> Difference:
    """Two models' answers to the same questions: tuned minus base, and which questions flipped.

    With one sample a question flips when its verdict does; with more, when the majority's does
    (a question with a tie flips at one half). Where one side's figure is the mean of several
    samples and the other side has another number of them, flips of majorities could say the
    opposite of the accuracies: there are none then, and no p. Raises ValueError for different
    questions.
    """
    first, second = by_question(base.rows), by_question(tuned.rows)
    if list(first) != list(second):
        raise ValueError("the two evaluations are of different questions")
    lengths = length_changes(base.rows, tuned.rows)
    names = (base.name, tuned.name)
    if not first:
        return Difference(*names, 0, None, None, None, (), (), lengths)
    right = [{name: votes.decided for name, votes in side.items()} for side in (first, second)]
    several = all(len(v.right) > 1 for side in (first, second) for v in side.values())
    flips = _has_flips((base, first), (tuned, second))
    return Difference(
        *names,
        n=len(first),
        accuracy=paired_difference(_values(first, base.majority), _values(second, tuned.majority)),
        majority=paired_difference(_values(first, True), _values(second, True))
        if several
        else None,
        mcnemar_p=mcnemar_exact(*(list(side.values()) for side in right)).p if flips else None,
        gained=tuple(q for q in first if flips and right[1][q] and not right[0][q]),
        lost=tuple(q for q in first if flips and right[0][q] and not right[1][q]),
        lengths=lengths,
    )


def _has_flips(*sides: tuple[Answers, Mapping[str, Votes]]) -> bool:
    """Whether both figures are of one answer a question, or both of as many samples."""
    counts = [{len(votes.right) for votes in questions.values()} for _, questions in sides]
    single = [side.majority or n == {1} for (side, _), n in zip(sides, counts, strict=True)]
    return all(single) or counts[0] == counts[1]


def _values(questions: Mapping[str, Votes], majority: bool) -> list[float]:
    return [votes.majority if majority else votes.accuracy for votes in questions.values()]


def length_changes(
    before: Sequence[AnswerRow], after: Sequence[AnswerRow]
) -> dict[str, LengthChange]:
    """Mean tokens of `all` answers, of `right` ones, and of those `not_right`, before and after.

    Paired by question: a question counts where it has such answers on both sides, with their mean.
    A part without any question is left out.
    """
    parts = {
        "all": lambda row: True,
        "right": lambda row: row.verdict == _CORRECT,
        "not_right": lambda row: row.verdict not in (None, _CORRECT),
    }
    changes = {}
    for name, keep in parts.items():
        change = _length_change(list(filter(keep, before)), list(filter(keep, after)))
        if change:
            changes[name] = change
    return changes


def _length_change(before: Sequence[AnswerRow], after: Sequence[AnswerRow]) -> LengthChange | None:
    first, second = _mean_lengths(before), _mean_lengths(after)
    names = [name for name in first if name in second]
    if not names:
        return None
    old, new = [first[name] for name in names], [second[name] for name in names]
    paired = set(names)
    cut = [
        fmean(row.finish_reason == "length" for row in rows if row.id in paired)
        for rows in (before, after)
    ]
    return LengthChange(
        n=len(names),
        before=fmean(old),
        after=fmean(new),
        difference=paired_difference(old, new),
        wilcoxon_p=signed_rank_p(old, new),
        cut_off_before=cut[0],
        cut_off_after=cut[1],
    )


def _mean_lengths(rows: Iterable[AnswerRow]) -> dict[str, float]:
    lengths: dict[str, list[int]] = {}
    for row in rows:
        lengths.setdefault(row.id, []).append(row.tokens)
    return {name: fmean(values) for name, values in lengths.items()}
