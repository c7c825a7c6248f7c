"""What a step has made so far, and what is logged and recorded of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from rlsc.environments.azr.buffer import Buffer
from rlsc.environments.azr.language import Language
from rlsc.environments.azr.tasks import TRIPLETS, Judgement, Kind, Refusal, Task
from rlsc.records import GameRow
from rlsc.types import Completion, CompletionGroup

_RECENT = 5
"""Steps whose new tasks `distinct_programs` is of."""
_OLD = 20
"""Steps after which a task's estimate is compared with how it is solved."""
_LEARNABLE = (0.3, 0.7)
SHOWN = 1000
"""Characters of a text in tasks.jsonl."""


@dataclass
class Proposal:
    """One completion of the proposer, and what became of it."""

    kind: Kind
    group: CompletionGroup
    references: Sequence[Task]
    made: Task | Refusal
    duplicate: bool = False
    rate: float | None = None
    """ŝ, once it is estimated."""
    estimates: CompletionGroup | None = None
    judged: Sequence[Judgement] = ()
    """Of the estimates."""
    reward: float = 0.0
    kept: Task | None = None
    """As it is in the buffer."""

    @property
    def completion(self) -> Completion:
        return self.group.completions[0]

    @property
    def has_format(self) -> bool:
        return isinstance(self.made, Task) or self.made.has_format

    @property
    def copies(self) -> bool:
        """Whether it stands in its references."""
        made = self.made
        return isinstance(made, Task) and any(
            made.key == reference.key for reference in self.references
        )

    @property
    def copied_lines(self) -> float | None:
        """The share of its program's lines that stand in its references.

        None for programs of one line, and of induction, whose program is the reference's.
        """
        if not isinstance(self.made, Task) or self.kind not in TRIPLETS:
            return None
        lines = [line.strip() for line in self.made.program.splitlines()]
        known = {
            line.strip() for reference in self.references for line in reference.program.splitlines()
        }
        return fmean(line in known for line in lines) if len(lines) > 1 else None

    def record(self) -> GameRow:
        """A row of tasks.jsonl."""
        made = self.kept or self.made
        row: GameRow = {"kind": self.kind, "text": self.completion.text[:SHOWN]}
        row["reason"] = made.reason if isinstance(made, Refusal) else ""
        row |= {"reward": self.reward, "has_format": self.has_format, "duplicate": self.duplicate}
        if isinstance(made, Refusal):
            return {**row, "detail": made.detail[:SHOWN]}
        return {**row, **made.to_json(), "rate": self.rate}


@dataclass
class Solution:
    """The solutions of one task of the third wave."""

    task: Task
    is_new: bool
    group: CompletionGroup
    judged: Sequence[Judgement]


