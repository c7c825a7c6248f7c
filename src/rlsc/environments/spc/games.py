"""The games of a step: who wrote which step, what it is, what was said of it, what is logged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TypedDict, final

from rlsc.environments.spc.derivations import FAULTS, Place, Step, canonical, fault, read, slip
from rlsc.environments.spc.prompts import AnyPlace, AnyStep
from rlsc.environments.spc.prompts import verdict as verdict_of
from rlsc.environments.spc.rewards import critic_reward, sneaky_reward
from rlsc.environments.spc.solutions import TextPlace
from rlsc.records import GameRow
from rlsc.types import Completion, CompletionGroup

_SHOWN = 300
"""Characters of a text in tasks.jsonl."""


@dataclass
class Rewrite:
    """What a sneaky generator made of a right step."""

    place: AnyPlace
    group: CompletionGroup | None
    """None: by chance, and not by a model."""
    step: AnyStep | None
    """Of a sum in canonical form; None for a text that is no step."""
    reason: str
    """Why it is no wrong step: `truncated`, `unreadable`, `unchanged`; of sums `equivalent`; of
    solutions `unproven`, `too_long` to be validated, `unconfirmed` the step before; `unjudged`, a
    wrong one of which a critic's prompt does not fit; else empty."""
    reward: float = -1.0
    successes: tuple[int, int] | None = None
    """Of solutions: completions that come to the answer, from the right step and from it."""
    undecided: int = 0
    """Of solutions: completions from it of which it is not known whether they are right."""

    @property
    def wrong(self) -> AnyStep | None:
        """The step, where it is one that is wrong."""
        return None if self.reason else self.step

    @property
    def text(self) -> str:
        return str(self.step) if self.group is None else self.group.completions[0].text


def rewrite_of(place: Place, group: CompletionGroup) -> Rewrite:
    """What the one completion of a group is, by the truth."""
    completion = group.completions[0]
    if completion.finish_reason == "length":
        return Rewrite(place, group, None, "truncated")
    step = read(completion.text)
    if step is None:
        return Rewrite(place, group, None, "unreadable")
    reason = ""
    if fault(place, step) is None:
        reason = "unchanged" if step == place.step else "equivalent"
    return Rewrite(place, group, canonical(place, step), reason)


@dataclass
class Probe:
    """A step that critics judge, and what they said."""

    place: AnyPlace
    step: AnyStep
    kind: str
    """`rewritten`, `random`, `replayed` or `untouched`."""
    by: Rewrite | None = None
    group: CompletionGroup | None = None
    verdicts: Sequence[bool | None] = ()
    partner: Probe | None = None
    """Of a right step: the wrong one in its place."""

    @property
    def is_correct(self) -> bool:
        return self.kind == "untouched"

    def heard(self, group: CompletionGroup) -> None:
        """Take up the critics' completions, and pay the generator by them."""
        self.group = group
        self.verdicts = [verdict_of(completion) for completion in group.completions]
        if self.by is not None:
            self.by.reward = sneaky_reward(True, self.verdicts)

    def drop(self) -> None:
        """As if nobody had been asked."""
        self.group, self.verdicts = None, ()

    @property
    def rewards(self) -> list[float]:
        """Of each critic."""
        return [critic_reward(said, self.is_correct) for said in self.verdicts]

    @property
    def rights(self) -> list[bool]:
        """Of each critic with a verdict, whether it is right."""
        return [said is self.is_correct for said in self.verdicts if said is not None]


