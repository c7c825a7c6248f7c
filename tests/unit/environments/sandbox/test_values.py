"""Canonical values: they come back as they were, and are equal as the table says."""

from __future__ import annotations

import collections
import enum
import math
import random
from typing import Any

import pytest

from rlsc.environments.sandbox.inspection import answer_request, read_value
from rlsc.environments.sandbox.values import decode, encode, python_text, same


def random_value(draw: random.Random, depth: int = 0, hashable: bool = False) -> Any:
    """Of all types, nested; what is a key or a member can be hashed."""
    scalars = [
        lambda: draw.choice([None, True, False]),
        lambda: draw.choice([0, 1, -1, 10**300 - 1, draw.randrange(-(10**30), 10**30)]),
        lambda: draw.choice([0.0, -0.0, 0.1, -1e300, 5e-324, math.inf, -math.inf, math.nan]),
        lambda: draw.uniform(-1e3, 1e3),
        lambda: "".join(draw.choices("ab\"'\\\n\x00é\u2028\ud800🙂{}:", k=draw.randrange(6))),
        lambda: draw.randbytes(draw.randrange(5)),
    ]
    if depth >= 4 or draw.random() < 0.4:
        return draw.choice(scalars)()
    kinds = [tuple, frozenset] if hashable else [list, tuple, set, frozenset, dict]
    kind = draw.choice(kinds)
    inner = hashable or kind in (set, frozenset)
    members = [random_value(draw, depth + 1, inner) for _ in range(draw.randrange(4))]
    if kind is dict:
        return {random_value(draw, depth + 1, True): member for member in members}
    return kind(members)


def short_values(seed: int, count: int) -> list[tuple[Any, str]]:
    """Random values with their canonical texts; those that are too long for one are left out."""
    draw, found = random.Random(seed), []
    while len(found) < count:
        value = random_value(draw)
        try:
            found.append((value, encode(value)))
        except ValueError:
            assert len(repr(value)) > 1000  # nothing else is wrong with it
    return found


def test_random_values_come_back_from_their_canonical_text() -> None:
    values = short_values(seed=0, count=2000)
    for value, text in values:
        assert text.isascii()
        assert encode(decode(text)) == text
        assert type(decode(text)) is type(value)
        assert same(text, encode(decode(text)))
    assert {type(value) for value, _ in values} == {
        *(type(None), bool, int, float, str, bytes, list, tuple, dict, set, frozenset)
    }


def test_random_values_come_back_from_how_python_writes_them() -> None:
    for value, text in short_values(seed=1, count=500):
        assert read_value(python_text(text)) == text
        if not isinstance(value, (set, frozenset, dict)):
            assert read_value(repr(value)) == text


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (10**22, 1e22, True),
        (10**22 + 1, 1e22, False),
        (2**53 + 1, float(2**53), False),
        (True, 1, False),
        (False, 0.0, False),
        ([True], [1], False),
        ({True: "a"}, {1: "a"}, False),
        (math.nan, math.nan, True),
        ([math.nan], [float("nan")], True),
        ({math.nan, float("nan")}, {math.nan}, False),
        (math.inf, -math.inf, False),
        (0.0, -0.0, True),
        (0.1 + 0.2, 0.3, False),
        (0.1 + 0.2, 0.30000000000000004, True),
        ([1], (1,), False),
        ("a", b"a", False),
        ("1", 1, False),
        (None, False, False),
        (None, "None", False),
        ({1, 2}, {2.0, 1.0}, True),
        ({1}, frozenset({1}), True),
        ({frozenset({1.0})}, {frozenset({1})}, True),
        ({1: 2, 3: 4}, {3: 4, 1: 2}, True),
        ({1: 2}, {1.0: 2.0}, True),
        ({1: [2]}, {1: (2,)}, False),
        ([1, 2], [2, 1], False),
        (set(), {}, False),
        (set(), frozenset(), True),
        ([], (), False),
    ],
)
def test_equality(one: object, other: object, equal: bool) -> None:
    assert same(encode(one), encode(other)) is equal
    assert same(encode(other), encode(one)) is equal
    assert same(encode(one), encode(one))


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


class Int(int):
    pass


class Liar:
    __class__ = int  # type: ignore[assignment]

    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = object.__hash__


Point = collections.namedtuple("Point", "x y")
itself: list[Any] = []
itself.append(itself)


