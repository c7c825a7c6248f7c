"""Executors: what a call gives, in which order, under which limits, and what is no verdict."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from rlsc.environments.sandbox import (
    JUDGING,
    VALIDATION,
    Executor,
    Limits,
    Outcome,
    Reader,
    Request,
    Runner,
    Status,
    choice,
    encode,
    make_executor,
    same,
    self_test,
    wasm,
)
from rlsc.environments.sandbox import bwrap as bwrap_module
from rlsc.environments.sandbox.executor import read_reply
from rlsc.environments.sandbox.seccomp import DENIED, filter_program
from rlsc.errors import ConfigError, SandboxError
from tests.unit.environments.sandbox.conftest import BACKENDS, SHORT, is_there, made

ADDS = "def f(a, b=1):\n    return a + b"


def test_each_call_has_its_outcome_in_order(executor: Executor) -> None:
    program = """
import collections, dataclasses, re
from fractions import Fraction

@dataclasses.dataclass
class Point:
    x: int

def f(a, *rest, key=None, **named):
    print("thrown away")
    return {
        "arguments": lambda: [rest, key, named],
        "order": lambda: list(key),
        "library": lambda: [re.sub("a", "b", "aa"), float(Fraction(1, 4)), Point(3).x],
        "raises": lambda: 1 / 0,
        "own error": lambda: collections.Counter(1, 2),
        "counter": lambda: collections.Counter("a"),
        "nothing": lambda: None,
    }[a]()
"""
    calls = {
        "f('arguments', 1, (2,), key=[3], other={4: 5})": [(1, (2,)), [3], {"other": {4: 5}}],
        "f('order', key={'b': 1, 'a': 2})": ["b", "a"],
        "f('library')": ["bb", 0.25, 3],
        "f('raises')": "ZeroDivisionError",
        "f('own error')": "TypeError",
        "f('counter')": Status.NOT_LITERAL,
        "f('nothing')": None,
        "f('missing')": "KeyError",
        "f(nothing=inf)": "TypeError",
    }
    outcomes = executor.run(program, list(calls), SHORT, 0)
    for outcome, (call, expected) in zip(outcomes, calls.items(), strict=True):
        found: Any = outcome.value if outcome.is_ok else outcome.detail or outcome.status
        assert found == (encode(expected) if outcome.is_ok else expected), call
    assert [outcome.seconds for outcome in outcomes] == sorted(o.seconds for o in outcomes)


@pytest.mark.parametrize("call", ["f()", "f(1, 2, 3)", "f(1, c=2)"])
def test_arguments_that_do_not_fit_are_the_programs_error(executor: Executor, call: str) -> None:
    (outcome,) = executor.run(ADDS, [call], SHORT, 0)
    assert (outcome.status, outcome.detail) == (Status.ERROR, "TypeError")


@pytest.mark.parametrize("program", ["", "f = 3", "def g(a): return a", "def f(a: return", "1/0"])
def test_a_program_without_f_fails_in_each_call(executor: Executor, program: str) -> None:
    outcomes = executor.run(program, ["f(1)", "f(2)"], SHORT, 0)
    assert {outcome.status for outcome in outcomes} == {Status.ERROR}
    assert len(outcomes) == 2


def test_what_was_said_before_a_limit_stands(executor: Executor) -> None:
    program = "def f(a):\n    while a == 2: pass\n    return a"
    outcomes = executor.run(program, ["f(1)", "f(2)", "f(3)"], SHORT, 0)
    assert [outcome.status for outcome in outcomes] == ["ok", "timeout", "timeout"]
    assert outcomes[0].value == "1"


def test_an_argument_is_new_in_each_call(executor: Executor) -> None:
    program = "def f(a):\n    a.append(1)\n    return a"
    outcomes = executor.run(program, ["f([])", "f([])"], SHORT, 0)
    assert [outcome.value for outcome in outcomes] == ["[1]", "[1]"]


def test_a_hash_seed_decides_the_order_of_a_set(executor: Executor) -> None:
    program = "def f(a):\n    return [x for x in a]"
    call = ["f({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'})"]
    first, again, other = (executor.run(program, call, SHORT, seed) for seed in (0, 0, 1))
    assert first[0].value == again[0].value
    assert first[0].value != other[0].value


def test_limits_are_of_the_run(executor: Executor) -> None:
    """The same program under two limits: of time, and of memory."""
    slow = "def f(a):\n    total = 0\n    for i in range(a): total += i\n    return total"
    count = 10**6 if executor.name == "wasm" else 10**7
    assert executor.run(slow, [f"f({count})"], Limits(5.0, 256), 0)[0].is_ok
    (outcome,) = executor.run(slow, [f"f({count})"], Limits(0.2, 256), 0)
    assert outcome.status is Status.TIMEOUT
    large = "def f(a):\n    return len(bytearray(a))"
    assert executor.run(large, ["f(200000000)"], Limits(2.0, 512), 0)[0].is_ok
    (outcome,) = executor.run(large, ["f(200000000)"], Limits(2.0, 128), 0)
    assert outcome.status is Status.MEMORY


def test_a_runner_keeps_the_order_and_uses_its_slots_again(executor: Executor) -> None:
    """Programs that are killed, crash and hang stand between others."""
    ends = ["import os\nos._exit(1)", "def f(a):\n    while True: pass", ADDS]
    requests = [
        Request(ends[n % 3], [f"f({n})"], SHORT) if n % 2 else Request(ADDS, [f"f({n})"], SHORT)
        for n in range(12)
    ]
    outcomes = [outcome for (outcome,) in Runner(executor, slots=2).judge(requests)]
    expected = [str(n + 1) if n % 2 == 0 or n % 3 == 2 else None for n in range(12)]
    assert [outcome.value for outcome in outcomes] == expected


def test_the_backends_agree() -> None:
    """On values of every type, errors and orders; wasm has its own hashes."""
    names = [name for name in BACKENDS if is_there(name)]
    if len(names) < 2:
        pytest.skip("one backend alone")
    program = """
