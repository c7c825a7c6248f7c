"""The grader: verdicts from guarded processes, whatever they are given."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from rlsc.errors import ConfigError, GradingError
from rlsc.grading import Grader, Item, grade
from rlsc.grading.api import Judgement
from rlsc.runtime import worker
from rlsc.runtime.worker import Worker
from rlsc.types import Verdict

SECONDS = 2.0
SLOW = r"\boxed{9^{9^{9^9}}}"
RIGHT = Item(r"\boxed{11}", "11")


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(workers=2, seconds=SECONDS) as one:
        yield one


def worker_ids() -> set[int]:
    """The grading processes below this one that run."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if b"rlsc.grading.judge" in command and int(fields[1]) == os.getpid():
            found.add(int(folder.name))
    return found


needs_proc = pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")


@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        ((r"\boxed{1/2}", "0.5"), Verdict.CORRECT),
        (("3 + 8 = 12", "11"), Verdict.WRONG),
        (("I do not know.", "11"), Verdict.UNPARSED),
        (("", ""), Verdict.UNPARSED),
        (("It is 3.14.", r"\pi", "numeric"), Verdict.CORRECT),
        (("It is 3.14.", r"\pi", "math"), Verdict.WRONG),
        (("The answer is B.", "B", "choice"), Verdict.CORRECT),
        (("The answer is 15.", "B", "choice", ["12", "15"]), Verdict.CORRECT),
        (("The answer is 12.", "B", "choice", ("12", "15")), Verdict.WRONG),
        (("The answer is 13.", "B", "choice", ["12", "15"]), Verdict.UNPARSED),
        ((r"\boxed{½}", r"\frac{1}{2}"), Verdict.CORRECT),
        (("5", "Add 2.\n\nSo $3 + 2 =$\n$\\boxed{5}$."), Verdict.CORRECT),
        (("2", "Add 2.\n\nSo $3 + 2 =$\n$\\boxed{5}$."), Verdict.WRONG),
        (("5", "3 + 2 = <<3+2=5>>5 are left.\n#### 5"), Verdict.CORRECT),
        (("5", "So 3 + 2 is 5."), Verdict.WRONG),
        (("\\boxed{a\nb\u2028c}", "5"), Verdict.WRONG),
    ],
)
def test_grade(arguments: tuple[str, ...], verdict: Verdict) -> None:
    assert grade(*arguments) is verdict


def test_the_public_signature_and_values() -> None:
    names = {
        name: parameter.default for name, parameter in inspect.signature(grade).parameters.items()
    }
    assert names == {
        "response": inspect.Parameter.empty,
        "reference": inspect.Parameter.empty,
        "kind": "math",
        "choices": None,
    }
    assert [verdict.value for verdict in Verdict] == ["correct", "wrong", "unparsed", "timeout"]


