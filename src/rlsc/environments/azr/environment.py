"""Absolute Zero: one policy proposes tasks and solves them, without any data.

In a step the policy, as proposer, writes new tasks; a program checks them and knows their answers.
As solver it tries each of them G times, which says how hard they are, and is then paid for solving
some, as the proposer is for tasks that are solved at times. `play` reads in that order.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar, TypedDict

from rlsc.config import check_settings
from rlsc.engines import seed_for
from rlsc.environments.azr.asking import propose_asks, solve_ask
from rlsc.environments.azr.buffer import Buffer, BufferState
from rlsc.environments.azr.language import Language, LanguageState, Text, create_language
from rlsc.environments.azr.rewards import best_rate, proposer_reward, solver_reward
from rlsc.environments.azr.seeding import (
    rows_of_file,
    seeds_of_file,
    seeds_of_model,
    uniform_seeds,
)
from rlsc.environments.azr.settings import AZRSettings, check_azr
from rlsc.environments.azr.step import Proposal, Solution, Step, drawn_rows
from rlsc.environments.azr.tasks import TRIPLETS, Judgement, Kind, Refusal, Task
from rlsc.environments.base import Beginning, Bounds, Environment, Examination, Groups, Play
from rlsc.records import GameRow, from_json, hash_of_files
from rlsc.runtime import console
from rlsc.types import Ask, CompletionGroup, Example, Pool

Waves = Generator[Sequence[Ask], Groups, Any]
_PREFIX = "azr/"
_BARREN = 10


class NamedState(LanguageState):
    """Which language it is of, too."""

    name: str


class AZRState(TypedDict):
    """What is kept in checkpoints."""

    buffer: BufferState
    probe: list[GameRow]
    barren: int
    language: NamedState


@dataclass(eq=False)
class AZR(AZRSettings, Environment[AZRState]):
    """Absolute Zero Reasoner, arXiv 2505.03335; train it by objective `trr`.

    Left out: prediction of errors (off in the authors' runs), rewards for complexity and diversity
    and composed programs (off too), and the mean over hidden pairs as induction's reward (all must
    be right).
    """

    needs_rows: ClassVar[bool] = False
    gives_rewards: ClassVar[bool | None] = True

    _buffer: Buffer = field(init=False, repr=False)
    _language: Language = field(init=False, repr=False)
    _probe: list[Task] = field(default_factory=list, init=False, repr=False)
    _barren: int = field(default=0, init=False, repr=False)
    """Steps in a row without a task among the proposals."""
    _metrics: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _records: list[GameRow] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        check_settings(self, "environment_settings: ")
        check_azr(self)
        self._buffer = Buffer(self.buffer_size)
        self._language = create_language(self)

    # Before the first step.

    def check(self) -> Mapping[str, str]:
        """The language's: of `python` the sandbox."""
        return self._language.check()

    def begin(self, seed: int) -> Beginning:
        """Fill the buffers with seeds; the last `probe_tasks` of a kind are held out."""
        self._buffer, self._probe, self._records = Buffer(self.buffer_size), [], []
        self._barren = 0
        given = seeds_of_file(self, self._language) if self.seed_tasks else {}
        wanted, triplets = self.seed_size + self.probe_tasks, list[Task]()
        for kind in self.played:
            if kind in given:
                seeds = given[kind]
            elif kind in TRIPLETS and triplets:  # the same begin both
                seeds = [replace(task, kind=kind) for task in triplets]
            else:
                seeds = yield from self._seeds(kind, wanted, triplets, seed)
            triplets = seeds if kind in TRIPLETS and not triplets else triplets
            held_out = len(seeds) - self.probe_tasks
            self._probe += [
                replace(task, id=f"probe/{kind}/{n}") for n, task in enumerate(seeds[held_out:])
            ]
            for task in seeds[:held_out]:
                self._buffer.add(task)
        self._language.counts()  # of seeding, which is no part of the first step

    def _seeds(self, kind: Kind, wanted: int, sources: list[Task], seed: int) -> Waves:
        """Distinct tasks of a kind, and their records."""
        if kind not in TRIPLETS and not sources:  # induction by itself: of what programs?
            sources = list(self._language.first("deduction"))
        if self.seeds == "uniform":
            draw = random.Random(seed_for(seed, "seeds", kind))
            seeds = uniform_seeds(self._language, kind, wanted, sources, draw)
            self._records += drawn_rows(seeds)
            return seeds
        seeds, records = yield from seeds_of_model(self, self._language, kind, wanted, sources)
        self._records += records
        return seeds

    # A step.

    def play(self, step: int, seed: int, rows: Sequence[Example]) -> Play:
        """Propose, estimate, pay, keep, solve: see the package's documentation for each."""
        this = Step(step)
        chosen: list[tuple[Task, bool]] = []
        if self.order == "code":
            chosen = self._chosen(this, seed)
        yield from self._propose(this, seed, chosen)
        yield from self._estimate(this)
        self._pay(this, seed)
        self._keep(this)
        self._say_barren(this)
        if self.order == "paper":
            yield from self._solve(this, self._chosen(this, seed), [])
        pools = self._pools(this, seed)
        rewards = {
            pool.name: fmean(r for of_group in pool.rewards or () for r in of_group)
            for pool in pools
            if pool.name.count("/") == 1
        }
        metrics = this.metrics(self._language, self._buffer, self.played, rewards)
        if this.proposals and not self.boundary_reward:
            metrics["best_rate"] = best_rate(self.estimates)
        self._metrics = {_PREFIX + name: value for name, value in metrics.items()}
        self._records = this.records()
        return self._trained(pools)

    def _propose(self, this: Step, seed: int, chosen: Sequence[tuple[Task, bool]]) -> Waves:
        """The first wave: B proposals of each kind, judged; with `order=code` solutions too."""
        draws: dict[str, tuple[Kind, list[Task]]] = {}
        asks: list[Ask] = []
        for kind in self.played if self.proposer == "policy" else ():
            names = [f"propose/{kind}/{place}" for place in range(self.batch)]
            drawn = [self._references(kind, seed, place) for place in range(self.batch)]
            draws |= {
                name: (kind, references) for name, references in zip(names, drawn, strict=True)
            }
            more, left_out = propose_asks(self, self._language, kind, names, drawn)
            asks += more
            this.left_out += left_out
        groups = yield from self._solve(this, chosen, asks)
        for kind in self.played:
            mine = [
                (group, draws[ask.id][1])
                for ask, group in zip(asks, groups, strict=True)
                if draws[ask.id][0] == kind and group is not None
            ]
            texts = [(group.completions[0], references) for group, references in mine]
            for made, pair in zip(self._language.tasks(kind, texts), mine, strict=True):
                this.proposals.append(self._proposal(kind, made, *pair))
        this.drawn = self._uniform(this, seed) if self.proposer == "uniform" else []

    def _proposal(
        self, kind: Kind, made: Task | Refusal, group: CompletionGroup, references: list[Task]
    ) -> Proposal:
        duplicate = isinstance(made, Task) and self._buffer.holds(made)
        if duplicate and self.reject_duplicates:
            made = Refusal("duplicate")
        return Proposal(kind, group, references, made, duplicate)

    def _references(self, kind: Kind, seed: int, place: int) -> list[Task]:
        drawn = seed_for(seed, "references", kind, place)
        if kind in TRIPLETS:
            return self._buffer.draw(kind, self.references, drawn)
        sources = self._buffer.programs() or self._buffer.of(kind)
        return [random.Random(drawn).choice(sources)]

    def _uniform(self, this: Step, seed: int) -> list[Task]:
        """In place of proposals: B tasks of each kind from the grammar, not estimated."""
        tasks = []
        for kind in self.played:
            for place in range(self.batch):
                draw = random.Random(seed_for(seed, "uniform", kind, place))
                program = self._references(kind, seed, place)[0].program
                drawn = replace(self._language.drawn(kind, draw, program), born=this.number)
                kept = None if self._is_held_out(drawn) else self._buffer.add(drawn)
                tasks += [] if kept is None else [kept]
        return tasks

    def _estimate(self, this: Step) -> Waves:
        """The second wave: G solutions of each valid task, sampled as all that is trained on.

        A solution that was cut off, or has no answer, is not right, and stays in the denominator.
        """
        valid = [proposal for proposal in this.proposals if isinstance(proposal.made, Task)]
        asks = [
            solve_ask(self, self._language, f"estimate/{n}", proposal.made, self.estimates)
            for n, proposal in enumerate(valid)
            if isinstance(proposal.made, Task)
        ]
        groups = (yield asks) if asks else []
        solved: list[tuple[Task, CompletionGroup]] = []
        for proposal, group in zip(valid, groups, strict=True):
            if group is None:
                proposal.made = Refusal("too_long", "its question does not fit the context")
                this.too_long += 1
            elif isinstance(proposal.made, Task):
                proposal.estimates = group
                solved.append((proposal.made, group))
        judged = iter(self._judged(solved))
        for proposal in valid:
            if proposal.estimates is not None:
                proposal.judged = next(judged)
                proposal.rate = fmean(each.right for each in proposal.judged)

    def _judged(self, solved: Sequence[tuple[Task, CompletionGroup]]) -> list[list[Judgement]]:
        """Of each group's completions, all at once: programs run beside each other."""
        pairs = [(task, each) for task, group in solved for each in group.completions]
        judged = iter(self._language.judgements(pairs))
        return [[next(judged) for _ in group.completions] for _, group in solved]

    def _pay(self, this: Step, seed: int) -> None:
        for place, proposal in enumerate(this.proposals):
            proposal.reward = proposer_reward(
                proposal.rate, proposal.has_format, self.boundary_reward, self.invalid_reward
            )
            if self.reward == "format":
                proposal.reward = proposer_reward(None, proposal.has_format, invalid=0.0)
            if self.reward == "random":
                proposal.reward = _coin(seed, "propose", place)

    def _keep(self, this: Step) -> None:
        """New tasks enter the buffer, as far as `keep` lets them."""
        for proposal in this.proposals:
            if (
                not isinstance(proposal.made, Task)
                or proposal.rate is None
                or self._is_held_out(proposal.made)
            ):
                continue
            solved, learnable = proposal.rate == 1, 0 < proposal.rate < 1
            if (self.keep == "not_solved" and solved) or (
                self.keep == "learnable" and not learnable
            ):
                continue
            references = tuple(task.id for task in proposal.references)
            task = replace(
                proposal.made, born=this.number, references=references, rate=proposal.rate
            )
            proposal.kept = self._buffer.add(task)
            proposal.duplicate |= proposal.kept is None

    def _is_held_out(self, task: Task) -> bool:
        """Whether it is one of the probe, proposed anew: paid, and never trained on."""
        return any(
            task.kind == held_out.kind and task.key == held_out.key for held_out in self._probe
        )

    def _say_barren(self, this: Step) -> None:
        """A line after ten steps in which nothing that was proposed is a task."""
        made = any(isinstance(proposal.made, Task) for proposal in this.proposals)
        self._barren = 0 if made or not this.proposals else self._barren + 1
        if self._barren == _BARREN:
            reasons = Counter(p.made.reason for p in this.proposals if isinstance(p.made, Refusal))
            why = ", ".join(f"{name} {count}" for name, count in reasons.most_common(3))
            console.print(f"note: no proposal of {_BARREN} steps is a task (now {why})")

    def _chosen(self, this: Step, seed: int) -> list[tuple[Task, bool]]:
        """The tasks to solve, B of each kind, and whether they are new.

        New are those of this step, in random order, with `order=code` of the step before; the rest
        is drawn from older ones. With `train_estimates` all are older ones.
        """
        if self.train_roles == "propose":
            return []
        chosen: list[tuple[Task, bool]] = []
        for kind in self.played:
            new = list({task.key: task for task in self._new(this, kind)}.values())
            keys = {task.key for task in new}
            random.Random(seed_for(seed, "new", kind)).shuffle(new)
            new = [] if self.train_estimates else new[: self.batch]
            drawn = seed_for(seed, "old", kind)
            old = self._buffer.draw(kind, self.batch - len(new), drawn, without=keys)
            chosen += [(task, True) for task in new] + [(task, False) for task in old]
        return chosen

    def _new(self, this: Step, kind: Kind) -> Iterator[Task]:
        """This step's tasks of a kind, kept or not; with `order=code` those kept a step before."""
        if self.order == "code":
            born = this.number - 1
            yield from (task for task in self._buffer.of(kind) if task.born == born >= 0)
            return
        for proposal in this.proposals:
            made = proposal.made
            if not isinstance(made, Task) or made.kind != kind or proposal.rate is None:
                continue
            if not self._is_held_out(made):
                yield proposal.kept or made
        yield from (task for task in this.drawn if task.kind == kind)

    def _solve(self, this: Step, chosen: Sequence[tuple[Task, bool]], beside: list[Ask]) -> Waves:
        """A wave of solutions, and what is asked `beside` them, whose groups are returned."""
        n = self.estimates if self.pool_by == "task" else 1
        asks = [
            solve_ask(self, self._language, f"solve/{place}", task, n)
            for place, (task, _) in enumerate(chosen)
        ]
        groups = (yield [*beside, *asks]) if beside or asks else []
        given = [
            (task, is_new, group)
            for (task, is_new), group in zip(chosen, groups[len(beside) :], strict=True)
            if group is not None
        ]
        this.too_long += len(chosen) - len(given)
        verdicts = self._judged([(task, group) for task, _, group in given])
        for (task, is_new, group), judged in zip(given, verdicts, strict=True):
            this.solutions.append(Solution(task, is_new, group, judged))
        this.too_long += sum(group is None for group in groups[: len(beside)])
        return groups[: len(beside)]

    # What came of it.

    def _pools(self, this: Step, seed: int) -> list[Pool]:
        """One of each role and kind; of the solver with `pool_by=task` one of each task."""
        pools = []
        for kind in self.played:
            proposed = [proposal for proposal in this.proposals if proposal.kind == kind]
            rewards = [[proposal.reward] for proposal in proposed]
            pools.append(
                Pool(f"propose/{kind}", [proposal.group for proposal in proposed], rewards)
            )
            solved = [
                (solution.group, solution.judged)
                for solution in this.solutions
                if solution.task.kind == kind
            ]
            if self.train_estimates:
                solved += [
                    (proposal.estimates, proposal.judged)
                    for proposal in proposed
                    if proposal.estimates and isinstance(proposal.made, Task)
                    if not self._is_held_out(proposal.made)
                ]
            paid = [self._solver_rewards(judged, seed, group) for group, judged in solved]
            groups = [group for group, _ in solved]
            if self.pool_by == "kind":
                pools.append(Pool(f"solve/{kind}", groups, paid))
                continue
            for group, of_task in zip(groups, paid, strict=True):
                pools.append(Pool(f"solve/{kind}/{group.prompt.id}", [group], [of_task]))
        enough = [pool for pool in pools if len(pool.completions) > 1]
        if self.train_roles != "propose":
            solved_kinds = {pool.name.split("/")[1] for pool in enough if pool.name[0] == "s"}
            this.skipped = len(self.played) - len(solved_kinds)
        return enough

    def _solver_rewards(
        self, judged: Sequence[Judgement], seed: int, group: CompletionGroup
    ) -> list[float]:
        if self.reward == "random":
            return [_coin(seed, group.prompt.id, place) for place in range(len(judged))]
        if self.reward == "format":
            return [
                proposer_reward(None, judgement.has_format, invalid=0.0) for judgement in judged
            ]
        return [solver_reward(judgement.right, judgement.has_format) for judgement in judged]

    def _trained(self, pools: Sequence[Pool]) -> list[Pool]:
        roles = {"both": ("propose", "solve")}.get(self.train_roles, (self.train_roles,))
        return [pool for pool in pools if pool.name.partition("/")[0] in roles]

    def examine(self, seed: int) -> Examination | None:
        """Accuracy on the tasks that are held out, greedily, and the share with the format."""
        return self._examined() if self._probe else None

    def _examined(self) -> Examination:
        groups = yield [solve_ask(self, self._language, task.id, task) for task in self._probe]
        pairs = [
            (task, group.completions[0])
            for task, group in zip(self._probe, groups, strict=True)
            if group is not None
        ]
        judged = list(zip(pairs, self._language.judgements(pairs), strict=True))
        figures = {}
        for kind in self.played:
            mine = [judgement for (task, _), judgement in judged if task.kind == kind]
            number = sum(task.kind == kind for task in self._probe)
            figures[f"{_PREFIX}probe_accuracy_{kind}"] = (
                sum(judgement.right for judgement in mine) / number
            )
            figures[f"{_PREFIX}probe_format_{kind}"] = (
                sum(judgement.has_format for judgement in mine) / number
            )
        return figures

    def metrics(self) -> dict[str, float]:
        return dict(self._metrics)

    def records(self) -> list[GameRow]:
        return list(self._records)

    def state(self) -> AZRState:
        probe = [task.to_json() for task in self._probe]
        return {
            "buffer": self._buffer.state(),
            "probe": probe,
            "barren": self._barren,
            "language": {"name": self.language, **self._language.state()},
        }

    def load(self, state: AZRState) -> None:
        self._buffer.load(state["buffer"])
        self._probe = [from_json(Task, row) for row in state["probe"]]
        self._barren = int(state["barren"])
        self._language.load(state["language"])

    def bounds(self) -> Bounds:
        """Of a step in which every proposal is a task."""
        kinds, samples = self.played, self.estimates if self.pool_by == "task" else 1
        proposals = self.batch * len(kinds) if self.proposer == "policy" else 0
        solutions = self.batch * len(kinds) * samples
        estimates = proposals * self.estimates
        trained = {"propose": proposals, "solve": solutions}.get(
            self.train_roles, proposals + solutions
        )
        if self.train_estimates and self.train_roles != "propose":
            trained += estimates
        prompts: dict[str, Text] = {}
        for kind in kinds:
            task = self._language.example(kind)
            shown = [task] * (self.references if kind in TRIPLETS else 1)
            prompts[f"propose/{kind}"] = self._language.propose_prompt(kind, shown)
            prompts[f"solve/{kind}"] = self._language.solve_prompt(task)
        total = proposals + estimates + solutions
        beside = proposals + solutions if self.order == "code" else proposals
        return Bounds(total, max(beside, estimates, solutions), trained, prompts)

    def fingerprints(self) -> dict[str, str]:
        """Of the file of seeds, which is read and checked so before a model is loaded."""
        if self.seed_tasks is None:
            return {}
        file = Path(self.seed_tasks).expanduser()
        rows_of_file(file)
        return {"seed tasks": hash_of_files([file])}

    def close(self) -> None:
        self._language.close()


def _coin(seed: int, *of: object) -> float:
    return float(seed_for(seed, "coin", *of) % 2)
