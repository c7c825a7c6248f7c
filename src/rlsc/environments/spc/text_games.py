"""What a game on a model's own solutions asks beside a game on sums: solutions, and validation.

From a step and from the one in its place the solver finishes the answer N times each. Only steps
from which it mostly succeeds are given to the sneaky generator; what it writes counts as wrong
where all completions come to a wrong answer (`validity.py`). So some right steps pass as wrong, and
errors that the solver repairs are lost: neither is known here, where no truth is. A completion that
a cap cut off, or that has no answer, is no evidence of an error.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from rlsc.engines import seed_for
from rlsc.environments.base import Groups, Judge
from rlsc.environments.spc.games import Games, Rewrite
from rlsc.environments.spc.settings import SPCSettings
from rlsc.environments.spc.solutions import (
    TextPlace,
    can_be_shown,
    number_of_steps,
    places_of,
    problem_of,
    same_words,
    went_on,
)
from rlsc.environments.spc.validity import accepted, confirmed
from rlsc.types import Ask, Completion, CompletionGroup, Example

Waves = Generator[Sequence[Ask], Groups, None]
Places = Generator[Sequence[Ask], Groups, list[TextPlace]]
_FEWEST = 2
"""Games of a step: a single one has nothing to be compared with."""


@dataclass(frozen=True)
class _Tries:
    """What came of the N completions from a step."""

    right: int
    undecided: int
    """Neither right nor known to be wrong."""
    cut_off: int


class TextGames:
    """The waves of one run's games; `judge` says which answers are right."""

    def __init__(self, settings: SPCSettings, judge: Judge) -> None:
        self._settings, self._judge = settings, judge
        self._prompts: dict[str, Example] = {}
        self._successes: dict[TextPlace, int] = {}

    def places(self, games: Games, rows: Sequence[Example], seed: int) -> Places:
        """Solutions of the step's questions, and steps of them that completions confirm."""
        self._prompts = {row.id: row for row in rows}
        groups = yield [Ask(f"solve/{row.id}", row.prompt, policy=self._policy) for row in rows]
        places: list[TextPlace] = []
        for row, group in zip(rows, groups, strict=True):
            if group is None:
                games.too_long += 1
            else:
                answer, problem = group.completions[0], problem_of(row.prompt)
                places += places_of(row.id, problem, answer, self._settings.text_steps)
                games.steps += number_of_steps(answer, self._settings.text_steps)
        drawn = random.Random(seed_for(seed, "places")).sample(
            places, min(len(places), self._settings.games)
        )
        games.shown, games.drawn = len(places), len(drawn)
        beginnings = [(place, place.with_step(place.step)) for place in drawn]
        tries_of_drawn = yield from self._finished("confirm", beginnings, games)
        kept = [
            place
            for place, tries in zip(drawn, tries_of_drawn, strict=True)
            if tries is not None and confirmed(tries.right, self._settings.samples)
        ]
        self._successes = {
            place: tries.right
            for place, tries in zip(drawn, tries_of_drawn, strict=True)
            if tries is not None
        }
        games.confirmed = len(kept)
        games.stand_ins = (drawn + _FEWEST * [_empty(row) for row in rows])[:_FEWEST]
        return kept if len(kept) >= _FEWEST else []

    def rewrite_of(self, place: TextPlace, group: CompletionGroup) -> Rewrite:
        """What the one completion of a group is, before it is validated."""
        completion = group.completions[0]
        if completion.finish_reason == "length":
            return Rewrite(place, group, None, "truncated")
        step = completion.text.strip()
        if not can_be_shown(step):
            return Rewrite(place, group, None, "unreadable")
        return Rewrite(place, group, step, "unchanged" if same_words(step, place.step) else "")

    def validate(self, games: Games) -> Waves:
        """Leaves those wrong from which all completions come to another answer."""
        written = [rewrite for rewrite in games.rewrites if rewrite.wrong is not None]
        beginnings = [
            (rewrite.place, rewrite.place.with_step(str(rewrite.wrong)))
            for rewrite in written
            if isinstance(rewrite.place, TextPlace)
        ]
        tries_of_written = yield from self._finished("validate", beginnings, games)
        samples = self._settings.samples
        for rewrite, tries in zip(written, tries_of_written, strict=True):
            assert isinstance(rewrite.place, TextPlace)
            before = self._successes[rewrite.place]
            if tries is None:
                rewrite.reason, rewrite.reward = "too_long", 0.0
                continue
            if tries.undecided or not accepted(before, tries.right, samples):
                rewrite.reason = "unproven"
            rewrite.successes, rewrite.undecided = (before, tries.right), tries.undecided
        cut_off = [tries.cut_off / samples for tries in tries_of_written if tries is not None]
        games.cut_off_share = fmean(cut_off) if cut_off else None

    def _finished(
        self, name: str, beginnings: Sequence[tuple[TextPlace, str]], games: Games
    ) -> Generator[Sequence[Ask], Groups, list[_Tries | None]]:
        """What the N completions of each come to; None where it does not fit."""
        asks = [
            Ask(
                f"{name}/{n}",
                went_on(self._prompts[place.question].prompt, beginning),
                self._settings.samples,
                policy=self._policy,
            )
            for n, (place, beginning) in enumerate(beginnings)
        ]
        groups = (yield asks) if asks else []
        answers = [
            (place.question, beginning + completion.text)
            for (place, beginning), group in zip(beginnings, groups, strict=True)
            if group is not None
            for completion in group.completions
        ]
        said = iter(self._judge(answers))
        games.too_long += groups.count(None)
        return [
            None
            if group is None
            else _tries([(next(said), completion) for completion in group.completions])
            for group in groups
        ]

    @property
    def _policy(self) -> Literal["current", "base"]:
        return "base" if self._settings.solver == "base" else "current"


def _tries(judged: Sequence[tuple[bool | None, Completion]]) -> _Tries:
    rights = [_is_right(*each) for each in judged]
    cut_off = sum(_was_cut_off(completion) for _, completion in judged)
    return _Tries(rights.count(True), rights.count(None), cut_off)


def _is_right(said: bool | None, completion: Completion) -> bool | None:
    """None where it is not known: what a cap cut off may have been about to come to the answer."""
    return None if _was_cut_off(completion) and not said else said


def _was_cut_off(completion: Completion) -> bool:
    return completion.finish_reason == "length"


def _empty(row: Example) -> TextPlace:
    """In place of a step, where an answer has none."""
    return TextPlace(row.id, problem_of(row.prompt), "", "(nothing)", "", "line")
