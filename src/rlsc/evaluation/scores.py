"""From the rows of a benchmark to its score: accuracies with intervals, lengths, calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from rlsc.grading import answer_key
from rlsc.statistics.calibration import (
    auroc,
    confidence,
    expected_calibration_error,
    reliability_curve,
)
from rlsc.statistics.estimates import (
    majority_at_k,
    mcnemar_exact,
    mean_interval,
    ngram_repetition,
    paired_difference,
    pass_at_k,
)
from rlsc.types import Verdict

KS = (1, 2, 4, 8, 16, 32, 64)

Row = Mapping[str, Any]


class Tally(NamedTuple):
    """One question's samples: their answers' keys (None: no answer) and which are right."""

    keys: list[str | None]
    right: list[bool]


def tallies(rows: Sequence[Row]) -> dict[str, Tally]:
    """The samples of each question, in the order of the rows."""
    found: dict[str, Tally] = {}
    for row in rows:
        tally = found.setdefault(row["id"], Tally([], []))
        tally.keys.append(None if row["answer"] is None else answer_key(row["answer"]))
        tally.right.append(row["verdict"] == Verdict.CORRECT.value)
    return found


def score(rows: Sequence[Row]) -> dict[str, Any]:
    """Everything that one model's answers to one benchmark say.

    `accuracy` is right samples over all samples; with as many samples for every question it is
    `pass@1`, whose interval is a bootstrap over questions: samples of one question are not
    independent. Unparsed answers and timeouts count as not right in all of them.
    """
    questions = tallies(rows)
    samples = min(len(tally.right) for tally in questions.values())
    ks = sorted({samples, *(k for k in KS if k < samples)})
    right = sum(row["verdict"] == Verdict.CORRECT.value for row in rows)
    per_question = _shares(questions)
    counts = Counter(row["verdict"] for row in rows)
    lengths = [row["tokens"] for row in rows]
    return {
        "n": len(questions),
        "samples": samples,
        "accuracy": right / len(rows),
        "pass@1": _mean(per_question),
        "interval": mean_interval(per_question),
        "pass@k": {str(k): _estimate(_pass_at(questions, k)) for k in ks},
        "majority@k": {str(k): _estimate(_majority_at(questions, k)) for k in ks},
        "verdicts": {verdict.value: counts[verdict.value] for verdict in Verdict},
        "mean_length": _mean(lengths),
        "median_length": float(median(lengths)),
        "truncation_rate": _share(row["finish_reason"] == "length" for row in rows),
        "boxed_rate": _share(r"\boxed" in row["text"] for row in rows),
        "repetition": _mean([ngram_repetition(row["text"].split()) for row in rows]),
        "calibration": calibration(rows),
        "timeouts": sorted({row["id"] for row in rows if row["verdict"] == Verdict.TIMEOUT.value}),
        "seconds": sum(row["seconds"] + row["grading_seconds"] for row in rows),
    }


def _shares(questions: Mapping[str, Tally]) -> list[float]:
    return [sum(tally.right) / len(tally.right) for tally in questions.values()]


def _pass_at(questions: Mapping[str, Tally], k: int) -> list[float]:
    return [pass_at_k(len(one.right), sum(one.right), k) for one in questions.values()]


def _majority_at(questions: Mapping[str, Tally], k: int) -> list[float]:
    return [majority_at_k(one.keys, one.right, k) for one in questions.values()]


def _estimate(values: Sequence[float]) -> dict[str, Any]:
    return {"value": _mean(values), "interval": mean_interval(values)}


def calibration(rows: Sequence[Row]) -> dict[str, Any]:
    """Does exp(log-prob per token), under the policy sampled from, tell right from wrong?

    Of `n` rows with a token; AUROC is None where all are right or none is.
    """
    pairs = [
        (value, row["verdict"] == Verdict.CORRECT.value)
        for row in rows
        if (value := confidence(row["logprob"], row["tokens"])) is not None
    ]
    scores, labels = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    curve = reliability_curve(scores, labels)
    return {
        "n": len(pairs),
        "auroc": auroc(scores, labels) if pairs else None,
        "expected_calibration_error": expected_calibration_error(curve),
        "curve": [part._asdict() for part in curve],
    }


def compare(before: Sequence[Row], after: Sequence[Row]) -> dict[str, Any]:
    """Two models on the same questions: the difference of pass@1, and which questions flipped.

    With one sample a question flips when its verdict does; with more, when the majority's does
    (a question with a tie flips at one half). Raises ValueError for different questions.
    """
    first, second = tallies(before), tallies(after)
    if list(first) != list(second):
        raise ValueError("the two evaluations are of different questions")
    shares = [_shares(one) for one in (first, second)]
    difference, interval = paired_difference(shares[0], shares[1])
    won = [{name: decided(tally) for name, tally in one.items()} for one in (first, second)]
    test = mcnemar_exact(list(won[0].values()), list(won[1].values()))
    return {
        "n": len(first),
        "difference": difference,
        "interval": interval,
        "mcnemar_p": test.p,
        "gained": [name for name in first if won[1][name] and not won[0][name]],
        "lost": [name for name in first if won[0][name] and not won[1][name]],
    }


def decided(tally: Tally) -> bool:
    """Whether a question counts as right: its answer, or that of the majority of its samples."""
    return majority_at_k(tally.keys, tally.right, len(tally.right)) > 0.5


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _share(flags: Any) -> float:
    listed = list(flags)
    return sum(listed) / len(listed)
