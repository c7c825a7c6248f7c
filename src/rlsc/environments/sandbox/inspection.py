"""What can be said of a text without running it: is it a program, a call, a literal?

Runs in a guarded worker (`reader.py`): deep nesting can exhaust CPython's parser. The lists of
allowed imports and forbidden names are about good tasks, deterministic and of the standard library;
they are no protection.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Iterator
from typing import Any

from rlsc.environments.sandbox.values import encode, written

PROGRAM_CHARACTERS, INPUT_CHARACTERS, ANSWER_CHARACTERS = 2000, 1000, 10_000
"""Longer ones are not read. An answer may be written longer than its value is, with escapes."""
IMPORTS = frozenset(
    "math cmath itertools functools collections heapq bisect operator string re fractions decimal "
    "statistics copy typing dataclasses enum abc textwrap json __future__".split()
)
FORBIDDEN = frozenset(
    "open exec eval compile input globals locals vars breakpoint __import__ id hash".split()
)
DUNDERS = frozenset("__init__ __eq__ __len__ __iter__ __repr__ __name__".split())

_NAMES = {"inf": math.inf, "nan": math.nan}
_UNREADABLE = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)


def answer_request(name: str, *arguments: Any) -> Any:
    """What the worker replies: JSON values only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the parser, about what a model wrote
        if name == "call":
            return read_call(*arguments)
        if name == "value":
            return read_value(*arguments)
        return inspect_program(*arguments)


def read_call(arguments: str) -> list[str] | None:
    """`f(ARGUMENTS)`, rendered anew, and the canonical text of its arguments; None: not literals.

    >>> read_call("3 , b=('x')")
    ["f(3, b='x')", '{"t":[{"t":[3]},{"d":[["b","x"]]}]}']
    >>> read_call("1) or (True") is None
    True
    """
    if len(arguments) > INPUT_CHARACTERS:
        return None
    try:
        source = f"f({arguments})"
        call = ast.parse(source, mode="eval").body
        if not isinstance(call, ast.Call) or _end(call) != _end_of(source):
            return None
        if not isinstance(call.func, ast.Name) or call.func.id != "f":
            return None
        args = tuple(literal(node) for node in call.args)
        named = {str(word.arg): literal(word.value) for word in call.keywords}
        if None in [word.arg for word in call.keywords] or len(named) < len(call.keywords):
            return None
        key = encode((args, named))
        texts = [*map(written, args), *(f"{name}={written(v)}" for name, v in named.items())]
        return [f"f({', '.join(texts)})", key]
    except _UNREADABLE:
        return None


def _end(node: ast.expr) -> tuple[int | None, int | None]:
    return node.end_lineno, node.end_col_offset


def _end_of(source: str) -> tuple[int, int]:
    """The end of a text as the parser counts: lines from 1, bytes of the last one."""
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return len(lines), len(lines[-1].encode())


def read_value(text: str) -> str | None:
    """The canonical text of a literal; None where it is none, or longer than a value may be."""
    if len(text) > ANSWER_CHARACTERS:
        return None
    try:
        return encode(literal(ast.parse(text.strip(), mode="eval").body))
    except _UNREADABLE:
        return None


def literal(node: ast.expr) -> Any:
    """The value of a literal as `repr` writes it, with inf, nan, set() and frozenset.

    Raises `ValueError` for anything else: names, calls, comprehensions, f-strings, stars, complex.
    """
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str() | bytes() as value):
            return value
        case ast.Name(id="inf" | "nan" as name):
            return _NAMES[name]
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() as sign, operand=operand):
            number = literal(operand)
            if type(number) not in (int, float) or isinstance(operand, ast.UnaryOp):
                raise ValueError("a sign before something else than a number")
            return number if isinstance(sign, ast.UAdd) else -number
        case ast.List(elts=members):
            return [literal(member) for member in members]
        case ast.Tuple(elts=members):
            return tuple(literal(member) for member in members)
        case ast.Set(elts=members):
            return {literal(member) for member in members}
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(keys, values, strict=True)
            return {literal(key): literal(value) for key, value in pairs if key is not None}
        case ast.Call(func=ast.Name(id="set"), args=[], keywords=[]):
            return set()
        case ast.Call(func=ast.Name(id="frozenset"), args=[], keywords=[]):
            return frozenset()
        case ast.Call(func=ast.Name(id="frozenset"), args=[ast.Set() as members], keywords=[]):
            return frozenset(literal(members))
    raise ValueError(f"not a literal: {type(node).__name__}")


