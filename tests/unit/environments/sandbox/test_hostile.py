"""Hostile programs: each ends as it must, in time, and leaves neither process nor file."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from rlsc.environments.sandbox import Executor, Status, decode, validate
from tests.unit.environments.sandbox.conftest import SHORT, made
from tests.unit.environments.sandbox.hostile import (
    HOSTILE,
    ON_THE_HOST,
    ON_THE_REPLY,
    WRITTEN,
    Hostile,
    body,
    tries,
)

ADDS = "def f(a, b):\n    return a + b"
SEEDS = itertools.count(random.SystemRandom().randrange(10**6, 10**9))
"""Of hashes, another for each run: by them a process that a program left behind is known."""


def left_behind(seed: int) -> list[int]:
    """The processes that were given this seed and are there two seconds later."""
    until = time.monotonic() + 2
    while (found := given(seed)) and time.monotonic() < until:
        time.sleep(0.01)
    return found


def given(seed: int) -> list[int]:
    mark, found = f"PYTHONHASHSEED={seed}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # it ended meanwhile, or is another's
            continue
    return found


@pytest.mark.parametrize("hostile", HOSTILE, ids=str)
def test_a_hostile_program_is_stopped(executor: Executor, hostile: Hostile) -> None:
    if executor.name == "process" and hostile.number in ON_THE_HOST:
        pytest.skip("not without a sandbox")
    seed, begun = next(SEEDS), time.monotonic()
    outcomes = executor.run(hostile.program, hostile.calls, SHORT, seed)
    assert time.monotonic() - begun < 20  # 1.6 s, on a machine that has nothing else to do
    ends = hostile.wasm if executor.name == "wasm" and hostile.wasm else hostile.ends
    assert len(outcomes) == len(hostile.calls)
    for outcome in outcomes:
        assert outcome.status in ends, outcome
        assert outcome.value == (hostile.value if outcome.is_ok else None)
    assert left_behind(seed) == []
    assert not any(Path(folder, WRITTEN).exists() for folder in ("/", "/tmp", "/dev/shm", "."))
    if executor.name != "wasm" or hostile.number in ON_THE_REPLY:  # its instances share nothing
        (after,) = executor.run(ADDS, ["f(1, 2)"], SHORT, 0)
        assert after.value == "3"


def test_the_numbers_are_all_there() -> None:
    elsewhere = {22, 23, 24, 28}  # texts: test_reader.py; determinism and surroundings: below
    assert {hostile.number for hostile in HOSTILE} | elsewhere == set(range(1, 31))
    assert elsewhere.isdisjoint({hostile.number for hostile in HOSTILE})


HASH_ORDER = body("return list({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'})")
ADDRESS = body("return str(object())")
COUNTS = "count = 0\ndef f(a):\n    global count\n    count += 1\n    return count"
REMEMBERS = "seen = []\ndef f(a):\n    seen.append(a)\n    return seen[0]"
PROCESS_ID = body("import os\nreturn os.getpid()")


@pytest.mark.parametrize(
    ("program", "alike"),
    [
        (HASH_ORDER, ()),
        (COUNTS, ()),
        (REMEMBERS, ()),
        (ADDRESS, ()),
        (PROCESS_ID, ("bwrap", "wasm")),  # the same number each time; wasm has none: an error
        (body("return sorted({'a', 'b', 'c'})"), ("process", "bwrap", "wasm")),
    ],
    ids=["hash order", "counts", "remembers", "address", "process id", "deterministic"],
)
def test_programs_whose_runs_differ(
    executor: Executor, program: str, alike: tuple[str, ...]
) -> None:
    """Number 24. One of 40,320 orders of eight is the same by chance."""
    outcomes = validate(executor, program, ["f(1)", "f(2)"], SHORT)
    differ = [outcome.status is Status.NONDETERMINISTIC for outcome in outcomes]
    assert any(differ) is (executor.name not in alike)


def test_nothing_of_the_host_is_around_a_program(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Number 28: environment, arguments, path, inherited descriptors."""
    monkeypatch.setenv("SECRET", "x")
    reads, writes = os.pipe()
    os.set_inheritable(reads, True)
    program = body(
        """
        import os, sys
        open_ = []
        for fd in range(64):
            try: open_.append([fd, os.fstat(fd).st_mode & 0o170000])
            except OSError: pass
        return [sorted(os.environ), sys.argv, sys.path, open_]
        """
    )
    try:
        (outcome,) = executor.run(program, ["f(1)"], SHORT, 0)
    finally:
        os.close(reads)
        os.close(writes)
    environment, argv, path, descriptors = decode(str(outcome.value))
    assert set(environment) <= {"LC_ALL", "PWD", "PYTHONHASHSEED"}
    assert argv == ["program"]
    assert not any("site-packages" in entry or str(Path.cwd()) in entry for entry in path)
    assert len(descriptors) <= 4  # 0, 1 and 2, which are null, and the reply


def test_a_process_alone_protects_nothing(tmp_path: Path) -> None:
    """What docs/sandbox.md says of the backend `process`: these two programs do what they want."""
    executor = made("process")
    (tmp_path / "secret").write_text("secret")
    program = body("import os\nos.mkdir(a + '/new')\nreturn open(a + '/secret').read()")
    (outcome,) = executor.run(program, [f"f({str(tmp_path)!r})"], SHORT, 0)
    assert outcome.value == '"secret"'
    assert (tmp_path / "new").is_dir()
    connects = tries("socket.socket()", "import socket")
    assert executor.run(connects, ["f(1)"], SHORT, 0)[0].value == "[0]"


@pytest.mark.parametrize("runs", [24, pytest.param(200, marks=pytest.mark.slow)])
def test_many_runs_leave_nothing(
    executor: Executor, runs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process, descriptor or file; half of them end by force."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seed = next(SEEDS)
    programs = [ADDS, body("return 1"), body("import os\nos._exit(3)"), "import sys\nsys.exit()"]
    executor.run(ADDS, ["f(1, 2)"], SHORT, seed)  # what a first use keeps
    before, children = len(os.listdir("/proc/self/fd")), set(psutil.Process().children())
    for count in range(runs):
        executor.run(programs[count % 4], ["f(1, 2)"], SHORT, seed)
    assert len(os.listdir("/proc/self/fd")) <= before
    assert left_behind(seed) == []
    assert os.listdir(tmp_path) == []
    assert set(psutil.Process().children()) <= children


REAPER = """
import ctypes, psutil
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: what loses its parent becomes a child
from rlsc.environments.sandbox.bwrap import BwrapExecutor
from rlsc.environments.sandbox.executor import Limits
executor = BwrapExecutor()
sleeps = "import time; time.sleep(9)"
for body in ("return a", "while True: pass", "import os; os._exit(1)", sleeps):
    (outcome,) = executor.run("def f(a):\\n    " + body, ["f(1)"], Limits(0.1, 256), 0)
    print(outcome.status, end=" ")
print([child.status() for child in psutil.Process().children(recursive=True)])
"""


def test_bwrap_leaves_no_zombie_to_the_first_process_of_a_container() -> None:
    """Which is often no init, and then keeps what is left to it for ever."""
    made("bwrap")
    command = [sys.executable, "-c", REAPER]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split("[") == ["ok timeout crash timeout ", "]\n"]
