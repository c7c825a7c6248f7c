"""Answers whose steps a critic judged, beside a majority of plain ones at equal tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rlsc.records import GuidedResults, GuidedScore, TaskResults
from rlsc.report.page import Block, Heading, Paragraph, Table
from rlsc.report.sections.words import NOTHING, change, percent, share

_HEADER = (
    *("benchmark", "critic", "right, %", "tokens: solver + critic", "rejected"),
    *("majority of", "its tokens", "right, %", "difference, points"),
)
_BRIEF = (0, 1, 2, 5, 7, 8)
_NAMES = {"model": "the critic", "random": "by chance", "perfect": "the truth"}
_COUNTED = (
    "Equal tokens: of the solver all that it sampled, rejected steps too; of the critic the steps "
    "that it judged, as it read them, and its verdicts. Prompts count on neither side: a cache "
    "holds them. The majority is of the fewest plain samples that take as many tokens or more, "
    "exactly over all subsets of those that there are; with two samples that is no better than "
    "one. `By chance` rejects the same share of steps, whatever they are, and its judgements cost "
    "nothing, as those of the truth. Tokens of a smaller and of a larger model count alike."
)


def guided(tasks: Mapping[str, TaskResults]) -> Iterator[Block]:
    """Of tasks that were asked under a critic."""
    by_task = {name: task.guided for name, task in tasks.items() if task.guided}
    if not by_task:
        return
    yield Heading("Guided by a critic")
    yield table(tasks)
    for name, results in by_task.items():
        yield Paragraph(_how(name, results))
    yield Paragraph(_COUNTED)


def table(tasks: Mapping[str, TaskResults]) -> Table:
    """A row for each critic of each task."""
    rows = [
        _row(name, score)
        for name, task in tasks.items()
        if task.guided
        for score in task.guided.guided
    ]
    return Table(_HEADER, rows, brief=_BRIEF)


def _row(name: str, score: GuidedScore) -> tuple[str, ...]:
    tokens = f"{score.tokens.solver:.1f} + {score.tokens.critic:.1f}"
    rejected = NOTHING if score.rejected is None else share(score.rejected)
    return (
        *(name, _NAMES.get(score.critic, score.critic), percent(score.figure), tokens, rejected),
        *(str(score.plain_samples), f"{score.plain_tokens:.1f}", percent(score.majority)),
        change(score.difference) or NOTHING,
    )


def _how(name: str, results: GuidedResults) -> str:
    setting, by_model = results.plain.setting, results.by("model")
    answers = results.guided[0].score.setting.samples
    text = (
        f"{name}, n = {results.plain.n}: the critic is {results.critic}; a step ({results.steps}) "
        f"is kept where it says Correct with a probability of {results.threshold:g} or more, of at "
        f"most {results.tries} samples the last unseen; at temperature {setting.temperature:g}"
    )
    text += "." if answers == 1 else f"; the majority of {answers} answers a question counts."
    if by_model:
        text += f" It judged {by_model.judged:.1f} steps an answer"
        text += f", and read {by_model.tokens.critic_read:.0f} tokens with its prompts."
        if by_model.unjudged:
            text += f" {by_model.unjudged:.2f} steps an answer could not be shown to it, and stay."
    if results.no_perfect_critic:
        text += f" There is no perfect critic beside it: {results.no_perfect_critic}."
    return text
