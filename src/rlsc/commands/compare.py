"""`rlsc compare`: the same model, questions and budget for every objective, and the table of it.

Each run is a `rlsc train` in a process and a folder of its own, OUTPUT_DIR/LABEL/seed-S, so that
a comparison goes on where it stopped and a run that fails is a row that says so. The untrained
model is evaluated once, in OUTPUT_DIR/base, for all.
"""

from __future__ import annotations

import multiprocessing
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlsc.commands.arguments import (
    Parser,
    parse,
    read_recipe,
    recipe_flags,
    resolved,
)
from rlsc.commands.compared import BASE, FAILURE, compared, part_of
from rlsc.config import NOT_SHARED, OF_BASE, SEEDS, TRANSDUCTIVE, CompareArguments, CompareConfig
from rlsc.errors import ConfigError, FailedRunsError, RLSCError
from rlsc.records import (
    EVALUATION,
    RESULTS,
    ComparisonFolder,
    ComparisonResults,
    EvaluationFolder,
    Legs,
    TrainingFolder,
    check_free,
    check_same,
    check_writable,
    drop_checkpoints,
    temperature_label,
    write_results,
    write_text,
)
from rlsc.report import print_results, write_report
from rlsc.runtime import console, quiet_start, started

if TYPE_CHECKING:
    from rlsc.commands.train_evaluation import OwnTask
    from rlsc.config import RunConfig
    from rlsc.training import RLSCConfig

