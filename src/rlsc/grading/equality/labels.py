r"""What an equation's left side names that is no plain name: ``|AB|``, ``V_1 : V_2``, ``\sin A``.

`|AB| = 5` says 5 as `x = 5` does. An equation in unknowns, `x + y = 1`, says no value: what counts
as a name of a quantity is of points (two capital letters), of capitals with an index, a function of
a capital, and a ratio with a colon.
"""

from __future__ import annotations

import re

from rlsc.grading.equality.forms import Relation
from rlsc.grading.equality.relations import is_name

_POINT = r"[A-Z](?:_(?:\w|\{\s*\w+\s*\}))?'*"
_SEGMENT = rf"{_POINT}\s*{_POINT}"
_SIZE = rf"(?:\|\s*{_SEGMENT}\s*\||{_SEGMENT}(?:\s*{_POINT}){{0,2}})"
_INDEXED = r"[A-Z]_(?:\w|\{[^{}=]{1,40}\})"
_PART = rf"(?:{_SIZE}|{_INDEXED})"
_FRACTION = re.compile(
    rf"\\frac\s*\{{\s*({_PART})\s*\}}\s*\{{\s*({_PART})\s*\}}|({_PART})\s*/\s*({_PART})"
)
_LENGTH = re.compile(rf"\|\s*({_SEGMENT})\s*\|")
_ANGLE = r"(?:[A-Z]|\\angle\s*[A-Z](?:\s*[A-Z]){0,2})"
_EVENT = r"(?:[A-Z]|\d{1,9})"
_VALUE = re.compile(
    rf"\\(?:sin|cos|tan|cot)\s*(?:{_ANGLE}|\(\s*{_ANGLE}\s*\)|\{{\s*{_ANGLE}\s*\}})"
    rf"|P\s*\(\s*[A-Z](?:\s*(?:\\(?:cap|cup|mid|le|ge|lt|gt)(?![A-Za-z])|[|<>=+])\s*{_EVENT})*\s*\)"
    rf"|(?:{_SIZE})(?:\s*(?:[-+]|\\cdot(?![A-Za-z]))\s*(?:{_SIZE}))+"
)


_MID = re.compile(r"\\mid(?![A-Za-z])|\\vert(?![A-Za-z])")


def label(text: str) -> tuple[str, ...] | None:
    """What a left side names, alike for its spellings; None where it names no quantity."""
    text = text.strip()
    if size := _LENGTH.fullmatch(text):
        return (_ends(size[1]),)
    if fraction := _FRACTION.fullmatch(text):
        return tuple(_ends(part) for part in fraction.groups() if part)
    parts = text.split(":")
    if len(parts) > 1 and all(is_name(part) or _LENGTH.fullmatch(part.strip()) for part in parts):
        return tuple(map(_ends, parts))
    return ("value", _squeezed(text)) if _VALUE.fullmatch(text) else None


def is_labelled(relation: Relation) -> bool:
    """`|AB| = 5`, `V_1 : V_2 = 2 : 3`: the right side is the answer."""
    return relation.signs == ("=",) and label(relation.sides[0]) is not None


def other_label(gold: Relation, answer: Relation) -> bool:
    """Whether two values are given for different quantities: AB : CD = 2 and CD : AB = 2."""
    left, right = (label(relation.sides[0]) or _name(relation) for relation in (gold, answer))
    if not (is_labelled(gold) or is_labelled(answer)) or left is None or right is None:
        return False
    return left != right and label(gold.sides[1]) is None


def inverted(gold: Relation, answer: Relation) -> Relation | None:
    """CD : AB = 3 : 2 as AB : CD = 2 : 3, where `gold` says AB : CD; else None."""
    left, right = label(gold.sides[0]), label(answer.sides[0])
    if left is None or right is None or len(left) != 2 or "value" in (left[0], right[0]):
        return None
    if left[0] == left[1] or left != right[::-1]:
        return None
    parts = answer.sides[1].split(":")
    value = rf"1 / ({answer.sides[1]})" if len(parts) == 1 else ":".join(reversed(parts))
    return Relation((gold.sides[0], value), ("=",)) if len(parts) <= 2 else None


def same_label(gold: Relation, answer: Relation) -> bool:
    """Whether two values are given for one quantity: |AB| = 5 and BA = 5."""
    left, right = (label(relation.sides[0]) or _name(relation) for relation in (gold, answer))
    return left is not None and left == right


def _name(relation: Relation) -> tuple[str, ...] | None:
    left = relation.sides[0]
    return (_ends(left),) if is_name(left) else None


def _squeezed(text: str) -> str:
    return re.sub(r"[\s{}]+", "", _MID.sub("|", text))


def _ends(text: str) -> str:
    """The segment AB, which is BA, and |AB|; another name as it is."""
    text = text.strip().strip("|")
    if not re.fullmatch(_SEGMENT, text):
        return _squeezed(text)
    return "".join(sorted(_squeezed(point) for point in re.findall(_POINT, text)))
