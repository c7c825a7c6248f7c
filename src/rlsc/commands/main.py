"""The command line: `rlsc demo`, `train`, `plan`, `eval`, `compare`, `report`.

Bad input ends in one line and exit code 2.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors import SafetensorError

from rlsc import __version__
from rlsc.errors import NonFiniteError, RLSCError

USAGE = """\
rlsc: label-free RL fine-tuning of language models by self-confidence

  rlsc demo [--overwrite | --resume] [--FIELD VALUE …]
      fine-tune the embedded SmolLM2-135M-Instruct on single-digit additions, a few minutes on a CPU
  rlsc train --config recipes/FILE.yaml [--FIELD VALUE …]
  rlsc train --model NAME_OR_FOLDER --questions FILE.jsonl|HUB_DATASET|arithmetic \\
             --max_steps 10 --num_generations 16 --max_completion_length 3072 \\
             --temperature 0.5 --alpha 0.1 --output_dir DIR [--resume | --overwrite | --dry_run]
  rlsc plan --config recipes/FILE.yaml [--FIELD VALUE of train …] \\
            [--device_type cuda --device_memory_gb 80 --num_processes 8]
      the memory that a run would take, without its weights, and what to change if it does not fit
  rlsc eval --model NAME_OR_FOLDER --benchmarks math500,gsm8k [--data_dir FOLDER] \\
            [--template chat] [--samples 16 --temperature 0.5] [--limit N] [--controls] \\
            --output_dir DIR [--resume | --overwrite]
  rlsc eval --regrade DIR
  rlsc compare --config recipes/compare-FILE.yaml [--objectives rlsc,ttrl,grpo] [--seeds 0,1,2] \\
               [--FIELD VALUE of train …] [--print_commands]
      the same model, questions and budget for every objective: one table, one plot; it goes on
      where it stopped
  rlsc report DIR [DIR …] [--output_file FILE.html] [--watch]
      make a run's report.html again, put several runs on one page, or follow one that goes on
  rlsc train --help, rlsc plan --help, rlsc eval --help       every field
  rlsc --version
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 the run failed, 2 bad input, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an ASCII terminal must not end a run
    sys.exit(_main(list(sys.argv[1:] if argv is None else argv)))


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if argv[0] == "--version":
        print(f"rlsc {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        return _fail(f"unknown command {argv[0]!r}: one of {', '.join(COMMANDS)} (rlsc --help)")
    try:
        COMMANDS[argv[0]](argv[1:])
    except NonFiniteError as error:
        _fail(str(error))
        return 1
    except RLSCError as error:
        return _fail(str(error))
    except OSError as error:  # such as a full disk
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        return 1
    except SafetensorError as error:  # the weights could not be written: a full disk, mostly
        _fail(str(error))
        return 1
    except KeyboardInterrupt:
        again = "the same command goes on" if argv[0] == "compare" else "go on with --resume"
        _fail(f"interrupted; from the last checkpoint {again}")
        return 130
    except Exception as error:
        if not _process():
            raise
        return _fail_among_others(error)
    return 0


def _fail(message: str) -> int:
    print(f"rlsc: error: {_process()}{message}", file=sys.stderr, flush=True)
    return 2


def _process() -> str:
    """Which of several processes this is."""
    number = os.environ.get("WORLD_SIZE", "1")
    return "" if number == "1" else f"process {os.environ.get('RANK')} of {number}: "


def _fail_among_others(error: Exception) -> int:
    """A bug, in an objective of the user's perhaps: the launcher ends the other processes."""
    if any(sign in str(error) for sign in ("closed by peer", "Connection reset", "Broken pipe")):
        _fail("another process has ended, and so this one does")
        return 1
    traceback.print_exc()
    what = " ".join(f"{type(error).__name__}: {error}".split())
    _fail(f"{what}; this ends the run on all processes, and --resume goes on from its checkpoint")
    return 1


def _train(argv: list[str]) -> None:
    _run(argv, None)


def _demo(argv: list[str]) -> None:
    _run(argv, recipes_folder() / "demo-smollm2.yaml")


def _plan(argv: list[str]) -> None:
    from rlsc.runtime.console import quiet_libraries

    quiet_libraries()
    from rlsc.commands.arguments import parse_plan
    from rlsc.planning.plan import run_plan

    run_plan(*parse_plan(argv))


def _eval(argv: list[str]) -> None:
    from rlsc.runtime.console import quiet_libraries

    quiet_libraries()
    from rlsc.commands.arguments import parse_eval
    from rlsc.commands.eval import run_eval, run_regrade
    from rlsc.errors import ConfigError

    if argv and argv[0].startswith("--regrade="):
        argv = [*argv[0].split("=", 1), *argv[1:]]
    if "--regrade" not in argv:
        run_eval(parse_eval(argv))
        return
    if len(argv) != 2 or argv[0] != "--regrade":
        raise ConfigError("--regrade DIR takes no other flags: its settings are the evaluation's")
    run_regrade(Path(argv[1]))


def _compare(argv: list[str]) -> None:
    if argv in (["-h"], ["--help"]):
        print(USAGE, end="")
        return
    from rlsc.runtime.console import quiet_libraries

    quiet_libraries()
    from rlsc.commands.arguments import parse_compare
    from rlsc.commands.compare import compare

    compare(*parse_compare(argv))


def _report(argv: list[str]) -> None:
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE, end="")
        return
    from rlsc.runtime.console import quiet_libraries

    quiet_libraries()
    from rlsc.commands.report import parse_report, run_report

    run_report(*parse_report(argv))


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "demo": _demo,
    "train": _train,
    "plan": _plan,
    "eval": _eval,
    "compare": _compare,
    "report": _report,
}


def _run(argv: list[str], recipe: Path | None) -> None:
    # Imported late: torch and transformers take seconds, and `rlsc --help` none.
    from rlsc.runtime.console import quiet_libraries

    quiet_libraries()
    from rlsc.commands.arguments import parse
    from rlsc.commands.dry_run import dry_run
    from rlsc.commands.train import run

    config, training = parse(argv, recipe)
    (dry_run if config.dry_run else run)(config, training)


def recipes_folder() -> Path:
    """The recipes: beside the code in a wheel, at the root of a checkout."""
    packaged = Path(__file__).parents[1] / "recipes"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "recipes"
