"""Scores of tasks: the verdict, the number beside its competitor, and the tables of them.

A training run's own evaluation and its benchmarks, and what `rlsc eval` measures, are all tasks
and are told in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from rlsc.records import EVALUATION, ModelScores, TaskFacts, TaskResults
from rlsc.report.charts import INK, Measured
from rlsc.report.page import Block, Bullets, Heading, Paragraph, Table
from rlsc.report.sections.words import (
    NOTHING,
    asked,
    change,
    decimal,
    difference_text,
    flipped,
    length_lines,
    listed,
    percent,
    setting_name,
    share,
)
from rlsc.statistics import SHARE_INTERVAL
from rlsc.types import Difference, Estimate, Score

Tasks = Mapping[str, TaskResults]

INTERVALS = (
    f"{SHARE_INTERVAL} Unparsed answers and timeouts are in every denominator and count as not "
    "right."
)
_SIDES_NOTE = (
    "n questions, k samples of each at temperature T (0: greedy), 95 % intervals in brackets. "
    "Accuracy is right answers over all: unparsed answers and timeouts stay in the denominator. "
    "p: McNemar's exact test, of the majorities where k > 1. The best setting is chosen on these "
    "very questions, so it flatters the base a little."
)
_TUNED, _BASE, _BEST = 0, 1, INK
"""Their colours."""
_WORDS = {1: "Better than", 0: "Not shown to differ from", -1: "Worse than"}


# The verdict.


def verdict(task: TaskResults) -> str:
    """What the paired differences show, in a sentence; it claims nothing that they do not.

    A difference is shown where its 95 % interval leaves out 0, and for single answers, whose
    bootstrap is narrow on few questions, where McNemar's exact p is under 0.05 as well.
    """
    same, best = _shown(task.difference), _shown(task.against_base_best)
    if same is None:
        return "No accuracies to compare: the questions have no reference answers."
    if best is None:
        return f"{_WORDS[same]} the base asked in the same way."
    if same == best:
        return f"{_WORDS[same]} the base{', also at its best' if same > 0 else ''}."
    as_asked = _WORDS[same].lower()
    return f"{_WORDS[best]} the base at its best; {as_asked} the base asked in the same way."


def verdict_of_several(tasks: Tasks) -> str:
    """On how many of the tasks a difference to the base, at its best where known, is shown."""
    shown = [_shown(task.against_base_best or task.difference) for task in tasks.values()]
    known = [sign for sign in shown if sign is not None]
    counts = [(known.count(sign), text) for sign, text in ((1, "better"), (-1, "worse"))]
    text = ", ".join(f"{text} on {count}" for count, text in counts)
    return f"Of {len(known)} tasks: {text}, no difference to the base shown on {known.count(0)}."


def _shown(difference: Difference | None) -> int | None:
    """The sign of a difference that is shown, 0 for none; None where nothing was compared."""
    if difference is None or difference.accuracy is None:
        return None
    interval, single = difference.accuracy.interval, difference.majority is None
    if interval is None or interval[0] <= 0 <= interval[1]:
        return 0
    if single and difference.mcnemar_p is not None and difference.mcnemar_p >= 0.05:
        return 0
    return 1 if difference.accuracy.value > 0 else -1


def numbers(tasks: Tasks) -> list[Measured]:
    """Of each task the tuned model, the base at its best, and the base asked in the same way."""
    several = len(tasks) > 1
    rows = []
    for name, task in tasks.items():
        group = name if several else ""
        main = task.tuned.main.accuracy
        if main:
            rows.append(Measured.of("tuned" if task.base else "accuracy", main, _TUNED, group))
        best, side = task.base or task.tuned, "base at" if task.base else "at"
        if best.best:
            name = f"{side} its best: {best_label(best)}"
            rows.append(Measured.of(name, best.best.figure, _BEST, group))
        same = _asked_alike(task).accuracy if task.base else None
        if same:
            rows.append(Measured.of("base, asked in the same way", same, _BASE, group))
    return rows


def _asked_alike(task: TaskResults) -> Score:
    """The base's score where it was asked as the tuned model is in its main setting."""
    assert task.base is not None
    return task.base.of(task.difference.before) if task.difference else task.base.main


def best_label(model: ModelScores) -> str:
    """Of the best setting, in words."""
    assert model.best is not None
    score = model.of(model.best.setting)
    text = asked(score.setting)
    if score.setting.template != model.main.setting.template:
        text = setting_name(score.setting)
    if score.setting.max_new_tokens != model.main.setting.max_new_tokens:
        text += f", cap {score.setting.max_new_tokens}"
    return f"majority, {text}" if model.best.majority else text