def f(a):
    values = [None, True, 2**70, 0.1 + 0.2, 1e300, -0.0, "é\\x00\\u2028", b"\\xff", (1,), [2],
              {3, 4}, frozenset("ab"), {"b": 1, "a": [2]}, float("inf"), 1 << 900, "a" * 998]
    return values[a]
"""
    calls = [f"f({n})" for n in range(17)]
    said = [made(name).run(program, calls, SHORT, 0) for name in names]
    lines = [[(o.status, o.value, o.detail) for o in outcomes] for outcomes in said]
    assert lines[1:] == lines[:-1]
    assert lines[0][16][2] == "IndexError"
    assert [line[0] for line in lines[0][:16]] == [Status.OK] * 16


REST = Outcome(Status.TIMEOUT, detail="cpu")


@pytest.mark.parametrize(
    ("lines", "statuses"),
    [
        ([], ["timeout", "timeout"]),
        ([b"3 ok 1"], ["ok", "timeout"]),
        ([b"3 ok 1", b"4 memory", b"5 ok 7"], ["ok", "memory"]),
        ([b"3 error ValueError", b"4 not_literal"], ["error", "not_literal"]),
        ([b"3 ok 1 ", b"4 ok 2"], ["crash", "crash"]),
        ([b"ok 1"], ["crash", "crash"]),
        ([b"x ok 1"], ["crash", "crash"]),
        ([b"-1 ok 1"], ["crash", "crash"]),
        ([b"3 ok"], ["crash", "crash"]),
        ([b"3 okay 1"], ["crash", "crash"]),
        ([b"3 timeout"], ["crash", "crash"]),
        ([b"3 nondeterministic"], ["crash", "crash"]),
        ([b"3 memory 1"], ["crash", "crash"]),
        ([b"3 error"], ["crash", "crash"]),
        ([b"3 error \x1b[0m"], ["crash", "crash"]),
        ([b"3 error " + b"a" * 101], ["crash", "crash"]),
        ([b"3 ok 1", b"\xff"], ["ok", "crash"]),
        ([b"3 ok 1.0"], ["crash", "crash"]),
        ([b"999999999 ok 1"], ["crash", "crash"]),
    ],
)
def test_what_a_reply_is_taken_for(lines: list[bytes], statuses: list[str]) -> None:
    assert [outcome.status for outcome in read_reply(lines, 2, REST)] == statuses


def test_outcomes_near_a_limit() -> None:
    assert Outcome(Status.OK, "1", seconds=1.1).near(VALIDATION)
    assert not Outcome(Status.OK, "1", seconds=1.1).near(JUDGING)


@pytest.mark.parametrize("field", ["cpu_seconds", "megabytes", "reply_bytes"])
def test_limits_that_are_none(field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} must be positive"):
        Limits(**{field: 0})


class Scripted:
    """An executor that does what it is told, and counts."""

    name = python = "scripted"

    def __init__(self, *does: Any) -> None:
        self.does, self.runs = list(does), 0

    def run(self, program: str, calls: Any, limits: Limits, hash_seed: int) -> list[Outcome]:
        self.runs += 1
        result = self.does.pop(0)
        if isinstance(result, Exception):
            raise result
        return [Outcome(Status.OK, result)] * len(calls)


def test_a_sandbox_that_fails_is_tried_once_more_and_then_an_error() -> None:
    request = Request(ADDS, ["f(1)"])
    once = Scripted(SandboxError("gone"), "1")
    assert Runner(once, slots=1).judge([request])[0][0].value == "1"
    twice = Scripted(SandboxError("gone"), SandboxError("gone again"), "1")
    with pytest.raises(SandboxError, match="gone again"):
        Runner(twice, slots=1).judge([request])
    assert twice.runs == 2


def test_a_step_is_counted_and_a_machine_that_drowns_ends_the_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    late, quick = Outcome(Status.TIMEOUT, seconds=0.4), Outcome(Status.OK, "1", seconds=0.1)

    def runner_of(*outcomes: Outcome) -> Runner:
        executor = Scripted()
        executor.run = lambda *_, hash_seed: list(outcomes)  # type: ignore[method-assign]
        return Runner(executor, slots=1)

    request = Request(ADDS, ["f(1)"] * 10, SHORT)
    calm = runner_of(*[quick] * 8, late, late)
    calm.judge([request, request])
    metrics = calm.end_step()
    assert metrics.pop("executor_seconds") > 0
    assert metrics == {"executions": 20, "timeouts": 4, "near_limit": 4}
    assert calm.end_step() == {
        "executions": 0,
        "timeouts": 0,
        "near_limit": 0,
        "executor_seconds": 0,
    }
    assert capsys.readouterr().out == ""
    drowned = runner_of(*[late] * 10)
    for _ in range(2):
        drowned.judge([request])
        drowned.end_step()
    drowned.judge([request])
    with pytest.raises(SandboxError, match="timed out in 3 steps in a row"):
        drowned.end_step()
    assert capsys.readouterr().out.count("100% of 10 calls timed out in this step") == 3


def test_a_sandbox_that_does_not_start_is_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(bwrap_module, "filter_program", lambda: b"")
    executor = bwrap_module.BwrapExecutor()
    with pytest.raises(SandboxError, match="did not start: bwrap: No permissions"):
        executor.run(ADDS, ["f(1)"], SHORT, 0)
    with pytest.raises(ConfigError, match=r"no sandbox \(bwrap: .*No permissions.*Ubuntu.*Docker"):
        make_executor("bwrap")


def test_a_bwrap_that_is_killed_is_no_verdict() -> None:
    """As by a machine that has no memory left; what is in the sandbox cannot reach it."""
    executor = made("bwrap")

    def kill() -> None:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            for child in psutil.Process().children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    if child.name() == "bwrap" and child.children():
                        time.sleep(0.5)  # until its program runs
                        return child.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    program = "import time\ndef f(a):\n    time.sleep(9)"
    with pytest.raises(SandboxError, match=r"was killed by signal 9|did not start"):
        executor.run(program, ["f(1)"], Limits(2.0, 256), 0)
    killer.join()


def test_root_is_refused_without_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bwrap_module.shutil, "which", lambda _: "/usr/bin/bwrap")
    monkeypatch.setattr(bwrap_module, "filter_program", lambda: None)
    monkeypatch.setattr(bwrap_module.os, "geteuid", lambda: 0)
    with pytest.raises(SandboxError, match=r"pip install 'rlsc\[sandbox\]'"):
        bwrap_module.BwrapExecutor()
    monkeypatch.setattr(bwrap_module.os, "geteuid", lambda: 1000)
    assert bwrap_module.BwrapExecutor().filter is None


def test_the_filter_is_a_program_of_the_kernel() -> None:
    program = filter_program()
    if program is None:
        pytest.skip("pyseccomp or libseccomp is not there")
    assert len(program) % 8 == 0
    assert len(program) // 8 > len(DENIED) // 2
    assert len(set(DENIED)) == len(DENIED)


def test_auto_fails_closed_with_the_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: Any = None) -> Executor:
        raise SandboxError("it is not there")

    monkeypatch.setattr(choice, "_BACKENDS", {"bwrap": absent, "wasm": absent})
    with pytest.raises(ConfigError) as caught:
        make_executor("auto")
    message = str(caught.value)
    assert "bwrap: it is not there; wasm: it is not there" in message
    assert "Install bubblewrap" in message
    assert "pip install 'rlsc[wasm]'" in message
    assert "\n" not in message


def test_auto_takes_the_first_that_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that isolates nothing does not pass; the next one is tried."""
    holds = Scripted("3", *[""] * 5)
    holds.run = lambda program, calls, limits, hash_seed: [  # type: ignore[method-assign]
        Outcome(Status.OK, "3") if "a + b" in program else Outcome(Status.ERROR)
    ]
    backends = {"bwrap": lambda: Scripted("3", "6"), "wasm": lambda: holds}
    monkeypatch.setattr(choice, "_BACKENDS", backends)
    assert make_executor("auto") is holds
    with pytest.raises(ConfigError, match="bwrap: self-test: a program that reads a file is not"):
        make_executor("bwrap")


