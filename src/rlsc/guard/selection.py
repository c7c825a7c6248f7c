"""Which of a run's healthy steps is the best, by the probe alone.

A step's score is its support: how much of the untrained model's vote its greedy answers have, on
questions that it is not trained on. That vote is the best judge there is without labels, the
majority of several answers being right more often than one of them, and nothing had to be weighed
against anything else: cut off, repeated and missing answers have no vote, or are harm already.

Of the candidates the latest is taken that is not worse than the best by more than chance, as by
the one-standard-error rule of CART (Breiman et al. 1984): scores of the same questions differ by
luck, and the highest of several is partly that. The latest, since it was trained for longest.
"""

from __future__ import annotations

from collections.abc import Sequence

from rlsc.guard.rule import FEWEST, Health, Observation, change, mean

SIGN = "support"
CHANCE = 1.645
"""Standard errors of the paired difference: one in 20 by chance, one-sided."""


def score(observation: Observation) -> float | None:
    """From 0 to 1; None where the probe was not asked."""
    return mean(observation, SIGN) if SIGN in observation.questions else None


def candidates(
    history: Sequence[Observation], verdicts: Sequence[Health], last: int
) -> list[Observation]:
    """The last so many that were looked at and show no sign of harm, in the order of steps."""
    pairs = zip(history, verdicts, strict=True)
    return [seen for seen, verdict in pairs if verdict.asked and not verdict.harm][-last:]


def choose(observations: Sequence[Observation]) -> int:
    """The step that is kept of these candidates, of which there is one at least."""
    scored = [seen for seen in observations if len(seen.questions.get(SIGN, ())) >= FEWEST]
    if len(scored) < len(observations):  # no probe, or too small a one to tell them apart
        return observations[-1].step
    best = max(scored, key=lambda seen: mean(seen, SIGN))
    return max(seen.step for seen in scored if not _worse(seen, best))


def _worse(observation: Observation, best: Observation) -> bool:
    lost, error = change(observation, best, SIGN)
    return lost > CHANCE * error
