"""The collapse guard: what it sees at each step, its verdict, and the policy that it keeps.

Its rule is in `verdicts.py`, its signals in `signals.py` and `probe.py`. It sees prompts and
completions only, so it cannot use a label.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from transformers import TrainerCallback

from rlsc.batching import Row
from rlsc.config import RLSCConfig
from rlsc.display import console
from rlsc.engines import Engine, SamplingParams
from rlsc.errors import ConfigError, OutputError
from rlsc.probe import Probe
from rlsc.runlog import read_jsonl, write_jsonl
from rlsc.scoring import Batch, Scorer, Scores
from rlsc.signals import answer_keys, group_signals, question_values
from rlsc.snapshots import Snapshots
from rlsc.types import CompletionGroup, Prompt
from rlsc.verdicts import COLLAPSED, HEALTHY, VERDICTS, Observation, Verdict, judge, kept_step

FILE, PROBE = "guard.jsonl", "probe.json"


class Guard(TrainerCallback):
    """Observes the policy whenever it is sampled; with `guard="stop"` it also keeps and restores.

    The trainer calls `observe` after each rollout and `finish` after the last update; the parent's
    loop calls what is named `on_…`.
    """

    def __init__(self, args: RLSCConfig, probe: Probe | None = None) -> None:
        self._args, self._probe = args, probe
        self._file = Path(args.output_dir) / FILE
        self._stops = args.guard == "stop"
        self._snapshots = Snapshots()
        self._rows: list[dict[str, Any]] = []
        self.verdicts: list[Verdict] = []
        self.signals: dict[str, float] = {}
        """Of the last observation."""
        self.stopped_at: int | None = None

    def observe(
        self,
        step: int,
        groups: Sequence[CompletionGroup] | None,
        engine: Engine,
        model: Any,
    ) -> bool:
        """See the policy after `step` updates, which the engine has; whether to stop the run.

        `groups` are completions of it; None where the rollout is not its own, and the probe's
        greedy answers stand for them.
        """
        clock = time.perf_counter()
        self._rows = [row for row in self._rows if row["step"] < step]
        row = {"step": step} | self._look(groups, engine)
        self._rows.append(row)
        self.verdicts = judge([_observation(one) for one in self._rows], self._args.guard_patience)
        verdict, self.signals = self.verdicts[-1], row["signals"]
        if self._stops and not verdict.harm:
            self._snapshots.take(step, model)
        row |= {"verdict": verdict.verdict, "harm": verdict.harm, "reasons": list(verdict.reasons)}
        row["seconds"] = time.perf_counter() - clock
        if self._args.should_save:
            write_jsonl(self._file, self._rows)
        if self._stops and verdict.verdict == COLLAPSED:
            self.stopped_at = step
        self._tell(step)
        return self.stopped_at is not None

    def _tell(self, step: int) -> None:
        """A line where the verdict is another than at the step before."""
        now = self.verdicts[-1]
        last = self.verdicts[-2] if len(self.verdicts) > 1 else Verdict(0, HEALTHY)
        if (now.verdict, now.harm) == (last.verdict, last.harm):
            return
        line = f"guard: {now.verdict} at step {step}"
        line += f": {'; '.join(now.reasons)}" if now.reasons else ""
        if self.stopped_at is not None:
            line += f"; stopped, and step {kept_step(self.verdicts)} is kept"
        console.print(line, highlight=False, soft_wrap=True)

    def finish(self, model: Any) -> None:
        """With `guard="stop"`, put the kept policy back where it is not the last."""
        if self._stops and self.verdicts and self.verdicts[-1].harm:
            self._snapshots.restore(model)

    @property
    def metrics(self) -> dict[str, float]:
        """The signals, and the verdict as a number: 0 healthy, 1 narrowing, 2 collapsed."""
        if not self.verdicts:
            return {}
        return self.signals | {"guard_verdict": float(VERDICTS.index(self.verdicts[-1].verdict))}

    def results(self, steps: int) -> dict[str, Any]:
        """What results.json says: verdicts by step, what was kept and why; `steps` were made."""
        if not self.verdicts:
            return {"mode": self._args.guard, "verdicts": {}, "kept_step": steps}
        advised = kept_step(self.verdicts)
        return {
            "mode": self._args.guard,
            "probe_questions": len(self._probe) if self._probe else 0,
            "verdicts": {
                str(one.step): {
                    "verdict": one.verdict,
                    "harm": one.harm,
                    "reasons": list(one.reasons),
                }
                for one in self.verdicts
            },
            "kept_step": advised if self._stops else steps,
            "advised_step": advised,
            "stopped_at": self.stopped_at,
            "reason": self._reason(advised),
            "seconds": math.fsum(row["seconds"] for row in self._rows),
        }

    def _reason(self, advised: int) -> str:
        last = self.verdicts[-1]
        if not last.harm:
            return f"no sign of harm at the last step seen, {last.step}"
        return f"signs of harm after step {advised}: {'; '.join(last.reasons)}"

    def _look(self, groups: Sequence[CompletionGroup] | None, engine: Engine) -> dict[str, Any]:
        if self._probe is None:
            assert groups is not None
            return {"signals": group_signals(groups), "questions": question_values(groups)}
        if not self._rows:
            self._probe.begin(engine)
        answers = self._probe.ask(engine)
        keys = answer_keys(answers.groups)
        before = self._rows[-1]["probe_answers"] if self._rows else keys
        signals = group_signals(answers.groups if groups is None else groups)
        signals |= {
            "support": math.fsum(answers.support) / len(keys),
            "flips": sum(a != b for a, b in zip(before, keys, strict=True)) / len(keys),
            "divergence": answers.divergence,
        }
        questions = question_values(answers.groups) | {"support": list(answers.support)}
        return {"signals": signals, "questions": questions, "probe_answers": keys}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take up what a run that is gone on with has seen."""
        step, self.stopped_at, self.verdicts = state.global_step, None, []
        self._rows = [row for row in read_jsonl(self._file) if row["step"] <= step] if step else []
        if not step:
            self._file.unlink(missing_ok=True)
            return
        if not self._rows or self._rows[0]["step"] != 0:
            raise OutputError(
                f"{self._file} does not have the untrained model's signals: start again with "
                "--overwrite"
            )
        self.verdicts = judge([_observation(one) for one in self._rows], self._args.guard_patience)
        if self._probe:
            self._probe.resume()
        if self._stops:
            self._snapshots.load(Path(args.output_dir) / f"checkpoint-{step}")

    def save(self, checkpoint: Path) -> None:
        """What a run that goes on from this checkpoint needs."""
        if self._stops:
            self._snapshots.save(checkpoint)


