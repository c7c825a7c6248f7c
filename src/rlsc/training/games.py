"""Environments that outlast a step: begun once, examined, their state kept in checkpoints."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader
from transformers import TrainerCallback

from rlsc.config import default_of, settings_of
from rlsc.engines import Engine
from rlsc.environments import DatasetEnvironment, Environment
from rlsc.errors import ConfigError, OutputError
from rlsc.objectives import FORWARD_NEEDS, Objective
from rlsc.records import append_jsonl, read_json, read_jsonl, write_json, write_jsonl
from rlsc.runtime import count, is_main
from rlsc.training.arguments import RLSCConfig
from rlsc.training.progress import StepProgress
from rlsc.training.sampling import Sampler, check_engine_of_roles

STATE, TASKS = "environment.json", "tasks.jsonl"
BEFORE_TRAINING = -1
"""The step of the records of what an environment did before the first."""
_VERSION = 1
_READ_IN_GAMES = frozenset({"environment", "reference"})
_COUNTS = ("per_device_train_batch_size", "num_generations")
"""Settings that say how many completions questions have; a game says that itself, and one on a data
set's questions how many of each."""


def check_game(environment: Environment, objective: Objective, args: RLSCConfig) -> None:
    """Raise `ConfigError` for settings without meaning where a game makes its own prompts."""
    name, needs = type(environment).__name__, set(objective.weights_need)
    judged: Collection[str] = needs - _READ_IN_GAMES if environment.gives_rewards else ()
    for need in sorted({"labels", "values"} & needs | set(judged)):
        raise ConfigError(
            f"objective {args.objective} needs {need}, which completions of environment {name} are "
            "not trained by: take --objective trr, or another that reads its rewards alone"
        )
    if environment.adapters and set(objective.weights_need) & FORWARD_NEEDS:
        raise ConfigError(
            f"objective {args.objective} looks at all completions with one policy, and those of "
            f"environment {name} are of an adapter for each role: take --objective trr"
        )
    if args.max_steps < 0 and not environment.needs_rows:
        raise ConfigError(
            f"max_steps -1 counts passes over questions, and environment {name} makes its own: "
            "give --max_steps"
        )
    if args.world_size > 1:
        raise ConfigError(f"environment {name} is played in one process, not {args.world_size}")
    _check_counts(environment, args)


def _check_counts(environment: Environment, args: RLSCConfig) -> None:
    """Raise `ConfigError` where a setting of plain questions would change nothing."""
    name, own = type(environment).__name__, settings_of(type(environment))
    for setting in _COUNTS[1:] if environment.needs_rows else _COUNTS:
        value = getattr(args, setting)
        if value != default_of(type(args).__dataclass_fields__[setting]) and setting not in own:
            raise ConfigError(
                f"{setting} {value} is of plain questions, and environment {name} plays a game: "
                "leave it out (--environment_settings has what it can be given)"
            )


def check_adapters(environment: Environment, new: bool, engine: type[Engine] | None = None) -> None:
    """Raise `ConfigError` where roles have adapters, and no new ones are made or sampled from."""
    if environment.adapters and not new:
        name, roles = type(environment).__name__, ", ".join(environment.adapters)
        raise ConfigError(
            f"environment {name} trains a new adapter for each role ({roles}): add --use_peft "
            "true, and leave --adapter out"
        )
    if engine is not None:
        check_engine_of_roles(environment.adapters, engine)


def check_state(environment: Environment) -> None:
    """Raise `ConfigError` where several processes would each have a state of their own."""
    if count() > 1 and type(environment).state is not Environment.state:
        name = type(environment).__name__
        raise ConfigError(f"environment {name} keeps a state, which is for one process")


def game_loader(steps: int) -> Any:
    """A loader of a game's steps, which have no rows of a data set."""
    return DataLoader(range(steps), batch_size=1, collate_fn=_no_rows)  # type: ignore[arg-type]


def _no_rows(_: Any) -> list[Any]:
    return []


class KeepEnvironment(TrainerCallback):
    """Begins an environment, or takes its state up again; examines it; writes its records."""

    def __init__(
        self, environment: Environment, sampler: Sampler, progress: StepProgress, folder: Path
    ) -> None:
        self._environment, self._sampler = environment, sampler
        self._progress, self._folder = progress, folder
        self.examined: dict[int, dict[str, float]] = {}
        """By step what `examine` came to."""
        self._begun = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = state.global_step
        tasks = self._folder / TASKS
        self._begun = step > 0 and step >= args.sft_steps
        if is_main() and tasks.exists():  # a run that died may have got past its checkpoint
            kept = [row for row in read_jsonl(tasks) if self._begun and row["step"] < step]
            write_jsonl(tasks, kept)
        if step:
            self._load(self._folder / f"checkpoint-{step}")
            return
        self.examined = {}
        if not args.sft_steps:
            self._begin()
        self._examine(0)

    def _begin(self) -> None:
        """With a supervised start, once that is over: the policy can play then."""
        self._sampler.begin(self._environment, self._aside)
        self._begun = True
        self._content()  # what cannot be kept is said before it is trained on
        self.write_records(BEFORE_TRAINING)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        every, step = int(args.eval_steps or 0), state.global_step
        if step == args.sft_steps:
            self._begin()
            self._examine(step)
        if (every and not step % every) or step >= state.max_steps:
            self._examine(step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A run that was stopped has a last step too."""
        self._examine(state.global_step)

    def write_records(self, step: int) -> None:
        """Those of the last play, each with its step."""
        for row in self._environment.records() if is_main() else ():
            append_jsonl(self._folder / TASKS, {"step": step, **row})

    def save(self, checkpoint: Path) -> None:
        """What a run that goes on from this checkpoint needs."""
        write_json(checkpoint / STATE, self._content())

    def _aside(self, what: str, total: int, unit: str) -> AbstractContextManager[Any]:
        return self._progress.aside(what, total, unit)

    def _examine(self, step: int) -> None:
        if step in self.examined:
            return
        figures = self._sampler.examine(self._environment, self._aside)
        if figures:
            self.examined[step] = figures

    def _content(self) -> dict[str, object]:
        name = type(self._environment).__name__
        state = self._environment.state() if self._begun else {}
        try:
            same = json.loads(json.dumps(state, allow_nan=False)) == state
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{name}.state() cannot be kept as JSON: {error}") from error
        if not same:
            raise ConfigError(
                f"{name}.state() is another one once it was JSON: keys must be text, and lists no "
                "tuples"
            )
        examined = {str(step): figures for step, figures in self.examined.items()}
        return {"version": _VERSION, "class": name, "state": state, "examined": examined}

    def _load(self, checkpoint: Path) -> None:
        file, name = checkpoint / STATE, type(self._environment).__name__
        if not file.exists():
            raise OutputError(f"{checkpoint} has no state of environment {name}: start again")
        content = read_json(file)
        if (content.get("version"), content.get("class")) != (_VERSION, name):
            raise OutputError(f"{file} is not of this version's environment {name}: start again")
        self.examined = {int(step): dict(figures) for step, figures in content["examined"].items()}
        if self._begun:
            self._environment.load(content["state"])


def keeps_state(environment: Environment) -> bool:
    """Whether there is anything to keep: a data set's rows are the loader's."""
    return not isinstance(environment, DatasetEnvironment)