@pytest.mark.parametrize(
    "value",
    [
        Int(1),
        Liar(),
        Point(1, 2),
        enum.IntEnum("Colour", "red").red,  # type: ignore[attr-defined]
        collections.Counter("ab"),
        collections.defaultdict(int),
        collections.OrderedDict(),
        bytearray(b"a"),
        range(3),
        iter([1]),
        1j,
        ...,
        int,
        len,
        itself,
        nested(21),
        [1, {2: (3, Liar())}],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_value(value: object) -> None:
    with pytest.raises(ValueError, match="NotLiteral"):
        encode(value)


@pytest.mark.parametrize(
    "value",
    ["a" * 999, [0] * 2000, 10**300, list(range(400)), "\x00" * 251, b"a" * 2000, {0: "a" * 1001}],
    ids=["quotes", "nodes", "digits", "text", "escapes", "bytes", "in a dict"],
)
def test_what_is_too_long(value: object) -> None:
    with pytest.raises(ValueError, match="TooLong"):
        encode(value)


def test_the_longest_values_are_values() -> None:
    for value in ("a" * 998, 10**300 - 1, [0] * 333, nested(20)):
        assert decode(encode(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.0",
        "NaN",
        "Infinity",
        "-0",
        "[1, 2]",
        " 1",
        "1 ",
        "1\n2",
        "é".join('""'),
        '{"f":"1"}',
        '{"f":"0.10"}',
        '{"f":"Nan"}',
        '{"f":1}',
        '{"f":"1.0","f":"2.0"}',
        "{}",
        '{"x":[]}',
        '{"b":"0"}',
        '{"b":"AA"}',
        '{"b":[0]}',
        '{"t":1}',
        '{"s":[2,1]}',
        '{"s":[1,1]}',
        '{"s":[true,1]}',
        '{"s":[[1]]}',
        '{"d":[[1]]}',
        '{"d":[1]}',
        '{"d":[[2,0],[1,0]]}',
        '{"d":[[1,0],[1,1]]}',
        '{"d":[[[],0]]}',
        "[" * 21 + "]" * 21,
        "[" * 30000 + "]" * 30000,
        "1" * 5000,
        "1" + "0" * 300,
        "[" + "0," * 2000 + "0]",
        "nul",
        '"\\u00e9',
        "__import__('os')",
    ],
    ids=lambda text: repr(text[:24]),
)
def test_what_the_decoder_refuses(text: str) -> None:
    """Texts that a program may forge: not one is read as something else."""
    with pytest.raises(ValueError):  # noqa: PT011
        decode(text)


def mutated(draw: random.Random, text: str) -> str:
    """With a few characters changed, taken away, doubled or moved."""
    characters = list(text)
    for _ in range(draw.randrange(1, 4)):
        place = draw.randrange(len(characters) + 1)
        piece = characters[place : place + draw.randrange(4)]
        new = draw.choice(["", draw.choice('{}[]":,.-0123456789tfsdzbenul\\ \x00é'), *piece])
        characters[place : place + len(piece)] = draw.choice([[new], piece * 2, piece[::-1]])
    return "".join(characters)


def test_a_text_that_was_changed_is_refused_or_says_what_it_says() -> None:
    """Nothing but `ValueError` comes out, and what is read is written again as it was."""
    draw, read = random.Random(2), 0
    for _, text in short_values(seed=3, count=1500):
        changed = mutated(draw, text)
        try:
            value = decode(changed)
        except ValueError:
            continue
        read += changed != text
        assert encode(value) == changed
    assert 20 < read < 1400  # both happen


def test_a_literal_that_was_changed_is_refused_or_read() -> None:
    draw, read = random.Random(4), 0
    for _, text in short_values(seed=5, count=1000):
        changed = mutated(draw, python_text(text))
        answer = answer_request("value", changed)
        read += answer is not None
        assert answer is None or encode(decode(answer)) == answer
        call = answer_request("call", changed)
        assert call is None or answer_request("call", call[0][2:-1]) == call
    assert 20 < read < 980


def test_a_set_is_written_in_one_order() -> None:
    assert python_text(encode({"b", "a", "c"})) == "{'a', 'b', 'c'}"
    assert python_text(encode((1,))) == "(1,)"
    assert python_text(encode([set(), frozenset({2}), {}])) == "[set(), frozenset({2}), {}]"
