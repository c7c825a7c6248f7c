"""Every text in place of a step of a sum is right, wrong in a known way, or unreadable."""

from __future__ import annotations

import random
from itertools import permutations, product

import pytest

from rlsc.environments.spc.derivations import (
    FAULTS,
    Place,
    Step,
    canonical,
    corrupted,
    draw_place,
    fault,
    part_of,
    read,
    slip,
    wrong_steps,
)

PLACE = Place((12, 45, 23, 30), 1)  # 57 + 23 = 80


def drawn(number: int = 60, digits: int = 2) -> list[Place]:
    draw = random.Random(3)
    return [draw_place(draw, "train", 5, digits) for _ in range(number)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("57 + 23 = 80", None),
        ("23+57=80.", None),
        ("57 + 23 = 81", "calculation"),
        ("57 + 24 = 81", "copied"),
        ("58 + 23 = 81", "copied"),
        ("57 + 30 = 87", "skipped"),
        ("57 + 45 = 102", "repeated"),
        ("12 + 23 = 35", "sum_so_far"),
        ("45 + 23 = 68", "repeated"),
        ("80 + 23 = 103", "sum_so_far"),
        ("57 + 30 = 88", "mixed"),
        ("12 + 30 = 42", "mixed"),
    ],
)
def test_the_fault_of_a_step(text: str, expected: str | None) -> None:
    step = read(text)
    assert step is not None
    assert fault(PLACE, step) == expected


NO_STEPS = """
80
57 + 23
57 + 23 =
57 - 23 = 34
57 + 23 = 80 (wrong)
-5 + 3 = 8
٣ + 1 = 4
1 + 2 + 3 = 6
0x3 + 1 = 4
Verdict: Correct
""".split("\n")
NO_STEPS += ["57 + 23 =\n80", "57 + 23 = 80\n57 + 23 = 80", "1" * 31 + " + 1 = 2"]
NO_STEPS += ["57 + 23 = 80" + " " * 2000]


@pytest.mark.parametrize("text", NO_STEPS)
def test_anything_else_is_no_step(text: str) -> None:
    assert read(text) is None


def test_every_small_step_has_one_verdict() -> None:
    """All steps of numbers up to 12, of three places: right by definition, or of one fault."""
    for place in (Place((1, 2, 3), 0), Place((1, 2, 3), 1), Place((4, 4, 1), 0)):
        rights, seen = set(), set()
        for step in (Step(*numbers) for numbers in product(range(13), repeat=3)):
            found = fault(place, step)
            is_right = {step.left, step.right} == {place.so_far, place.next} and (
                step.result == place.so_far + place.next
            )
            assert (found is None) == is_right
            assert read(str(step)) == step
            rights |= {step} if found is None else set()
            seen |= {found} - {None}
        assert len(rights) == (1 if place.so_far == place.next else 2)
        assert seen <= set(FAULTS)


def test_own_steps_are_right_and_every_other_digit_is_not() -> None:
    for place in drawn():
        assert fault(place, place.step) is None
        assert all(fault(Place(place.terms, k), s) is None for k, s in enumerate(place.prefix))
        assert place.so_far == (place.prefix[-1].result if place.done else place.terms[0])
        text = str(place.step)
        swapped = Step(place.step.right, place.step.left, place.step.result)
        assert fault(place, swapped) is None
        for at, character in enumerate(text):
            if character.isdigit():
                for digit in set("0123456789") - {character}:
                    changed = read(text[:at] + digit + text[at + 1 :])
                    assert changed is None or fault(place, changed) is not None


def test_all_wrong_steps_are_wrong_and_no_two_alike() -> None:
    for place in drawn():
        steps = wrong_steps(place)
        assert len(set(map(str, steps))) == len(steps) > 40
        assert all(fault(place, step) for step in steps)
        assert all(canonical(place, step) == step for step in steps)
        assert all(Step(place.so_far, place.next, place.step.result + k) in steps for k in (-1, 20))
    assert {fault(PLACE, step) for step in wrong_steps(PLACE)} == set(FAULTS) - {"mixed"}


def test_the_order_of_summands_says_nothing_of_who_wrote_them() -> None:
    for place in drawn(20):
        for step in [place.step, *wrong_steps(place)]:
            mirrored = Step(step.right, step.left, step.result)
            assert canonical(place, mirrored) == canonical(place, step)
            assert fault(place, mirrored) == fault(place, step)


def test_how_a_result_is_off() -> None:
    assert slip(Step(48, 35, 84)) == slip(Step(99, 1, 101)) == "off_by_one"
    assert slip(Step(48, 35, 93)) == "off_by_ten"
    assert slip(Step(48, 35, 73)) == slip(Step(57, 45, 92)) == "carry_lost"
    assert slip(Step(48, 35, 38)) == "exchanged"
    assert slip(Step(48, 35, 88)) == "other"


def test_problems_are_split_by_unordered_terms() -> None:
    parts = [part_of(terms) for terms in product(range(1, 20), repeat=3)]
    assert all(
        len({part_of(order) for order in permutations(terms)}) == 1
        for terms in ((1, 2, 3), (40, 7, 7, 9))
    )
    assert 0.75 < parts.count("train") / len(parts) < 0.85
    assert parts.count("probe") > 300 < parts.count("held_out")
    draw = random.Random(0)
    for part in ("train", "probe", "held_out"):
        places = [draw_place(draw, part, 4, 1) for _ in range(30)]  # type: ignore[arg-type]
        assert {part_of(place.terms) for place in places} == {part}
        assert {len(place.terms) for place in places} == {3, 4}
        assert {place.done for place in places} == {0, 1, 2}


def test_random_corruptions_are_of_every_fault() -> None:
    draw = random.Random(1)
    found = [fault(PLACE, corrupted(draw, PLACE)) for _ in range(200)]
    assert set(found) == {"calculation", "copied", "skipped", "repeated", "sum_so_far"}
    assert all(20 <= found.count(name) <= 65 for name in set(found))
