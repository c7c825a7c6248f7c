"""Signs of narrowing and of harm in a step's completions, none of which needs a label."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from fractions import Fraction
from functools import lru_cache

from rlsc.grading import answer_key, answer_texts, boxed, extract_answer
from rlsc.statistics import commonest, ngram_repetition
from rlsc.types import CompletionGroup

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def group_signals(groups: Sequence[CompletionGroup]) -> dict[str, float]:
    """Of the completions of several questions, by name; shares are from 0 to 1.

    - `completion_length`, in tokens; `truncation_rate`, `answered`, `boxed`: shares of completions.
    - `empty`: share of completions without text.
    - `repetition`: mean share of a completion's 4-grams of tokens that it has had before.
    - `distinct_completions`, `distinct_answers`: distinct siblings over K, the mean over questions.
    - `majority_share`: siblings that give their question's commonest answer; `unanimous`: share
      of the questions where all do, answers being one that have one `answer_key`.
    - `same_answer`: share of the pairs of questions whose commonest answer is one and the same.
    - `copied`: share of completions whose answer is a number of the question's text.
    - `information`: mutual information of question and answer, in units of the logarithm of the
      number of questions: 1 where each question has one answer of its own, 0 where the answers
      do not tell the questions apart. A lack of an answer counts as an answer.
    """
    completions = [completion for group in groups for completion in group.completions]
    keys = _keys(groups)
    winners = [commonest(of_question) for of_question in keys]
    sizes = [len(of_question) for of_question in keys]
    shares = [votes / size for (_, votes), size in zip(winners, sizes, strict=True)]
    return {
        "completion_length": _mean([len(c.token_ids) for c in completions]),
        "truncation_rate": _mean([c.finish_reason == "length" for c in completions]),
        "answered": _mean([key is not None for of_question in keys for key in of_question]),
        "boxed": _mean([boxed(c.text) is not None for c in completions]),
        "empty": _mean([not c.text.strip() for c in completions]),
        "repetition": _mean([ngram_repetition(c.token_ids) for c in completions]),
        "distinct_completions": _distinct(groups),
        "distinct_answers": _mean([len(set(answers) - {None}) / len(answers) for answers in keys]),
        "majority_share": _mean(shares),
        "unanimous": _mean([share == 1 for share in shares]),
        "same_answer": _mean(_shared(keys)),
        "copied": _mean(_copied(groups, keys)),
        "information": information(keys),
    }


def question_values(groups: Sequence[CompletionGroup]) -> dict[str, list[float]]:
    """What the rule judges, question by question: the means over a question's completions.

    `same_answer` is the share of the other questions that have its commonest answer too.
    """
    keys = _keys(groups)
    return {
        "truncated": [_mean([c.finish_reason == "length" for c in g.completions]) for g in groups],
        "empty": [_mean([not c.text.strip() for c in g.completions]) for g in groups],
        "repetition": [
            _mean([ngram_repetition(c.token_ids) for c in g.completions]) for g in groups
        ],
        "answered": [_mean([key is not None for key in answers]) for answers in keys],
        "same_answer": _shared(keys),
        "copied": _copied(groups, keys),
    }


def answer_keys(groups: Sequence[CompletionGroup]) -> list[str | None]:
    """Of each question the key of its first completion's answer."""
    return [_key(answer_texts(group)[0]) for group in groups]


def _keys(groups: Sequence[CompletionGroup]) -> list[list[str | None]]:
    return [[_key(text) for text in answer_texts(group)] for group in groups]


def _shared(keys: Sequence[Sequence[str | None]]) -> list[float]:
    answers = [commonest(of_question)[0] for of_question in keys]
    counts = Counter(answers)
    others = max(len(answers) - 1, 1)
    return [0.0 if answer is None else (counts[answer] - 1) / others for answer in answers]


def copied(answer: str | None, prompt: str) -> bool:
    """Whether the answer, as its key, is a number that stands in the prompt."""
    return answer is not None and answer in map(answer_key, NUMBER.findall(prompt))


def _copied(groups: Sequence[CompletionGroup], keys: Sequence[Sequence[str | None]]) -> list[float]:
    pairs = zip(groups, keys, strict=True)
    return [
        _mean([copied(key, group.prompt.text) for key in of_question])
        for group, of_question in pairs
    ]


def information(answers: Sequence[Sequence[Hashable]]) -> float:
    """(H(A) − H(A|Q)) / log(number of questions), by the frequencies; 0 for one question.

    Every question counts alike, whatever its number of answers.
    """
    if len(answers) < 2:
        return 0.0
    own = [_frequencies(of_question) for of_question in answers]
    pooled: Counter[Hashable] = Counter()
    for frequencies in own:
        for answer, share in frequencies.items():
            pooled[answer] += share / len(answers)  # type: ignore[assignment]
    within = _mean([_entropy(frequencies.values()) for frequencies in own])
    return (_entropy(pooled.values()) - within) / math.log(len(answers))


@lru_cache(maxsize=1024)  # a step's completions are asked for several times
def _key(text: str) -> str | None:
    answer = extract_answer(text)
    return None if answer is None else answer_key(answer)


def _distinct(groups: Sequence[CompletionGroup]) -> float:
    """Added up as fractions and rounded once: of equal K exactly Σ distinct / N."""
    shares = [
        Fraction(len({c.token_ids for c in group.completions}), len(group.completions))
        for group in groups
    ]
    return float(sum(shares, Fraction(0)) / len(shares)) if shares else math.nan


def _frequencies(answers: Sequence[Hashable]) -> dict[Hashable, float]:
    return {answer: count / len(answers) for answer, count in Counter(answers).items()}


def _entropy(shares: object) -> float:
    return -math.fsum(share * math.log(share) for share in shares)  # type: ignore[attr-defined]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
