r"""The shape of an answer: one value, several, a tuple or interval, a union, a matrix, a relation.

Shapes are read off the brackets and separators; the values inside stay text until they are
compared (`compare.py`). `parse` expects text from `normalise`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import product

from rlsc.grading.notation.normalise import closing
from rlsc.grading.notation.numbers import number
from rlsc.grading.notation.units import split_unit


@dataclass(frozen=True)
class Atom:
    r"""One value or text: ``\frac{1}{2}``, ``2k + 2``, ``east``."""

    text: str


@dataclass(frozen=True)
class Many:
    """Several answers, in any order: ``1, -2`` or ``\\{1, -2\\}`` or ``x=1 or x=-2``."""

    items: tuple[Form, ...]
    braced: bool = False
    joined: bool = False
    """By "and": of inequalities, all hold."""


@dataclass(frozen=True)
class Tuple:
    """Bracketed values in order; two of them may be an interval: ``(2, 3]``."""

    opening: str
    items: tuple[Form, ...]
    ending: str


@dataclass(frozen=True)
class Union:
    r"""``A \cup B``, or with `minus` ``A \setminus B``."""

    items: tuple[Form, ...]
    minus: bool = False


@dataclass(frozen=True)
class Matrix:
    """Rows of entries."""

    rows: tuple[tuple[Form, ...], ...]


@dataclass(frozen=True)
class Relation:
    r"""A chain: ``x = 5`` is sides (x, 5), signs (=); ``1 < x \le 2`` has two signs."""

    sides: tuple[str, ...]
    signs: tuple[str, ...]


Form = Atom | Many | Tuple | Union | Matrix | Relation

_SEPARATOR = re.compile(
    r"\s*[,;]\s*(?:\\text\s*\{\s*)?(?:and|or)(?:\s*\}|\b)\s*|\s*[,;]\s*"
    r"|\s*\\text\s*\{\s*,?\s*(?:and|or)\s*\}\s*|\s+(?:and|or)\s+|\s*\\text\s*\{\s*,\s*\}\s*"
)
_AND = re.compile(r"\band\b")
_OR = re.compile(r"\bor\b")
_CUP = re.compile(r"\s*\\cup(?![A-Za-z])\s*")
_MINUS = re.compile(r"\s*\\setminus(?![A-Za-z])\s*")
_SUCH_THAT = re.compile(r"\s*(?:\\mid(?![A-Za-z])|:|\|)\s*")
_IN = re.compile(r"\\in(?![A-Za-z])")
_VARIABLE = r"(?:\\[a-z]{2,8}|[A-Za-z])(?:_(?:\w|\{\s*\w+\s*\}))?"
_NAMES = re.compile(rf"{_VARIABLE}|\(\s*{_VARIABLE}(?:\s*,\s*{_VARIABLE}){{1,5}}\s*\)")
_REALS = re.compile(r"ℝ|R|\\R|(?:\\mathbb|\\Bbb|\\text)\s*(?:R|\{\s*R\s*\})")
_SETS = {sign: rf"\mathbb{{{name}}}" for sign, name in zip("ℤℕℚℂ", "ZNQC", strict=True)}
_DOUBLE_STRUCK = re.compile(
    r"[ℤℕℚℂ]|(?:\\(?:mathbb|Bbb|text)\s*\{?|\\|^)\s*([ZNQC])(?![A-Za-z])\s*\}?"
)
_RATIO = re.compile(r"\s*(?::|\\text\s*\{\s*to\s*\}|\bto\b)\s*")
_EQUALS = re.compile(r"\s*=\s*")
_SIGN = re.compile(
    r"\s*(\\(?:approx|equiv|simeq|le|ge|ne|lt|gt|implies|Rightarrow)(?![A-Za-z])|[=<>])\s*"
)
_MATRIX = re.compile(
    r"^([^&=,]{0,40}?)\\begin\s*\{([pbvBV]?matrix|array)\}(?:\s*\{[lcr|]*\})?(.*)\\end\s*\{\2\}$",
    re.DOTALL,
)
# [\begin{array}{cc} … \end{array}]: brackets around what has none of its own.
_BRACKETED = re.compile(
    r"^([^&=,]{0,40}?)([(\[])\s*(\\begin\s*\{(array|matrix)\}(?:(?!\\end).)*\\end\s*\{\4\})\s*([)\]])$",
    re.DOTALL,
)
_ROW_END = re.compile(r"\\\\(?:\[[^\]]*\])?|\\cr(?![A-Za-z])")
_MEMBER = re.compile(r"^(?!\\\{)[A-Za-z\\_{}0-9(), ]{1,30}?\s*\\in(?![A-Za-z])\s*(?!\\math)")
_NAMED = re.compile(r"([A-Za-z])\s*:\s*(.+)")
_LABEL = re.compile(
    r"(?:\\text\s*\{\s*)?((?=[A-Za-z ]*[a-z])[A-Za-z][A-Za-z ]*[A-Za-z])\s*:\s*(?:\}\s*)?([^:]+)"
)
_SIGNS = {r"\lt": "<", r"\gt": ">", r"\le": "<=", r"\ge": ">=", r"\ne": "!="}


def parse(text: str, lists: bool = False) -> Form:
    """The shape of `text`. ``1,234`` is one number, unless `lists`: then it is two."""
    text = unwrap(text)
    if number(text) is not None and not lists:
        return Atom(text)  # "one hundred and five" is not two answers
    if matrix := _matrix(text):
        return matrix
    text = unwrap(_MEMBER.sub("", text))
    parts = [part for part in split(text, _SEPARATOR) if part]
    if len(parts) > 1:
        many = _many(parts)
        if solutions := _solutions(many.items):
            return solutions
        return Many(many.items, joined=bool(_AND.search(text)) and not _OR.search(text))
    if text.startswith(r"\{") and text.endswith(r"\}") and closing(text, 1) == len(text) - 1:
        builder = split(text[2:-2], _SUCH_THAT)
        if len(builder) == 2:
            return _built(*builder)
        inner = parse(text[2:-2], lists)
        return Many(inner.items if isinstance(inner, Many) else (inner,), braced=True)
    if (named := _NAMED.fullmatch(text)) and number(named[2]) is not None:  # x: 4
        return Relation((named[1], named[2]), ("=",))
    if label := _LABEL.fullmatch(text):  # Ann: 3
        return Relation((rf"\text{{{label[1]}}}", label[2]), ("=",))
    labelled = split(text, _EQUALS)
    if len(labelled) == 2 and all(labelled) and len(split(labelled[0], _RATIO)) > 1:
        return Relation((labelled[0], labelled[1]), ("=",))  # AB:CD = 2:3
    ratio = split(text, _RATIO)
    if len(ratio) > 1 and all(ratio):
        return Tuple(":", tuple(map(parse, ratio)), ":")
    for pattern, minus in ((_CUP, False), (_MINUS, True)):
        parts = split(text, pattern)
        if len(parts) > 1:
            return Union(tuple(parse(part) for part in parts), minus)
    if r"\pm" in text or r"\mp" in text:
        return _points(text) or _both_signs(text)
    relation = split(text, _SIGN, keep=True)
    if len(relation) > 1:
        signs = tuple(_SIGNS.get(sign, sign) for sign in relation[1::2])
        return Relation(tuple(relation[::2]), signs)
    if re.match(r"[-+]\s*[(\[]", text) and "," in text:  # −(0, 1, 1)
        inner = parse(text[1:])
        if isinstance(inner, Tuple) and text[0] == "-":
            items = tuple(_negated(item) for item in inner.items)
            return Tuple(inner.opening, items, inner.ending)
        return inner if isinstance(inner, Tuple) else Atom(text)
    if text[:1] in "([" and text[-1:] in ")]" and closing(text, 0) == len(text) - 1:
        parts = [part for part in split(text[1:-1], _SEPARATOR) if part]
        if len(parts) > 1:
            return Tuple(text[0], tuple(parse(part) for part in parts), text[-1])
        if text[0] + text[-1] == "()" or number(text[1:-1]) is not None:
            return parse(text[1:-1])
    return _with_common_unit(text) or Atom(text)


def _built(member: str, condition: str) -> Form:
    """x > 2 of {x | x > 2}, and of {x ∈ ℝ | x > 2}; another domain stays beside its condition."""
    names, *domain = map(str.strip, _IN.split(member, maxsplit=1))
    if not _NAMES.fullmatch(names):
        return Tuple(r"\{", (parse(member), parse(condition)), r"\}")  # {2k | k ∈ ℕ}
    if not domain or _REALS.fullmatch(domain[0]):
        return parse(condition)
    name = _DOUBLE_STRUCK.sub(lambda m: _SETS.get(m[0]) or f"\\mathbb{{{m[1]}}}", domain[0])
    name = re.sub(r"\^\s*\{\s*([-+*])\s*\}", r"^\1", name)
    return Tuple(r"\{", (parse(name), parse(condition)), r"\}")


def _matrix(text: str) -> Form | None:
    bracketed = _BRACKETED.match(text)
    if bracketed and bracketed[2] + bracketed[5] in ("()", "[]"):
        text = bracketed[1] + bracketed[3]
    matrix = _MATRIX.match(text)
    if matrix is None:
        return None
    if matrix.group(2) in ("vmatrix", "Vmatrix"):
        return Atom(text)  # a determinant, a norm
    rows = [row for row in _ROW_END.split(matrix.group(3)) if row.strip()]
    factor = _factor(matrix.group(1))
    return Matrix(
        tuple(tuple(parse(factor.format(cell)) for cell in row.split("&")) for row in rows)
    )


def _both_signs(text: str) -> Many:
    r"""2 \pm 1 as 2 + 1 and 2 - 1."""
    both = [text, text]
    for command, *signs in ((r"\pm", "+", "-"), (r"\mp", "-", "+")):
        both = [text.replace(command, sign) for text, sign in zip(both, signs, strict=True)]
    return _many([text.strip().removeprefix("+").strip() for text in both])


def _points(text: str) -> Many | None:
    r"""(\pm 3, \pm 2) as its four points; with \mp the signs go together, as in \pm(3, 2)."""
    if r"\mp" in text or text[:1] != "(" or closing(text, 0) != len(text) - 1:
        return None
    parts = [part for part in split(text[1:-1], _SEPARATOR) if part]
    if len(parts) < 2 or sum(r"\pm" in part for part in parts) < 2 or len(parts) > 4:
        return None
    if any(part.count(r"\pm") > 1 for part in parts):
        return None
    choices = [
        [part.replace(r"\pm", sign) for sign in "+-"][: 1 + (r"\pm" in part)] for part in parts
    ]
    items = (Tuple("(", tuple(map(_signless, point)), ")") for point in product(*choices))
    return Many(tuple(items))


def _signless(text: str) -> Form:
    return parse(text.strip().removeprefix("+").strip())


def _with_common_unit(text: str) -> Form | None:
    r"""(3, 4) \text{ cm} as (3 \text{ cm}, 4 \text{ cm})."""
    end = closing(text, text.startswith("\\")) if text.startswith(("(", "[", r"\{")) else None
    if end is None or not re.match(r"\s*(?:\\text\s*\{|°)", text[end + 1 :]):
        return None
    form, tail = parse(text[: end + 1]), text[end + 1 :]
    if not isinstance(form, Tuple | Many) or split_unit(f"1{tail}")[0] != "1":
        return None
    items = tuple(parse(item.text + tail) for item in form.items if isinstance(item, Atom))
    return replace(form, items=items) if len(items) == len(form.items) else None


def _negated(form: Form) -> Form:
    return Atom(f"-({form.text})") if isinstance(form, Atom) else form


def _factor(text: str) -> str:
    """A template that multiplies an entry by what stands before its matrix."""
    text = text.strip().removesuffix(r"\cdot").strip()
    if not text:
        return "{}"
    scalar = "-1" if text == "-" else text.replace("{", "{{").replace("}", "}}")
    return rf"({scalar}) \cdot ({{}})"


def _many(parts: list[str]) -> Many:
    items: list[Form] = []
    for part in parts:
        form = parse(part)
        is_set = isinstance(form, Many) and form.braced and len(parts) > 1
        items += form.items if isinstance(form, Many) and not is_set else [form]
    # "x = 1, 2" says x of both.
    first = items[0]
    if isinstance(first, Relation) and all(isinstance(item, Atom) for item in items[1:]):
        items[0] = Atom(first.sides[-1])
    return Many(tuple(items))


def _solutions(items: tuple[Form, ...]) -> Many | None:
    """x = 1, y = 2; x = 3, y = 4 as two solutions, each of the same names in the same order."""
    definitions = [i for i in items if isinstance(i, Relation) and i.signs == ("=",)]
    names = [item.sides[0] for item in definitions]
    size = len(set(names))
    if (
        len(names) < len(items)
        or size < 2
        or len(names) == size
        or names[:size] * (len(names) // size) != names
    ):
        return None
    return Many(tuple(Many(items[at : at + size]) for at in range(0, len(items), size)))


def unwrap(text: str) -> str:
    r"""Without a `\boxed{}`, a `\text{}` or a pair of braces around the whole."""
    while True:
        text = text.strip().rstrip(".,;:").strip()
        match = re.match(r"(?:\\boxed|\\text|\\fbox)?\s*(?=\{)", text)
        if match is None or closing(text, match.end()) != len(text) - 1:
            return text
        text = text[match.end() + 1 : -1]


def split(text: str, pattern: re.Pattern[str], keep: bool = False) -> list[str]:
    """Cut `text` where `pattern` matches outside all brackets; `keep` keeps group 1."""
    parts, depth, start, position = [], 0, 0, 0
    while position < len(text):
        character = text[position]
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        match = pattern.match(text, position) if depth == 0 else None
        # A separator that begins with \text{ opens no bracket of ours: it is taken whole.
        if match and match.end() > position and match.group().strip():
            parts.append(text[start:position].strip())
            if keep:
                parts.append(match.group(1))
            start = position = match.end()
            continue
        position += 1
    return [*parts, text[start:].strip()]