def test_a_judgement_has_the_answer_and_the_seconds(grader: Grader) -> None:
    judgement = grader.grade(Item(r"Thus $x = \boxed{\frac{1}{2}}$.", "0.5"))
    assert judgement.answer == r"\frac{1}{2}"
    assert judgement.verdict is Verdict.CORRECT
    assert 0 < judgement.seconds < SECONDS
    assert grader.grade(Item("", "0.5")).answer is None


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (Item("7", "7", "maths"), "kind must be one of math, choice, numeric, not 'maths'"),
        (Item("7", "7", ""), "kind must be one of"),
        (Item("B", "B", "choice", "ABCD"), "choices must be a list"),
    ],
)
def test_mistakes_of_the_caller(grader: Grader, item: Item, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grader.grade(item)
    assert grader.grade(RIGHT).verdict is Verdict.CORRECT


def test_readable(grader: Grader) -> None:
    assert grader.readable(r"\frac{1}{2}")
    assert not grader.readable(r"\frac{1}{")
    assert grader.readable(r"So there are $\boxed{5}$ of them, in all.")


def test_grade_all_keeps_the_order(grader: Grader) -> None:
    """The first takes longest: its neighbours are graded meanwhile, and still come after it."""
    items = [Item(SLOW, "11")] + [Item(rf"\boxed{{{i}}}", str(i - i % 3)) for i in range(30)]
    judgements = list(grader.grade_all(items))
    assert judgements[0].verdict is Verdict.TIMEOUT
    assert [one.answer for one in judgements[1:]] == [str(i) for i in range(30)]
    assert [one.verdict is Verdict.CORRECT for one in judgements[1:]] == [True, False, False] * 10
    assert list(grader.grade_all([])) == []


HOSTILE = {
    "power tower": r"\boxed{9^{9^{9^9}}}",
    "power tower in a difference": r"\boxed{9^{9^{9^9}} - 9^{9^{9^9}}}",
    "floor of the huge": r"\boxed{\lfloor 10^{10^{8}} \pi \rfloor}",
    "huge power": r"\boxed{3^{10^{9}}+1}",
    "huge factorial": r"\boxed{\frac{(10^9)!}{2}}",
    "factorials of factorials": r"\boxed{\frac{((20!)!)!}{2}}",
    "huge binomial": r"\boxed{\binom{10^{12}}{5 \cdot 10^{11}}}",
    "endless sum": r"\boxed{\sum_{k=1}^{10^{12}} \sin k}",
    "hard integral": r"\boxed{\int_0^1 x^{x^{x^x}} \sin(e^{x}) dx}",
    "huge exponent": r"\boxed{1e999999999}",
    "expanded power": r"\boxed{(a+b+c+d+e+f+g)^{200}}",
    "tower of names": r"\boxed{x^{x^{x^{x^{x^x}}}}}",
    "100,000 digits": r"\boxed{" + "7" * 100_000 + "}",
    "100,000 decimals": "7." + "0" * 100_000 + "1",
    "thousands": "1,111" * 20_000,
    "division signs": "1/" * 50_000,
    "minus signs": "-" * 1_000_000,
    "prose": "lorem ipsum " * 90_000,
    "line ends": "\n" * 1_000_000,
    "unclosed boxes": r"\boxed{" * 20_000,
    "nested boxes": r"\boxed{" * 20_000 + "}" * 20_000,
    "spaced boxes": (r"\boxed" + " " * 1_000) * 1_000,
    "nested fractions": r"\boxed{" + r"\frac{1}{1+" * 150 + "1" + "}" * 150 + "}",
    "nested roots": r"\boxed{" + "sqrt(" * 300 + "}",
    "nested brackets": r"\boxed{" + "(" * 900 + "8" + ")" * 900 + "}",
    "nested tuples": r"\boxed{" + "(1," * 400 + "2" + ")" * 400 + "}",
    "many answers": r"\boxed{" + ", ".join(map(str, range(400))) + "}",
    "many signs": r"\boxed{" + r"\pm 1 " * 300 + "}",
    "Python": r"\boxed{__import__('os').kill(0, 9)}",
    "null bytes": "\\boxed{\x00\x007}",
    "half a character": "\\boxed{\ud800}",
    "writing direction": "\\boxed{\u202e7\u202c8}",
}


@contextmanager
def computing() -> Iterator[list[float]]:
    """Of each request within, for how long its process computed: no load of the machine counts."""
    spent: list[float] = []
    own = Worker._reply

    def reply(self: Worker, used: float) -> bytes | None:
        line = own(self, used)
        spent.append(self._processor_seconds() - used)
        return line

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "_reply", reply)
        yield spent


@pytest.fixture(scope="module")
def hostile(grader: Grader) -> dict[str, tuple[Judgement, Judgement]]:
    """Each text's judgement, and that of a plain answer after it."""
    items = [item for text in HOSTILE.values() for item in (Item(text, "7"), RIGHT)]
    with computing() as spent:
        judgements = list(grader.grade_all(items))
    assert len(spent) == len(items)
    assert max(spent) < SECONDS + 1
    return dict(zip(HOSTILE, zip(judgements[::2], judgements[1::2], strict=True), strict=True))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_ends_within_the_limit(
    name: str, hostile: dict[str, tuple[Judgement, Judgement]]
) -> None:
    judgement, following = hostile[name]
    assert judgement.verdict in (Verdict.UNPARSED, Verdict.WRONG, Verdict.TIMEOUT)
    assert following.verdict is Verdict.CORRECT


@pytest.mark.parametrize("reference", [r"9^{9^{9^9}}", "(" * 900])
def test_hostile_references(grader: Grader, reference: str) -> None:
    assert grader.grade(Item(r"\boxed{7}", reference)).verdict in (Verdict.WRONG, Verdict.TIMEOUT)
    assert grader.grade(RIGHT).verdict is Verdict.CORRECT


