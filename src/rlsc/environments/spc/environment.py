"""Self-Play Critic: one policy rewrites right steps wrongly, and judges steps.

As sneaky generator the policy is to write steps that are wrong and look right; as critic it is to
tell them from right ones. What one wins the other loses. `play` reads in the order of a step. Steps
are of sums, without any data, or of the solver's answers to questions, validated by labels.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import ClassVar, NotRequired, TypedDict

from rlsc.config import check_settings
from rlsc.engines import seed_for
from rlsc.environments.base import (
    Bounds,
    Demonstration,
    Environment,
    Examination,
    Groups,
    Judge,
    Play,
)
from rlsc.environments.spc.derivations import (
    FAULTS,
    Place,
    corrupted,
    draw_place,
    fault,
    wrong_steps,
)
from rlsc.environments.spc.exploitability import Judged, exploitability, p_correct
from rlsc.environments.spc.games import Games, Kept, Probe, Rewrite, kept_of, kept_row, rewrite_of
from rlsc.environments.spc.prompts import (
    CORRECT,
    INCORRECT,
    STOP,
    AnyPlace,
    AnyStep,
    critic_prompt,
    sneaky_prompt,
)
from rlsc.environments.spc.prompts import verdict as verdict_of
from rlsc.environments.spc.settings import SPCSettings, check_spc
from rlsc.environments.spc.text_games import TextGames
from rlsc.errors import ConfigError
from rlsc.records import GameRow
from rlsc.runtime import console
from rlsc.types import Ask, Example, Pool

Waves = Generator[Sequence[Ask], Groups, None]
_PREFIX = "spc/"
_BARREN, _SILENT = 10, 3
"""Steps in a row after which a line is said: without a wrong step; with few verdicts."""


class SPCState(TypedDict):
    """What is kept in checkpoints."""

    kept: list[Kept]
    barren: int
    silent: int
    opponent: str
    source: NotRequired[str]
    """Not said by a run that knew sums alone."""


@dataclass(eq=False)
class SPC(SPCSettings, Environment[SPCState]):
    """Self-Play Critic, arXiv 2504.19162; train it by objective `trr`.

    Other than the paper: online, a step at a time, and not in rounds of collected games; both roles
    have the same weights, or an adapter each on the same; no supervised samples beside the game's;
    a KL is to the model before training, if to any. A right step and the wrong one in its place are
    judged side by side, so that what is worked out before says nothing of which it is.
    """

    gives_rewards: ClassVar[bool | None] = True

    _kept: list[tuple[AnyPlace, AnyStep]] = field(default_factory=list, init=False, repr=False)
    """Wrong steps to be judged again, the newest last."""
    _barren: int = field(default=0, init=False, repr=False)
    _silent: int = field(default=0, init=False, repr=False)
    _metrics: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _records: list[GameRow] = field(default_factory=list, init=False, repr=False)
    _texts: TextGames | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_settings(self, "environment_settings: ")
        check_spc(self)

    @property
    def asks_base(self) -> bool:  # type: ignore[override]
        return "base" in (self.opponent, self.solver)

    @property
    def needs_rows(self) -> bool:  # type: ignore[override]
        """Sums are made here; solutions are of a data set's questions."""
        return self.source == "solutions"

    @property
    def needs_labels(self) -> bool:  # type: ignore[override]
        return self.source == "solutions"

    @property
    def is_game(self) -> bool:
        return True

    def take_judge(self, judge: Judge) -> None:
        self._texts = TextGames(self, judge)

    @property
    def adapters(self) -> Sequence[str]:  # type: ignore[override]
        return ("critic", "sneaky") if self.roles == "adapters" else ()

    def _adapter(self, role: str) -> str:
        """Whose adapter an ask of the policy in this role is of."""
        return role if self.adapters else ""

    def play(self, step: int, seed: int, rows: Sequence[Example]) -> Play:
        """Rewrite, find out what is wrong, judge, pay."""
        games = Games()
        if self.source == "solutions":
            yield from self._rewrite_solutions(games, rows, seed)
        else:
            places = [self._drawn(seed, "probe", n) for n in range(self.games)]
            yield from self._rewrite(games, places, seed)
        games.probes = self._probes(games, seed)
        yield from self._judge(games)
        pools = self._pools(games, seed)
        if not pools and rows:
            pools = yield from self._unpaid(games, rows[0])
        self._keep(games)
        self._say(games)
        self._metrics = {_PREFIX + name: value for name, value in games.metrics().items()}
        self._records = games.records()
        return pools

    def _drawn(self, seed: int, *of: object) -> Place:
        draw = random.Random(seed_for(seed, *of))
        return draw_place(draw, "train", self.terms, self.digits)

    def _rewrite_solutions(self, games: Games, rows: Sequence[Example], seed: int) -> Waves:
        """Four waves: solve, confirm steps, write wrong ones in their place, validate these.

        Where no two steps are confirmed, others stand for them, unpaid.
        """
        if self._texts is None:
            raise ConfigError(
                "environment spc with source=solutions needs what judges answers: give "
                "RLSCTrainer an answer_key"
            )
        places = yield from self._texts.places(games, rows, seed)
        yield from self._rewrite(games, places or games.stand_ins, seed)
        if places:
            yield from self._texts.validate(games)
            return
        games.left_out += len(games.rewrites)
        for rewrite in games.rewrites:
            rewrite.step, rewrite.reason, rewrite.reward = None, "unconfirmed", 0.0

    def _rewrite(self, games: Games, places: Sequence[AnyPlace], seed: int) -> Waves:
        """The first wave: a wrong step in place of each right one, or by chance."""
        if self.opponent == "random":
            for n, place in enumerate(places):
                assert isinstance(place, Place)  # `check_spc`: texts are not corrupted by chance
                step = corrupted(random.Random(seed_for(seed, "corrupted", n)), place)
                games.rewrites.append(Rewrite(place, None, step, ""))
            return
        frozen = self.opponent == "base" and "sneaky" not in self.trains
        asks = [
            Ask(
                f"sneaky/{n}",
                sneaky_prompt(place),
                max_new_tokens=self.sneaky_tokens or None,
                policy="base" if frozen else "current",
                adapter="" if frozen else self._adapter("sneaky"),
                stop=STOP,
            )
            for n, place in enumerate(places)
        ]
        for place, group in zip(places, (yield asks), strict=True):
            if group is None:
                games.too_long += 1
            elif isinstance(place, Place):
                games.rewrites.append(rewrite_of(place, group))
            elif self._texts is not None:
                games.rewrites.append(self._texts.rewrite_of(place, group))

    def _probes(self, games: Games, seed: int) -> list[Probe]:
        """What is judged: wrong steps, some older ones, and right ones of the same places.

        Of all shares λ of right steps, `untouched_share`, a half alone leaves a constant verdict
        unpaid. Where λ asks for more right steps than places, others are drawn.
        """
        kind = "random" if self.opponent == "random" else "rewritten"
        wrong = [
            Probe(rewrite.place, rewrite.wrong, kind, rewrite)
            for rewrite in games.rewrites
            if rewrite.wrong
        ]
        again = min(len(self._kept), round(self.replay_share * self.games))
        drawn = random.Random(seed_for(seed, "replay")).sample(self._kept, again)
        wrong += [Probe(place, step, "replayed") for place, step in drawn]
        number = round(len(wrong) * self.untouched_share / (1 - self.untouched_share))
        places: list[AnyPlace] = [probe.place for probe in wrong][:number]
        places += [self._drawn(seed, "untouched", n) for n in range(number - len(places))]
        right = [Probe(place, place.step, "untouched") for place in places]
        for probe, partner in zip(right, wrong, strict=False):
            probe.partner = partner
        nobody = self.train_roles == "critic" or (self.needs_rows and len(games.rewrites) < 2)
        if not wrong and nobody:
            # Nobody can be trained: one right step, unpaid, stands for the step.
            others: list[AnyPlace] = [rewrite.place for rewrite in games.rewrites]
            stand_in = [*others, *games.stand_ins, self._drawn(seed)][0]
            right = [Probe(stand_in, stand_in.step, "untouched")]
        return wrong + right

    def _judge(self, games: Games) -> Waves:
        """The second wave: m verdicts of each step."""
        frozen = self.opponent == "base" and "critic" not in self.trains
        asks = [
            Ask(
                f"critic/{n}",
                critic_prompt(probe.place, probe.step),
                self.critics if len(games.probes) > 1 else max(2, self.critics),
                max_new_tokens=self.critic_tokens or None,
                policy="base" if frozen else "current",
                adapter="" if frozen else self._adapter("critic"),
                stop=STOP,
            )
            for n, probe in enumerate(games.probes)
        ]
        groups = (yield asks) if asks else []
        for probe, group in zip(games.probes, groups, strict=True):
            if group is None:
                games.too_long += 1
            else:
                probe.heard(group)
        games.drop_pairs()

    def _pools(self, games: Games, seed: int) -> list[Pool]:
        """One of all rewritten steps, and one of all verdicts, on right and on wrong steps.

        With two pools of verdicts a constant critic would have equal rewards in each: no weight.
        """
        written = [rewrite for rewrite in games.rewrites if rewrite.group is not None]
        sneaky = Pool(
            "sneaky",
            [rewrite.group for rewrite in written if rewrite.group is not None],
            [
                # Stand-ins are unpaid, by chance too.
                [
                    0.0
                    if rewrite.reason == "unconfirmed"
                    else self._paid(rewrite.reward, seed, "sneaky", n)
                ]
                for n, rewrite in enumerate(written)
            ],
        )
        judged = games.judged
        balanced = any(not probe.is_correct for probe in judged)
        critic = Pool(
            "critic",
            [probe.group for probe in judged if probe.group is not None],
            [
                [
                    self._paid(reward, seed, "critic", n, m) if balanced else 0.0
                    for m, reward in enumerate(probe.rewards)
                ]
                for n, probe in enumerate(judged)
            ],
        )
        if not balanced:
            games.left_out += len(critic.completions)
        pools = [pool for pool in (sneaky, critic) if pool.name in self.trains]
        games.left_out += sum(len(pool.completions) == 1 for pool in pools)
        return [pool for pool in pools if len(pool.completions) > 1]

    def _unpaid(self, games: Games, row: Example) -> Generator[Sequence[Ask], Groups, list[Pool]]:
        """Where no prompt of a role that is trained fits: a token behind the question, which does.

        So the step is there, and teaches nothing.
        """
        role = self.trains[0]
        ask = Ask(f"{role}/none", row.prompt, 2, max_new_tokens=1, adapter=self._adapter(role))
        (group,) = yield [ask]
        if group is None:
            return []
        games.left_out += len(group.completions)
        return [Pool(role, [group], [[0.0] * len(group.completions)])]

    def _paid(self, reward: float, seed: int, *of: object) -> float:
        if self.reward == "random":
            return 2.0 * (seed_for(seed, "coin", *of) % 2) - 1
        return reward

    def _keep(self, games: Games) -> None:
        """The newest wrong steps of the generator, none twice."""
        if not self.replay:
            return
        new = [(rewrite.place, rewrite.wrong) for rewrite in games.rewrites if rewrite.wrong]
        self._kept = list(dict.fromkeys([*self._kept, *new]))[-self.replay :]

    def _say(self, games: Games) -> None:
        """A line where the game stands still."""
        wrong = any(rewrite.wrong for rewrite in games.rewrites)
        self._barren = 0 if wrong else self._barren + 1
        if self._barren == _BARREN:
            reasons = Counter(rewrite.reason for rewrite in games.rewrites).most_common(1)
            why = f" (now {reasons[0][1]} are {reasons[0][0]})" if reasons else ""
            console.print(f"note: no rewritten step of {_BARREN} steps is a wrong one{why}")
        said = [verdict for probe in games.judged for verdict in probe.verdicts]
        few = said.count(None) * 2 > len(said)
        self._silent = self._silent + 1 if few else 0
        if self._silent == _SILENT:
            console.print(
                f"note: over half of the critics of {_SILENT} steps give no verdict: look at the "
                "format in completions/, and at --max_completion_length"
            )

    # On held-out sums, the same in every run.

    def examine(self, seed: int) -> Examination | None:
        """Of fixed random corruptions, greedily, and of all wrong steps, by log-probs.

        Both are of sums: on solutions nothing is examined.
        """
        wanted = self.source == "derivations" and (self.held_out or self.exploit_places)
        return self._examined() if wanted else None

    def _examined(self) -> Examination:
        figures: dict[str, float] = {}
        if self.held_out:
            figures |= yield from self._fixed()
        if self.exploit_places:
            figures |= yield from self._exploited()
        return {_PREFIX + name: value for name, value in figures.items()}

    def _fixed(self) -> Generator[Sequence[Ask], Groups, dict[str, float]]:
        """a, b: right verdicts on right steps and on their corruptions; none is not right."""
        draw = random.Random("rlsc/spc/held_out")
        places = [
            draw_place(draw, "held_out", self.terms, self.digits) for _ in range(self.held_out)
        ]
        steps = [(place, place.step) for place in places]
        steps += [(place, corrupted(draw, place)) for place in places]
        asks = [
            Ask(
                f"held_out/{n}",
                critic_prompt(place, step),
                max_new_tokens=self.critic_tokens or None,
                adapter=self._adapter("critic"),
                stop=STOP,
            )
            for n, (place, step) in enumerate(steps)
        ]
        groups = yield asks
        said = [None if group is None else verdict_of(group.completions[0]) for group in groups]
        right, wrong = said[: len(places)], said[len(places) :]
        figures = {
            "fixed_correct": fmean(verdict is True for verdict in right),
            "fixed_wrong": fmean(verdict is False for verdict in wrong),
            "fixed_no_verdict": fmean(verdict is None for verdict in said),
        }
        faults = [fault(place, step) for place, step in steps[len(places) :]]
        for name in FAULTS:
            mine = [
                verdict is False for verdict, of in zip(wrong, faults, strict=True) if of == name
            ]
            if mine:
                figures[f"fixed_found_{name}"] = fmean(mine)
        return figures

    def _exploited(self) -> Generator[Sequence[Ask], Groups, dict[str, float]]:
        draw = random.Random("rlsc/spc/exploit")
        asks, sizes = [], []
        for n in range(self.exploit_places):
            place = draw_place(draw, "held_out", self.terms, self.digits)
            steps = [place.step, *wrong_steps(place)]
            sizes.append(len(steps))
            for m, step in enumerate(steps):
                prompt = critic_prompt(place, step)
                verdicts = (CORRECT, INCORRECT)
                adapter = self._adapter("critic")
                asks.append(Ask(f"exploit/{n}/{m}", prompt, adapter=adapter, scored=verdicts))
        groups = iter((yield asks))
        judged = []
        for size in sizes:
            p = []
            for group in (next(groups) for _ in range(size)):
                if group is not None:
                    p.append(
                        p_correct(*(sum(completion.logps) for completion in group.completions))
                    )
            if len(p) == size:
                judged.append(Judged(p[0], p[1:]))
        # A place of which a prompt does not fit the context has no maximum.
        left_out = {"exploit_left_out": float(len(sizes) - len(judged))}
        return left_out | (exploitability(judged) if judged else {})

    def demonstrations(self) -> list[Demonstration]:
        """By the truth, of sums that are trained on: a random corruption, and both verdicts.

        So right and wrong steps are as many, and each fault as likely as it can be. None on
        solutions, of which nothing knows the truth: their start is of a file.
        """
        if self.source == "solutions":
            return []
        draw, rows = random.Random("rlsc/spc/demonstrations"), list[Demonstration]()
        for _ in range(self.sft_places):
            place = draw_place(draw, "train", self.terms, self.digits)
            wrong = corrupted(draw, place)
            for role, prompt, said in (
                ("sneaky", sneaky_prompt(place), f" {wrong}"),
                ("critic", critic_prompt(place, place.step), CORRECT),
                ("critic", critic_prompt(place, wrong), INCORRECT),
            ):
                rows.append({"prompt": prompt, "completion": said, "stop": STOP[0]})
                if self.adapters:
                    rows[-1]["adapter"] = role
        return rows

    def metrics(self) -> dict[str, float]:
        return dict(self._metrics)

    def records(self) -> list[GameRow]:
        return list(self._records)

    def state(self) -> SPCState:
        return {
            "kept": [kept_row(place, step) for place, step in self._kept],
            "barren": self._barren,
            "silent": self._silent,
            "opponent": self.opponent,
            "source": self.source,
        }

    def load(self, state: SPCState) -> None:
        if state["opponent"] != self.opponent:
            raise ConfigError(
                f"this run was played against opponent={state['opponent']}, not {self.opponent}: "
                "go on with the same, or start again"
            )
        source = state.get("source", "derivations")
        if source != self.source:
            raise ConfigError(
                f"this run was played on source={source}, not {self.source}: go on with "
                "the same, or start again"
            )
        self._kept = [kept_of(row) for row in state["kept"]]
        self._barren, self._silent = int(state["barren"]), int(state["silent"])

    def bounds(self) -> Bounds | None:
        """Of a step in which every rewritten step is a wrong one; of solutions it is not known."""
        if self.source == "solutions":
            return None
        writes = 0 if self.opponent == "random" else self.games
        wrong = self.games + min(self.replay, round(self.replay_share * self.games))
        right = round(wrong * self.untouched_share / (1 - self.untouched_share))
        judges = (wrong + right) * self.critics
        trained = {"sneaky": writes, "critic": judges}
        place = Place(tuple([10**self.digits - 1] * self.terms), self.terms - 2)
        prompts = {"critic": critic_prompt(place, place.step)}
        if writes:
            prompts = {"sneaky": sneaky_prompt(place)} | prompts
        total = sum(trained[role] for role in self.trains)
        return Bounds(writes + judges, max(writes, judges), total, prompts)
