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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsc.commands.arguments import (
    Parser,
    parse,
    read_recipe,
    recipe_flags,
    resolved,
)
from rlsc.config.compare import NOT_SHARED, CompareArguments, CompareConfig
from rlsc.errors import ConfigError, RLSCError
from rlsc.records import folder as runfolder
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


def parse_compare(argv: Sequence[str]) -> tuple[CompareConfig, list[str]]:
    """Settings of `rlsc compare`, and flags of `rlsc train` for all its runs."""
    usage = "--config FILE [--NAME VALUE …] [--NAME VALUE of train …]"
    parser = Parser("compare", usage, (__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", metavar="FILE", help="A recipe, as recipes/compare-*.yaml.")
    parser.add_settings(CompareArguments)
    parser.epilog = "Every other flag is one of rlsc train, for all runs: rlsc train --help."
    own, rest = parser.known(argv)
    if "config" not in own:
        raise ConfigError("--config is missing: a recipe with objectives, see recipes/compare-*")
    content = dict(read_recipe(Path(own.pop("config"))))
    flags: list[str] = []
    for name, value in _pairs(rest):
        if name in NOT_SHARED:
            content[name] = value
        else:
            flags += [f"--{name}"] if value is None else [f"--{name}={value}"]
    return CompareConfig.of(content | own), flags


def _pairs(argv: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """(name, value) of flags, `--name value` or `--name=value`; None for one without."""
    items = list(argv)
    while items:
        item = items.pop(0)
        if not item.startswith("--"):
            raise ConfigError(f"{item!r} belongs to no flag")
        name, equals, value = item[2:].partition("=")
        if equals:
            yield name, value
        else:
            yield name, items.pop(0) if items and not items[0].startswith("--") else None


def compare(config: CompareConfig, flags: Sequence[str]) -> None:
    """Make every run that is not finished, one after another, then table and plot of all.

    `flags` are further ones of `rlsc train`, for all runs. With `print_commands` no run is made:
    the commands are printed, for a launcher of the user's own.
    """
    from rlsc.report.comparison import write_comparison
    from rlsc.report.html import write_html

    folder = Path(config.output_dir)
    runs = _runs(config, flags)
    _check(folder, runs)
    if config.print_commands:
        for run in runs:
            print("rlsc train " + shlex.join([*run.flags, "--resume"]))
        return
    unfinished = [run for run in runs if not run.finished]
    if unfinished or _temperatures(folder / BASE) != list(config.temperatures):
        console.print("the untrained model …")
        base = folder / BASE  # where nothing has changed, its answers are read back
        problem = _in_process(evaluate_base, runs[0].flags, config.temperatures, str(base))
        if problem:
            raise ConfigError(f"the untrained model could not be evaluated: {problem}")
    started = time.time()
    for made, run in enumerate(unfinished):
        number = len(runs) - len(unfinished) + made + 1
        console.print(
            f"run {number} of {len(runs)}: {run.label}, seed {run.seed}"
            + _time_left(time.time() - started, made, len(unfinished))
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
        name = flag.removeprefix("--").partition("=")[0]
        rows = [label for label, settings in config.methods.items() if name in settings]
        if rows:
            raise ConfigError(f"--{name} is what {rows[0]!r} sets itself: leave it out")
    base = Path(config.output_dir) / BASE
    runs = []
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
            runs.append(Run(label, seed, folder, [*recipe_flags(own), *flags]))
    return runs


def _check(folder: Path, runs: Sequence[Run]) -> None:
    """All settings are read before anything is run, and are those of runs that are there."""

    runfolder.check_writable(folder)
    for run in runs:
        try:
            config, training = parse([*run.flags])
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
    return [entry["temperature"] for entry in results["temperatures"]]


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
