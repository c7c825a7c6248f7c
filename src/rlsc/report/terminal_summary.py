"""What a terminal shows of a run's results when they come: the verdict and one table."""

from __future__ import annotations

from collections.abc import Iterator

from rlsc.records import EvaluationResults, Results, TrainingResults
from rlsc.report.page import Block, Paragraph
from rlsc.report.sections import comparison, evaluation, guided, scores, training
from rlsc.report.sections.steps import guard_text
from rlsc.report.sections.words import difference_text, setting_name
from rlsc.report.terminal import show


def print_results(results: Results) -> None:
    show(summary(results))


def summary(results: Results) -> Iterator[Block]:
    if isinstance(results, TrainingResults):
        yield training.headline(results)
        if results.evaluation:
            yield scores.before_and_after(results.evaluation)
            base = results.evaluation.base
            if base and base.best:
                yield Paragraph("The base in every way in which it was asked:")
                yield scores.settings_table(base)
        guard = guard_text(results)
        yield Paragraph(f"guard: {guard}" if guard else "")
        yield from _differences(results.benchmarks)
    elif isinstance(results, EvaluationResults):
        ways = {setting_name(task.tuned.main.setting) for task in results.tasks.values()}
        yield Paragraph(f"{'; '.join(sorted(ways))}; 95 % intervals in brackets")
        yield evaluation.headline(results)
        yield scores.score_table(results.tasks, short=True)
        if any(task.guided for task in results.tasks.values()):
            yield guided.table(results.tasks)
        yield from _differences(results.tasks)
        if results.compared_to and results.compared_to.other_settings:
            others = ", ".join(results.compared_to.other_settings)
            yield Paragraph(f"The baseline was asked under other settings: {others}.")
        if any(task.task.transductive for task in results.tasks.values()):
            yield Paragraph("* transductive: trained on some of these questions, see the report")
    else:
        yield comparison.headline(results)
        yield from comparison.table_blocks(results)


def _differences(tasks: scores.Tasks) -> Iterator[Block]:
    for name, task in tasks.items():
        if task.difference:
            mark = " (trained on some of it)" if task.task.transductive else ""
            yield Paragraph(f"{name}{mark}: {difference_text(task.difference)}")
