"""A few dozen questions, without labels, that the guard asks the policy while it is trained.

The untrained model answers each several times before training; what it votes for is what later
answers are held against. Where its votes scatter there is little to lose and nothing to see, so it
answers a pool of questions, and those are asked on which its votes agree most. Everything is
written down, so that a resumed run has it again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import torch

from rlsc.engines import Engine, SamplingParams, seed_for
from rlsc.errors import OutputError
from rlsc.grading import answer_texts, cluster_answers, shared_grader
from rlsc.logprobs import Batch, TokenStats, make_rows
from rlsc.objectives import divergence
from rlsc.records import write_text
from rlsc.statistics import commonest
from rlsc.types import Completion, CompletionGroup, Prompt

VOTES = 8
"""Answers of the untrained model to each question."""
SCORED = 2
"""Questions over whose completions the divergence from it is estimated."""

Score = Callable[[Batch], TokenStats]
Cut = Callable[[Sequence[Any]], Sequence[Batch]]


class Vote(TypedDict):
    """A question in probe.json, with the untrained model's answers."""

    id: str
    prompt_token_ids: list[int]
    texts: list[str]
    token_ids: list[int]
    """Of the first answer, as `logps`, which are empty where it is not scored."""
    logps: list[float]


@dataclass(frozen=True)
class Answers:
    """Of one step, in the order of the questions."""

    groups: Sequence[CompletionGroup]
    """Greedy, one completion each."""
    support: tuple[float, ...]
    """The share of the untrained model's votes that went to the answer; 0 without an answer."""
    divergence: float
    """Estimate of KL(untrained ‖ policy), in nats a token."""


class Probe:
    """Asks and compares. `begin` before training, `ask` at any step, its own included.

    `pool` are the questions of which `size` are asked.
    """

    def __init__(
        self,
        pool: Sequence[Prompt],
        size: int,
        sampling: SamplingParams,
        seed: int,
        score: Score,
        cut: Cut,
        file: Path,
    ) -> None:
        self._pool, self._size, self._sampling, self._seed = pool, size, sampling, seed
        self._score, self._cut, self._file = score, cut, file
        self._votes: list[CompletionGroup] = []
        self._logps: list[list[float]] = []
        self._supports: dict[int, tuple[str, float]] = {}

    def __len__(self) -> int:
        return min(self._size, len(self._pool))

    @property
    def votes(self) -> int:
        """How many completions `begin` samples."""
        return VOTES * len(self._pool)

    def begin(self, engine: Engine, on_progress: Callable[[int], None]) -> None:
        """The untrained model's votes, by the engine that has it."""
        seeds = [seed_for(self._seed, "probe", prompt.id) for prompt in self._pool]
        groups = engine.generate(self._pool, VOTES, self._sampling, seeds, on_progress)
        texts = [answer_texts(group) for group in groups]
        self._votes = [groups[index] for index in most_agreed(texts, len(self))]
        self._supports.clear()
        self._logps = self._token_logps()
        self._store()

    def resume(self) -> None:
        """The votes of the run that is gone on with. Raises `OutputError` where there are none."""
        try:
            rows: list[Vote] = json.loads(self._file.read_text("utf-8"))
            if len(rows) != len(self):
                raise ValueError(f"{len(rows)} instead of {len(self)}")
            pool = {prompt.id: prompt for prompt in self._pool}
            stored = [_group(pool.get(row["id"]), row) for row in rows]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"{self._file} is missing, damaged or of other questions ({error}): start again "
                "with --overwrite"
            ) from error
        self._votes = stored
        self._supports.clear()
        self._logps = [row["logps"] for row in rows[:SCORED]]

    def ask(self, engine: Engine) -> Answers:
        """The greedy answers of the policy that the engine has."""
        greedy = replace(self._sampling, temperature=0.0, top_p=1.0, top_k=0)
        prompts = [group.prompt for group in self._votes]
        groups = engine.generate(prompts, 1, greedy, [0] * len(prompts))
        texts = [answer_texts(group)[0] for group in groups]
        support = [self._support(index, text) for index, text in enumerate(texts)]
        return Answers(groups, tuple(support), self._divergence())

    def _support(self, index: int, text: str) -> float:
        """Compared anew only where the question is answered in other words than the last time."""
        last, support = self._supports.get(index, (None, 0.0))
        if text != last:
            support = _support(text, answer_texts(self._votes[index]))
            self._supports[index] = text, support
        return support

    def _divergence(self) -> float:
        """r − log r − 1 with r = p_θ / p_base, over tokens that the untrained model has sampled."""
        now = self._token_logps()
        base = torch.tensor([value for row in self._logps for value in row])
        policy = torch.tensor([value for row in now for value in row])
        return divergence(base, policy).mean().item()

    @torch.no_grad()
    def _token_logps(self) -> list[list[float]]:
        """The policy's log-probs of the first vote on each of the first questions."""
        groups = [
            CompletionGroup(group.prompt, group.completions[:1]) for group in self._votes[:SCORED]
        ]
        rows = make_rows(groups, merge_duplicates=False)
        logps: list[list[float]] = [[] for _ in rows]
        for batch in self._cut(rows):
            logps_BT = self._score(batch).logps_BT.float().cpu()
            for row, logps_T in zip(batch.rows, logps_BT, strict=True):
                logps[row.members[0]] = logps_T[: len(row.completion_ids)].tolist()
        return logps

    def _store(self) -> None:
        rows: list[Vote] = [
            {
                "id": group.prompt.id,
                "prompt_token_ids": list(group.prompt.token_ids),
                "texts": [completion.text for completion in group.completions],
                "token_ids": list(group.completions[0].token_ids),
                "logps": self._logps[index] if index < SCORED else [],
            }
            for index, group in enumerate(self._votes)
        ]
        write_text(self._file, json.dumps(rows))


def most_agreed(texts: Sequence[Sequence[str]], size: int) -> list[int]:
    """Which `size` questions have the most votes for their commonest answer, in order.

    `texts` are the answers to each question; of equals the first are taken.
    """
    if len(texts) <= size:
        return list(range(len(texts)))
    clusters = [cluster_answers(answers, shared_grader())[1] for answers in texts]
    votes = [commonest(of_question)[1] for of_question in clusters]
    return sorted(sorted(range(len(texts)), key=lambda index: -votes[index])[:size])


def _group(prompt: Prompt | None, row: Vote) -> CompletionGroup:
    if prompt is None or tuple(row["prompt_token_ids"]) != prompt.token_ids:
        raise ValueError(f"question {row['id']} is not asked, or has another text")
    ids = tuple(row["token_ids"])
    votes = [
        Completion(text, () if index else ids, (), "stop")
        for index, text in enumerate(row["texts"])
    ]
    return CompletionGroup(prompt, votes)


def _support(text: str, votes: Sequence[str]) -> float:
    """The share of the votes whose answer is this text's, compared as answers are."""
    _, clusters = cluster_answers([text, *votes], shared_grader())
    return 0.0 if clusters[0] is None else clusters[1:].count(clusters[0]) / len(votes)
