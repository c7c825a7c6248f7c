"""Are two single answers equal? Their values, units, percent signs, number bases and words."""

from __future__ import annotations

import re
from fractions import Fraction

from rlsc.grading.equality.values import equal_values, expression, within
from rlsc.grading.notation.numbers import number
from rlsc.grading.notation.units import Unit, is_glued_product, is_product, read_unit, split_unit

_LETTER = re.compile(r"(?:\\text\s*\{)?\s*\(([A-H])\)\s*\}?|([A-H])")
_LETTERED = re.compile(r"(?:\\text\s*\{)?\s*\(?([A-H])(?:\)|[.:]|\s*$)")
_WORD = re.compile(r"[A-Za-z][A-Za-z' -]*[A-Za-z]")


def equal_atoms(gold: str, answer: str, tolerance: float = 0.0) -> bool:
    """Compare two values with their units."""
    if squeeze(gold) == squeeze(answer):
        return True
    if re.fullmatch(r"[A-Z]{2,}", gold) and re.fullmatch(r"[A-Z]{2,}", answer):
        return False  # triangle ABC is not BAC
    if _words_equal(gold, answer):
        return True
    letter = _LETTER.fullmatch(gold)
    if letter and (start := _LETTERED.match(answer)):
        return (letter[1] or letter[2]) == start[1]
    if _based(gold) is not None or _based(answer) is not None:
        return _same_base(gold, answer)
    if gold.endswith("%") or answer.endswith("%"):
        return _percent(gold, answer, tolerance)
    if _values(gold, answer, tolerance):
        return not _unit_conflict(gold, answer)
    return _with_units(gold, answer, tolerance)


def is_value(text: str) -> bool:
    """Whether `text` is a number, an expression, words or a choice, with or without a unit."""
    plain = split_unit(text.removesuffix("%"))[0]
    known = expression(plain) is not None or _plain_words(text) is not None
    return known or _based(text) is not None or _LETTER.fullmatch(text) is not None


def _with_units(gold: str, answer: str, tolerance: float) -> bool:
    plain_gold, gold_unit = split_unit(gold)
    plain, unit = split_unit(answer)
    if gold_unit is None or unit is None or gold_unit.dimensions != unit.dimensions:
        # 2mV is a product of variables, but beside 3 V.
        if is_glued_product(gold, plain_gold):
            plain_gold, gold_unit = gold, None
        if is_glued_product(answer, plain):
            plain, unit = answer, None
    if gold_unit is None and unit is not None:
        plain_gold, gold_unit = _of_metres(gold, unit) or (plain_gold, None)
    elif unit is None and gold_unit is not None:
        plain, unit = _of_metres(answer, gold_unit) or (plain, None)
    if gold_unit is not None and not _is_meant(gold, plain_gold, gold_unit, unit):
        plain_gold, gold_unit = gold, None
    if gold_unit is None and unit is None:
        area = in_metres(answer) if number(plain_gold) is not None else None
        return area is not None and _values(plain_gold, area, tolerance)
    if gold_unit is None:
        # A unit that the reference leaves out; letters of the reference are its variables.
        value = expression(plain_gold)
        if value is None or (value.free_symbols and r"\text" not in answer[len(plain) :]):
            return False
        return _angle_fits(plain_gold, unit) and _values(plain_gold, plain, tolerance)
    if unit is None:
        return _values(plain_gold, plain, tolerance)
    if gold_unit.words or unit.words:  # km north is not km south
        # "762 eggs per week" for 762 eggs: the question says of which time.
        named = unit.words == gold_unit.words or unit.words.startswith(f"{gold_unit.words} per ")
        return named and bool(gold_unit.words) and _values(plain_gold, plain, tolerance)
    if gold_unit.dimensions and unit.dimensions and gold_unit != unit:
        if gold_unit.dimensions != unit.dimensions:
            return False
        return _values(plain_gold, plain, tolerance, gold_unit.size / unit.size)
    return _values(plain_gold, plain, tolerance)


def _of_metres(text: str, other: Unit) -> tuple[str, Unit] | None:
    """1 m^2 beside a unit of the same dimension: the letter is metres there."""
    value = in_metres(text)
    unit = read_unit(text[text.index("m") :]) if value is not None else None
    if value is None or unit is None or unit.dimensions != other.dimensions:
        return None
    return value, unit


def in_metres(text: str) -> str | None:
    """The number of 12m^2: beside a number alone the letter is a unit, as it is in 12m."""
    squared = _SQUARED.fullmatch(text)
    return squared[1] if squared else None


_SQUARED = re.compile(r"([-+]?[\d.]+)\s*m\s*\^\s*\{?\s*[23]\s*\}?")