def notes(task: TaskResults) -> Iterator[str]:
    """The differences behind a verdict, and what weakens it."""
    best = task.against_base_best
    if best and best.accuracy:
        points, p = change(best.accuracy), decimal(best.mcnemar_p)
        yield f"To the base at its best {points} points, p = {p}."
    if task.difference and task.difference.accuracy:
        yield f"To the base asked in the same way {difference_text(task.difference)}."
    if task.difference and not best:
        yield "Other ways of asking the base were not tried."
    if task.task.transductive:
        yield "Some of these questions were trained on: read it as transductive."


# Before and after.


def before_and_after(task: TaskResults) -> Table:
    """Setting by setting: the base, the tuned model, their paired difference."""
    rows: list[tuple[str, ...]] = []
    for difference in task.differences:
        assert task.base is not None
        base, tuned = task.base.of(difference.before), task.tuned.of(difference.after)
        name = asked(tuned.setting)
        greedy = tuned.setting.temperature == 0
        if tuned.accuracy:
            label = "greedy accuracy, %" if greedy else f"pass@1, {name}, %"
            values = percent(base.accuracy), percent(tuned.accuracy)
            rows.append((label, *values, change(difference.accuracy)))
        if tuned.majority:
            values = percent(base.majority), percent(tuned.majority)
            rows.append((f"majority, {name}, %", *values, change(difference.majority)))
        lengths = difference.lengths.get("all")
        rows.append(
            (
                *(f"tokens, {name}", f"{base.mean_length:.1f}", f"{tuned.mean_length:.1f}"),
                change(lengths.difference, 1) if lengths else "",
            )
        )
        if greedy:
            cut = share(base.truncation_rate), share(tuned.truncation_rate)
            rows.append((f"cut off, {name}", *cut, ""))
    return Table(("", "base", "tuned", "difference"), rows)


def caption(task: TaskResults) -> str:
    """What was measured on what: questions, n, samples, cap, intervals."""
    facts, main = task.task, task.tuned.main
    samples = max(score.setting.samples for score in task.tuned.scores)
    text = f"{facts.relation or facts.title}; n = {main.n}"
    if samples > 1:
        text += f", {samples} samples a question where sampled"
    return f"{text}, at most {main.setting.max_new_tokens} new tokens; 95 % intervals in brackets"


# Base, base at its best, tuned.


def sides(tasks: Tasks) -> Iterator[Block]:
    """One table of how each was asked, with intervals, differences and p."""
    rows = [row for name, task in tasks.items() if task.base for row in _side_rows(name, task)]
    if not rows:
        return
    yield Heading("Base, base at its best, tuned")
    header = (
        *("benchmark", "model", "accuracy, %"),
        *("to base, points", "p", "to base at its best, points", "p"),
        *("majority of k, %", "n", "k", "T", "template"),
        *("unparsed", "timeout", "tokens", "cut off"),
    )
    yield Table(header, rows)
    yield Paragraph(_SIDES_NOTE)


def _side_rows(name: str, task: TaskResults) -> Iterator[tuple[str, ...]]:
    base, title = task.base, marked(name, task)
    assert base is not None
    for place, difference in enumerate(task.differences):
        yield _side(title, "base", base.of(difference.before))
        if base.best and not place:
            score = base.of(base.best.setting)
            yield _side(title, f"base at its best: {best_label(base)}", score, base.best.figure)
        best = task.against_base_best if not place else None
        tuned = task.tuned.of(difference.after)
        yield _side(title, "tuned", tuned, tuned.accuracy, difference, best)
    if task.best_against_best and task.tuned.best:
        score = task.tuned.of(task.tuned.best.setting)
        model = f"tuned at its best: {best_label(task.tuned)}"
        best = task.best_against_best
        yield _side(title, model, score, task.tuned.best.figure, None, best)


def _side(
    title: str,
    model: str,
    score: Score,
    figure: Estimate | None = None,
    to_base: Difference | None = None,
    to_best: Difference | None = None,
) -> tuple[str, ...]:
    differences: list[str] = []
    for each in (to_base, to_best):
        differences += [change(each.accuracy), decimal(each.mcnemar_p)] if each else ["", ""]
    return (
        *(title, model, percent(figure or score.accuracy), *differences),
        percent(score.majority),
        *(str(score.n), str(score.setting.samples), f"{score.setting.temperature:g}"),
        Path(score.setting.template).name,
        *(str(score.verdicts[name]) for name in ("unparsed", "timeout")),
        *(f"{score.mean_length:.0f}", share(score.truncation_rate)),
    )