@dataclass
class Games:
    """One step of training."""

    rewrites: list[Rewrite] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    left_out: int = 0
    """Rows that are in no pool: of a critic without wrong steps, or a pool of one."""
    too_long: int = 0
    """Prompts that do not fit the context."""
    steps: int = 0
    """Of solutions: those that there are, can be `shown`, are `drawn` of these, and `confirmed`."""
    shown: int = 0
    drawn: int = 0
    confirmed: int = 0
    cut_off_share: float | None = None
    """Of solutions: completions from what was written that a cap cut off."""
    stand_ins: list[TextPlace] = field(default_factory=list)
    """What a step of training without games is made of, unpaid."""

    def drop_pairs(self) -> None:
        """Leave out a step whose partner's prompt did not fit: else a constant verdict is paid.

        Who wrote the wrong one of them is paid nothing, since nobody can say whether it deceives.
        """
        for right in self.probes:
            wrong = right.partner
            if wrong is not None and (right.group is None or wrong.group is None):
                self.left_out += len(right.verdicts) + len(wrong.verdicts)
                right.drop()
                wrong.drop()
        for probe in self.probes:
            if probe.group is None and probe.by is not None:
                probe.by.reason, probe.by.reward = "unjudged", 0.0

    @property
    def judged(self) -> list[Probe]:
        return [probe for probe in self.probes if probe.group is not None]

    @property
    def completions(self) -> list[Completion]:
        """Of the critics."""
        return [
            completion
            for probe in self.judged
            if probe.group
            for completion in probe.group.completions
        ]

    def metrics(self) -> dict[str, float]:
        """By name, without `spc/`."""
        metrics = dict(self._of_rewrites()) | dict(self._of_verdicts())
        return metrics | {"left_out": self.left_out, "prompts_too_long": self.too_long}

    def _of_rewrites(self) -> Iterator[tuple[str, float]]:
        written = [rewrite for rewrite in self.rewrites if rewrite.group is not None]
        yield "games", len(self.rewrites)
        if self.stand_ins:
            yield "solution_steps", self.steps
            yield "unshown_steps", self.steps - self.shown
            yield "confirmed_share", self.confirmed / self.drawn if self.drawn else 0.0
            tried = [rewrite.reason == "unproven" for rewrite in self.rewrites if rewrite.successes]
            if tried:
                yield "unproven_share", fmean(tried)
            if self.cut_off_share is not None:
                yield "validation_cut_off", self.cut_off_share
        if not written:
            return
        reasons = Counter(rewrite.reason for rewrite in written)
        number, noop = len(written), reasons["unchanged"] + reasons["equivalent"]
        yield "readable_share", 1 - (reasons["truncated"] + reasons["unreadable"]) / number
        yield "valid_share", reasons[""] / number
        yield "noop_share", noop / number
        for reason in sorted(reasons.keys() - {""}):
            yield f"refused_{reason}", reasons[reason] / number
        yield "reward_sneaky", fmean(rewrite.reward for rewrite in written)
        lengths = [
            len(str(rewrite.wrong)) / len(str(rewrite.place.step))
            for rewrite in written
            if rewrite.wrong
        ]
        if lengths:
            yield "length_ratio", fmean(lengths)

    def _of_verdicts(self) -> Iterator[tuple[str, float]]:
        said = [verdict for probe in self.judged for verdict in probe.verdicts]
        if not said:
            return
        heard = [verdict for verdict in said if verdict is not None]
        yield "no_verdict", 1 - len(heard) / len(said)
        if heard:
            yield "verdict_share", heard.count(False) / len(heard)
        yield "reward_critic", fmean(r for probe in self.judged for r in probe.rewards)
        correct = [probe for probe in self.judged if probe.is_correct]
        wrong = [probe for probe in self.judged if not probe.is_correct]
        yield from _share("critic_correct", correct)
        yield from _share("critic_wrong", wrong)
        won = [1 - right for probe in wrong if probe.by for right in probe.rights]
        if won:
            yield "win_rate", fmean(won)
        for name in FAULTS:
            of_fault = [probe for probe in wrong if _fault_of(probe) == name]
            if of_fault:
                yield f"error_{name}", len(of_fault) / len(wrong)
                yield from _share(f"found_{name}", of_fault)

    def records(self) -> list[GameRow]:
        """Rows of tasks.jsonl: what is no wrong step, and each step that was judged."""
        refused = [_refused(rewrite) for rewrite in self.rewrites if rewrite.reason]
        return refused + [_record(probe) for probe in self.judged]


def _share(name: str, probes: Sequence[Probe]) -> Iterator[tuple[str, float]]:
    """Of all verdicts those that are right; one that is missing is not."""
    rights = [r > 0 for probe in probes for r in probe.rewards]
    if rights:
        yield name, fmean(rights)


def _fault_of(probe: Probe) -> str:
    """What is wrong with a step, as far as it is known: of solutions, by samples alone."""
    if isinstance(probe.place, Place) and isinstance(probe.step, Step):
        return fault(probe.place, probe.step) or ""
    return "" if probe.is_correct else "by_samples"


def _of_writer(rewrite: Rewrite) -> GameRow:
    """How it was paid, and by what."""
    row: GameRow = {"reward": rewrite.reward}
    if rewrite.successes:
        row["successes"] = list(rewrite.successes)
        if rewrite.undecided:
            row["undecided"] = rewrite.undecided
    return row


def _of_place(place: AnyPlace) -> GameRow:
    if isinstance(place, TextPlace):
        return {
            "question": place.question,
            "problem": place.problem[:_SHOWN],
            "done": [step[:_SHOWN] for step in place.done],
            "original": place.step[:_SHOWN],
        }
    return {
        "problem": " + ".join(map(str, place.terms)),
        "done": [str(step) for step in place.prefix],
        "original": str(place.step),
    }


def _refused(rewrite: Rewrite) -> GameRow:
    row: GameRow = {"kind": "rewritten", "text": rewrite.text[:_SHOWN], "reason": rewrite.reason}
    return {**_of_place(rewrite.place), **row, **_of_writer(rewrite)}


def _record(probe: Probe) -> GameRow:
    fault_name = _fault_of(probe)
    row = _of_place(probe.place)
    row |= {"kind": probe.kind, "step_judged": str(probe.step)[:_SHOWN]}
    row |= {"reason": "", "fault": fault_name, "verdicts": list(probe.verdicts)}
    if fault_name == "calculation" and isinstance(probe.step, Step):
        row["slip"] = slip(probe.step)
    if probe.by is not None:
        row |= _of_writer(probe.by)
    return row


@final
class KeptSum(TypedDict):
    """A wrong step of a sum, as JSON."""

    terms: list[int]
    done: int
    step: list[int]


@final
class KeptText(TypedDict):
    """The same of a solution; `place` has the fields of `TextPlace`."""

    place: dict[str, str]
    step: str


Kept = KeptSum | KeptText


def kept_row(place: AnyPlace, step: AnyStep) -> Kept:
    """A wrong step that is kept."""
    if isinstance(place, TextPlace):
        return {"place": dict(vars(place)), "step": str(step)}
    assert isinstance(step, Step)
    numbers = [step.left, step.right, step.result]
    return {"terms": list(place.terms), "done": place.done, "step": numbers}


def kept_of(row: Kept) -> tuple[AnyPlace, AnyStep]:
    """The step of a row."""
    if "place" in row:
        return TextPlace(**row["place"]), str(row["step"])
    place = Place(tuple(row["terms"]), int(row["done"]))
    return place, Step(*map(int, row["step"]))
