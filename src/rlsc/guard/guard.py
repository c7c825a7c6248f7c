"""The collapse guard: what it sees at each step, its verdict, and the policy that it keeps.

Its rule is in `rule.py`, its choice in `selection.py`, its signals in `signals.py` and `probe.py`.
It sees prompts and completions only, so it cannot use a label.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from transformers import TrainerCallback

from rlsc.engines import Engine, SamplingParams
from rlsc.errors import ConfigError, OutputError
from rlsc.guard.probe import Probe
from rlsc.guard.rule import (
    COLLAPSED,
    HEALTHY,
    VERDICTS,
    Health,
    Observation,
    Rule,
    due,
    last_without_harm,
)
from rlsc.guard.selection import candidates, choose, score
from rlsc.guard.signals import answer_keys, group_signals, question_values
from rlsc.guard.snapshots import Snapshots
from rlsc.logprobs import Scorer
from rlsc.records import (
    GuardResults,
    GuardVerdict,
    append_jsonl,
    from_json,
    read_jsonl,
    to_json,
    write_jsonl,
)
from rlsc.runtime import Advance, console, gathered, release_freed_memory
from rlsc.types import CompletionGroup, Prompt

FILE, PROBE = "guard.jsonl", "probe.json"
PROBE_SIGNALS = ("support", "flips", "divergence")
"""Those that only a probe has."""


Aside = Callable[[str, int, str], AbstractContextManager[Advance]]
"""From a description, a total and its unit to what is told how many more are done."""


def silent(description: str, total: int, unit: str) -> AbstractContextManager[Advance]:
    """An `Aside` that shows nothing."""
    return nullcontext(lambda done: None)


class GuardedRun(Protocol):
    """What the guard reads of the run's settings."""

    guard: str
    guard_patience: int
    guard_probe_size: int
    guard_interval: int
    guard_snapshots: int
    output_dir: str
    seed: int
    temperature: float

    @property
    def should_save(self) -> bool: ...


