"""The untrained model at its best: ways to ask it, tried on questions that nothing else uses.

The line that training has to beat is not the prompt and cap that it happens to train with. The
grid is written down here, before any answer is seen; the best of it on validation questions is
asked on those held out, beside the tuned model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlsc.data import SUMS, find_template
from rlsc.evaluation.asking import Asked
from rlsc.evaluation.collecting import graded
from rlsc.evaluation.scoring import score
from rlsc.evaluation.settings import benchmark_setting, templates_for
from rlsc.grading import Grader
from rlsc.records import BEST_VOTE, UNTRAINED_BEST, AnswerRow
from rlsc.runtime import console
from rlsc.types import Estimate, Score, Setting

TERSE = " Answer with just the number."
STEPWISE = " Think step by step, and put your final answer within \\boxed{}."
LONG_CAP = 256
TEMPERATURES = (0.0, 0.5)
TEMPLATE_TEMPERATURES = (0.0, 0.5, 1.0)
VOTES = 8


def ways(greedy: Setting) -> tuple[Setting, ...]:
    """Prompts by temperatures, a sample a question, with three times the cap, or `LONG_CAP`.

    As it is trained, with a request to be terse or to think, and four worked sums before it.
    """
    cap = greedy.max_new_tokens
    longest = replace(greedy, max_new_tokens=max(cap, min(LONG_CAP, 3 * cap)))
    shots = replace(
        longest,
        template=SUMS,
        system_prompt=None,
        stop_strings=find_template(SUMS).stop_strings,
    )
    prompts = {
        "as-trained": longest,
        "terse": replace(longest, suffix=TERSE),
        "stepwise": replace(longest, suffix=STEPWISE),
        "four-sums": shots,
    }
    return tuple(
        replace(setting, temperature=temperature, name=f"{name}-T{temperature:g}")
        for name, setting in prompts.items()
        for temperature in TEMPERATURES
    )


def template_ways(greedy: Setting, tokenizer: Any) -> tuple[Setting, ...]:
    """Every template by temperatures 0, 0.5 and 1, for questions that are no sums.

    One greedy answer, else `VOTES`, whose majority is a way too; with the cap of `greedy`.
    """
    settings = [
        benchmark_setting(
            template,
            temperature,
            VOTES if temperature else 1,
            greedy.max_new_tokens,
            greedy.system_prompt,
        )
        for template in templates_for(greedy, tokenizer)
        for temperature in TEMPLATE_TEMPERATURES
    ]
    return tuple(
        replace(each, name=f"{Path(each.template).name}-T{each.temperature:g}") for each in settings
    )


def tried(
    asked: Asked, rows: Sequence[AnswerRow], caps: Iterable[int], grader: Grader
) -> Iterator[Score]:
    """The score of one way; and with each shorter cap, at which the same answers are cut off.

    A cap that cannot be tried, since where the tokens of an answer end in its text is not known, is
    said on the console.
    """
    yield score(rows, asked.setting)
    for cap in caps:
        if not 0 < cap < asked.setting.max_new_tokens:
            continue
        unknown = sum(row.tokens > cap and row.token_ends is None for row in rows)
        if unknown:
            console.print(
                f"note: {asked.setting.label} is not tried with a cap of {cap}: of {unknown} of "
                f"its {len(rows)} answers it is not known where that cuts them",
                soft_wrap=True,
            )
        else:
            cut = [_cut(row, cap) for row in rows]
            shorter = replace(asked.setting, max_new_tokens=cap)
            yield score(graded(cut, asked.task, grader), shorter)


def best_ways(scores: Iterable[Score]) -> list[Setting]:
    """The most accurate on the validation questions, and the best majority if that is another.

    Of equals the shortest. Nothing where no answer was graded.
    """
    known = list(scores)
    best = _best([(each.accuracy, each) for each in known], UNTRAINED_BEST)
    vote = _best([(each.majority, each) for each in known], BEST_VOTE)
    if best and vote and replace(vote, name=best.name) == best:
        return [best]
    return [way for way in (best, vote) if way]


def _best(figures: Iterable[tuple[Estimate | None, Score]], name: str) -> Setting | None:
    known = [(figure.value, -each.mean_length, each) for figure, each in figures if figure]
    if not known:
        return None
    return replace(max(known, key=lambda candidate: candidate[:2])[2].setting, name=name)


def _cut(row: AnswerRow, cap: int) -> AnswerRow:
    """The row as it would be with a lower cap: sampling does not depend on the cap."""
    if row.tokens <= cap:
        return row
    ends = row.token_ends or ()
    text = row.text[: ends[cap - 1]]
    logps = row.token_logps
    return replace(
        row,
        text=text,
        tokens=cap,
        logprob=sum(logps[:cap]) if logps else row.logprob,
        token_logps=logps[:cap] if logps else logps,
        token_ends=ends[:cap],
        finish_reason="length",
        max_new_tokens=cap,
    )
