"""What a run came to, typed: results.json of a training run, an evaluation, a comparison.

`kind` says which of the three a file holds, and `schema_version` in which form: another form is
refused with what to do, never guessed. This file is the only one that reads or writes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

from rlsc.errors import OutputError
from rlsc.records.conversion import from_json, to_json
from rlsc.records.files import write_json
from rlsc.records.guided import GuidedResults
from rlsc.types import Difference, Estimate, Score

RESULTS = "results.json"
EVALUATION = "evaluation"
"""The task of a run's own evaluation."""
GREEDY, SAMPLED = "greedy", "sampled"
AT_TRAINING_TEMPERATURE = "sampled_at_training_temperature"
"""Labels of its settings; `sampled` is at temperature 1."""
UNTRAINED_BEST, BEST_VOTE = "untrained-best", "untrained-best-vote"
"""Labels of the ways that validation questions chose to ask the untrained model in: by single
answers, and by a majority if that is another."""
SCHEMA_VERSION = 2
"""1 were the untyped results up to rlsc 0.1, which did not say so."""

AS_TRAINED, VOTE, AT_BEST = "asked alike, greedy", "asked alike, majority", "base at its best"
"""What a compared run's answers are held against: the untrained model asked in the same way,
greedily and by the majority at the training temperature, and greedy answers against the way that
validation questions chose."""

OLDER_ADVICE = "read it with the rlsc that made it, or make the run again"


@dataclass(frozen=True)
class TaskFacts:
    """What was asked, and what a reader should know of it before believing a score."""

    name: str
    title: str
    kind: str
    source: str
    version: int
    questions: int
    """Asked."""
    available: int
    """Before a limit."""
    expected: int | None
    complete: bool
    max_new_tokens: int
    """Asked for; a setting's own is lower where the model's context leaves no room for it."""
    grader_version: int
    relation: str = ""
    """To the training questions, in words, for a run's own evaluation."""
    trained_on: tuple[str, ...] = ()
    """Ids of the questions that were trained on."""
    unreadable_references: tuple[str, ...] = ()
    """Ids of those whose reference cannot be read: only its own text equals it."""
    skipped: tuple[str, ...] = ()
    """Ids of those that were not asked, since they do not fit the model's context."""

    @property
    def transductive(self) -> bool:
        return bool(self.trained_on)


@dataclass(frozen=True)
class Best:
    """The setting in which a model did best, chosen on these very questions."""

    setting: str
    """Label of its score."""
    majority: bool
    """Whether the majority of its samples is meant; else its accuracy."""
    figure: Estimate


@dataclass(frozen=True)
class ModelScores:
    """One model's scores on one task. The first is the one reported."""

    scores: tuple[Score, ...]
    best: Best | None = None
    """None where it was asked in a single way, or has no accuracy."""

    @property
    def main(self) -> Score:
        return self.scores[0]

    def of(self, label: str) -> Score:
        """The score of a setting, by its label. Raises `KeyError`."""
        for score in self.scores:
            if score.setting.label == label:
                return score
        raise KeyError(label)


@dataclass(frozen=True)
class TaskResults:
    """One task: the model that the results are of, and the base that it is compared to.

    In a training run `tuned` is the model after and `base` the model before training; in an
    evaluation by itself `base` is None, and `differences` are empty.
    """

    task: TaskFacts
    tuned: ModelScores
    base: ModelScores | None = None
    differences: tuple[Difference, ...] = ()
    """Setting by setting, of those that both were asked in; the first is the main one."""
    against_base_best: Difference | None = None
    """The tuned model's main setting against the base at its best."""
    best_against_best: Difference | None = None
    tried: tuple[Score, ...] = ()
    """Of the untrained model on validation questions, in every way that it was tried there; the
    best is among the base's scores as `untrained-best`."""
    guided: GuidedResults | None = None
    """With `--critic`: answers whose steps a critic judged."""

    @property
    def difference(self) -> Difference | None:
        """Of the main setting."""
        return self.differences[0] if self.differences else None