@dataclass(frozen=True)
class Sight:
    """What was seen of the policy after `step` updates: a line of guard.jsonl, but the verdict."""

    step: int
    signals: Mapping[str, float]
    questions: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """By the names of `rule.SIGNS`, a value a question."""
    probe_answers: Sequence[str | None] | None = None
    """None where the probe was not asked."""

    @property
    def observation(self) -> Observation:
        distinct = self.signals.get("distinct_completions", math.nan)
        asked = self.probe_answers is not None
        return Observation(self.step, distinct, self.questions, paired=asked)

    def to_json(self) -> dict[str, object]:
        """Its columns in guard.jsonl."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @classmethod
    def of(cls, row: Mapping[str, object]) -> Sight:
        """From a line of guard.jsonl."""
        return from_json(cls, {name: row[name] for name in row.keys() & cls.__dataclass_fields__})


class Guard(TrainerCallback):
    """Observes the policy whenever it is sampled; with `guard="stop"` it also keeps and restores.

    `engine` asks the probe, `model` is the policy. The trainer calls `observe` after each rollout
    and `finish` after the last update; transformers' loop calls what is named `on_…`.
    """

    def __init__(
        self,
        args: GuardedRun,
        engine: Engine,
        model: Any,
        probe: Probe | None = None,
        aside: Aside = silent,
    ) -> None:
        self._args, self._engine, self._model, self._probe = args, engine, model, probe
        self._aside = aside
        self._file = Path(args.output_dir) / FILE
        self._stops = args.guard == "stop"
        self._snapshots = Snapshots(args.guard_snapshots)
        self._sights: list[Sight] = []
        self._seconds: list[float] = []
        self._rule = Rule(args.guard_patience)
        self.verdicts: list[Health] = []
        self.metrics: dict[str, float] = {}
        """Of the last observation, to be logged: what the probe shows, and the verdict."""
        self.stopped_at: int | None = None

    def observe(
        self, step: int, groups: Sequence[CompletionGroup] | None, last: bool = False
    ) -> bool:
        """See the policy after `step` updates; whether to stop the run, on all processes alike.

        `groups` are its completions, of all processes, as the engine has just sampled them; None
        where the rollout is not the policy's own, and the probe's greedy answers stand for it. The
        `last` step's policy is asked, whatever the interval.
        """
        clock = time.perf_counter()
        if groups is None:
            self._engine.sync(self._model)
        asks = last or self._probe is None or due(self.verdicts, step, self._args.guard_interval)
        sight = self._sight_with_probe(step, groups) if asks else _sight_without_probe(step, groups)
        self._take_up(sight)
        health = self.verdicts[-1]
        self.metrics = _metrics(sight.signals, health, of_rollouts=groups is not None)
        if self._stops and health.asked and not health.harm:
            self._snapshots.take(step, self._model)
        self._seconds.append(time.perf_counter() - clock)
        if self._args.should_save:
            verdict = to_json(_record(health))
            row = sight.to_json() | verdict | {"score": score(sight.observation)}
            append_jsonl(self._file, row | {"seconds": self._seconds[-1]})
        if self._stops and health.verdict == COLLAPSED:
            self.stopped_at = step
        self._print_change(step)
        release_freed_memory()
        return gathered(self.stopped_at is not None)[0]

    def _take_up(self, sight: Sight) -> None:
        """As the newest of what was seen, by which it is judged."""
        self._sights.append(sight)
        self.verdicts.append(self._rule.verdict(sight.observation))

    def _print_change(self, step: int) -> None:
        """A line where the verdict is another than at the step before."""
        now = self.verdicts[-1]
        last = self.verdicts[-2] if len(self.verdicts) > 1 else Health(0, HEALTHY)
        if (now.verdict, now.harm) == (last.verdict, last.harm):
            return
        line = f"guard: {now.verdict} at step {step}"
        line += f": {'; '.join(now.reasons)}" if now.reasons else ""
        if self.stopped_at is not None:
            line += f"; stopped, and step {self.chosen} is kept"
        console.print(line, highlight=False, soft_wrap=True)

    def finish(self) -> None:
        """With `guard="stop"`, put the chosen policy back where it is not the last."""
        if self._stops and self.verdicts and self.chosen != self.verdicts[-1].step:
            self._snapshots.restore(self.chosen, self._model)

    @property
    def chosen(self) -> int:
        """The step that is the best of the last ones without harm."""
        return choose(self._candidates())

    def _candidates(self) -> list[Observation]:
        history = [sight.observation for sight in self._sights]
        return candidates(history, self.verdicts, self._args.guard_snapshots)

    def results(self, steps: int) -> GuardResults:
        """What results.json says: verdicts by step, what was kept and why; `steps` were made."""
        mode = self._args.guard
        if not self.verdicts:
            return GuardResults(mode, kept_step=steps)
        advised = self.chosen
        scores = {sight.step: score(sight.observation) for sight in self._sights}
        return GuardResults(
            mode,
            kept_step=advised if self._stops else steps,
            probe_questions=len(self._probe) if self._probe else 0,
            verdicts={health.step: _record(health) for health in self.verdicts},
            scores={step: value for step, value in scores.items() if value is not None},
            advised_step=advised,
            stopped_at=self.stopped_at,
            reason=self._reason(advised),
            seconds=math.fsum(self._seconds),
        )

    def _reason(self, advised: int) -> str:
        """Why this step; harm comes first, since only steps without it are chosen from."""
        last, without = self.verdicts[-1], last_without_harm(self.verdicts)
        reason = f"no sign of harm at the last step seen, {last.step}"
        if last.harm:
            reason = f"signs of harm after step {without}: {'; '.join(last.reasons)}"
        if advised == without:
            return reason
        scores = {observation.step: score(observation) for observation in self._candidates()}
        fall = f"{scores[advised]:.3f} to {scores[without]:.3f}"
        return f"{reason}; the score fell from {fall} since"

    def _sight_with_probe(self, step: int, groups: Sequence[CompletionGroup] | None) -> Sight:
        """What the probe's answers show, and the rollouts."""
        if self._probe is None:
            assert groups is not None
            return Sight(step, group_signals(groups), question_values(groups))
        if not self._sights:
            with self._aside("guard's pool", self._probe.votes, "completions") as on_progress:
                self._probe.begin(self._engine, on_progress)
        answers = self._probe.ask(self._engine)
        keys = answer_keys(answers.groups)
        asked = [seen.probe_answers for seen in self._sights if seen.probe_answers is not None]
        before = asked[-1] if asked else keys
        signals = group_signals(answers.groups if groups is None else groups)
        signals |= {
            "support": math.fsum(answers.support) / len(keys),
            "flips": sum(a != b for a, b in zip(before, keys, strict=True)) / len(keys),
            "divergence": answers.divergence,
        }
        questions = question_values(answers.groups) | {"support": list(answers.support)}
        return Sight(step, signals, questions, keys)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take up what a run that is gone on with has seen before the step that comes next."""
        step, self.stopped_at = state.global_step, None
        self._sights, self._seconds, self.verdicts = [], [], []
        self._rule = Rule(self._args.guard_patience)
        self._snapshots.clear()
        if not step:
            self._file.unlink(missing_ok=True)
            return
        rows = [row for row in read_jsonl(self._file) if row["step"] < step]
        if [row["step"] for row in rows[:1]] != [0]:
            raise OutputError(
                f"{self._file} does not have the untrained model's signals: start again with "
                "--overwrite"
            )
        for row in rows:
            self._take_up(Sight.of(row))
            self._seconds.append(row["seconds"])
        if self._args.should_save:
            write_jsonl(self._file, rows)
        if self._probe:
            self._probe.resume()
        if self._stops:
            folder = Path(args.output_dir) / f"checkpoint-{step}"
            self._snapshots.load(folder, [seen.step for seen in self._candidates()])

    def save(self, checkpoint: Path) -> None:
        """What a run that goes on from this checkpoint needs."""
        if self._stops:
            self._snapshots.save(checkpoint)


def _sight_without_probe(step: int, groups: Sequence[CompletionGroup] | None) -> Sight:
    """Without the probe: what the rollouts show, if they are the policy's."""
    return Sight(step, {} if groups is None else group_signals(groups))