def test_the_self_test_finds_that_a_process_protects_nothing() -> None:
    with pytest.raises(SandboxError, match="a program that reads a file is not stopped"):
        self_test(made("process"), SHORT)


def test_process_says_that_it_protects_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    make_executor("process")
    assert "nothing is protected" in capsys.readouterr().out.replace("\n", " ")


def test_an_unknown_sandbox() -> None:
    with pytest.raises(
        ConfigError, match="must be one of auto, bwrap, wasm, process, not 'chroot'"
    ):
        make_executor("chroot")  # type: ignore[arg-type]


def test_wasm_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm, "_compiled", wasm._compiled.__wrapped__)

    def missing(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(wasm.importlib, "import_module", missing)
    with pytest.raises(SandboxError, match=r"No module named 'wasmtime'.*rlsc\[wasm\]"):
        wasm.WasmExecutor()


def test_wasm_refuses_another_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "python.wasm"
    other.write_bytes(b"\0asm")

    class Package:
        @staticmethod
        def path() -> Path:
            return other

    monkeypatch.setattr(wasm, "_compiled", wasm._compiled.__wrapped__)
    monkeypatch.setattr(wasm.importlib, "import_module", lambda _: Package)
    with pytest.raises(SandboxError, match="is not the interpreter that is known: SHA"):
        wasm.WasmExecutor()


def test_wasm_counts_instructions_and_stops_the_clock() -> None:
    executor = made("wasm")
    program = "import time, random\ndef f(a):\n    return [time.time(), random.random()]"
    first, second = (executor.run(program, ["f(1)"], SHORT, 0)[0] for _ in range(2))
    assert first.value == second.value
    assert first.seconds == second.seconds > 0


def test_threads_do_not_mix_replies(executor: Executor) -> None:
    said: dict[int, str | None] = {}

    def ask(n: int) -> None:
        said[n] = executor.run(ADDS, [f"f({n}, 100)"], Limits(1.0, 256), 0)[0].value

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == {n: str(n + 100) for n in range(8)}


def crux(shared_data: Path, count: int) -> list[dict[str, str]]:
    rows = (shared_data / "cruxeval.jsonl").read_text("utf-8").splitlines()
    return [json.loads(row) for row in rows[:count]]


@pytest.mark.parametrize(
    "count", [30, *(pytest.param(many, marks=pytest.mark.slow) for many in (100, 800))]
)
def test_the_outputs_of_cruxeval_come_out(
    executor: Executor, shared_data: Path, count: int
) -> None:
    """Programs of arXiv 2401.03065 with their stored outputs: the ground truth.

    Inputs that are no literals (`range(100, 120)`) are refused, twelve of 800.
    """
    rows = crux(shared_data, count)
    with Reader(workers=1) as reader:
        calls = [reader.call(row["input"]) for row in rows]
        answers = [reader.value(row["output"]) for row in rows]
    pairs = [(row, call, answer) for row, call, answer in zip(rows, calls, answers, strict=True)]
    read = [(row, call, answer) for row, call, answer in pairs if call and answer]
    assert len(read) >= count - 12
    requests = [Request(row["code"], [call.text], JUDGING) for row, call, _ in read]
    outcomes = [outcome for (outcome,) in Runner(executor, slots=2).judge(requests)]
    wrong = [
        row["id"]
        for (row, _, answer), outcome in zip(read, outcomes, strict=True)
        if not (outcome.is_ok and same(str(outcome.value), answer))
    ]
    assert wrong == []


def test_neither_torch_nor_transformers_is_loaded() -> None:
    code = (
        "import sys\n"
        "from rlsc.environments.sandbox import Limits, Request, Runner, make_executor\n"
        "runner = Runner(make_executor('process'))\n"
        "print(runner.judge([Request('def f(a): return a + 1', ['f(1)'])])[0][0].value)\n"
        "print({'torch', 'transformers', 'wasmtime'} & set(sys.modules))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines()[-2:] == ["2", "set()"]


def test_the_example_of_the_docs(capsys: pytest.CaptureFixture[str]) -> None:
    if not (is_there("bwrap") or is_there("wasm")):
        pytest.skip("no sandbox here")
    page = (Path(__file__).parents[4] / "docs/sandbox.md").read_text("utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    *lines, last = code.strip().splitlines()
    names: dict[str, Any] = {}
    exec("\n".join([*lines, f"result = {last}"]), names)
    assert names["result"] is True
    assert last.endswith("# True")
