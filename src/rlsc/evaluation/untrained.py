"""The untrained model at its best: ways to ask it, tried on questions that nothing else uses.

The line that training has to beat is not the prompt and cap that it happens to train with. The
grid is written down here, before any answer is seen; the best of it on validation questions is
asked on those held out, beside the tuned model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from rlsc.data import SUMS, find_template
from rlsc.evaluation.asking import Asked
from rlsc.evaluation.collecting import graded
from rlsc.evaluation.scoring import score
from rlsc.grading import Grader
from rlsc.records import AnswerRow
from rlsc.types import Score, Setting

TERSE = " Answer with just the number."
STEPWISE = " Think step by step, and put your final answer within \\boxed{}."
LONG_CAP = 256
TEMPERATURES = (0.0, 0.5)


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


def tried(asked: Asked, rows: Sequence[AnswerRow], cap: int, grader: Grader) -> Iterator[Score]:
    """The score of one way; and with the shorter cap, at which the same answers are cut off."""
    yield score(rows, asked.setting)
    shorter = replace(asked.setting, max_new_tokens=cap)
    if cap < asked.setting.max_new_tokens and all(row.token_ends for row in rows):
        cut = [_cut(row, cap) for row in rows]
        yield score(list(graded(cut, asked.task, grader)), shorter)


def best_way(scores: Iterable[Score]) -> Setting | None:
    """The most accurate on the validation questions, of equals the shortest."""
    known = [each for each in scores if each.accuracy]
    if not known:
        return None
    best = max(known, key=lambda one: (one.accuracy.value if one.accuracy else 0, -one.mean_length))
    return replace(best.setting, name="untrained-best")


def _cut(row: AnswerRow, cap: int) -> AnswerRow:
    """The row as it would be with a lower cap: sampling does not depend on the cap."""
    if row.tokens <= cap:
        return row
    ends = row.token_ends or ()
    text = row.text[: ends[cap - 1]]
    return replace(row, text=text, tokens=cap, finish_reason="length", max_new_tokens=cap)