def marked(name: str, task: TaskResults) -> str:
    """A task's name; in every table one that was trained on says so."""
    return f"{name} (transductive)" if task.task.transductive else name


# Every figure of a score.

_HEADER = (
    *("benchmark", "n", "setting", "pass@1, %", "majority, %", "pass@k, %"),
    *("correct", "wrong", "unparsed", "timeout", "tokens", "median", "cap", "cut off", "boxed"),
)
_BRIEF = (0, 1, 3, 4, 8, 9, 10)


def score_table(tasks: Tasks, short: bool = False) -> Table:
    """A row for each model's main setting on each task; `short` names mark with a star."""
    rows = []
    for key, task in tasks.items():
        title = marked(key, task) if task.base else _title(task.task)
        if short:
            title = f"{key} *" if task.task.transductive else key
        models = (("base", task.base), ("tuned", task.tuned)) if task.base else (("", task.tuned),)
        for name, model in models:
            if model:
                rows.append((f"{title}, {name}" if name else title, *_cells(model.main)))
    return Table(_HEADER, rows, brief=_BRIEF)


def _cells(score: Score) -> tuple[str, ...]:
    k = score.setting.samples
    return (
        *(str(score.n), setting_name(score.setting), percent(score.accuracy)),
        percent(score.majority),
        percent(score.pass_at.get(k)) if k > 1 else NOTHING,
        *(str(score.verdicts[name]) for name in ("correct", "wrong", "unparsed", "timeout")),
        *(f"{score.mean_length:.0f}", f"{score.median_length:.0f}"),
        str(score.setting.max_new_tokens),
        *(share(score.truncation_rate), share(score.boxed_rate)),
    )


def _title(task: TaskFacts) -> str:
    marks = []
    if task.transductive:
        marks.append(f"{len(task.trained_on)} of {task.questions} trained on: transductive")
    if not task.complete and task.name != EVALUATION:
        of = task.expected or task.available
        marks.append(f"{task.questions} of {of} questions")
    return task.title + (f" ({'; '.join(marks)})" if marks else "")


def step_rates(tasks: Tasks) -> Iterator[Block]:
    """Of tasks whose questions are steps: both error rates, and the first errors found."""
    rows = [
        (
            *(name, percent(rates.right), percent(rates.wrong)),
            *(f"{100 * figure:.1f}" for figure in (rates.mean, rates.harmonic)),
            *(percent(rates.erroneous), percent(rates.clean)),
            *(NOTHING if rates.f1 is None else f"{100 * rates.f1:.1f}", share(rates.invalid)),
            f"{rates.n_right} + {rates.n_wrong}, {rates.n_clean} + {rates.n_erroneous}",
        )
        for name, score in main_scores(tasks)
        if (rates := score.steps) is not None
    ]
    if rows:
        yield Heading("Steps judged")
        header = ("benchmark", "right steps, %", "wrong steps, %", "mean", "harmonic mean")
        first = ("first error found, %", "no error seen where none is, %", "F1", "no verdict")
        yield Table((*header, *first, "right + wrong steps, solutions"), rows)
        yield Paragraph(
            "Of right steps those called correct, of wrong ones those called incorrect: a model "
            "that calls all steps correct has 100 and 0. Steps behind a first error are not judged."
        )


def at_k(tasks: Tasks) -> Iterator[Block]:
    """By number of samples, where there are several."""
    rows = [
        (
            *(name, str(k), percent(score.pass_at[k]), percent(score.majority_at.get(k))),
            *(percent((of or {}).get(k)) for of in _by_confidence(score)),
        )
        for name, score in main_scores(tasks)
        for k in score.pass_at
        if score.setting.samples > 1
    ]
    if rows:
        yield Heading("By number of samples")
        votes = ("majority@k, %", "weighted by confidence, %", "of the surest tenth, %")
        yield Table(("benchmark", "k", "pass@k, %", *votes), rows)


def _by_confidence(score: Score) -> tuple[Mapping[int, Estimate] | None, ...]:
    return score.weighted_majority_at, score.filtered_majority_at


def main_scores(tasks: Tasks) -> Iterator[tuple[str, Score]]:
    """Of each task and model, with a name for both."""
    for name, task in tasks.items():
        if task.base:
            yield f"{marked(name, task)}, base", _asked_alike(task)
            yield f"{marked(name, task)}, tuned", task.tuned.main
        else:
            yield marked(name, task), task.tuned.main


