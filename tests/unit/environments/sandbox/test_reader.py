"""What is read without being run: calls, literals, programs."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import dedent

import pytest

from rlsc.environments.sandbox.inspection import inspect_program, read_call, read_value
from rlsc.environments.sandbox.reader import Call, Inspection, Reader
from rlsc.environments.sandbox.values import decode, encode

GOOD = "def f(a):\n    return a + 1\n"


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader(workers=1, seconds=5.0) as one:
        yield one


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("1,2", "f(1, 2)"),
        (" 'a' , b = [1.50] ", "f('a', b=[1.5])"),
        ("-1, +2.0, -inf, nan", "f(-1, 2.0, -inf, nan)"),
        ("{'b': 1, 'a': 2}", "f({'b': 1, 'a': 2})"),
        ("{3, 1, 2}, set(), frozenset({1})", "f({1, 2, 3}, set(), frozenset({1}))"),
        ("(1,), ()", "f((1,), ())"),
        ("'a' 'b', b'c'", "f('ab', b'c')"),
        ("1,\n 2,", "f(1, 2)"),
        ("", "f()"),
        ("'é🙂'", "f('é🙂')"),
    ],
)
def test_a_call_of_literals(arguments: str, text: str) -> None:
    found = read_call(arguments)
    assert found is not None
    assert found[0] == text
    assert read_call(text[2:-1]) == found
    args, named = decode(found[1])
    assert encode((args, named)) == found[1]


@pytest.mark.parametrize(
    "arguments",
    [
        "1) or (True",
        "1)\nTrue",
        "1) #",
        "1), f(2",
        "f.__globals__",
        "(x := 1)",
        "lambda: 1",
        "f'{1}'",
        "f'a'",
        "*[1, 2]",
        "**{'a': 1}",
        "__import__('os')",
        "[1][0]",
        "[x for x in [1]]",
        "1 + 1",
        "- -1",
        "-True",
        "~1",
        "not 1",
        "sorted([3, 1])",
        "set([1])",
        "frozenset([1])",
        "float('nan')",
        "dict(a=1)",
        "1j",
        "...",
        "x",
        "True if True else False",
        "a=1, a=2",
        "{[]: 1}",
        "{**{}}",
        "{1, *[2]}",
        "'a' * 9",
        "await x",
        "1; 2",
        "\x00",
        "'\ud800'",
        "(" * 300 + ")" * 300,
        "9" * 400,
        "{" + "9" * 400 + "}",
        "'" + "a" * 1000 + "'",
        "1" + ", 1" * 600,
    ],
    ids=lambda text: ascii(text[:24]),
)
def test_what_is_no_call_of_literals(arguments: str) -> None:
    assert read_call(arguments) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (" [1, 'a'] ", [1, "a"]),
        ("0.30000000000000004", 0.1 + 0.2),
        ("-inf", float("-inf")),
        ("None", None),
        ("1,", (1,)),
    ],
)
def test_a_value(text: str, value: object) -> None:
    assert read_value(text) == encode(value)


@pytest.mark.parametrize(
    "text",
    ["sum([1, 2])", "(lambda: 1)()", "f(1)", "3 + 4", "[1, 2", "an answer", "", "'a' + 'b'", "x=1"],
)
def test_an_expression_is_no_value(text: str) -> None:
    assert read_value(text) is None


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (GOOD, None),
        ("import math\ndef g(x):\n    return x\ndef f(a, *b):\n    return g(a) + math.pi\n", None),
        ("from collections import abc\ndef f(id):\n    return [id]\n", None),
        ("import re\ndef f(a):\n    return re.compile(a).pattern\n", None),
        ("def f(a):\n    def g():\n        yield a\n    return list(g())\n", None),
        (GOOD + "#" * 2000, "too_long"),
        ("def f(a:\n    return a", "syntax"),
        ("def f(a):\n    return a\x00", "syntax"),
        ("def f(a):\n    return '\ud800' + a", "syntax"),
        ("return 1", "syntax"),
        ("x = " + "(" * 400 + ")" * 400, "syntax"),
        ("", "no_entry"),
        ("f = lambda a: a + 1", "no_entry"),
        ("async def f(a):\n    return a + 1", "no_entry"),
        ("def f(a):\n    yield a", "no_entry"),
        ("def f():\n    return 1", "no_entry"),
        ("def f(*a):\n    return a[0]", "no_entry"),
        (GOOD + GOOD, "no_entry"),
        ("if True:\n    def f(a):\n        return a + 1", "no_entry"),
        ("import os\n" + GOOD, "forbidden"),
        ("import time\n" + GOOD, "forbidden"),
        ("from os.path import join\n" + GOOD, "forbidden"),
        ("from . import x\n" + GOOD, "forbidden"),
        ("def f(a):\n    import sys\n    return a + 1", "forbidden"),
        ("def f(a):\n    return open(a).read()", "forbidden"),
        ("def f(a):\n    return hash(a)", "forbidden"),
        ("def f(a):\n    return a.__class__", "forbidden"),
        ("def f(a):\n    return __builtins__[a]", "forbidden"),
        ("def f(a):\n    return 1", "degenerate"),
        ("def f(a):\n    'doc'\n    return a", "degenerate"),
        ("def f(a):\n    print(a)", "degenerate"),
        ("def f(a):\n    a += 1\n    return", "degenerate"),
        ("def f(a):\n    def g():\n        return a\n    g()", "degenerate"),
    ],
)
def test_why_a_program_is_refused(source: str, reason: str | None) -> None:
    found, normal = inspect_program(source, True)
    assert found == reason
    assert (normal is None) is (reason is not None)


def test_helpers_are_refused_where_they_are_not_allowed() -> None:
    with_helper = "def g(x):\n    return x\n" + GOOD
    assert inspect_program(with_helper, False)[0] == "no_entry"
    assert inspect_program(GOOD, False)[0] is None


def test_the_normal_form_has_no_comments_docstrings_and_annotations() -> None:
    long = '''\
        """It adds one."""
        def f(a: int) -> int:
            """The answer is 3."""
            one: int = 1  # of course
            unit: float
            return (a
                    + one)
    '''
    short = "def f(a):\n    one = 1\n    pass\n    return a + one"
    assert inspect_program(dedent(long), True)[1] == inspect_program(short, True)[1] == short


def test_a_reader_in_its_own_process(reader: Reader) -> None:
    assert reader.call("1, b='x'") == Call("f(1, b='x')", encode(((1,), {"b": "x"})))
    assert reader.call("1) or (True") is None
    assert reader.value("{2, 1}") == encode({1, 2})
    assert reader.value("1 + 1") is None
    assert reader.programs([GOOD, "import os"]) == [
        Inspection(None, GOOD.strip()),
        Inspection("no_entry", None),
    ]


def test_hostile_nesting_leaves_the_reader_alive(reader: Reader) -> None:
    """Ten thousand brackets: CPython's parser refuses some and is exhausted by others."""
    many = 10_000
    for text in ("(" * many + ")" * many, "[" * many, "-" * many + "1", "not " * many + "1"):
        assert reader.value(text) is None
        assert reader.call(text) is None
        assert reader.program(f"def f(a):\n    return {text}").reason in ("too_long", "syntax")
    assert reader.value("7") == "7"