def test_a_timeout_has_its_own_verdict_and_its_time(grader: Grader) -> None:
    with computing() as spent:
        judgement = grader.grade(Item(SLOW, "7"))
    assert (judgement.answer, judgement.verdict) == (None, Verdict.TIMEOUT)
    assert judgement.seconds >= SECONDS
    assert SECONDS <= spent[0] < SECONDS + 1


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_AS"), reason="nothing enforces the limit of memory")
def test_the_limit_of_memory_is_a_timeout_of_its_own() -> None:
    """Four megabytes of text need more than eight to be judged, and less than a second."""
    long = Item(r"\boxed{" + "x" * 4_000_000 + "}", "7")
    with Grader(workers=1, seconds=60, megabytes=8) as small:
        judgement = small.grade(long)
        assert judgement.verdict is Verdict.TIMEOUT
        assert judgement.seconds < 30
        assert small.grade(RIGHT).verdict is Verdict.CORRECT
    with Grader(workers=1, seconds=60, megabytes=64) as large:
        assert large.grade(long).verdict is Verdict.WRONG


def test_where_memory_cannot_be_limited_one_line_says_so(tmp_path: Path) -> None:
    """As on macOS and Windows. Of two workers that start at once, one line in all."""
    lack = "import psutil\nif hasattr(psutil, 'RLIMIT_AS'):\n    del psutil.RLIMIT_AS\n"
    (tmp_path / "sitecustomize.py").write_text(lack, "utf-8")
    script = (
        "from rlsc.grading import Grader, Item\n"
        "with Grader(workers=2, seconds=2) as grader:\n"
        "    print(*[j.verdict.value for j in grader.grade_all([Item('It is 11.', '11')] * 8)])\n"
    )
    paths = [str(tmp_path), *filter(None, sys.path)]
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    said, verdicts = done.stdout.splitlines()
    assert "cannot limit a process's memory" in said
    assert said.endswith("is ended by the limit of 2 s alone")
    assert verdicts.split() == ["correct"] * 8


def test_files_of_the_users_are_never_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("random", "sympy", "rlsc", "signal"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the file of the user was run')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")  # as in a notebook
    with Grader(workers=1, seconds=SECONDS) as one:
        assert one.grade(RIGHT).verdict is Verdict.CORRECT
    assert not (tmp_path / "__pycache__").exists()


def test_a_worker_that_does_not_start_says_why(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(worker, "safe_path", lambda: ["/nowhere"])
    with Grader(workers=1) as one, pytest.raises(GradingError) as caught:
        one.grade(RIGHT)
    said = "the grading worker did not start: ModuleNotFoundError: No module named "
    assert str(caught.value).startswith(said)
    assert capfd.readouterr().err == ""


@needs_proc
def test_an_interrupt_of_the_terminal_leaves_a_worker_silent(
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = worker_ids()
    with Grader(workers=1, seconds=SECONDS) as one:
        assert one.grade(RIGHT).verdict is Verdict.CORRECT
        (mine,) = worker_ids() - before
        os.kill(mine, signal.SIGINT)
        assert one.grade(RIGHT).verdict is Verdict.CORRECT
        assert worker_ids() - before == {mine}
    assert capfd.readouterr().err == ""


@needs_proc
def test_a_killed_worker_is_replaced() -> None:
    before = worker_ids()
    with Grader(workers=1, seconds=SECONDS) as one:
        assert one.grade(RIGHT).verdict is Verdict.CORRECT
        (first,) = worker_ids() - before
        os.kill(first, signal.SIGKILL)
        verdicts = [one.grade(RIGHT).verdict for _ in range(3)]
        assert verdicts[1:] == [Verdict.CORRECT] * 2
        assert verdicts[0] in (Verdict.CORRECT, Verdict.TIMEOUT)
        assert first not in worker_ids()
        assert len(worker_ids() - before) == 1


@needs_proc
def test_closing_ends_the_workers() -> None:
    before = worker_ids()
    one = Grader(workers=2, seconds=SECONDS)
    assert [j.verdict for j in one.grade_all([RIGHT] * 4)] == [Verdict.CORRECT] * 4
    assert worker_ids() - before
    one.close()
    assert worker_ids() <= before
    one.close()  # twice is harmless


def test_threads_share_a_grader(grader: Grader) -> None:
    """Alarms work in the main thread alone; processes do not care."""
    found: dict[int, list[Judgement]] = {}

    def work(number: int) -> None:
        items = [Item(rf"\boxed{{{number}}}", str(i)) for i in range(10)]
        found[number] = [grader.grade(item) for item in items]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, judgements in found.items():
        right = [judgement.verdict is Verdict.CORRECT for judgement in judgements]
        assert right == [i == number for i in range(10)]
    assert len(found) == 6


SCRIPT = """
import sys
from rlsc.grading import grade
print(grade("So it is 11.", "11").value, grade("12", "11").value)
print([name for name in ("sympy", "math_verify", "latex2sympy2_extended") if name in sys.modules])
"""


def test_a_script_without_a_main_guard_grades_and_imports_no_sympy(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "correct wrong\n[]\n"
