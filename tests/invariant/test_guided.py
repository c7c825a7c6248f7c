"""Critic-guided decoding by enumeration, in float64: the engine's distribution is the formula's."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence

import pytest

from rlsc.engines import Engine, SamplingParams
from rlsc.environments import SumSteps
from rlsc.evaluation.guided.critics import PerfectCritic
from rlsc.evaluation.guided.decoding import (
    Critic,
    Guidance,
    GuidedEngine,
    Judgement,
    SampledStep,
)
from rlsc.types import Completion, CompletionGroup, Prompt

Ids = tuple[int, ...]
Choose = Callable[[Sequence[float]], int]
Keeps = Callable[[tuple[str, ...], str], bool]
Distribution = dict[Ids, float]
STOP = 0


class Table:
    """A solver, its tokenizer, and all that it may write: each token is a text."""

    all_special_tokens = ("<end>",)

    def __init__(self, texts: Sequence[str], cap: int, seed: int = 0) -> None:
        self.texts, self.cap, self.seed = ("<end>", *texts), cap, seed

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        return "".join(self.texts[i] for i in ids if i != STOP or not skip_special_tokens)

    def next(self, ids: Ids) -> list[float]:
        """Probabilities of the next token."""
        draw = random.Random(f"{self.seed}/{ids}")
        weights = [draw.uniform(0.1, 1) for _ in self.texts]
        return [weight / sum(weights) for weight in weights]

    def steps(self, before: Ids, room: int) -> Distribution:
        """All that a step may be behind `before`: up to a line break, the end, or no room."""
        found: Distribution = defaultdict(float)

        def go_on(ids: Ids, p: float) -> None:
            if ids and (ids[-1] == STOP or "\n" in self.texts[ids[-1]] or len(ids) == room):
                found[ids] += p
                return
            for token, q in enumerate(self.next((*before, *ids))):
                if q:
                    go_on((*ids, token), p * q)

        go_on((), 1.0)
        return found

    def over(self, ids: Ids) -> bool:
        return bool(ids) and (ids[-1] == STOP or len(ids) == self.cap)


class TableEngine(Engine):
    """Writes the step that is chosen among all."""

    def __init__(self, table: Table, choose: Choose) -> None:
        self._table, self._choose = table, choose

    def sync(self, model: object) -> None:
        """A table has no other weights."""

    def generate(self, prompts, n, params, seeds, on_progress=None):  # type: ignore[no-untyped-def]
        groups = []
        for prompt in prompts:
            steps = self._table.steps(prompt.token_ids[1:], params.max_new_tokens)
            ids = list(steps)[self._choose(list(steps.values()))]
            one = Completion("", ids, (0.0,) * len(ids), "stop")
            groups.append(CompletionGroup(prompt, [one]))
        return groups


class TableCritic(Critic):
    """Keeps or rejects by a rule."""

    def __init__(self, keeps: Keeps) -> None:
        self._keeps = keeps

    def judge(self, steps: Sequence[SampledStep]) -> list[Judgement]:
        return [Judgement(float(self._keeps(tuple(one.done), one.text))) for one in steps]


class Run:
    """One way in which chance may fall: as planned, then the first that can be."""

    def __init__(self, plan: Ids) -> None:
        self.plan, self.taken, self.p = plan, (), 1.0
        self.others: list[Ids] = []
        """Plans of the runs that part from this one behind its plan."""

    def choose(self, ps: Sequence[float]) -> int:
        at, can = len(self.taken), [n for n, p in enumerate(ps) if p]
        if at >= len(self.plan):
            self.others += [(*self.taken, other) for other in can[1:]]
        chosen = self.plan[at] if at < len(self.plan) else can[0]
        self.taken, self.p = (*self.taken, chosen), self.p * ps[chosen]
        return chosen


def every_path(play: Callable[[Choose], Ids]) -> Distribution:
    """What comes of all that chance can do, with its probability: one run of `play` each."""
    total: Distribution = defaultdict(float)
    planned: list[Ids] = [()]
    while planned:
        run = Run(planned.pop())
        total[play(run.choose)] += run.p
        planned += run.others
    return total


def guided(table: Table, critic: Callable[[Choose], Critic], tries: int) -> Distribution:
    """Of whole answers, by the engine itself."""
    guidance = Guidance("\n", tries, 0.5, 99)
    params = SamplingParams(table.cap, (STOP,))

    def play(choose: Choose) -> Ids:
        engine = GuidedEngine(TableEngine(table, choose), table, critic(choose), guidance)
        prompt = Prompt("What is 3 + 8 + 4?", "", (1,))
        return engine.generate([prompt], 1, params, [7])[0].completions[0].token_ids

    return every_path(play)


def by_formula(table: Table, keeps: Keeps, tries: int) -> Distribution:
    """π(s) k(s) (1 + r + … + r^(B−2)) + π(s) r^(B−1), step after step."""
    total: Distribution = defaultdict(float)

    def go_on(ids: Ids, done: tuple[str, ...], p: float) -> None:
        if table.over(ids):
            total[ids] += p
            return
        steps = table.steps(ids, table.cap - len(ids))
        texts = {step: table.decode(step).strip() for step in steps}
        kept = {step: not text or keeps(done, text) for step, text in texts.items()}
        r = sum(pi for step, pi in steps.items() if not kept[step])
        for step, pi in steps.items():
            chance = pi * kept[step] * sum(r**n for n in range(tries - 1)) + pi * r ** (tries - 1)
            text = texts[step]
            go_on((*ids, *step), (*done, text) if text else done, p * chance)

    go_on((), (), 1.0)
    return {ids: p for ids, p in total.items() if p}


def close(a: Distribution, b: Distribution) -> bool:
    assert sum(a.values()) == pytest.approx(1, abs=1e-12)
    return a.keys() == b.keys() and all(abs(a[ids] - b[ids]) < 1e-12 for ids in a)


def half(done: tuple[str, ...], text: str) -> bool:
    """About half of all steps, by what was written before and by the step."""
    return random.Random(f"{done} {text}").random() < 0.5


@pytest.mark.parametrize(("tries", "cap"), [(2, 3), (3, 2), (4, 2)])
def test_the_distribution_is_the_formulas(tries: int, cap: int) -> None:
    table = Table(["a", "\n"], cap)
    found = guided(table, lambda choose: TableCritic(half), tries)
    assert close(found, by_formula(table, half, tries))
    plain = by_formula(table, lambda done, text: True, tries)
    assert not close(found, plain)  # the critic does something
    always = guided(table, lambda choose: TableCritic(lambda done, text: True), tries)
    assert close(always, plain)


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_a_critic_by_chance_changes_nothing(rate: float) -> None:
    """Whatever its rate: what it costs is tokens alone. Where it can object to every step."""
    table = Table(["a", "b\n"], 2)
    without_end = Table(["a", "b\n"], 2)
    without_end.next = lambda ids: [0.0, 0.6, 0.4] if sum(ids) % 2 else [0.0, 0.3, 0.7]  # type: ignore[method-assign]
    found = guided(without_end, by_chance(rate), 3)
    assert close(found, by_formula(without_end, lambda done, text: True, 3))
    # An answer's end is no step, and stays: where others are objected to, it comes more often.
    found, plain = guided(table, by_chance(rate), 3), by_formula(table, lambda done, text: True, 3)
    R = rate * (1 - plain[(STOP,)])
    assert found[(STOP,)] == pytest.approx(plain[(STOP,)] * (1 + R + R**2), abs=1e-12)


def by_chance(rate: float) -> Callable[[Choose], Critic]:
    return lambda choose: TableCritic(lambda done, text: choose([rate, 1 - rate]) == 1)


SUM = "What is 3 + 8 + 4?"
LINES = ["3 + 8 = 11\n", "8+3 = 11.\n", "11 + 4 = 15\n", "3 + 8 = 12\n"]
RIGHT = ({"3 + 8 = 11", "8+3 = 11."}, {"11 + 4 = 15"})
"""Of the steps in their order, told by hand."""


def test_a_perfect_critic_by_enumeration() -> None:
    def truth(done: tuple[str, ...], text: str) -> bool:
        return len(done) < 2 and text in RIGHT[len(done)]

    table = Table(LINES, 2)
    perfect = PerfectCritic(SumSteps(), {SUM: SUM})
    found = guided(table, lambda choose: perfect, 2)
    assert close(found, by_formula(table, truth, 2))
    # Both steps right: each with π (1 + r), π and r of the right steps at that place.
    first = table.steps((), 2)
    p = 0.0
    for ids in ((1,), (2,)):
        r = sum(pi for step, pi in first.items() if step not in ((1,), (2,), (0,)))
        second = table.steps(ids, 1)
        r2 = sum(pi for step, pi in second.items() if step not in ((3,), (0,)))
        p += first[ids] * (1 + r) * second[(3,)] * (1 + r2)
    assert found[(1, 3)] + found[(2, 3)] == pytest.approx(p, abs=1e-12)
