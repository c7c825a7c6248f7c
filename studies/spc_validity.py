"""How often is validation by sampled completions wrong, where arithmetic knows the truth?

    python studies/spc_validity.py [PLACES [SAMPLES]]

For places of sums with something left to finish, SmolLM2-135M-Instruct finishes the sum from the
right step (twice, independently) and from a random corruption, SAMPLES times each at temperature 1.
A right step that is accepted as wrong is a false valid, a wrong one that is not a false invalid.
Beside them the formula's acceptance at the mean rates of success.
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from spc_policy import untrained

from rlsc.environments.spc.derivations import Place, Step, corrupted, draw_place
from rlsc.environments.spc.environment import SPC
from rlsc.environments.spc.validity import acceptance, accepted
from rlsc.types import Ask, Pool

_EXAMPLES = (
    "Sums worked out step by step.\n\n"
    "Sum: 8 + 7 + 6\nSteps: 8 + 7 = 15; 15 + 6 = 21\n\n"
    "Sum: 3 + 9 + 5 + 4\nSteps: 3 + 9 = 12; 12 + 5 = 17; 17 + 4 = 21\n\n"
)


def prompt(place: Place, step: Step) -> str:
    terms = " + ".join(map(str, place.terms))
    steps = "; ".join(map(str, [*place.prefix, step]))
    return f"{_EXAMPLES}Sum: {terms}\nSteps: {steps};"


class Validation(SPC):
    """Asks for completions in place of a game; `successes` has those of each ask."""

    jobs: Sequence[tuple[Place, Step]] = ()
    samples: int = 4

    def play(self, step: int, seed: int, rows: Sequence[Any]) -> Any:
        asks = [
            Ask(str(n), prompt(place, addition), self.samples, stop=("\n",))
            for n, (place, addition) in enumerate(self.jobs)
        ]
        groups = yield asks
        self.successes = [
            sum(_final(completion.text) == sum(place.terms) for completion in group.completions)
            for (place, _), group in zip(self.jobs, groups, strict=True)
        ]
        return [Pool("all", groups, [[0.0] * self.samples for _ in groups])]


def _final(text: str) -> int | None:
    totals = re.findall(r"= (\d{1,9})", text)
    return int(totals[-1]) if totals else None


def main(places: int = 60, samples: int = 4) -> None:
    draw = random.Random(0)
    drawn: list[Place] = []
    while len(drawn) < places:
        place = draw_place(draw, "probe", 4, 1)
        if place.done < len(place.terms) - 2:  # something is left to finish
            drawn.append(place)
    right = [(place, place.step) for place in drawn]
    wrong = [(place, corrupted(draw, place)) for place in drawn]
    game = Validation()
    # The right steps twice, under other ids and so with other samples.
    game.jobs, game.samples = [*right, *right, *wrong], samples
    with tempfile.TemporaryDirectory() as folder:
        untrained(game, folder, 32).sampler.collect(game, 0, [])
    first, again, rewritten = (game.successes[n * places : (n + 1) * places] for n in range(3))
    false_valid = [accepted(a, b, samples) for a, b in zip(first, again, strict=True)]
    valid = [accepted(a, b, samples) for a, b in zip(first, rewritten, strict=True)]
    p0, p1 = fmean([*first, *again]) / samples, fmean(rewritten) / samples
    print(f"{places} places, N = {samples}; success from right steps {p0:.3f}, wrong {p1:.3f}")
    print(f"right steps accepted as wrong: {fmean(false_valid):.3f}")
    print(f"  formula at the mean rate: {acceptance(samples, p0, p0):.3f}")
    print(f"wrong steps not accepted: {1 - fmean(valid):.3f}")
    print(f"  formula at the mean rates: {1 - acceptance(samples, p0, p1):.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