def _metrics(signals: Mapping[str, float], health: Health, of_rollouts: bool) -> dict[str, float]:
    """By the names of `training/metrics.py`, where the rollouts' own signals are logged already."""
    names = [name for name in signals if name in PROBE_SIGNALS or not of_rollouts]
    verdict = float(VERDICTS.index(health.verdict))
    return {f"guard/{name}": signals[name] for name in names} | {"guard/verdict": verdict}


def _record(health: Health) -> GuardVerdict:
    return GuardVerdict(health.verdict, health.harm, health.asked, health.reasons)


def create_guard(
    args: GuardedRun,
    prompts: Sequence[Prompt],
    engine: Engine,
    scorer: Scorer,
    sampling: SamplingParams,
    sees_rollouts: bool,
    aside: Aside = silent,
) -> Guard | None:
    """The guard that `args.guard` asks for; None where it is off, or has nothing to look at.

    `prompts` are the probe's, `scorer` has the policy, `aside` shows how far the pool is. Raises
    `ConfigError` where a run could not be stopped though that was asked for.
    """
    if args.guard == "off":
        return None
    asks = bool(prompts and args.guard_probe_size)
    if not (sees_rollouts or asks):
        if args.guard == "stop":
            raise ConfigError(
                "guard stop sees nothing of the policy: neither its own rollouts nor a probe; "
                "name --guard_questions, or take guard observe"
            )
        return None
    if not asks:
        return Guard(args, engine, scorer.model)
    probe = Probe(
        prompts,
        args.guard_probe_size,
        sampling,
        args.seed,
        partial(scorer.evaluate, temperature=args.temperature),
        scorer.cut,
        Path(args.output_dir) / PROBE,
    )
    return Guard(args, engine, scorer.model, probe, aside)
