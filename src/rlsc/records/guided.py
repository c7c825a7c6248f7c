"""What critic-guided decoding came to on a task, beside a majority of plain answers."""

from __future__ import annotations

from dataclasses import dataclass

from rlsc.types import Estimate, Score

PLAIN, GUIDED, RANDOM, PERFECT = "plain", "guided", "guided-by-chance", "guided-perfectly"
"""Labels of its settings: samples without a critic; with the model, with chance, with the truth."""


@dataclass(frozen=True)
class GuidedTokens:
    """Means over answers, in tokens."""

    solver: float
    """Sampled, those of rejected steps too."""
    critic: float
    """Of the steps that it judged, and of its verdicts."""
    critic_read: float
    """Of the whole of its prompts, and of its verdicts; not in the sum that is made equal."""


@dataclass(frozen=True)
class GuidedScore:
    """One critic's answers, and the majority of as many plain samples as take its tokens.

    With one answer a question `figure` is their accuracy, with n that of their majority.
    """

    critic: str
    """`model`, `random` (the same share of steps rejected) or `perfect` (the truth)."""
    score: Score
    figure: Estimate | None
    tokens: GuidedTokens
    judged: float
    """Steps judged, a mean over answers; one that was sampled anew again."""
    rejected: float | None
    """Of these, as a share; None where none was judged."""
    unjudged: float
    """Steps that the critic could not be shown, a mean over answers."""
    plain_samples: int
    """k: the fewest whose tokens are not less, or all that there are."""
    plain_tokens: float
    """Of k samples, a mean over questions."""
    majority: Estimate | None
    """Of k plain samples, over all subsets."""
    difference: Estimate | None
    """`figure` minus `majority`, paired by question."""


@dataclass(frozen=True)
class GuidedResults:
    """Of one task: the plain samples, and each critic's answers."""

    critic: str
    """The model, in words."""
    steps: str
    """What a step is: `sums`, `paragraph` or `line`."""
    tries: int
    threshold: float
    step_tokens: int
    plain: Score
    guided: tuple[GuidedScore, ...]
    no_perfect_critic: str = ""
    """Why there is none; empty where there is one."""

    def by(self, critic: str) -> GuidedScore | None:
        """The answers under a critic, if it was asked."""
        return next((score for score in self.guided if score.critic == critic), None)
