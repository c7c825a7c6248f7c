"""`rlsc eval --critic`: the answers of a model whose steps another model judges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from rlsc.config import EvalConfig
from rlsc.data import WORKED_SUMS
from rlsc.engines import Engine
from rlsc.evaluation import (
    Asked,
    Collecting,
    GuidedArms,
    LoadedCritic,
    benchmark_setting,
    collect_guided,
    prompts_of,
    step_kinds,
)
from rlsc.grading import shared_grader
from rlsc.models import load_model, weights_hash
from rlsc.records import GUIDED
from rlsc.runtime import console
from rlsc.training import tokenizer_parts
from rlsc.types import Setting, Task

_CRITIC = "the critic"


class Guided:
    """All tasks of an evaluation under a critic. Raises `ConfigError` for one without steps."""

    def __init__(self, config: EvalConfig, tasks: Sequence[Task]) -> None:
        self._config, self._tasks = config, tasks
        self._steps = step_kinds(tasks, config.critic_steps)
        self._asked: list[Asked] = []
        self._critic: LoadedCritic | None = None

    def prepare(
        self,
        prepared: Callable[[Task, Sequence[Setting]], list[Asked]],
        main: Setting,
        dtype: torch.dtype,
    ) -> dict[str, str]:
        """Load the critic and render the prompts; what an evaluation under a critic is of.

        `main` is the setting of the evaluation without one. Raises `ModelError` where the critic
        is no model.
        """
        for task in self._tasks:
            self._asked += prepared(task, [self._setting(task, main)])
        config = self._config
        console.print(f"loading the critic {config.critic} …")
        model, tokenizer, origin = load_model(config.critic, dtype, config.trust_remote_code)
        if torch.cuda.is_available():
            model = model.to("cuda")
        self._critic = LoadedCritic(model, tokenizer, origin, weights_hash(model))
        parts = {f"{_CRITIC}'s weights": self._critic.weights}
        own = {f"{_CRITIC}: {name}": value for name, value in tokenizer_parts(tokenizer).items()}
        solver = {f"guided: {name}": value for name, value in prompts_of(self._asked).items()}
        return parts | own | solver

    def collect(
        self, engine: Engine, tokenizer: object, folder: Path, how: Collecting
    ) -> dict[str, GuidedArms]:
        """By task what was asked; the answers lie in the folder then."""
        assert self._critic is not None
        return {
            asked.task.name: collect_guided(
                engine,
                tokenizer,
                self._critic,
                asked,
                self._steps[asked.task.name],
                self._config,
                folder,
                shared_grader(),
                how,
            )
            for asked in self._asked
        }

    def _setting(self, task: Task, main: Setting) -> Setting:
        """The main one, sampled; sums are asked to be worked out."""
        config = self._config
        how = {"temperature": config.critic_temperature, "samples": config.critic_samples}
        if self._steps[task.name] != "sums":
            return replace(main, **how, name=GUIDED)  # type: ignore[arg-type]
        return benchmark_setting(
            WORKED_SUMS,
            config.critic_temperature,
            config.critic_samples,
            config.max_new_tokens,
            top_p=config.top_p,
            top_k=config.top_k,
            name=GUIDED,
        )
