"""`rlsc compare`: the same model, questions and budget for every objective, and the table of it.

Each run is a `rlsc train` in a process and a folder of its own, OUTPUT_DIR/LABEL/seed-S, so that
a comparison goes on where it stopped and a run that fails is a row that says so. The untrained
model is evaluated once, in OUTPUT_DIR/base, for all.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsc.commands.arguments import parse, recipe_flags, resolved
from rlsc.config.compare import CompareConfig
from rlsc.errors import ConfigError, RLSCError
from rlsc.objectives import check_judges, check_siblings, create_objective
from rlsc.records import folder as runfolder
from rlsc.report.comparison import write_comparison
from rlsc.report.html import write_html
from rlsc.runtime.console import console

BASE, FAILURE = "base", "failure.txt"
# May differ from what a run was made with; all else would make rows that do not compare.
_FREE = {"resume", "overwrite", "disable_tqdm", "output_dir", "base_evaluation"}


@dataclass(frozen=True)
class Run:
    """One objective with one seed."""

    label: str
    seed: int
    folder: Path
    flags: Sequence[str]
    """Of `rlsc train`."""

    @property
    def finished(self) -> bool:
        return (self.folder / runfolder.RESULTS).is_file()

    @property
    def failed(self) -> bool:
        """Such a run is made anew, with what settings the recipe has by now."""
        return (self.folder / FAILURE).is_file() and not self.finished


def compare(config: CompareConfig, flags: Sequence[str], print_commands: bool = False) -> None:
    """Make every run that is not finished, one after another, then table and plot of all.

    `flags` are further ones of `rlsc train`, for all runs. With `print_commands` no run is made:
    the commands are printed, for a launcher of the user's own.
    """
    folder = Path(config.output_dir)
    runs = _runs(config, flags)
    _check(folder, runs)
    if print_commands:
        for run in runs:
            print("rlsc train " + shlex.join([*run.flags, "--resume"]))
        return
    left = [run for run in runs if not run.finished]
    if left or _temperatures(folder / BASE) != list(config.temperatures):
        console.print("the untrained model …")
        base = folder / BASE  # where nothing has changed, its answers are read back
        problem = _in_process(evaluate_base, runs[0].flags, config.temperatures, str(base))
        if problem:
            raise ConfigError(f"the untrained model could not be evaluated: {problem}")
    started = time.time()
    for made, run in enumerate(left):
        console.print(
            f"run {len(runs) - len(left) + made + 1} of {len(runs)}: {run.label}, seed {run.seed}"
            + _time_left(time.time() - started, made, len(left))
        )
        problem = _in_process(train, [*run.flags, "--overwrite" if run.failed else "--resume"])
        (run.folder / FAILURE).unlink(missing_ok=True)
        if problem:
            console.print(f"{run.label}, seed {run.seed} failed: {problem}")
            runfolder.write_text(run.folder / FAILURE, problem + "\n")
        write_comparison(folder, config.methods, config.seeds)  # what there is, at any time
        write_html(folder)
    write_comparison(folder, config.methods, config.seeds, show=True)
    console.print(f"report  {write_html(folder)}", soft_wrap=True)


def _runs(config: CompareConfig, flags: Sequence[str]) -> list[Run]:
    """Seed by seed, so that a comparison cut short has all methods."""
    for flag in flags:
        name = flag.removeprefix("--").partition("=")[0].replace("-", "_")
        rows = [label for label, settings in config.methods.items() if name in settings]
        if rows:
            raise ConfigError(f"--{name} is what {rows[0]!r} sets itself: leave it out")
    base = Path(config.output_dir) / BASE
    found = []
    for seed in config.seeds:
        for label, settings in config.methods.items():
            folder = Path(config.output_dir) / label / f"seed-{seed}"
            own: Mapping[str, Any] = {
                "eval_seed": 0,
                "save_model": False,
                **config.shared,
                **settings,
                "seed": seed,
                "output_dir": str(folder),
                "base_evaluation": str(base),
            }
            found.append(Run(label, seed, folder, [*recipe_flags(own), *flags]))
    return found


def _check(folder: Path, runs: Sequence[Run]) -> None:
    """All settings are read before anything is run, and are those of runs that are there."""
    runfolder.check_writable(folder)
    for run in runs:
        try:
            config, training = parse([*run.flags])
            objective = create_objective(training)  # a name that is none
            check_siblings(objective, training.num_generations)
            check_judges(objective, (), None, training.reward_model)
            settings = resolved(config, training)
            if (run.folder / runfolder.CONFIG).is_file() and not run.failed:
                runfolder.check_same_settings(run.folder, settings, _FREE)
        except RLSCError as error:
            raise ConfigError(f"{run.label}: {error}") from error


def _temperatures(base: Path) -> list[float] | None:
    """At which the untrained model has been evaluated."""
    try:
        results = json.loads((base / runfolder.RESULTS).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return [one["temperature"] for one in results["temperatures"]]


def _time_left(seconds: float, made: int, of: int) -> str:
    return f" (about {seconds / made * (of - made) / 60:.0f} minutes left)" if made else ""


# In processes of their own: their memory is given back, and what ends one ends no other.


def train(flags: Sequence[str]) -> None:
    """What `rlsc train` does."""
    from rlsc.commands.train import run

    run(*parse(flags))


def evaluate_base(flags: Sequence[str], temperatures: Sequence[float], folder: str) -> None:
    """The untrained model as runs evaluate it, and at each temperature."""
    from rlsc.commands.train import evaluate_untrained

    evaluate_untrained(*parse(flags), temperatures, Path(folder))


def _in_process(function: Any, *arguments: Any) -> str | None:
    """Why it failed, in a line; None where it did not."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_reporting, args=(sender, function, *arguments))
    process.start()
    sender.close()
    try:
        problem = receiver.recv()
    except EOFError:  # it died without a word
        problem = None
    finally:
        process.join()
    if problem is None and process.exitcode:
        code = -process.exitcode
        name = signal.Signals(code).name if code > 0 else f"exit code {process.exitcode}"
        return f"its process ended by {name}" + (" (out of memory?)" if code == 9 else "")
    return str(problem) if problem else None


def _reporting(sender: Any, function: Any, *arguments: Any) -> None:
    from rlsc.runtime.console import quiet_libraries

    threading.Thread(target=_end_with_parent, daemon=True).start()
    quiet_libraries()
    try:
        function(*arguments)
        sender.send(None)
    except RLSCError as error:
        sender.send(_one_line(error))
    except KeyboardInterrupt:
        sys.exit(130)  # the parent has it too, and says so
    except Exception as error:
        sender.send(f"{type(error).__name__}: {_one_line(error)}")
        raise


def _end_with_parent() -> None:
    """A run must not go on by itself where the comparison was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
