"""OM-GRPO: agree with yourself by reasoning, not by saying the answer more often."""

from __future__ import annotations

from dataclasses import dataclass

from rlsc.config import setting
from rlsc.objectives.empo import EMPO


@dataclass(frozen=True)
class OMGRPO(EMPO):
    """r(y) = share of the pool with y's answer, weighing no token of the answer. arXiv 2608.03119.

    The reward is EMPO's; a token of the final answer has `answer_span_gradient` times the weight
    of the others, here 0 (`consensus.py`).

    The paper itself could not be read: this is built from a summary of it (a soft frequency
    reward, the answer span masked). What is the answer's span is ours: the last place where the
    answer stands as it was read (`rlsc.grading.answer_span`), without the words around it.

    Left out: further voters, whom the paper gets by asking about answers again in pairs.
    """

    answer_span_gradient: float = setting(
        0.0, "Share of its weight that a token of the final answer keeps.", least=0, most=1
    )
