"""A game that grows: each step adds a sum, and asks an old one too. As a user's file would be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rlsc import Ask, Environment, Pool
from rlsc.config import setting
from rlsc.environments import Bounds
from rlsc.errors import ConfigError


@dataclass
class CountUp(Environment):
    """The model names a number; the longer the answer to its sum, the better."""

    needs_rows = False
    gives_rewards = True

    answers: int = setting(2, "Answers to each sum.", least=2)
    sums: list[str] = field(default_factory=list, init=False)
    closed: int = field(default=0, init=False)
    born: int = field(default=0, init=False)

    def begin(self, seed):
        self.sums = []
        for place in range(2):
            (group,) = yield [Ask(f"seed/{place}", f"{place} + ", max_new_tokens=2)]
            self.sums.append(group.completions[0].text)
        self.born = 0

    def play(self, step, seed, rows):
        assert list(rows) == []
        (named,) = yield [Ask("name", f"{step} + {self.sums[seed % len(self.sums)]}", n=2)]
        self.born = len(self.sums)
        self.sums.append(named.completions[0].text)
        groups = yield [
            Ask(f"solve/{place}", text + " =", n=self.answers)
            for place, text in enumerate((self.sums[-1], self.sums[0]))
        ]
        rewards = [[float(len(c.text)) for c in group.completions] for group in groups]
        return [Pool("name", [named], [[1.0, 0.0]]), Pool("solve", groups, rewards)]

    def examine(self, seed):
        (group,) = yield [Ask("probe", "1 + 1 =")]
        return {"probe/length": len(group.completions[0].token_ids), "probe/sums": len(self.sums)}

    def metrics(self):
        return {"count/sums": float(len(self.sums))}

    def records(self):
        return [{"text": text} for text in self.sums[self.born :]]

    def state(self):
        return {"sums": list(self.sums)}

    def load(self, state):
        if state["sums"][-1:] == ["forbidden"]:
            raise ConfigError("CountUp cannot go on from here")
        self.sums = list(state["sums"])

    def bounds(self):
        completions = 2 + 2 * self.answers
        prompts = {"name": "12 + 12", "solve": "12 + 12 = 24 ="}
        return Bounds(completions, 2 * self.answers, completions, prompts)

    def close(self):
        self.closed += 1


class Tuples(CountUp):
    def state(self) -> dict[str, object]:
        return {"sums": tuple(self.sums)}


class Quiet(CountUp):
    """As CountUp, but says nothing beforehand."""

    gives_rewards = None

    def bounds(self) -> None:
        return None


def texts(rows: Sequence[dict[str, object]]) -> list[object]:
    return [row["text"] for row in rows]