def _observation(row: Mapping[str, Any]) -> Observation:
    distinct = row["signals"]["distinct_completions"]
    return Observation(row["step"], distinct, row["questions"], "probe_answers" in row)


class Watched(Protocol):
    """What the guard needs of `Rollouts`."""

    guard: Guard | None
    sampling: SamplingParams

    @property
    def of_policy(self) -> bool: ...

    def cut(self, rows: Sequence[Row]) -> Sequence[Batch]: ...


def create_guard(
    args: RLSCConfig,
    prompts: Sequence[Prompt],
    rollouts: Watched,
    scorer: Scorer,
    score: Callable[..., Scores],
) -> Guard | None:
    """The guard that `args.guard` asks for; None where it is off, or has nothing to look at.

    Raises `ConfigError` where a run could not be stopped though that was asked for.
    """
    if args.guard == "off":
        return None
    if not (rollouts.of_policy or prompts):
        if args.guard == "stop":
            raise ConfigError(
                "guard stop sees nothing of the policy: neither its own rollouts nor a probe; "
                "name --guard_questions, or take guard observe"
            )
        return None
    if not prompts:
        rollouts.guard = Guard(args)
        return rollouts.guard

    def scores(batch: Batch) -> Scores:
        # Without dropout, whose draws would change the run that is only looked at.
        with scorer.attached(), scorer.evaluating():
            return score(batch, args.temperature)

    file = Path(args.output_dir) / PROBE
    probe = Probe(prompts, rollouts.sampling, args.seed, scores, rollouts.cut, file)
    rollouts.guard = Guard(args, probe)
    return rollouts.guard