@dataclass(frozen=True)
class GuardVerdict:
    """What the guard said of the policy after a step."""

    verdict: str
    harm: bool
    asked: bool
    """Whether the probe was asked at this step; if not, the verdict before still holds."""
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class GuardResults:
    """The guard's conclusion. Without verdicts it has seen nothing."""

    mode: str
    kept_step: int
    probe_questions: int = 0
    verdicts: Mapping[int, GuardVerdict] = field(default_factory=dict)
    """By step."""
    scores: Mapping[int, float] = field(default_factory=dict)
    advised_step: int | None = None
    stopped_at: int | None = None
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class CurvePoint:
    """A run's own evaluation after `step` updates, in each of its settings."""

    step: int
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class TrainingResults:
    """Of a run of `rlsc train`."""

    kind: ClassVar[str] = "training"

    model: str
    """In words where it came from."""
    questions: str
    """Name of the training questions."""
    training_questions: int
    skipped_questions: tuple[str, ...]
    """Ids of those that do not fit the model's context."""
    steps: int
    seconds: Mapping[str, float]
    """evaluate_before, train, evaluate_between, evaluate_after and total."""
    model_saved: bool
    guard: GuardResults | None
    probed: str
    """What the guard's probe asked, in words."""
    evaluation: TaskResults | None
    """In the settings `greedy`, `sampled` and `sampled_at_training_temperature`; the base also in
    other ways with `--eval_baselines`. None with `--eval none`."""
    curve: tuple[CurvePoint, ...] = ()
    benchmarks: Mapping[str, TaskResults] = field(default_factory=dict)
    labels_used: int | None = None
    """Training questions that were judged by their reference answer; None: not counted then."""
    examined: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """By step an environment's own figures of its held-out tasks, greedy."""

    @property
    def tasks(self) -> dict[str, TaskResults]:
        """The run's own evaluation, then its benchmarks."""
        own = {EVALUATION: self.evaluation} if self.evaluation else {}
        return own | dict(self.benchmarks)


@dataclass(frozen=True)
class ComparedTo:
    """The evaluation that another one is held against."""

    folder: str
    model: str
    other_settings: tuple[str, ...]
    """In which it differs, as ``seed 0 → 1``."""


@dataclass(frozen=True)
class EvaluationResults:
    """Of `rlsc eval`, and of the untrained model of a comparison."""

    kind: ClassVar[str] = "evaluation"

    model: str
    tasks: Mapping[str, TaskResults]
    compared_to: ComparedTo | None = None


@dataclass(frozen=True)
class ComparisonPoint:
    """One run's figures after `step` updates and `seconds` of training."""

    step: int
    seconds: float
    greedy: float
    pass_at_1: float
    """At temperature 1, as the majority."""
    majority: float
    mean_length: float
    """Tokens, greedy."""


@dataclass(frozen=True)
class ComparedRun:
    """One objective with one seed: done with a curve, failed, or not yet made."""

    seed: int
    curve: tuple[ComparisonPoint, ...] = ()
    distinct: float | None = None
    """Distinct completions, as a share, at the last step of training."""
    failed: str | None = None
    collapse: int | None = None
    """The evaluated step at which pass@1 has collapsed (`rlsc.statistics.collapse_step`), which
    takes labels; None: it has not, as far as it was evaluated."""
    guard_collapse: int | None = None
    """The first step at which the guard saw a collapse, without labels; None: it saw none."""
    differences: Mapping[str, Difference] | None = None
    """Paired by question, by what is compared (`AS_TRAINED`, `VOTE`, `AT_BEST`; of a benchmark
    with its name before it): the model after
    training minus the untrained one. None: not computed then, as the next."""
    total_seconds: float | None = None
    """Evaluation included, and what was done before it failed or was resumed."""
    mean_until: float | None = None
    """pass@1, the mean over steps until the collapse by labels, or the end: the area under it."""
    examined: Mapping[int, Mapping[str, float]] | None = None
    """By step an environment's own figures of its held-out tasks; None: not looked for then."""
    cut: Mapping[str, tuple[float, float]] | None = None
    """By task the share of answers, in the main setting, that the cap cut off before and after."""

    @property
    def done(self) -> bool:
        return bool(self.curve)

    @property
    def final(self) -> ComparisonPoint:
        return self.curve[-1]


