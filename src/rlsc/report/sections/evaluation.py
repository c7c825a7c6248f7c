"""The page of an evaluation by `rlsc eval`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rlsc.records import AnswerRow, EvaluationFolder, EvaluationResults, TaskResults, read_rows
from rlsc.report.charts import Chart
from rlsc.report.page import Block, Case, Cases, Curves, Heading, Headline, Page, Paragraph
from rlsc.report.sections import answers, scores
from rlsc.report.sections.cases import paired
from rlsc.report.sections.guided import guided
from rlsc.report.sections.provenance import how_it_was_made
from rlsc.report.sections.words import percent


def evaluation_page(folder: EvaluationFolder) -> Page:
    results = folder.results()
    tasks = results.tasks
    sources = [(f"source of {name}", task.task.source) for name, task in tasks.items()]
    first = answers.reliability(
        "Confidence and correctness",
        {scores.marked(name, task): task.tuned.main.calibration for name, task in tasks.items()},
    )
    lengths = {name: _histograms(folder, results, name, task) for name, task in tasks.items()}
    blocks = [
        headline(results),
        Curves([first, *(chart for task in lengths.values() for chart in task[:1])]),
        *scores.sides(tasks),
        *_against(results),
        Heading("Scores"),
        scores.score_table(tasks),
        Paragraph(scores.INTERVALS),
        *scores.distrust(tasks),
        *scores.controls(tasks),
        *scores.step_rates(tasks),
        *guided(tasks),
        *scores.at_k(tasks),
        *_calibration(results),
        *_lengths(results, lengths),
        *how_it_was_made(folder, sources),
        Cases(list(_cases(folder, results))),
    ]
    return Page("Evaluation", blocks)


def headline(results: EvaluationResults) -> Headline:
    """Against the base where there is one; else the scores themselves."""
    tasks = {name: task for name, task in results.tasks.items() if task.tuned.main.accuracy}
    compared = {name: task for name, task in tasks.items() if task.difference}
    notes: list[str] = []
    if len(compared) == 1:
        (task,) = compared.values()
        text, notes = scores.verdict(task), list(scores.notes(task))
    elif compared:
        text = scores.verdict_of_several(compared)
    else:
        figures = [f"{name} {percent(t.tuned.main.accuracy)} %" for name, t in tasks.items()]
        text = f"{', '.join(figures) or 'No question has a reference answer'}."
    facts = [("model", results.model)]
    if results.compared_to:
        facts.append(("base", results.compared_to.model))
    asked = sum(task.task.questions for task in results.tasks.values())
    facts.append(("questions", f"{asked}; 95 % intervals in brackets"))
    return Headline(text, scores.numbers(tasks), notes, facts)


def _against(results: EvaluationResults) -> Iterator[Block]:
    base = results.compared_to
    if base is None:
        return
    yield Heading(f"Against {base.folder}")
    yield Paragraph(f"Base: {base.model}, evaluated in {base.folder}.")
    if base.other_settings:
        yield Paragraph(f"Asked under other settings: {', '.join(base.other_settings)}.")
    yield from scores.differences(results.tasks)


def _calibration(results: EvaluationResults) -> Iterator[Block]:
    known = dict(scores.main_scores(results.tasks))
    charts = []
    for name, task in results.tasks.items():
        sides = {"tuned" if task.base else "model": task.tuned.main.calibration}
        if task.base and task.difference:
            sides["base"] = task.base.of(task.difference.before).calibration
        charts.append(answers.reliability(scores.marked(name, task), sides))
    yield from answers.calibration(known, charts)


def _histograms(
    folder: EvaluationFolder, results: EvaluationResults, name: str, task: TaskResults
) -> list[Chart]:
    rows = read_rows(folder.rows(name, task.tuned.main.setting.label))
    return answers.histograms(_base_rows(results, name, task), rows, name) if rows else []


def _lengths(results: EvaluationResults, charts: Mapping[str, Sequence[Chart]]) -> Iterator[Block]:
    blocks: list[Block] = []
    gone = [n for n, t in results.tasks.items() if t.difference and not _base_rows(results, n, t)]
    if gone and results.compared_to:
        where = results.compared_to.folder
        blocks.append(Paragraph(f"The baseline's samples are no longer in {where}: none is shown."))
    for name, task in results.tasks.items():
        blocks += answers.lengths(task.difference, name, charts[name])
    if blocks:
        yield Heading("Length")
        yield from blocks


def _cases(folder: EvaluationFolder, results: EvaluationResults) -> Iterator[Case]:
    for name, task in results.tasks.items():
        rows = read_rows(folder.rows(name, task.tuned.main.setting.label))
        yield from paired(name, _base_rows(results, name, task), rows)


def _base_rows(results: EvaluationResults, name: str, task: TaskResults) -> list[AnswerRow]:
    """The baseline's samples, where its folder is still there."""
    if results.compared_to is None or task.difference is None:
        return []
    return read_rows(
        EvaluationFolder(Path(results.compared_to.folder)).rows(name, task.difference.before)
    )