def _is_meant(gold: str, value: str, gold_unit: Unit, unit: Unit | None) -> bool:
    """Whether letters after the reference's value are a unit: 37/4 m may hold a variable."""
    tail = gold[len(value) :]
    if r"\text" in tail or "°" in tail:
        return True
    if number(value) is None:
        return False
    # "30 m" is metres only beside another length, 5 MN a force beside another: it is a segment.
    one_letter = re.fullmatch(r"\s*[A-Za-z]", tail) is not None or is_product(tail)
    same = unit is not None and bool(unit.dimensions) and unit.dimensions == gold_unit.dimensions
    return same or not one_letter


def _percent(gold: str, answer: str, tolerance: float) -> bool:
    """25 % is 1/4; beside a bare reference of 25 the sign is its unit, beside 0.25 not."""
    parts = [text.removesuffix("%").strip() for text in (gold, answer)]
    if gold.endswith("%") and answer.endswith("%"):
        return _values(parts[0], parts[1], tolerance)
    if answer.endswith("%"):
        value = number(gold)
        as_unit = value is None or abs(value) > 1
        return _values(gold, parts[1], tolerance, Fraction(100)) or (
            as_unit and _values(gold, parts[1], tolerance)
        )
    value = number(parts[0])
    as_unit = value is None or abs(value) > 1
    return _values(parts[0], answer, tolerance, Fraction(1, 100)) or (
        as_unit and _values(parts[0], answer, tolerance)
    )


def _values(gold: str, answer: str, tolerance: float, factor: Fraction | None = None) -> bool:
    """gold · factor = answer, within the tolerance where there is one."""
    if factor is not None and factor != 1:
        gold = rf"({factor.numerator}) \cdot ({gold}) / ({factor.denominator})"
    if equal_values(gold, answer):
        return True
    return tolerance > 0 and within(gold, answer, tolerance)


def _words_equal(gold: str, answer: str) -> bool:
    if _untexted(gold) == _untexted(answer):
        return True
    plain = [_plain_words(text) for text in (gold, answer)]
    return plain[0] is not None and plain[0] == plain[1]


def _untexted(text: str) -> str:
    r"""June 20 of \text{June } 20."""
    return " ".join(re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text).split())


def _plain_words(text: str) -> str | None:
    """Words in lower case; None for a product of names such as AB, where case matters."""
    if re.fullmatch(r"[A-Za-z]{1,3}", text) and text.lower() not in ("yes", "no"):
        return None
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"^(?:the|an?)\s+", "", text.strip().strip("\"'()").strip().lower())
    if len(text) == 1 and text.isalpha():
        return None
    text = re.sub(r"^(no .*\bsolution|no .*\broot)s$", r"\1", text)
    text = re.sub(r"^(infinitely many) (?:solution|answer)s$", r"\1", text)
    return " ".join(text.split()) if _WORD.fullmatch(text) else None


_BASED = re.compile(r"\(?([0-9A-Fa-f]+)\)?_\{?(?:\\text\s*\{)?\s*(\d+|[a-z]+)\s*\}?\}?")
_BASES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
_BASES |= {"ten": 10, "eleven": 11, "twelve": 12, "sixteen": 16}


def _based(text: str) -> tuple[str, int] | None:
    match = _BASED.fullmatch(text)
    if match is None or not re.search(r"\d", match[1]):
        return None
    base = int(match[2]) if match[2].isdigit() else _BASES.get(match[2])
    return (match[1].lstrip("0").upper(), base) if base else None


def _same_base(gold: str, answer: str) -> bool:
    """Digits in the base asked for; a reference in base 8 may leave the 8 out."""
    left, right = _based(gold), _based(answer)
    if left is not None and right is not None:
        return left == right
    if left is not None:
        return left[0] == answer.lstrip("0").upper()
    return right is not None and right[0] == gold.lstrip("0").upper()


def _unit_conflict(gold: str, answer: str) -> bool:
    if ("°" in gold) != ("°" in answer) and r"\pi" in gold:
        return True
    # As products of letters, miles per hour are hours per mile.
    (value, unit), (other_value, other) = split_unit(gold), split_unit(answer)
    if is_glued_product(gold, value) or is_glued_product(answer, other_value):
        return False
    tails = (gold[len(value) :], answer[len(other_value) :])
    if unit is None or other is None or "°" in gold + answer:
        return False
    if not all(re.search("[A-Za-z]{2}", tail) for tail in tails):
        return False
    if unit.words and other.words:
        return unit.words != other.words and not other.words.startswith(f"{unit.words} per ")
    return bool(unit.dimensions and other.dimensions) and unit.dimensions != other.dimensions


def _angle_fits(gold: str, unit: Unit | None) -> bool:
    """A bare reference with π is in radians; a bare number beyond 2π is in degrees."""
    if unit is None or not unit.is_angle:
        return True
    value = number(gold)
    in_degrees = unit.dimensions[0][0] == "degree"
    if r"\pi" in gold:
        return not in_degrees
    return in_degrees or (value is not None and abs(value) <= Fraction(6283, 1000))


def squeeze(text: str) -> str:
    """Without dollar signs and spaces, but for a space between two digits: 1 2 is not 12."""
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text.replace("$", ""))