@dataclass
class Step:
    """One step of the game."""

    number: int
    proposals: list[Proposal] = field(default_factory=list)
    solutions: list[Solution] = field(default_factory=list)
    drawn: list[Task] = field(default_factory=list)
    """New tasks that nobody proposed."""
    left_out: int = 0
    """References."""
    too_long: int = 0
    """Prompts that do not fit."""
    skipped: int = 0
    """Kinds that fewer than two completions were there to be trained on of."""

    def metrics(
        self, language: Language, buffer: Buffer, kinds: Sequence[Kind], pools: Mapping[str, float]
    ) -> dict[str, float]:
        """By name without `azr/`; `pools` has the mean reward of each."""
        metrics: dict[str, float] = dict(self._of_proposals())
        for kind in kinds:
            metrics |= _of_kind(kind, [p for p in self.proposals if p.kind == kind])
            metrics |= self._solver(kind)
            metrics[f"buffer_{kind}"] = len(buffer.of(kind))
        metrics |= self._of_solutions()
        metrics |= {f"reward_{name.replace('/', '_')}": value for name, value in pools.items()}
        metrics |= _of_recent(buffer, kinds, self.number)
        tasks = [p.made for p in self.proposals if isinstance(p.made, Task)] + self.drawn
        described = [language.described(task) for task in tasks]
        for name in described[0] if described else ():
            metrics[name] = fmean(each[name] for each in described)
        metrics |= {"solve_skipped": self.skipped, "references_left_out": self.left_out}
        return metrics | {"prompts_too_long": self.too_long} | dict(language.counts())

    def _of_proposals(self) -> Iterator[tuple[str, float]]:
        number = len(self.proposals)
        yield "proposals", number
        if not number:
            return
        valid = [p for p in self.proposals if isinstance(p.made, Task)]
        yield "valid_share", len(valid) / number
        yield "format_share_propose", sum(p.has_format for p in self.proposals) / number
        yield "duplicates", sum(p.duplicate for p in self.proposals) / number
        yield "reference_overlap", sum(p.copies for p in self.proposals) / number
        copied = [share for p in valid if (share := p.copied_lines) is not None]
        if copied:
            yield "copied_lines", fmean(copied)
        reasons = Counter(p.made.reason for p in self.proposals if isinstance(p.made, Refusal))
        for reason, count in sorted(reasons.items()):
            yield f"refused_{reason}", count / number

    def _of_solutions(self) -> Iterator[tuple[str, float]]:
        judged = [judgement for solution in self.solutions for judgement in solution.judged]
        judged += [judgement for proposal in self.proposals for judgement in proposal.judged]
        if judged:
            yield "format_share_solve", fmean(judgement.has_format for judgement in judged)
        low, high = _LEARNABLE
        old = [
            (fmean(judgement.right for judgement in each.judged), each.task.rate)
            for each in self.solutions
            if each.task.rate is not None
            and low < each.task.rate < high
            and self.number - each.task.born >= _OLD
        ]
        if old:
            yield "old_learnable_gain", fmean(right - rate for right, rate in old)

    def _solver(self, kind: Kind) -> dict[str, float]:
        accuracies = {}
        for name, is_new in (("new", True), ("buffer", False)):
            judged = [
                judgement
                for each in self.solutions
                if each.task.kind == kind and each.is_new is is_new
                for judgement in each.judged
            ]
            if judged:
                accuracies[f"solver_accuracy_{kind}_{name}"] = fmean(
                    judgement.right for judgement in judged
                )
        return accuracies

    def records(self) -> list[GameRow]:
        """A row for each proposal, refused ones too, and for each task that was drawn."""
        return [each.record() for each in self.proposals] + drawn_rows(self.drawn)


def drawn_rows(tasks: Sequence[Task]) -> list[GameRow]:
    """Of tasks that nobody proposed."""
    return [{**task.to_json(), "reason": "", "text": ""} for task in tasks]


def _of_kind(kind: Kind, proposals: Sequence[Proposal]) -> dict[str, float]:
    """Of this step's proposals: how many are tasks, and how often those are solved."""
    if not proposals:
        return {}
    rates = [p.rate for p in proposals if p.rate is not None]
    metrics = {f"valid_share_{kind}": fmean(isinstance(p.made, Task) for p in proposals)}
    if rates:
        metrics |= {
            f"solve_rate_{kind}": fmean(rates),
            f"learnability_{kind}": fmean(1 - rate if 0 < rate < 1 else 0.0 for rate in rates),
            f"unsolved_{kind}": fmean(rate == 0 for rate in rates),
            f"mastered_{kind}": fmean(rate == 1 for rate in rates),
        }
    return metrics


def _of_recent(buffer: Buffer, kinds: Sequence[Kind], step: int) -> dict[str, float]:
    """Different programs of the new tasks of the last steps, as a share."""
    programs = [
        task.program
        for kind in kinds
        for task in buffer.of(kind)
        if task.born >= 0 and task.born > step - _RECENT
    ]
    return {"distinct_programs": len(set(programs)) / len(programs)} if programs else {}
