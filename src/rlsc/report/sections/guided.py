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
    found = {name: task.guided for name, task in tasks.items() if task.guided}
    if not found:
        return
    yield Heading("Guided by a critic")
    yield table(tasks)
    for name, one in found.items():
        yield Paragraph(_how(name, one))
    yield Paragraph(_COUNTED)


def table(tasks: Mapping[str, TaskResults]) -> Table:
    """A row for each critic of each task."""
    rows = [
        _row(name, one) for name, task in tasks.items() if task.guided for one in task.guided.guided
    ]
    return Table(_HEADER, rows, brief=_BRIEF)


def _row(name: str, one: GuidedScore) -> tuple[str, ...]:
    tokens = f"{one.tokens.solver:.1f} + {one.tokens.critic:.1f}"
    rejected = NOTHING if one.rejected is None else share(one.rejected)
    return (
        *(name, _NAMES.get(one.critic, one.critic), percent(one.figure), tokens, rejected),
        *(str(one.plain_samples), f"{one.plain_tokens:.1f}", percent(one.majority)),
        change(one.difference) or NOTHING,
    )


def _how(name: str, found: GuidedResults) -> str:
    setting, by_model = found.plain.setting, found.by("model")
    answers = found.guided[0].score.setting.samples
    text = (
        f"{name}, n = {found.plain.n}: the critic is {found.critic}; a step ({found.steps}) is "
        f"kept where it says Correct with a probability of {found.threshold:g} or more, of at most "
        f"{found.tries} samples the last unseen; at temperature {setting.temperature:g}"
    )
    text += "." if answers == 1 else f"; the majority of {answers} answers a question counts."
    if by_model:
        text += f" It judged {by_model.judged:.1f} steps an answer"
        text += f", and read {by_model.tokens.critic_read:.0f} tokens with its prompts."
        if by_model.unjudged:
            text += f" {by_model.unjudged:.2f} steps an answer could not be shown to it, and stay."
    if found.no_perfect_critic:
        text += f" There is no perfect critic beside it: {found.no_perfect_critic}."
    return text
