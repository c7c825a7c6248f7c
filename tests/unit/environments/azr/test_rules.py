"""Pay, buffer, and the language `sums`: rule by rule."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from rlsc.environments.azr.buffer import Buffer
from rlsc.environments.azr.rewards import proposer_reward, solver_reward
from rlsc.environments.azr.sums import Sums, run
from rlsc.environments.azr.tasks import SEED, Judgement, Refusal, Task
from rlsc.types import Completion


@pytest.mark.parametrize(
    ("rate", "has_format", "paper", "code"),
    [
        (0.25, True, 0.75, 0.75),
        (0.0, True, 0.0, -0.5),
        (1.0, True, 0.0, -0.5),
        (None, True, -0.5, -1.0),
        (None, False, -1.0, -1.0),
    ],
)
def test_what_a_proposal_is_paid(
    rate: float | None, has_format: bool, paper: float, code: float
) -> None:
    assert proposer_reward(rate, has_format) == paper
    assert proposer_reward(rate, has_format, boundary=-0.5, invalid=-1.0) == code


@pytest.mark.parametrize(
    ("right", "has_format", "paid"),
    [(True, True, 1), (False, True, -0.5), (True, False, -1), (False, False, -1)],
)
def test_what_a_solution_is_paid(right: bool, has_format: bool, paid: float) -> None:
    assert solver_reward(right, has_format) == paid


def triplet(given: int, program: str = "x + 7", born: int = 0) -> Task:
    return Task("deduction", program, str(given), run(program, str(given)), born=born)


def test_a_buffer_keeps_its_promises_in_any_order_of_tasks() -> None:
    """300 random tasks over a cap of 40, of which 10 are seeds."""
    draw, buffer, step = random.Random(5), Buffer(40), SEED
    seen: dict[str, Task] = {}
    for number in range(300):
        step = SEED if number < 10 else number // 10
        given, program = draw.randint(0, 30), f"x {draw.choice('+-*')} {draw.randint(2, 9)}"
        references = tuple(task.id for task in buffer.draw("deduction", 2, number))
        task = replace(triplet(given, program, step), references=references)
        held = buffer.holds(task)
        kept = buffer.add(task)
        assert (kept is None) == held
        assert buffer.holds(task)
        if kept is not None:
            assert kept.id not in seen
            assert set(references) <= seen.keys()
            assert all(seen[name].born <= kept.born for name in references)
            seen[kept.id] = kept
        tasks = buffer.of("deduction")
        assert len({one.key for one in tasks}) == len(tasks) <= 40
        assert all(run(one.program, one.input) == one.output for one in tasks)
        born = [one.born for one in tasks]
        assert born == sorted(born)
    seeds = [one for one in seen.values() if one.born == SEED]
    assert buffer.of("deduction")[: len(seeds)] == seeds
    assert len(buffer.of("deduction")) == 40
    left = [one for one in seen.values() if one not in buffer.of("deduction")]
    assert left
    assert max(one.born for one in left) <= min(
        one.born for one in buffer.of("deduction") if one.born != SEED
    )


def test_draws_are_of_the_seed_alone_and_survive_json() -> None:
    buffer, again = Buffer(100), Buffer(100)
    for given in range(20):
        buffer.add(triplet(given, born=given - 1))
    again.load(json.loads(json.dumps(buffer.state())))
    assert again.state() == buffer.state()
    drawn = buffer.draw("deduction", 6, 11)
    assert again.draw("deduction", 6, 11) == drawn == buffer.draw("deduction", 6, 11)
    assert buffer.draw("deduction", 6, 12) != drawn
    assert len({task.id for task in drawn}) == 6
    without = {task.key for task in drawn}
    assert not without & {t.key for t in buffer.draw("deduction", 20, 11, without)}
    assert len(buffer.draw("deduction", 99, 0)) == 20
    again.add(triplet(50))
    assert again.of("deduction")[-1].id == "deduction/20"


def said(text: str, cut: bool = False) -> Completion:
    return Completion(text, (1,), (-1.0,), "length" if cut else "stop")


SUMS = Sums(digits=2, inputs=4)
SOURCE = triplet(1, "x - 3")


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("deduction", "48 - 35", ""),
        ("deduction", "  7*06 ", ""),
        ("abduction", "48 + 35", ""),
        ("deduction", "48 - 35 = 13", "bad_format"),
        ("deduction", "-48 - 35", "bad_format"),
        ("deduction", "48 / 2", "bad_format"),
        ("deduction", "4 + 3 + 2", "bad_format"),
        ("deduction", "４ + ３", "bad_format"),
        ("deduction", "", "bad_format"),
        ("deduction", "148 - 35", "too_long"),
        ("abduction", "48 - 0", "degenerate"),
        ("abduction", "48 * 1", "degenerate"),
        ("abduction", "48 * 00", "degenerate"),
        ("induction", "1, 2, 3, 40", ""),
        ("induction", "1,2,3,4,5", ""),
        ("induction", "1, 2, 3, 3", "few_inputs"),
        ("induction", "1, 2, 3, 400", "too_long"),
        ("induction", "1 2 3 4", "bad_format"),
        ("induction", "numbers", "bad_format"),
    ],
)
def test_what_is_a_task(kind, text: str, reason: str) -> None:
    (made,) = SUMS.tasks(kind, [(said(text), [SOURCE])])
    assert (made.reason if isinstance(made, Refusal) else "") == reason
    if isinstance(made, Task):
        assert SUMS.replayed([made]) == [made]
        assert made.kind == kind
    (cut,) = SUMS.tasks(kind, [(said(text, cut=True), [SOURCE])])
    assert cut == Refusal("truncated")


def test_one_task_has_one_key_however_it_is_written() -> None:
    spaced, plain = SUMS.tasks("deduction", [(said("07 * 6"), []), (said("7*06"), [])])
    assert isinstance(spaced, Task)
    assert spaced == plain
    first, second = SUMS.tasks(
        "induction", [(said("1, 2, 3, 4"), [SOURCE]), (said("4, 3, 2, 1"), [SOURCE])]
    )
    assert isinstance(first, Task)
    assert first != second
    assert first.key == second.key  # type: ignore[union-attr]
    assert (first.shown, first.hidden) == (
        (("1", "-2"), ("2", "-1")),
        (("3", "0"), ("4", "1")),
    )


DEDUCTION = Task("deduction", "x - 35", "48", "13")
ABDUCTION = Task("abduction", "x * 4", "6", "24")
INDUCTION = Task("induction", "x + 2", pairs=(("2", "4"), ("3", "5"), ("9", "11"), ("0", "2")))


@pytest.mark.parametrize(
    ("task", "text", "has_format", "right"),
    [
        (DEDUCTION, " 13", True, True),
        (DEDUCTION, "13.", False, True),
        (DEDUCTION, "013", True, True),
        (DEDUCTION, "14", True, False),
        (DEDUCTION, "48 - 35", False, False),
        (DEDUCTION, "no idea", False, False),
        (DEDUCTION, "9" * 13, False, False),
        (ABDUCTION, "6", True, True),
        (ABDUCTION, "24", True, False),
        (INDUCTION, "x + 2", True, True),
        (INDUCTION, "x+02", True, True),
        (INDUCTION, "x * 2", True, False),  # right of the first pair shown, wrong of hidden ones
        (INDUCTION, "4", False, False),
    ],
)
def test_what_is_right(task: Task, text: str, has_format: bool, right: bool) -> None:
    assert SUMS.judgements([(task, said(text))]) == [Judgement(has_format, right)]
    assert SUMS.judgements([(task, said(text, cut=True))]) == [Judgement(False, False)]


def test_any_input_that_leads_to_the_output_is_an_abduction() -> None:
    """Also one that was not proposed: programs of this language have one, others several."""
    assert SUMS.judgements([(replace(ABDUCTION, input="7"), said("6"))])[0].right


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"output": "14"}, "wrong_output"),
        ({"program": "x / 35"}, "syntax"),
        ({"program": "__import__('os')"}, "syntax"),
        ({"input": "many"}, "syntax"),
        ({"program": "x - 0", "output": "48"}, "degenerate"),
    ],
)
def test_tasks_of_a_file_are_run_again(changes: dict[str, str], reason: str) -> None:
    (made,) = SUMS.replayed([replace(DEDUCTION, **changes)])  # type: ignore[arg-type]
    assert isinstance(made, Refusal)
    assert made.reason == reason


def test_draws_are_tasks() -> None:
    for seed in range(200):
        for kind in ("deduction", "abduction", "induction"):
            task = SUMS.drawn(kind, random.Random(seed), "x * 7")  # type: ignore[arg-type]
            assert SUMS.replayed([task]) == [task]


def test_the_first_tasks_are_not_the_worked_ones() -> None:
    for kind in ("deduction", "abduction"):
        for task in SUMS.first(kind):  # type: ignore[arg-type]
            assert str(SUMS.solve_prompt(task)).count(f"{task.program[2:]} =") == 1


@pytest.mark.parametrize("task", [DEDUCTION, ABDUCTION, INDUCTION], ids=lambda one: one.kind)
def test_the_solver_does_not_see_what_it_is_asked_for(task: Task) -> None:
    last = str(SUMS.solve_prompt(task)).splitlines()[-1]
    hidden = {"deduction": " 13", "abduction": " 6", "induction": "x + 2"}[task.kind]
    assert hidden not in last
    assert "9" not in last or task.kind != "induction"
