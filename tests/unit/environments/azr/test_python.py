"""The language `python`: rule by rule, and played with scripted texts in the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlsc.config.run import RunConfig
from rlsc.environments import (
    Executor,
    create_environment,
    drive,
    drive_beginning,
    drive_examination,
    make_executor,
)
from rlsc.environments.azr.environment import AZR
from rlsc.environments.azr.python import judging, language, proposals
from rlsc.environments.azr.python.language import Python, branches
from rlsc.environments.azr.python.texts import read
from rlsc.environments.azr.step import Proposal
from rlsc.environments.azr.tasks import KINDS, Judgement, Kind, Refusal, Task
from rlsc.environments.sandbox import JUDGING, VALIDATION, Limits, Outcome, Status
from rlsc.errors import ConfigError
from rlsc.types import Ask, Completion
from tests.unit.environments.azr.players import answer

SHORT = Limits(cpu_seconds=0.4, megabytes=256)


@pytest.fixture(scope="module")
def backend() -> Executor:
    try:
        return make_executor("auto")
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def python(backend: Executor) -> Iterator[Python]:
    made = Python(inputs=4)
    yield made
    made.close()


def said(text: str, cut: bool = False) -> Completion:
    return Completion(text, (1,), (-1.0,), "length" if cut else "stop")


def block(name: str, content: str) -> str:
    return f"```{name}\n{content}\n```\n"


def proposal(program: str, given: str = "3") -> str:
    return f"A plan.\n{block('python', program)}{block('input', given)}"


ADDS = "def f(x):\n    return x + 1"
SOURCE = Task("deduction", "def f(x):\n    return x * 2 + 1", "1", "3")


# Texts.


@pytest.mark.parametrize(
    ("text", "form", "blocks", "has_form"),
    [
        (
            "why\n```py\nx\n```\n```Input\n\n```\n  ",
            "fence",
            [("python", "x"), ("input", "")],
            True,
        ),
        ("```output\n4\n```\nso 4", "fence", [("output", "4")], False),
        ("```output\n4", "fence", [], False),
        ("4", "fence", [], False),
        ("hm</think> <answer>\n```output\n4\n```\n", "tags", [("output", "4")], True),
        ("hm</think> so <answer>\n```output\n4\n```", "tags", [("output", "4")], False),
        ("hm <answer>\n```output\n4\n```", "tags", [("output", "4")], False),
        ("```output\n4\n```", "tags", [("output", "4")], False),
        (
            "```output\n1\n```\n</think><answer>\n```output\n4\n```\n",
            "tags",
            [("output", "4")],
            True,
        ),
    ],
)
def test_the_blocks_of_a_text(text: str, form: Any, blocks: list, has_form: bool) -> None:
    written = read(text, form)
    assert (list(written.blocks), written.has_form) == (blocks, has_form)


# Which proposals are tasks.


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (proposal(ADDS), ""),
        (proposal(ADDS) + "Good luck!", "bad_format"),
        ("def f(x): return x + 1", "bad_format"),
        (block("input", "3"), "no_program"),
        (block("python", ADDS) + proposal(ADDS), "no_program"),
        (block("python", ADDS), "no_input"),
        (proposal(ADDS) + block("input", "4"), "no_input"),
        (proposal(ADDS + "#" * 2000), "too_long"),
        (proposal("def f(x:", "'" + "a" * 1000 + "'"), "too_long"),
        (proposal("def f(x:", "y"), "syntax"),
        (proposal("(" * 900 + ")" * 900), "syntax"),
        (proposal("def g(x):\n    return x + 1"), "no_entry"),
        (proposal("import os\ndef f(x):\n    return os.getcwd()"), "forbidden"),
        (proposal("def f(x):\n    return hash(x)", "y"), "forbidden"),
        (proposal("def f(x):\n    return x"), "degenerate"),
        (proposal("def f(x):\n    return 4", "y"), "degenerate"),
        (proposal(ADDS, "1) or (True"), "input_form"),
        (proposal(ADDS, "sum([1, 2])"), "input_form"),
        (proposal(ADDS, "'a'"), "error TypeError"),
        (proposal("def f(x):\n    raise StopIteration(x)\n    return x"), "error StopIteration"),
        (proposal("def f(x):\n    raise SystemExit(x)\n    return x"), "error SystemExit"),
        (proposal("def f(x):\n    while x:\n        pass\n    return x"), "timeout"),
        (proposal("def f(x):\n    return len([x] * 10**9)"), "memory"),
        (proposal("def f(x):\n    return 'a' * x", "2000"), "output_too_long"),
        (proposal("def f(x):\n    return reversed([x])"), "not_a_literal"),
        (proposal("def f(x):\n    return list({'a', 'b', 'c', x})", "'d'"), "nondeterministic"),
    ],
)
def test_what_is_a_task(
    python: Python, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    monkeypatch.setattr(proposals, "VALIDATION", SHORT)
    (made,) = python.tasks("deduction", [(said(text), [])])
    found = f"{made.reason} {made.detail}" if isinstance(made, Refusal) else ""
    assert found.split()[: len(reason.split())] == reason.split()
    assert isinstance(made, Task) == (reason == "")
    assert python.tasks("abduction", [(said(text, cut=True), [])]) == [Refusal("truncated")]


def shows(inputs: list[str], message: str = "It doubles, and more.") -> str:
    return "".join(block("input", each) for each in inputs) + block("message", message)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (shows(["1", "2", "3", "4", "4"]), ""),
        (shows(["1", "2", "'a'", "3", "x", "4"]), ""),
        (shows(["1", "2", "3", "3"]), "few_inputs"),
        (shows(["1", "2", "3", "None"]), "few_inputs"),
        (shows(["x", "y", "z", "w"]), "input_form"),
        (shows([]), "no_input"),
        (shows(["1", "2", "3", "4"]) + block("message", "again"), "bad_format"),
        ("".join(block("input", str(n)) for n in range(4)), "bad_format"),
        (shows(["1", "2", "3", "4"], "a" * 1001), "too_long"),
        (shows(["1", "2", "3", "4"], "lambda it is"), "message_has_code"),
        (shows(["1", "2", "3", "4"], "return x * 2 + 1"), "message_has_code"),
    ],
)
def test_what_shows_a_program(python: Python, text: str, reason: str) -> None:
    (made,) = python.tasks("induction", [(said(text), [SOURCE])])
    assert (made.reason if isinstance(made, Refusal) else "") == reason
    if isinstance(made, Task):
        assert made.pairs == (("1", "3"), ("2", "5"), ("3", "7"), ("4", "9"))
        assert made.message == "It doubles, and more."


def test_outputs_that_are_all_equal_show_nothing(python: Python) -> None:
    flat = replace(SOURCE, program="def f(x):\n    return x * 0")
    (made,) = python.tasks("induction", [(said(shows(["1", "2", "3", "4"])), [flat])])
    assert isinstance(made, Refusal)
    assert made.reason == "constant_outputs"


def test_what_a_solver_sees_has_no_comments_and_one_key_however_it_is_written(
    python: Python,
) -> None:
    hints = 'def f(x: int) -> int:\n    """It is 4."""\n    # 4\n    return (x+1)'
    texts = [proposal(ADDS, "3"), proposal(hints, " 3 ,")]
    plain, written = python.tasks("deduction", [(said(text), []) for text in texts])
    assert plain == written == Task("deduction", ADDS, "3", "4")


def test_the_fields_of_a_dataclass_stay(python: Python) -> None:
    fields = (
        "from dataclasses import dataclass\n\n@dataclass\nclass P:\n    x: int\n    y: int = 2\n\n"
        "def f(x):\n    point: P = P(x)\n    return point.x + point.y"
    )
    (made,) = python.tasks("deduction", [(said(proposal(fields)), [])])
    assert isinstance(made, Task)
    assert made.output == "5"
    assert "point = P(x)" in made.program


# Which answers are right.

DEDUCTION = Task("deduction", ADDS, "3", "4")
ABDUCTION = Task("abduction", "def f(x, y=0):\n    return [x + y]", "3, 1", "[4]")
PAIRS = (("1", "3"), ("2", "5"), ("3", "7"), ("4", "9"))
INDUCTION = Task("induction", SOURCE.program, pairs=PAIRS, message="It doubles.")


@pytest.mark.parametrize(
    ("task", "text", "has_format", "right"),
    [
        (DEDUCTION, block("output", "4"), True, True),
        (DEDUCTION, block("output", " 4.0"), True, True),
        (DEDUCTION, block("output", "4") + "It is 4.", False, True),
        (DEDUCTION, block("output", "5") + block("output", "4"), True, True),
        (DEDUCTION, block("output", "3 + 1"), True, False),
        (DEDUCTION, block("output", "(lambda x: x + 1)(3)"), True, False),
        (DEDUCTION, block("output", "True"), True, False),
        (DEDUCTION, "4", False, False),
        (DEDUCTION, block("input", "4"), False, False),
        (ABDUCTION, block("input", "3, 1"), True, True),
        (ABDUCTION, block("input", "4"), True, True),
        (ABDUCTION, block("input", "1, y=3"), True, True),
        (ABDUCTION, block("input", "1"), True, False),
        (ABDUCTION, block("input", "'a', 1"), True, False),
        (ABDUCTION, block("input", "4) or (True"), True, False),
        (ABDUCTION, block("input", "f.__globals__"), True, False),
        (INDUCTION, block("python", "def f(n):\n    return 2 * n + 1"), True, True),
        (INDUCTION, block("python", "f = lambda n: 2 * n + 1"), True, False),
        (INDUCTION, block("python", "def f(n):\n    return {1: 3, 2: 5}.get(n)"), True, False),
        (INDUCTION, block("python", "def f(n):\n    raise SystemExit"), True, False),
        (INDUCTION, block("python", "def f(n"), True, False),
    ],
)
def test_what_is_right(
    python: Python, task: Task, text: str, has_format: bool, right: bool
) -> None:
    assert python.judgements([(task, said(text))]) == [Judgement(has_format, right)]
    assert python.judgements([(task, said(text, cut=True))]) == [Judgement(False, False)]


def test_an_object_that_equals_everything_is_not_right(python: Python) -> None:
    lies = (
        "class A(int):\n    def __eq__(self, other):\n        return True\n"
        "def f(n):\n    return A(n)"
    )
    assert not python.judgements([(INDUCTION, said(block("python", lies)))])[0].right


class Recording:
    """An executor that says 4 to everything, and keeps what it was asked."""

    name, python = "recording", "3.11.7"

    def __init__(self, says: Outcome | None = None) -> None:
        self.asked: list[tuple[str, list[str], Limits, int]] = []
        self.says = says or Outcome(Status.OK, "4")

    def run(self, program: str, calls: Any, limits: Limits, hash_seed: int) -> list[Outcome]:
        self.asked.append((program, list(calls), limits, hash_seed))
        return [self.says] * len(calls)


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Python, Recording]]:
    executor = Recording()
    monkeypatch.setattr(language, "executor_of", lambda _: executor)
    made = Python(inputs=4)
    yield made, executor
    made.close()


def test_validation_is_two_runs_and_stricter_than_judging(recording) -> None:
    made, executor = recording
    made.tasks("deduction", [(said(proposal(ADDS)), [])])
    assert [(limits, seed) for _, _, limits, seed in executor.asked] == [
        (VALIDATION, 0),
        (VALIDATION, 1),
    ]
    executor.asked.clear()
    made.judgements([(replace(ABDUCTION, output="4"), said(block("input", "9")))])
    assert [(limits, seed) for _, _, limits, seed in executor.asked] == [(JUDGING, 0)]
    assert VALIDATION.cpu_seconds < JUDGING.cpu_seconds


def test_one_answer_is_judged_once_in_a_run_and_after_it_goes_on(recording) -> None:
    made, executor = recording
    task = replace(ABDUCTION, output="4")
    alike = [(task, said(block("input", text))) for text in ("9", " 9 ", "8")]
    assert [one.right for one in made.judgements(alike)] == [True] * 3
    assert [calls for _, calls, _, _ in executor.asked] == [["f(9)"], ["f(8)"]]
    state = json.loads(json.dumps(made.state()))
    again = Python(inputs=4)
    again.load(state)
    executor.says = Outcome(Status.TIMEOUT)  # a slower day
    assert [one.right for one in again.judgements(alike)] == [True] * 3
    assert len(executor.asked) == 2
    other = replace(task, output="5")
    assert [one.right for one in again.judgements([(other, alike[0][1])])] == [False]
    assert again.state()["verdicts"] != state["verdicts"]
    again.close()


def test_the_memo_keeps_the_newest(recording, monkeypatch: pytest.MonkeyPatch) -> None:
    made, executor = recording
    monkeypatch.setattr(judging, "_REMEMBERED", 3)
    task = replace(ABDUCTION, output="4")
    for given in range(6):
        made.judgements([(task, said(block("input", str(given))))])
    assert len(made.state()["verdicts"]) == 3
    made.judgements([(task, said(block("input", "5")))])
    assert len(executor.asked) == 6
    made.judgements([(task, said(block("input", "0")))])
    assert len(executor.asked) == 7


@pytest.mark.parametrize(("name", "value"), [("python", "3.10"), ("sandbox", "wasm 1")])
def test_verdicts_of_another_python_or_sandbox_are_not_gone_on_with(
    recording, name: str, value: str
) -> None:
    made, _ = recording
    state = made.state()
    made.load(state)
    state["ran_by"][name] = value
    with pytest.raises(ConfigError, match=f"ran by {name} {value}, and here it is"):
        made.load(state)


def test_calls_near_the_limit_are_counted(recording) -> None:
    made, executor = recording
    executor.says = Outcome(Status.OK, "4", seconds=1.2)
    made.tasks("deduction", [(said(proposal(ADDS)), [])])
    assert made.counts()["near_limit"] == made.counts()["executions"] + 1 == 1


# Prompts.


def test_the_examples_are_what_their_programs_say(python: Python) -> None:
    ten = Python()
    for kind in KINDS:
        assert ten.replayed([ten.example(kind)]) == [ten.example(kind)]
    first = python.first("deduction")[0]
    outcome = python._runner.judge([judging.Request(first.program, [f"f({first.input})"])])
    assert outcome[0][0].value == python._reader.value(first.output)
    ten.close()


@pytest.mark.parametrize("form", ["fence", "tags"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_shows_what_it_must_and_hides_what_is_asked_for(form: Any, kind: Kind) -> None:
    made = Python(form)
    task = {"deduction": DEDUCTION, "abduction": ABDUCTION, "induction": INDUCTION}[kind]
    task = replace(task, output="'out-42'", input="'in-42'")
    asked, solving = made.propose_prompt(kind, [task]), made.solve_prompt(task)
    texts = [one if isinstance(one, str) else one[0]["content"] for one in (asked, solving)]
    assert [text.endswith("<think>\n") for text in texts] == [form == "tags"] * 2
    assert task.program in texts[0]
    hidden = {"deduction": ["out-42"], "abduction": ["in-42"], "induction": [task.program, "9"]}
    assert not [part for part in hidden[kind] if part in texts[1]]
    if kind == "induction":
        assert task.message in texts[1]
        assert block("input", "2") in texts[1]
    else:
        assert texts[1].count("-42") == 1
        assert "Example 1:" in texts[0]
    assert "{" + "{" not in "".join(texts)


def test_branches_are_words_outside_of_texts() -> None:
    assert branches("def f(x):\n    return [y for y in x if y and y > 'or']") == 3
    assert branches("def f(") == 0


# The game.

SMALL = {"language": "python", "batch": 2, "seed_size": 3, "estimates": 2, "inputs": 4}
PLAYED = "deduction+abduction+induction"


def half(ask: Ask, sample: int) -> str:
    """Proposes programs that differ by place; solves in every other sample, by running them."""
    text = ask.prompt if isinstance(ask.prompt, str) else ask.prompt[0]["content"]
    place = sum(map(ord, ask.id))
    if ask.id.startswith(("propose", "seed")):
        if "induction" in ask.id:
            return shows([str(place + n) for n in range(4)])
        return proposal(f"def f(x):\n    return x * {place} + 1", str(place))
    kind = "induction" if "behind these" in text else "abduction" if "Find an" in text else ""
    parts = [content for _, content in read(text, "fence").blocks]
    if sample % 2:
        return block({"induction": "python", "abduction": "input"}.get(kind, "output"), "7 + ")
    if kind == "induction":
        (a, b), (c, d) = [(int(x), int(y)) for x, y in zip(parts[1:4:2], parts[2:5:2], strict=True)]
        slope = (d - b) // (c - a)
        return block("python", f"def f(x):\n    return x * {slope} + {b - slope * a}")
    names: dict[str, Any] = {}
    exec(parts[1], names)  # of this file's own programs
    if kind == "abduction":
        if "return text" in parts[1]:
            return block("input", parts[2])
        low = names["f"](0)
        return block("input", str((int(parts[2]) - low) // (names["f"](1) - low)))
    return block("output", repr(names["f"](int(parts[2]) if parts[2].isdigit() else parts[2])))


def test_a_game_of_python_is_played_and_goes_on(backend: Executor) -> None:
    made = AZR(**SMALL, kinds=PLAYED, probe_tasks=1, reject_duplicates=True)
    drive_beginning(made.begin(7), answer(half))
    assert {kind: len(made._buffer.of(kind)) for kind in KINDS} == dict.fromkeys(KINDS, 3)
    figures = drive_examination(made.examine(0), answer(half))
    assert {figures[f"azr/probe_accuracy_{kind}"] for kind in KINDS} == {1.0}
    state = json.loads(json.dumps(made.state()))
    pools = drive(made.play(0, 100, []), answer(half))
    assert {pool.name for pool in pools} == {
        f"{role}/{kind}" for role in ("propose", "solve") for kind in KINDS
    }
    metrics = made.metrics()
    assert metrics["azr/format_share_propose"] == 1
    assert metrics["azr/solve_rate_deduction"] == metrics["azr/solve_rate_induction"] == 0.5
    assert metrics["azr/program_lines"] == 2
    assert metrics["azr/executions"] > 0 == metrics["azr/timeouts"]
    page = (Path(__file__).parents[4] / "docs" / "azr.md").read_text("utf-8")
    assert metrics["azr/copied_lines"] == 0.5  # the line of `def`
    for name in ("program_lines", "branches", "copied_lines", *made._language.counts()):
        assert f"`{name}`" in page
    again = AZR(**SMALL, kinds=PLAYED, probe_tasks=1, reject_duplicates=True)
    again.load(state)
    assert drive(again.play(0, 100, []), answer(half)) == pools
    assert again.records() == made.records()
    assert again.state() == made.state()
    made.close()
    again.close()


@pytest.mark.parametrize(
    ("kind", "programs", "copied"),
    [
        ("deduction", [ADDS, SOURCE.program], 1.0),
        ("abduction", [SOURCE.program], 0.5),
        ("deduction", [], 0.0),
        ("induction", [ADDS], None),
    ],
)
def test_lines_that_stand_in_references(kind: Kind, programs: list[str], copied: Any) -> None:
    (group,) = answer(lambda *_: "x")([Ask("propose/0", "?")])
    assert group is not None
    references = [Task("deduction", program) for program in programs]
    made = Proposal(kind, group, references, Task(kind, ADDS))
    assert made.copied_lines == copied


def test_a_model_that_writes_no_programs_is_told_why(recording) -> None:
    made = AZR(**SMALL, seed_attempts=6, kinds="deduction")
    with pytest.raises(ConfigError) as caught:
        drive_beginning(made.begin(0), answer(lambda ask, _: "def f(x): return x"))
    assert "proposed 1 different deduction tasks of 3 in 6 attempts (bad_format 6)" in str(
        caught.value
    )
    assert "format=tags for a base one" in str(caught.value)
    made.close()


def test_seeds_of_a_file_run_again(
    backend: Executor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"kind": "deduction", "program": ADDS, "input": str(n), "output": str(n + 1)}
        for n in range(3)
    ]
    rows += [rows[0] | {"output": "7"}, rows[0] | {"program": "import os\n" + ADDS}]
    rows += [{"kind": "induction", "program": SOURCE.program, "pairs": PAIRS, "message": "m"}] * 2
    more = (*PAIRS[:3], ("9", "19"))
    rows += [{"kind": "induction", "program": SOURCE.program, "pairs": more}]
    file = tmp_path / "seeds.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    made = AZR(**SMALL, kinds=PLAYED, seed_tasks=str(file))
    drive_beginning(made.begin(0), answer(half))
    assert [len(made._buffer.of(kind)) for kind in KINDS] == [3, 3, 2]
    line = capsys.readouterr().out
    assert "2 of 8 seed_tasks refused" in line
    assert "wrong_output 1" in line
    assert "forbidden 1" in line
    made.close()


def test_the_longest_references_leave_a_prompt_that_is_too_long(recording) -> None:
    made = AZR(**SMALL, kinds="deduction", references=2, prompt_characters=2000)
    made._buffer.add(DEDUCTION)
    made._buffer.add(replace(DEDUCTION, program=ADDS + "  # " + "long " * 100))
    play = made.play(0, 0, [])
    for ask in next(play):
        text = ask.prompt[0]["content"]  # type: ignore[index]
        assert len(text) <= 2000
        assert "long long" not in text
        assert ADDS in text
    play.close()
    made.close()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"language": "sums", "sandbox": "auto"}, "language=sums runs no programs"),
        ({"format": "tags"}, "format=tags is of language=python, not sums"),
        ({"language": "python", "digits": 3}, "digits=3 is of language=sums, not python"),
        ({"language": "python", "seeds": "uniform"}, "seeds=uniform draws from a grammar"),
        ({"language": "python", "proposer": "uniform"}, "proposer=uniform draws from a grammar"),
        ({"language": "python", "kinds": "induction"}, "kinds=induction is of programs that"),
        ({"language": "python", "format": "xml"}, "format must be one of fence, tags"),
    ],
)
def test_settings_of_another_language_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        AZR(**settings)


@pytest.mark.parametrize(
    ("environment", "sandbox", "settings", "said"),
    [
        ("azr", "bwrap", {}, "language=sums runs no programs, and needs none"),
        ("azr", None, {"language": "python", "sandbox": "wasm"}, "give --sandbox"),
    ],
)
def test_the_sandbox_is_the_runs(environment, sandbox, settings, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create_environment(
            RunConfig(environment=environment, sandbox=sandbox, environment_settings=settings),
            4,
        )
    made = create_environment(
        RunConfig(environment="azr", sandbox="wasm", environment_settings={"language": "python"}),
        4,
    )
    assert made._language.sandbox == "wasm"  # type: ignore[attr-defined]


# What a model writes does no harm.


def test_a_text_that_would_write_a_file_writes_none(backend: Executor, tmp_path: Path) -> None:
    """Proposed, estimated and solved: as a program, an input, an answer and a program as answer.

    Each text would write its marker where it was run unprotected.
    """
    marker = tmp_path / "marker"
    writes = f"[open({str(marker)!r}, 'w').close(), 4][1]"
    harmful = f"def f(x):\n    open({str(marker)!r}, 'w').close()\n    return x + 1"
    hidden = (
        "import json\n\ndef f(x):\n    try:\n"
        f"        json.codecs.open({str(marker)!r}, 'w').close()\n"
        "    except OSError:\n        pass\n    return x + 1"
    )

    def says(ask: Ask, sample: int) -> str:
        text = ask.prompt[0]["content"]
        if ask.id.startswith(("propose", "seed")):
            texts = [proposal(harmful), proposal(ADDS, writes), proposal(hidden, str(len(ask.id)))]
            return texts[int(ask.id.rpartition("/")[2]) % 3]
        name = "input" if "Find an" in text else "python" if "behind these" in text else "output"
        return block(name, hidden if name == "python" else writes)

    made = AZR(**SMALL | {"batch": 3, "seed_size": 2}, kinds="deduction+abduction")
    drive_beginning(made.begin(1), answer(says))
    drive(made.play(0, 5, []), answer(says))
    reasons = {row["reason"] for row in made.records()}
    assert reasons == {"forbidden", "input_form", ""}  # the third kind of proposal did run
    assert made.metrics()["azr/executions"] > 0
    shown = made._language
    task = Task("induction", ADDS, pairs=(("1", "2"), ("2", "3"), ("3", "4"), ("4", "5")))
    assert shown.judgements([(task, said(block("python", hidden)))]) == [Judgement(True, True)]
    made.close()
    assert not marker.exists()
    names: dict[str, Any] = {}
    exec(hidden, names)
    assert names["f"](1) == 2
    assert marker.exists()  # so the text would have