@dataclass(frozen=True)
class ComparedMethod:
    """An objective's runs, and the means over those that are done, with intervals over seeds."""

    label: str
    settings: Mapping[str, object]
    """In which its runs differ from those of others; any setting of `rlsc train`."""
    runs: tuple[ComparedRun, ...]
    summary: Mapping[str, Estimate] = field(default_factory=dict)
    """By greedy, pass_at_1, majority, mean_length, distinct, seconds; empty without a run."""
    is_control: bool = False
    """Whether its objective cannot teach anything."""


@dataclass(frozen=True)
class ComparisonResults:
    """Of `rlsc compare`, at any time: runs that are not there yet are neither done nor failed."""

    kind: ClassVar[str] = "comparison"

    questions: str
    """Name of the training questions."""
    base: EvaluationResults
    """The untrained model on the task `evaluation`, in the runs' settings and at `temperatures`."""
    temperatures: tuple[float, ...]
    seeds: tuple[int, ...]
    methods: tuple[ComparedMethod, ...]
    transductive: tuple[ComparedMethod, ...] | None = None
    """Trained on the very questions that they are evaluated on, which are none of the others'."""
    base_seconds: float = 0.0

    @property
    def runs(self) -> tuple[ComparedRun, ...]:
        methods = [*self.methods, *(self.transductive or ())]
        return tuple(run for method in methods for run in method.runs)

    @property
    def untrained(self) -> dict[float, Score]:
        """The untrained model's score at each temperature; 0 is greedy."""
        scores = self.base.tasks[EVALUATION].tuned
        return {value: scores.of(temperature_label(value)) for value in self.temperatures}

    @property
    def base_best(self) -> Best:
        """The untrained model at its best, as of every evaluation: a majority may be it."""
        best = self.base.tasks[EVALUATION].tuned.best
        if best is None:
            raise ValueError("the untrained model of a comparison has no best setting")
        return best


def temperature_label(value: float) -> str:
    """Of the setting in which a comparison asks the untrained model at a temperature."""
    return {0.0: GREEDY, 1.0: SAMPLED}.get(value, f"T{value:g}")


Results = TrainingResults | EvaluationResults | ComparisonResults
_KINDS: dict[object, type[Results]] = {
    kind.kind: kind for kind in (TrainingResults, EvaluationResults, ComparisonResults)
}
ResultsT = TypeVar("ResultsT", TrainingResults, EvaluationResults, ComparisonResults)


def write_results(folder: Path, results: Results) -> None:
    """Write results.json of a folder; of several processes the main one alone."""
    head = {"kind": results.kind, "schema_version": SCHEMA_VERSION}
    write_json(folder / RESULTS, head | to_json(results))


def read_results(folder: Path) -> Results:
    """The results in a folder.

    Raises `OutputError`, in a line, where there are none, where they are damaged, and where
    another version of rlsc has left them.
    """
    file = folder / RESULTS
    try:
        content = json.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise OutputError(f"{folder} holds no finished run: there is no {RESULTS}") from error
    except (OSError, ValueError) as error:
        raise OutputError(f"{file} is damaged: {' '.join(str(error).split()):.150}") from error
    if not isinstance(content, dict):
        raise OutputError(f"{file} is damaged: it holds no results")
    check_version(f"{file} is", content.pop("schema_version", None))
    kind = _KINDS.get(content.pop("kind", None))
    if kind is None:
        raise OutputError(f"{file} is damaged: it says no kind of results")
    try:
        return from_json(kind, content)
    except (KeyError, TypeError, ValueError) as error:
        raise OutputError(f"{file} is damaged: {' '.join(str(error).split()):.150}") from error


def check_version(what: str, version: object) -> None:
    """Raise `OutputError` for records of another version; `what` is as ``FILE is``."""
    if version == SCHEMA_VERSION:
        return
    newer = isinstance(version, int) and version > SCHEMA_VERSION
    known = "" if version is None else f" (schema version {version!r:.20})"
    raise OutputError(
        f"{what} of {'a newer' if newer else 'an older'} rlsc{known}, and this one reads version "
        f"{SCHEMA_VERSION}: {'update rlsc' if newer else OLDER_ADVICE}"
    )


def read_results_of(kind: type[ResultsT], folder: Path) -> ResultsT:
    """The same where one kind is expected. Raises `OutputError` for another one too."""
    results = read_results(folder)
    if not isinstance(results, kind):
        raise OutputError(f"{folder} holds results of kind {results.kind}, not of {kind.kind}")
    return results