def inspect_program(source: str, helpers: bool) -> list[str | None]:
    """[why the program is refused (None: it is not), its normal form].

    The normal form has no comments, docstrings and annotations: what is equal in it is the same
    program.
    """
    if len(source) > PROGRAM_CHARACTERS:
        return ["too_long", None]
    try:
        tree = ast.parse(source)
        compile(source, "<program>", "exec", dont_inherit=True)
        reason = _no_entry(tree, helpers) or _forbidden(tree) or _degenerate(_entries(tree)[0])
        return [reason, None if reason else ast.unparse(_Normal().visit(tree))]
    except _UNREADABLE:
        return ["syntax", None]


def _entries(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "f"]


def _no_entry(tree: ast.Module, helpers: bool) -> str | None:
    entries = _entries(tree)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    others = [node for node in tree.body if isinstance(node, kinds) and node not in entries]
    if len(entries) != 1 or (others and not helpers):
        return "no_entry"
    yields = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in _own(entries[0]))
    return "no_entry" if yields or not _parameters(entries[0]) else None


def _parameters(entry: ast.FunctionDef) -> set[str]:
    """The names of its parameters but `*args` and `**named`."""
    args = entry.args
    return {arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)}


def _own(entry: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of its body without those of functions and classes within."""
    left: list[ast.AST] = list(entry.body)
    while left:
        node = left.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            left.extend(ast.iter_child_nodes(node))


def _forbidden(tree: ast.Module) -> str | None:
    bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound |= {name.id for name in names if not isinstance(name.ctx, ast.Load)}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=imported):
                wrong = any(alias.name.partition(".")[0] not in IMPORTS for alias in imported)
            case ast.ImportFrom(module=module, level=level):
                wrong = level > 0 or (module or "").partition(".")[0] not in IMPORTS
            case ast.Name(id=name):
                wrong = (name in FORBIDDEN and name not in bound) or _is_hidden(name)
            case ast.Attribute(attr=name):
                wrong = _is_hidden(name)
            case _:
                continue
        if wrong:
            return "forbidden"
    return None


def _is_hidden(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and name not in DUNDERS


def _degenerate(entry: ast.FunctionDef) -> str | None:
    """No parameter is read, all it does is return one, or it returns nothing."""
    parameters = _parameters(entry)
    body = entry.body[1:] if ast.get_docstring(entry) is not None else entry.body
    read = {
        node.id
        for part in body
        for node in ast.walk(part)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    returned = [
        node for node in _own(entry) if isinstance(node, ast.Return) and node.value is not None
    ]
    match body:
        case [ast.Return(value=ast.Name(id=name))] if name in parameters:
            return "degenerate"
    return None if parameters & read and returned else "degenerate"


class _Normal(ast.NodeTransformer):
    """Without docstrings and annotations."""

    def __init__(self) -> None:
        self._kept: set[int] = set()

    def _body(self, node: Any) -> Any:
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return self.generic_visit(node)

    visit_Module = _body

    def visit_ClassDef(self, node: Any) -> Any:
        """Its own annotations stay: they are the fields of a dataclass."""
        fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
        self._kept.update(map(id, fields))
        return self._body(node)

    def visit_FunctionDef(self, node: Any) -> Any:
        node.returns = None
        return self._body(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if id(node) in self._kept:
            return node
        if node.value is None:
            return ast.Pass()
        return ast.copy_location(ast.Assign([node.target], node.value), node)