# Of all runs but the transductive ones, which are evaluated on what they are trained on.
_OF_THE_OTHERS = (
    *("questions", "questions_split", "questions_config", "question_column", "answer_column"),
    *("eval_questions", "eval_limit", "benchmarks", "controls"),
    *("benchmark_template", "benchmark_samples", "benchmark_temperature", "benchmark_limit"),
)
# Where a run's data comes from, and what asks for labels.
_SOURCES = (
    *("questions", "eval_questions", "guard_questions", "sft_rows", "benchmarks"),
    *("environment", "environment_settings", "objective", "label_share"),
)
# May differ from what a run was made with; all else would make rows that do not compare.
_SAME = "give the same again, or another output_dir for a comparison of its own"
_FREE = frozenset({"resume", "overwrite", "disable_tqdm", "output_dir", "base_evaluation"})


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
        return TrainingFolder(self.folder).finished

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
    the commands are printed, for a launcher of the user's own; with `dry_run` the runs are listed.
    Raises `FailedRunsError`, once all is written, where runs have failed.
    """
    folder = ComparisonFolder(Path(config.output_dir))
    runs = _runs(config, flags)
    _check(folder, runs, _flags_of_base(config, flags), config.transductive)
    if config.print_commands:
        for run in runs:
            print("rlsc train " + shlex.join([*run.flags, "--resume"]))
        return
    if config.dry_run:
        _list(runs)
        return
    folder.prepare(_settings(config), overwrite=False)
    try:
        _make(folder, config, runs, flags)
    finally:
        folder.release()
    console.print(f"report  {folder.path / 'report.html'}", soft_wrap=True)
    failed = [f"{run.label}, seed {run.seed}" for run in runs if run.failed]
    if failed:
        raise FailedRunsError(
            f"{len(failed)} of {len(runs)} runs failed ({'; '.join(failed[:3])}"
            f"{'; …' if len(failed) > 3 else ''}): the table says why, and the same command makes "
            "them anew"
        )


def _list(runs: Sequence[Run]) -> None:
    """Every run in the order in which they are made, and which of them there are."""
    for number, run in enumerate(runs, start=1):
        state = "finished" if run.finished else "failed, made anew" if run.failed else "to be made"
        text = f"run {number} of {len(runs)}: {run.label}, seed {run.seed} ({state}) {run.folder}"
        console.print(text, soft_wrap=True, markup=False, highlight=False)
    console.print("dry run: the settings and data of all runs are in order; nothing was written")


def _make(
    folder: ComparisonFolder, config: CompareConfig, runs: Sequence[Run], flags: Sequence[str]
) -> None:
    """The untrained model's evaluation and every run that is not finished, each in a process.

    Those that have failed come last, so that they hold up no other.
    """
    begun, legs = time.monotonic(), Legs(folder.path)
    _drop_kept(runs)
    unfinished = sorted((run for run in runs if not run.finished), key=lambda run: run.failed)
    asked = _is_asked(folder.base, parse(_flags_of_base(config, flags)), config.temperatures)
    if unfinished or not asked:
        legs.begin(BASE)
        _ask_base(folder, config, flags)  # which sees whether the weights are the same
        legs.end()
        _write(folder, config, flags)  # its scores stand before any training
    else:
        _note_other_weights(runs[0])
    started = time.time()
    for made, run in enumerate(unfinished):
        minutes = (time.monotonic() - begun) / 60
        if made and config.minutes is not None and minutes >= config.minutes:
            left = "; ".join(f"{run.label}, seed {run.seed}" for run in unfinished[made:])
            console.print(f"the time is over; left for the same command: {left}", soft_wrap=True)
            break
        number = len(runs) - len(unfinished) + made + 1
        console.print(
            f"run {number} of {len(runs)}: {run.label}, seed {run.seed}"
            + _time_left(time.time() - started, made, len(unfinished))
        )
        legs.begin(part_of(run.label, run.seed))
        problem = _in_process(train, [*run.flags, "--overwrite" if run.failed else "--resume"])
        legs.end()
        (run.folder / FAILURE).unlink(missing_ok=True)
        if problem:
            console.print(f"{run.label}, seed {run.seed} failed: {problem}")
            write_text(run.folder / FAILURE, problem + "\n")
        _drop_kept([run])
        _write(folder, config, flags)  # what there is, at any time
    print_results(_write(folder, config, flags))


def _drop_kept(runs: Sequence[Run]) -> None:
    """The checkpoints of finished runs: of a larger model those of all runs fill a disk.

    Of runs of before too: one may have been killed between its end and this.
    """
    for run in runs:
        if run.finished and not parse([*run.flags])[0].save_model:
            drop_checkpoints(run.folder)


def _note_other_weights(run: Run) -> None:
    """Of a comparison in which nothing is left to do: its figures may be of other weights."""
    from rlsc.commands.finished import of_weights

    if note := of_weights(run.folder, parse([*run.flags])[0]):
        console.print(f"note: of {run.label}, seed {run.seed}: {note}", soft_wrap=True)


def _ask_base(folder: ComparisonFolder, config: CompareConfig, flags: Sequence[str]) -> None:
    """The untrained model; where nothing has changed, its answers are read back."""
    console.print("the untrained model …")
    asked, base = _flags_of_base(config, flags), str(folder.base.path)
    problem = _in_process(evaluate_base, asked, config.temperatures, base)
    if problem:
        raise ConfigError(f"the untrained model could not be evaluated: {problem}")


def _write(
    folder: ComparisonFolder, config: CompareConfig, flags: Sequence[str]
) -> ComparisonResults:
    """results.json and the report, of the runs that there are."""
    config_of_base = parse(_flags_of_base(config, flags))[0]
    questions = config_of_base.questions or f"environment {config_of_base.environment}"
    results = compared(folder, questions, config)
    write_results(folder.path, results)
    write_report(folder.path)
    return results


def _settings(config: CompareConfig) -> dict[str, object]:
    """As a recipe has them."""
    return {
        **config.shared,
        "objectives": [{label: _row(config, label)} for label in config.methods],
        "seeds": list(config.seeds),
        "temperatures": list(config.temperatures),
        "order": config.order,
        "output_dir": config.output_dir,
    }


def _row(config: CompareConfig, label: str) -> dict[str, object]:
    row = dict(config.methods[label])
    if label in config.own_seeds:
        row[SEEDS] = list(config.own_seeds[label])
    if label in config.transductive:
        row[TRANSDUCTIVE] = config.transductive[label]
    return row


def _runs(config: CompareConfig, flags: Sequence[str]) -> list[Run]:
    """In the order of the recipe."""
    for flag in flags:
        name = _name(flag)
        rows = [label for label, settings in config.methods.items() if name in settings]
        if rows:
            raise ConfigError(f"--{name} is what {rows[0]!r} sets itself: leave it out")
    flags = [flag for flag in flags if _name(flag) not in OF_BASE]
    runs = []
    for label, seed in config.pairs:
        folder = Path(config.output_dir) / label / f"seed-{seed}"
        own = _shared(config, label, seed, folder)
        out = {name: own[name] for name in own if name not in OF_BASE}
        more = flags
        if label in config.transductive:
            more = [flag for flag in flags if _name(flag) not in _OF_THE_OTHERS]
        runs.append(Run(label, seed, folder, [*recipe_flags(out), *more]))
    return runs


def _name(flag: str) -> str:
    return flag.removeprefix("--").partition("=")[0]


def _shared(config: CompareConfig, label: str, seed: int, folder: Path) -> dict[str, object]:
    """The settings of a run: those of all, and its own."""
    base: dict[str, object] = {"base_evaluation": str(Path(config.output_dir) / BASE)}
    shared = dict(config.shared)
    if label in config.transductive:  # other questions, of which the base has no answers
        shared = {name: shared[name] for name in shared if name not in _OF_THE_OTHERS}
        base = {"questions": config.transductive[label], "eval_limit": 0}
    return {
        "eval_seed": 0,
        "save_model": False,
        **shared,
        **config.methods[label],
        "seed": seed,
        "output_dir": str(folder),
        **base,
    }


def _flags_of_base(config: CompareConfig, flags: Sequence[str]) -> list[str]:
    """What the untrained model is asked: as the first run that is not transductive asks it."""
    others = [pair for pair in config.pairs if pair[0] not in config.transductive]
    label, seed = others[0]
    own = _shared(config, label, seed, Path(config.output_dir) / label / f"seed-{seed}")
    return [*recipe_flags(own), *flags]


def _check(
    folder: ComparisonFolder,
    runs: Sequence[Run],
    base: Sequence[str],
    transductive: Collection[str],
) -> None:
    """All settings and data are read before anything is run, and are those of runs there are.

    Data of runs that are not begun is read once for all that share it.
    """
    from rlsc.commands.train import read_given  # torch and transformers: not for --help

    check_writable(folder.path)
    if folder.holds_run:
        folder.check_kind()
    else:
        folder.check_empty()
    known: set[str] = set()
    for run in runs:
        try:
            config, training = parse([*run.flags])
            settings = resolved(config, training)
            sources = repr([settings.get(name) for name in _SOURCES])
            place = TrainingFolder(run.folder)
            check_free(place.path)
            going_on = place.holds_run and not run.failed
            if going_on:
                place.check_same_settings(settings, _FREE)
            elif sources in known:
                continue
            given = read_given(config, training)
            known.add(sources)
            if run.label in transductive:
                _check_transductive(given.own)
            if going_on:
                check_same(place.path, given.parts, "the comparison", _SAME)
        except RLSCError as error:
            raise ConfigError(f"{run.label}: {error}") from error
    try:
        read_given(*parse(base))
    except RLSCError as error:
        raise ConfigError(f"the untrained model: {error}") from error


def _check_transductive(own: OwnTask | None) -> None:
    """Raise where a run is not judged by what it is trained on, and that alone."""
    if own is not None and (others := len(own.questions) - len(own.trained_on)):
        raise ConfigError(
            f"transductive: {others} of the {len(own.questions)} questions of {own.task.source} "
            "that it is evaluated on are not trained on: name questions without held-out ones, "
            "such as a file or a benchmark"
        )


def _is_asked(
    base: EvaluationFolder, settings: tuple[RunConfig, RLSCConfig], temperatures: Sequence[float]
) -> bool:
    """Whether the untrained model has been asked all that `settings` ask of it alone."""
    if not (base.path / RESULTS).is_file():
        return False
    stored, wanted = base.read_settings(), resolved(*settings)
    if any(stored.get(name) != wanted.get(name) for name in OF_BASE):
        return False
    labels = {score.setting.label for score in base.results().tasks[EVALUATION].tuned.scores}
    return labels >= {temperature_label(value) for value in temperatures}


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
    with quiet_start():
        process.start()
    sender.close()
    try:
        problem = receiver.recv()
    except EOFError:  # it died without a word
        problem = None
    except BaseException:  # this process is to end: by a signal that the child may not have
        process.terminate()
        raise
    finally:
        process.join()
    if problem is None and process.exitcode:
        code = -process.exitcode
        name = signal.Signals(code).name if code > 0 else f"exit code {process.exitcode}"
        return f"its process ended by {name}" + (" (out of memory?)" if code == 9 else "")
    return str(problem) if problem else None


def _reporting(sender: Any, function: Any, *arguments: Any) -> None:
    from rlsc.runtime import quiet_libraries

    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        started()
        quiet_libraries()
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
