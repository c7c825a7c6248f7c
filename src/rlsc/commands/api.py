"""Commands as functions: `rlsc.train`, `rlsc.evaluate` and `rlsc.compare`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlsc.commands import compare as comparison
from rlsc.commands.arguments import parse, read_recipe, recipe_flags, unknown_message
from rlsc.config import CompareConfig, EvalConfig, RunConfig
from rlsc.errors import ConfigError

if TYPE_CHECKING:
    from rlsc.training import RLSCConfig


def train(recipe: str | Path | None = None, **settings: Any) -> Path:
    """Do what `rlsc train` does, and return the run's folder.

    `settings` have the names of the command's flags and win over the YAML file `recipe`. Raises
    `RLSCError` for input that cannot work.

    >>> train(questions="arithmetic", max_steps=2, output_dir="runs/first")  # doctest: +SKIP
    """
    config, training = parse(recipe_flags(settings), None if recipe is None else Path(recipe))
    run_training(config, training)
    return Path(training.output_dir)


def evaluate(**settings: Any) -> Path:
    """Do what `rlsc eval` does, and return the evaluation's folder.

    `settings` have the names of the command's flags. Raises `RLSCError` for input that cannot work.

    >>> evaluate(benchmarks="math500", samples=4, temperature=0.5)  # doctest: +SKIP
    """
    from rlsc.commands.eval import run_eval

    known = [field.name for field in fields(EvalConfig)]
    for name in settings.keys() - known:
        raise ConfigError(unknown_message(name, known))
    config = EvalConfig(**settings)
    run_eval(config)
    return Path(config.output_dir)


def compare(recipe: str | Path, **settings: Any) -> Path:
    """Do what `rlsc compare` does, and return the comparison's folder.

    `settings` are keys of a recipe and win over those of the YAML file `recipe`. Raises
    `RLSCError` for input that cannot work.
    """
    config = CompareConfig.of({**read_recipe(Path(recipe)), **settings})
    comparison.compare(config, [])
    return Path(config.output_dir)


def run_training(config: RunConfig, training: RLSCConfig) -> None:
    """Train, or check all input where `dry_run` is set."""
    if config.dry_run:
        from rlsc.commands.dry_run import dry_run as run
    else:
        from rlsc.commands.train import run
    run(config, training)
