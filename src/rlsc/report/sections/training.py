"""The page of a training run, finished or under way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from rlsc.records import (
    EVALUATION,
    AnswerRow,
    GameRow,
    TrainingFolder,
    TrainingResults,
    read_jsonl,
    read_rows,
)
from rlsc.report.page import Block, Bullets, Case, Cases, Curves, Heading, Headline, Page, Paragraph
from rlsc.report.sections import answers, scores, steps
from rlsc.report.sections.cases import paired
from rlsc.report.sections.games import game_section
from rlsc.report.sections.provenance import how_it_was_made
from rlsc.report.sections.words import asked, difference_text, flipped
from rlsc.types import Difference

REFRESH = 10


def training_page(folder: TrainingFolder) -> Page:
    """From results.json where the run is finished, else from what there is of it."""
    config, results = folder.read_settings(), folder.results()
    metrics, seen, rows = (
        read_jsonl(folder.path / f"{name}.jsonl") for name in ("metrics", "guard", "tasks")
    )
    guard, tasks = [(row["step"], row["verdict"]) for row in seen], cast(list[GameRow], rows)
    title = (
        f"{config.get('objective', 'rlsc')} on {config.get('questions') or config['environment']}"
    )
    if results is None:
        made = f"{len(metrics)} of {config['max_steps']} steps so far"
        charts = steps.step_charts(metrics, guard)
        begun = Curves(charts) if charts else Paragraph("No step is finished yet.")
        played = game_section(tasks, metrics)
        return Page(title, [Headline(f"Under way: {made}."), begun, *played], REFRESH)
    charts = steps.step_charts(metrics, guard or steps.guard_verdicts(results.guard), results)
    game = not config.get("questions")
    blocks = [
        headline(results, "" if game else f"{config.get('num_generations')} completions each"),
        Curves(charts[: steps.FIRST]),
        *results_blocks(results),
        *game_section(tasks, metrics, results.examined),
        *steps.guard_section(results),
        *steps.by_step(charts[steps.FIRST :], metrics),
        *_answers(folder, results),
        *how_it_was_made(folder, _costs(results, metrics)),
        Cases(list(_cases(folder, results))),
    ]
    return Page(title, blocks)


def headline(results: TrainingResults, more: str = "") -> Headline:
    """The verdict on the run's own evaluation, or on its benchmarks where it has none."""
    judged = {name: task for name, task in results.tasks.items() if task.tuned.main.accuracy}
    first = next(iter(judged.values()), None)
    text = scores.verdict(first) if first else f"Trained, {labels(results)}; not evaluated."
    questions = f"{results.training_questions}, {labels(results)}"
    if not results.training_questions:
        questions = f"made by the game: environment {results.questions}"
    if results.skipped_questions:
        questions += f" ({len(results.skipped_questions)} left out: they do not fit the context)"
    facts = [
        ("model", results.model),
        ("trained", f"{results.steps} steps in {results.seconds['total'] / 60:.1f} min"),
        ("questions", f"{questions}{f'; {more}' if more else ''}"),
    ]
    if first:
        facts.append(("measured", scores.caption(first)))
    if results.guard and results.guard.verdicts:
        last = list(results.guard.verdicts.values())[-1].verdict
        facts.append(("guard", f"{last}, step {results.guard.kept_step} kept"))
    return Headline(text, scores.numbers(judged), list(scores.notes(first)) if first else [], facts)


def labels(results: TrainingResults) -> str:
    """How many reference answers were trained on, in words."""
    used, of = results.labels_used, results.training_questions
    if used is None:
        return "labels not counted"
    if not used:
        return "without labels"
    return f"with {used} {'label' if used == 1 else 'labels'}" + (
        ", the others judged by their answers' majority" if used < of else ""
    )


def results_blocks(results: TrainingResults) -> Iterator[Block]:
    """Every table of scores."""
    yield from evaluation_blocks(results)
    yield from scores.sides(results.tasks)
    yield from scores.distrust(results.tasks)
    if results.benchmarks:
        yield Heading("Benchmarks")
        yield scores.score_table(results.benchmarks)
        yield Paragraph(scores.INTERVALS)
        yield from scores.differences(results.benchmarks)
        yield from scores.controls(results.benchmarks)


def evaluation_blocks(results: TrainingResults) -> Iterator[Block]:
    """The run's own evaluation, before and after."""
    yield Heading("Before and after")
    task = results.evaluation
    if task is None:
        yield Paragraph("Not evaluated.")
        return
    facts = task.task
    yield Paragraph(f"On {facts.questions} of {facts.available} questions: {scores.caption(task)}.")
    yield scores.before_and_after(task)
    if task.base and task.base.best:
        yield Paragraph(
            "The base in every way in which it was asked; the best is the line to beat:"
        )
        yield scores.settings_table(task.base)
    yield from scores.tried(task)
    if task.difference and task.difference.accuracy:
        yield Paragraph(f"Greedy: {difference_text(task.difference)}.")
        yield Bullets(flipped(task.difference))
    yield Paragraph(scores.INTERVALS)


def _answers(folder: TrainingFolder, results: TrainingResults) -> Iterator[Block]:
    """Length and calibration, drawn from the samples where they are there."""
    task = results.evaluation
    if task is None:
        return
    yield Heading("Length")
    for difference in task.differences[:2]:
        name = asked(task.tuned.of(difference.after).setting)
        name = name[0].upper() + name[1:]
        before, after = _rows(folder, EVALUATION, difference)
        charts = answers.histograms(before, after, name) if before and after else []
        yield from answers.lengths(difference, name, charts)
    sampled = [d for d in task.differences if task.tuned.of(d.after).setting.temperature == 1]
    if sampled and task.base:
        base, tuned = task.base.of(sampled[0].before), task.tuned.of(sampled[0].after)
        curves = {"tuned": tuned.calibration, "base": base.calibration}
        chart = answers.reliability("Reliability, samples at T = 1", curves)
        yield from answers.calibration({"base, T = 1": base, "tuned, T = 1": tuned}, [chart])


def _costs(results: TrainingResults, metrics: Sequence[steps.Line]) -> list[tuple[str, str]]:
    """Tokens and seconds."""
    rows = []
    if metrics and all("sampled_tokens" in row for row in metrics):
        tokens = sum(steps.figure(row, "sampled_tokens") for row in metrics)
        rows.append(("tokens sampled in training", f"{tokens:,.0f}"))
    sampling, total = (
        sum(row.get(name) or 0.0 for row in metrics) for name in ("sample_seconds", "seconds")
    )
    if sampling:
        parts = f"sampling, guard and weights {sampling:.0f} s, update {total - sampling:.0f} s"
        rows.append(("time of the steps", parts))
    return rows + [(f"time: {name}", f"{value:.0f} s") for name, value in results.seconds.items()]


def _cases(folder: TrainingFolder, results: TrainingResults) -> Iterator[Case]:
    for name, task in results.tasks.items():
        if task.difference is None:
            continue
        yield from paired(name, *_rows(folder, name, task.difference))


def _rows(folder: TrainingFolder, task: str, pair: Difference) -> list[list[AnswerRow]]:
    """The answers before and after that a difference is of."""
    labels = (("before", pair.before), ("after", pair.after))
    return [read_rows(folder.rows(stage, task, label)) for stage, label in labels]