def controls(tasks: Tasks) -> Iterator[Block]:
    """Every setting in which a model was asked, where it was searched for its best one."""
    blocks: list[Block] = []
    for name, task in tasks.items():
        for side, model in (("base", task.base), ("tuned", task.tuned)):
            if model is None or model.best is None or name == EVALUATION:
                continue
            heading = f"{marked(name, task)}{f', {side}' if task.base else ''}"
            blocks += [Heading(f"{heading}, n = {model.main.n}", 3), settings_table(model)]
    if blocks:
        yield Heading("Controls: the model at its best")
        yield Paragraph(
            "Each setting on the same questions; the best (bold) is the line that a tuned model "
            "must beat, given the same choice. It is chosen on these questions, so it flatters a "
            "little."
        )
        yield from blocks


def settings_table(model: ModelScores) -> Table:
    """Every setting in which a model was asked; the best one is bold."""
    rows = [
        (
            *(setting_name(score.setting), percent(score.accuracy), percent(score.majority)),
            *(f"{score.mean_length:.0f}", str(score.setting.max_new_tokens)),
            share(score.truncation_rate),
        )
        for score in model.scores
    ]
    labels = [score.setting.label for score in model.scores]
    bold = frozenset([labels.index(model.best.setting)] if model.best else [])
    header = ("setting", "pass@1, %", "majority at equal compute, %", "tokens", "cap", "cut off")
    return Table(header, rows, bold=bold, brief=(0, 1, 3, 4))


def tried(task: TaskResults) -> Iterator[Block]:
    """The ways in which the untrained model was tried on validation questions, the best first."""
    if not task.tried:
        return
    ordered = sorted(
        (score for score in task.tried if score.accuracy),
        key=lambda score: (-score.accuracy.value if score.accuracy else 0, score.mean_length),
    )
    yield Paragraph(
        f"How the base was asked at its best was chosen on {ordered[0].n} other questions, which "
        "are neither trained on nor held out:"
    )
    rows = [
        (
            *(setting_name(score.setting), percent(score.accuracy), percent(score.majority)),
            *(f"{score.mean_length:.0f}", str(score.setting.max_new_tokens)),
            share(score.truncation_rate),
        )
        for score in ordered
    ]
    header = ("tried on the base", "pass@1, %", "majority, %", "tokens", "cap", "cut off")
    yield Table(header, rows, bold=frozenset([0]), brief=(0, 1, 2, 4))


# In words.


def differences(tasks: Tasks) -> Iterator[Block]:
    """Of each task: differences, the questions that flipped, and lengths."""
    for name, task in tasks.items():
        if not task.difference:
            continue
        yield Heading(name, 3)
        lines = []
        for each in task.differences:
            if each.accuracy:
                lines.append(f"{each.before} → {each.after}: {difference_text(each)}")
        best = task.best_against_best
        if best and best.accuracy:
            lines.append(f"best of each, {best.before} → {best.after}: {difference_text(best)}")
        main = task.difference
        lines += flipped(main) if main.accuracy else []
        yield Bullets([*lines, *length_lines(main.lengths)])


def distrust(tasks: Tasks) -> Iterator[Block]:
    """What a sceptic should know of the scores."""
    lines = [line for name, task in tasks.items() for line in _doubts(name, task)]
    if lines:
        yield Heading("What to distrust")
        yield Bullets(lines)


def _doubts(name: str, task: TaskResults) -> Iterator[str]:
    """Training questions, missing rows, references nobody can parse, caps, timeouts, small n."""
    facts, main = task.task, task.tuned.main
    if facts.trained_on:
        yield f"{name}: trained on {listed(facts.trained_on)}. Read it as transductive."
    if not facts.complete:
        yield f"{name}: {facts.questions} of its {facts.expected or facts.available} questions."
    if facts.skipped:
        yield f"{name}: {len(facts.skipped)} more were left out: they do not fit the context."
    if main.questions > main.n:
        yield f"{name}: {main.questions - main.n} of them have no reference answer."
    if facts.unreadable_references:
        yield (
            f"{name}: references that do not parse, so that only the same text equals them: "
            f"{listed(facts.unreadable_references)}. They stay in the denominator."
        )
    cap = min(score.setting.max_new_tokens for score in task.tuned.scores)
    if cap < facts.max_new_tokens:
        yield (
            f"{name}: the model's context leaves room for {cap} new tokens, not for the "
            f"{facts.max_new_tokens} asked for."
        )
    if main.timeouts:
        yield f"{name}: grading went over its limit on {listed(main.timeouts)}."
    if 0 < main.n < 100:
        yield f"{name}: {main.n} questions; one is {100 / main.n:.1f} points."
