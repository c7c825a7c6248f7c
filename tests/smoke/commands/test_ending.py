"""How a command ends that is told to, or whose output nobody reads: one line, and what goes on."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.forked import Forked, rlsc
from tests.smoke.commands.test_train import arguments

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")
MANY = ("--max_steps", "5000", "--eval", "none", "--guard", "off", "--save_strategy", "no")


def into_a_closed_pipe(*argv: str) -> None:
    """`rlsc ARGV | head` once head has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 1)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    rlsc(*argv)


def wait_for(file: Path, process: Forked) -> None:
    until = time.monotonic() + 60
    while not file.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert file.exists(), process.wait(1).stderr


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGTERM, 143, "ended by SIGTERM"), (signal.SIGINT, 130, "interrupted")],
)
def test_a_signal_ends_a_run_with_a_line(
    tiny_folder: Path, tmp_path: Path, number: int, code: int, said: str
) -> None:
    run = Forked(rlsc, "train", *arguments(tiny_folder, tmp_path / "run", *MANY))
    wait_for(tmp_path / "run" / "metrics.jsonl", run)
    os.kill(run.pid, number)
    done = run.wait(60)
    assert done.returncode == code
    assert done.stderr == f"rlsc: error: {said}; from the last checkpoint go on with --resume\n"


def test_a_closed_pipe_ends_a_run_with_a_line(tiny_folder: Path, tmp_path: Path) -> None:
    run = Forked(into_a_closed_pipe, "train", *arguments(tiny_folder, tmp_path / "run", *MANY))
    done = run.wait(60)
    assert done.returncode == 1
    assert done.stderr == (
        "rlsc: error: nobody reads the output any more (a closed pipe); from the last checkpoint "
        "go on with --resume\n"
    )


@pytest.mark.parametrize("argv", [("--help",), ("--version",)])
def test_a_closed_pipe_without_a_run(argv: tuple[str, ...]) -> None:
    done = Forked(into_a_closed_pipe, *argv).wait(60)
    assert done.returncode == 1
    assert done.stderr == "rlsc: error: nobody reads the output any more (a closed pipe)\n"


CHILD = "import pathlib, time; pathlib.Path({!r}).touch(); time.sleep(60)"


def comparing(started: str) -> None:
    """What `rlsc compare` does around a run, in a process group of its own, as a terminal's is."""
    from rlsc.commands import compare

    os.setsid()
    sys.path.insert(0, os.getcwd())  # as a notebook has it
    print(compare._in_process(exec, CHILD.format(started)))


@pytest.mark.parametrize("group", [True, False], ids=["Ctrl-C", "SIGINT to the parent alone"])
def test_an_interrupted_comparison_leaves_no_child_and_no_traceback_of_its(
    tmp_path: Path, group: bool
) -> None:
    """The folder has a file that Python itself would import, were it not kept from it."""
    (tmp_path / "tempfile.py").write_text("raise SystemExit('the file of the user was run')")
    run = Forked(comparing, str(tmp_path / "started"), cwd=tmp_path)
    wait_for(tmp_path / "started", run)
    (os.killpg if group else os.kill)(run.pid, signal.SIGINT)
    done = run.wait(60)
    assert done.stderr.count("Traceback") == 1  # this function's own: `main` would make it a line
    assert "SpawnProcess" not in done.stderr
    assert "the file of the user" not in done.stderr + done.stdout
