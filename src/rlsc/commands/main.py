"""The command line: `rlsc demo`, `train`, `plan`, `eval`, `compare`, `report`.

Bad input ends in one line and exit code 2. A command's modules are imported when it is called:
torch and transformers take seconds, and `rlsc --help` none.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from rlsc import __version__
from rlsc.errors import ConfigError, FailedRunsError, NonFiniteError, RLSCError

_DESCRIPTION = "Label-free RL fine-tuning of language models by self-confidence."
_EXAMPLES = """\
examples:
  rlsc demo
  rlsc train --questions FILE.jsonl --model NAME_OR_FOLDER --output_dir DIR
  rlsc train --config recipes/FILE.yaml --max_steps 20
  rlsc plan --config recipes/FILE.yaml --device_type cuda --device_memory_gb 80
  rlsc eval --model NAME_OR_FOLDER --benchmarks math500,gsm8k --output_dir DIR
  rlsc eval --regrade DIR
  rlsc compare --config recipes/compare-FILE.yaml --objectives rlsc,ttrl,grpo
  rlsc report DIR

rlsc COMMAND --help lists the flags of a command.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 the run failed, 2 bad input, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an ASCII terminal must not end a run
    _spin_briefly()
    with _heeding_sigterm():
        code = _main(list(sys.argv[1:] if argv is None else argv))
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # it would be tried again, and told of, when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or _fail_unread([])
    sys.exit(code)


class Terminated(KeyboardInterrupt):
    """SIGTERM, as of `docker stop` and SLURM: it ends a run as Ctrl-C does."""


@contextlib.contextmanager
def _heeding_sigterm() -> Iterator[None]:
    """Within, it raises `Terminated`; afterwards whoever called from Python has their own way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminated(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one does not ask
    raise Terminated


def _spin_briefly() -> None:
    """Have threads that wait for each other in small products go to sleep soon.

    By its own default GNU's OpenMP spins long, which on a busy machine takes the cores from those
    that are waited for: experiments/2026-11-28-threads-under-load.md. Read when torch is imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_help(), end="")
        return 0
    if argv[0] == "--version":
        print(f"rlsc {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        return _fail(f"unknown command {argv[0]!r}: one of {', '.join(COMMANDS)} (rlsc --help)")
    try:
        COMMANDS[argv[0]][1](argv[1:])
    except SystemExit as end:  # --help of a command
        return int(end.code or 0)
    except (NonFiniteError, FailedRunsError) as error:
        _fail(str(error))
        return 1
    except RLSCError as error:
        return _fail(str(error))
    except BrokenPipeError:
        return _fail_unread(argv)
    except OSError as error:  # such as a full disk
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        return 1
    except Terminated:
        _fail(f"ended by SIGTERM{_how_to_go_on(argv)}")
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        _fail(f"interrupted{_how_to_go_on(argv)}")
        return 130
    except Exception as error:
        if _is_out_of_memory(error):
            sentences = " ".join(str(error).split()).split(". ")
            what = next((part for part in sentences if "memory" in part), "out of memory")
            _fail(f"{what}; rlsc plan says what takes how much, and what to change")
            return 1
        if type(error).__name__ == "SafetensorError":  # weights not written: a full disk, mostly
            _fail(str(error))
            return 1
        if not _process():
            raise
        return _fail_among_others(error)
    return 0


def _how_to_go_on(argv: Sequence[str]) -> str:
    again = {
        "compare": "the same command goes on from the last checkpoint",
        "train": "from the last checkpoint go on with --resume",
        "eval": "go on with --resume",
    }
    again["demo"] = again["train"]
    command = argv[0] if argv else ""
    return f"; {again[command]}" if command in again else ""


def _fail_unread(argv: Sequence[str]) -> int:
    _fail(f"nobody reads the output any more (a closed pipe){_how_to_go_on(argv)}")
    return 1


def _help() -> str:
    parser = argparse.ArgumentParser(
        "rlsc",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (summary, _) in COMMANDS.items():
        commands.add_parser(name, help=summary)
    return parser.format_help()


def _fail(message: str) -> int:
    with contextlib.suppress(OSError):  # stderr may be the pipe that is closed
        print(f"rlsc: error: {_process()}{message}", file=sys.stderr, flush=True)
    return 2


def _process() -> str:
    """Which of several processes this is."""
    number = os.environ.get("WORLD_SIZE", "1")
    return "" if number == "1" else f"process {os.environ.get('RANK')} of {number}: "


def _is_out_of_memory(error: Exception) -> bool:
    from rlsc.runtime import is_out_of_memory

    return is_out_of_memory(error)


def _fail_among_others(error: Exception) -> int:
    """A bug, in an objective of the user's perhaps: the launcher ends the other processes."""
    if any(sign in str(error) for sign in ("closed by peer", "Connection reset", "Broken pipe")):
        _fail("another process has ended, and so this one does")
        return 1
    traceback.print_exc()
    what = " ".join(f"{type(error).__name__}: {error}".split())
    _fail(f"{what}; this ends the run on all processes, and --resume goes on from its checkpoint")
    return 1


def _demo(argv: list[str]) -> None:
    _train(argv, recipes_folder() / "demo-smollm2.yaml")


def _train(argv: list[str], recipe: Path | None = None) -> None:
    _quiet()
    from rlsc.commands.api import run_training
    from rlsc.commands.arguments import parse

    run_training(*parse(argv, recipe))


def _plan(argv: list[str]) -> None:
    _quiet()
    from rlsc.commands.arguments import parse_plan

    settings = parse_plan(argv)
    from rlsc.planning import run_plan

    run_plan(*settings)


def _eval(argv: list[str]) -> None:
    from rlsc.commands.arguments import parse_eval

    regrade = any(item.partition("=")[0] == "--regrade" for item in argv)
    words = [*argv[0].split("=", 1), *argv[1:]] if regrade else []
    if regrade and (len(words) != 2 or words[0] != "--regrade"):
        raise ConfigError("--regrade DIR takes no other flags: its settings are the evaluation's")
    config = None if regrade else parse_eval(argv)
    _quiet()
    from rlsc.commands.eval import run_eval, run_regrade

    if config is None:
        run_regrade(Path(words[1]))
    else:
        run_eval(config)


def _compare(argv: list[str]) -> None:
    from rlsc.commands.compare import compare, parse_compare

    settings = parse_compare(argv)
    _quiet()
    compare(*settings)


def _report(argv: list[str]) -> None:
    from rlsc.commands.report import parse_report, run_report

    run_report(*parse_report(argv))  # quieting transformers would load it


def _quiet() -> None:
    from rlsc.runtime import quiet_libraries

    quiet_libraries()


COMMANDS: dict[str, tuple[str, Callable[[list[str]], None]]] = {
    "demo": ("train the embedded SmolLM2-135M-Instruct on additions: minutes on a CPU", _demo),
    "train": ("train a model on questions, and evaluate it before and after", _train),
    "plan": ("the memory that a run would take, and what to change if it does not fit", _plan),
    "eval": ("a model on benchmarks", _eval),
    "compare": ("the same model, questions and budget for several objectives", _compare),
    "report": ("a run's page made again, several runs on one page, or one that goes on", _report),
}


def recipes_folder() -> Path:
    """The recipes: beside the code in a wheel, at the root of a checkout."""
    packaged = Path(__file__).parents[1] / "recipes"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "recipes"
