"""Is an extracted answer the reference? By shape first, then value by value.

Stricter than math-verify where a sceptic would be: a rounding is not the number, an open interval
is not the closed one, 30 rad is not 30°, one solution of two is not both, two answers are not one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rlsc.grading.equality.atoms import equal_atoms, in_metres, is_value, squeeze
from rlsc.grading.equality.forms import (
    Atom,
    Form,
    Many,
    Matrix,
    Relation,
    Tuple,
    parse,
    unwrap,
)
from rlsc.grading.equality.labels import inverted, is_labelled, other_label, same_label
from rlsc.grading.equality.pieces import same_function
from rlsc.grading.equality.relations import (
    before_rounding,
    by_name,
    coordinates,
    distinct_names,
    equal_equations,
    is_definition,
    is_name,
    named,
    renamed,
    same_inequality,
    says_value,
    variable,
)
from rlsc.grading.equality.sets import as_set
from rlsc.grading.equality.values import equal_values, expression, within
from rlsc.grading.notation.normalise import normalise
from rlsc.grading.notation.numbers import number
from rlsc.grading.notation.times import date, same_time, time_of_day
from rlsc.grading.notation.units import (
    compound,
    money_beside_measure,
    other_currency,
    simple,
    split_unit,
)

MAX_LENGTH = 2000
"""Longer answers are compared as text: no reference is near it, and work must stay bounded."""


def same(answer: str, reference: str, tolerance: float = 0.0) -> bool:
    """Whether `answer` is `reference`; a relative `tolerance` is for numeric references."""
    if squeeze(answer) == squeeze(reference):
        return True
    if max(len(answer), len(reference)) > MAX_LENGTH:
        return False
    word = _SHORT_WORD.fullmatch(reference)
    if word and word[1].casefold() == answer.strip().casefold() and answer.strip()[1:].islower():
        return True  # Red is red, where it is marked as a word; Abc is not abc
    if other_currency(answer, reference) or money_beside_measure(answer, reference):
        return False
    answer, reference = (_LEAD.sub("", unwrap(normalise(text))) for text in (answer, reference))
    if not answer or not reference:
        return False
    if squeeze(answer) == squeeze(reference):
        return True
    if r"\emptyset" in reference + answer:
        none = _EMPTY.fullmatch(reference), _EMPTY.fullmatch(answer)
        if none[0] and none[1]:
            names = {match[1] for match in none if match and match[1]}
            return len(names) < 2
    option = _option(answer, reference, tolerance)
    if option is not None:
        return option
    function = same_function(reference, answer)
    if function is not None:
        return function
    gold_date, day = date(reference), date(answer)
    if gold_date and day:
        return gold_date == day
    gold_time, time = time_of_day(reference), time_of_day(answer)
    if gold_time and time:
        return same_time(gold_time, time)
    gold_measure, measure = compound(reference), compound(answer)
    if gold_measure or measure:
        gold_measure, measure = gold_measure or simple(reference), measure or simple(answer)
        if gold_measure and measure:
            return gold_measure == measure
    comparison = _Comparison(tolerance)
    return any(
        comparison.forms(gold, form) for gold in _readings(reference) for form in _readings(answer)
    )


def _option(answer: str, reference: str, tolerance: float) -> bool | None:
    """Where one of the two is a lettered option with its text, `(C) 2/5`: are they one option?

    None where neither is, or its text alone does not say.
    """
    wanted, chosen = _GOLD_LETTER.fullmatch(reference), _CHOSEN.fullmatch(answer)
    if wanted and chosen:  # option (d)
        return wanted[1] == (chosen[1] or chosen[2]).upper()
    (gold_letter, gold), (letter, value) = _lettered(reference), _lettered(answer)
    if gold_letter and letter:
        return gold_letter == letter and same(value, gold, tolerance)
    if gold_letter:
        return unwrap(answer).strip("() ") == gold_letter or same(value, gold, tolerance)
    is_letter = re.fullmatch("[A-J]", squeeze(gold)) is not None
    return True if letter and not is_letter and same(value, gold, tolerance) else None


def _lettered(text: str) -> tuple[str | None, str]:
    """The letter of an option and its text: (None, text) where it is not both."""
    match = _LETTERED.fullmatch(unwrap(text))
    return (match[1], match[2]) if match else (None, text)


_LETTERED = re.compile(
    r"(?:\\text\s*\{\s*)?(?:\(\s*(?=[A-J]\s*\)))?([A-J])\s*[).](?:\s*\})?\s*(\S.*)", re.DOTALL
)


_GOLD_LETTER = re.compile(r"(?:\\text\s*\{\s*)?\(?\s*([A-J])\s*\)?(?:\s*\})?")
_CHOSEN = re.compile(
    r"(?:\\text\s*\{\s*)?(?:(?i:option|choice|letter)\s*(?:\}\s*)?\(?\s*([A-Ja-j])\s*\)?"
    r"|\(\s*([a-j])\s*\))(?:\s*\})?"
)
# Other ends of sentences (no integer solutions, does not exist) say more or something else.
_EMPTY = re.compile(
    r"(?:([A-Za-z])\s*(?:=|\\in)\s*)?\\emptyset"
    r"|(?:\\text\s*\{\s*)?(?:there (?:is|are) )?no (?:real )?(?:solution|root)s?(?:\s*\})?",
    re.IGNORECASE,
)
_SHORT_WORD = re.compile(r"\s*\$?\\text\s*\{\s*([A-Za-z][a-z]{2})\s*\}\$?\s*")
_LEAD = re.compile(
    r"^\\approx\s*|^(?:\\text\s*\{\s*)?(?:there (?:is|are)|(?:the )?(?:final )?answer(?: is|:)"
    r"|it is|ratio|total)\s*:?(?:\s*\}\s*|\s+)(?=\S)",
    re.IGNORECASE,
)


def is_literal(text: str) -> bool:
    """Whether `text` is a number as digits, with or without a unit or a percent sign."""
    plain = normalise(text)
    plain = in_metres(plain) or split_unit(plain.removesuffix("%"))[0]
    return number(plain) is not None


def is_unevaluated(text: str) -> bool:
    """Whether `text` is one value but no literal number: 3 + 8, 2^3, \\sqrt{9}."""
    plain = _lettered(normalise(text))[1]
    form = parse(plain)
    return isinstance(form, Atom) and not is_literal(form.text) and compound(plain) is None


def is_equation(reference: str) -> bool:
    """Whether `reference` is an equation in two or more unknowns, solved for none of them."""
    if len(reference) > MAX_LENGTH:
        return False
    form = parse(normalise(reference))
    if not isinstance(form, Relation) or form.signs != ("=",) or is_definition(form):
        return False
    left, right = map(expression, form.sides)
    if left is None or right is None:
        return False
    return len(left.free_symbols | right.free_symbols) > 1


def is_readable(reference: str) -> bool:
    """Whether all of the reference's values are numbers, expressions or words."""
    return len(reference) <= MAX_LENGTH and _all_readable(parse(normalise(reference)))


def _all_readable(form: Form) -> bool:
    if isinstance(form, Atom):
        return is_value(form.text)
    if isinstance(form, Relation):
        return all(is_name(side) or _all_readable(parse(side)) for side in form.sides)
    items = form.items if not isinstance(form, Matrix) else [c for row in form.rows for c in row]
    return all(map(_all_readable, items))


def _readings(text: str) -> list[Form]:
    """58,500 may be one number or two, which only the other side can tell."""
    joined = _THOUSANDS.sub(lambda match: match.group().replace(",", ""), text)
    return [parse(text)] if joined == text else [parse(joined), parse(text, lists=True)]


_THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")


_UNEQUAL = {"<", ">", "<=", ">=", "!="}


def _squeeze_name(text: str) -> str:
    """`B E A_{1}` and `BEA_1` are one name."""
    return re.sub(r"[\s{}]+", "", text)


class _Comparison:
    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance

    def forms(self, gold: Form, answer: Form) -> bool:
        """Compare two shapes; the order of the arguments matters for units and names."""
        gold, answer = by_name(gold), by_name(answer)
        if isinstance(gold, Many) or isinstance(answer, Many):
            return self._many(gold, answer)
        if isinstance(gold, Relation) and (value := before_rounding(gold)) is not None:
            named_else = isinstance(answer, Relation) and _other_name(gold, answer)
            return not named_else and self.forms(parse(value), answer)
        says_value_of = isinstance(gold, Relation) and (is_definition(gold) or is_labelled(gold))
        if isinstance(gold, Relation) and says_value_of and not isinstance(answer, Relation):
            return self.forms(parse(gold.sides[-1]), answer)
        if isinstance(answer, Relation) and not isinstance(gold, Relation):
            return self._last_side(gold, answer) or self._sets(gold, answer)
        if isinstance(gold, Matrix) or isinstance(answer, Matrix):
            return self._matrices(gold, answer)
        if isinstance(gold, Tuple) and gold.opening == ":" and isinstance(answer, Atom):
            parts = [item.text for item in gold.items if isinstance(item, Atom)]
            quotient = rf"({parts[0]}) / ({parts[1]})" if len(parts) == 2 else ""
            return r"\frac" in answer.text and bool(equal_values(quotient, answer.text))
        if isinstance(gold, Tuple) and isinstance(answer, Tuple):
            return self._tuples(gold, answer)
        if isinstance(gold, Atom) and isinstance(answer, Atom):
            equal = equal_atoms(gold.text, answer.text, self._tolerance)
            return equal or self._sets(gold, answer)
        if isinstance(gold, Relation) and isinstance(answer, Relation):
            related = self._relations(gold, answer)
            if related or "=" in gold.signs:
                return related
        return self._sets(gold, answer)

    def _sets(self, gold: Form, answer: Form) -> bool:
        left = as_set(gold)
        right = as_set(answer) if left is not None else None
        return left is not None and right is not None and bool(left == right)

    def _many(self, gold: Form, answer: Form) -> bool:
        """All of the reference's values and no other, in any order."""
        if isinstance(gold, Many) and isinstance(answer, Many):
            unequal = any(
                isinstance(item, Relation) and item.signs != ("=",)
                for item in (*gold.items, *answer.items)
            )
            if unequal and gold.joined != answer.joined and self._sets(gold, gold):
                return self._sets(gold, answer)  # x > 1 and x < 2 is not x > 1 or x < 2
            return self._matching(gold.items, answer.items) or self._sets(gold, answer)
        if isinstance(gold, Many):
            if isinstance(answer, Tuple) and named(gold.items):  # x = 1, y = 2 and (1, 2)
                ordered = named(coordinates(gold.items))
                return self._sequences([parse(i.sides[-1]) for i in ordered], answer.items)
            if isinstance(answer, Tuple) and not any(
                isinstance(i, Tuple | Many) for i in gold.items
            ):
                return not _is_other_kind(answer, gold) and self._matching(gold.items, answer.items)
            if isinstance(answer, Relation) and is_definition(answer):  # x = {1, 2}
                whole = parse(answer.sides[-1])
                return self.forms(gold, whole) if isinstance(whole, Many) else False
            if len(gold.items) == 1:  # {5}
                return self.forms(gold.items[0], answer)
            return self._sets(gold, answer)
        assert isinstance(answer, Many)
        if isinstance(gold, Tuple):
            if answer.joined and self._sets(gold, answer):
                return True  # x > 1 and x < 3
            if _is_other_kind(gold, answer) or not distinct_names(answer.items):
                return False
            return self._sequences(gold.items, coordinates(answer.items))
        if isinstance(gold, Relation) and len(gold.signs) == 1 and gold.signs[0] == "=":
            sides = parse(gold.sides[-1])
            if isinstance(sides, Many):
                return self._matching(sides.items, answer.items)
        # The same value written twice, as in "1/2 or 0.5", is one answer; 100 and 101 are two.
        exact = _Comparison(0)
        alike = all(exact.forms(answer.items[0], item) for item in answer.items[1:])
        return (alike and self.forms(gold, answer.items[0])) or self._sets(gold, answer)

    def _matching(self, gold: Sequence[Form], answer: Sequence[Form]) -> bool:
        if len(gold) != len(answer):
            return False
        if named(gold) and not any(isinstance(item, Relation) for item in answer):
            return self._sequences([parse(item.sides[-1]) for item in named(gold)], answer)
        valued = [
            i
            for i in answer
            if isinstance(i, Relation) and not _UNEQUAL & set(i.signs) and says_value(i.sides[0])
        ]
        if len(valued) == len(answer) and not any(isinstance(i, Relation | Many) for i in gold):
            answer = [parse(item.sides[-1]) for item in valued]
        left = list(answer)
        for item in gold:
            place = next((i for i, other in enumerate(left) if self.forms(item, other)), None)
            if place is None:
                return False
            del left[place]
        return True

    def _sequences(self, gold: Sequence[Form], answer: Sequence[Form]) -> bool:
        return len(gold) == len(answer) and all(map(self.forms, gold, answer))

    def _tuples(self, gold: Tuple, answer: Tuple) -> bool:
        if gold.opening == answer.opening == ":":
            return self._ratios(gold.items, answer.items)
        if not self._sequences(gold.items, answer.items):
            return False
        brackets = (gold.opening + gold.ending, answer.opening + answer.ending)
        # Of two components, the brackets may say whether ends belong to an interval.
        return len(gold.items) != 2 or brackets[0] == brackets[1]

    def _ratios(self, gold: Sequence[Form], answer: Sequence[Form]) -> bool:
        """2:3 is 4:6."""
        a = [item.text for item in gold if isinstance(item, Atom)]
        b = [item.text for item in answer if isinstance(item, Atom)]
        if not len(a) == len(gold) == len(b) == len(answer):
            return self._sequences(gold, answer)
        scaled = [
            (rf"({x}) \cdot ({b[0]})", rf"({y}) \cdot ({a[0]})") for x, y in zip(a, b, strict=True)
        ]
        return all(equal_atoms(*pair) for pair in scaled)

    def _matrices(self, gold: Form, answer: Form) -> bool:
        rows, other = _rows(gold), _rows(answer)
        if rows is None or other is None or len(rows) != len(other):
            return False
        return all(map(self._sequences, rows, other))

    def _last_side(self, gold: Form, answer: Relation) -> bool:
        """`x = 5` for 5; `\\sqrt{50} = 5\\sqrt{2}`; of `2/3 ≈ 0.67` what stands before the ≈."""
        sides = list(answer.sides)
        if r"\approx" in answer.signs:
            cut = answer.signs.index(r"\approx") + 1
            exact = [side for side in sides[:cut] if expression(side) is not None]
            if self._tolerance and self.forms(gold, parse(sides[-1])):
                return True
            if self._rounds(gold, answer):
                return True
            sides = sides[:cut] if len(exact) and (cut > 1 or not is_name(sides[0])) else sides
        elif any(sign != "=" for sign in answer.signs):
            return False
        # 3n/n = 3 simplifies, and says no n.
        is_value = (
            says_value(sides[0])
            or all(equal_values(sides[0], s) for s in sides[1:])
            or any(_is_constant(side) for side in sides[1:-1])  # x + y = 3 + 5 = 8
        )
        if is_value and self.forms(gold, parse(sides[-1])):
            return True
        # "5 = x", but not "2 + 3 = 6".
        return len(sides) == 2 and is_name(sides[1]) and self.forms(gold, parse(sides[0]))

    def _rounds(self, gold: Form, answer: Relation) -> bool:
        """`8/3 ≈ 2.67` for a reference 2.67, to whose digits it is true."""
        last = number(answer.sides[-1])
        if not isinstance(gold, Atom) or last is None or number(gold.text) != last:
            return False
        decimals = re.fullmatch(r"-?\d*\.(\d+)", gold.text.strip())
        if answer.signs[-1] != r"\approx" or decimals is None or last == 0:
            return False
        unit = 10.0 ** -len(decimals[1])
        return within(gold.text, answer.sides[-2], 0.501 * unit / abs(float(last)))

    def _relations(self, gold: Relation, answer: Relation) -> bool:
        if len(gold.signs) == len(answer.signs) == 1 and gold.signs == answer.signs == ("=",):
            return self._equations(gold, answer)
        if len(answer.sides) > len(gold.sides) and set(answer.signs) == {"="}:
            # f(x) = (x + 1)(x + 2) = x² + 3x + 2
            return self._relations(gold, Relation((answer.sides[0], answer.sides[-1]), ("=",)))
        if gold.signs == answer.signs and self._same_sides(gold, answer):
            return True
        if len(gold.signs) == len(answer.signs) == 1:
            return same_inequality(gold, answer)
        return False

    def _same_sides(self, gold: Relation, answer: Relation) -> bool:
        return len(gold.sides) == len(answer.sides) and all(
            _squeeze_name(left) == _squeeze_name(right) or self.forms(parse(left), parse(right))
            for left, right in zip(gold.sides, answer.sides, strict=True)
        )

    def _equations(self, gold: Relation, answer: Relation) -> bool:
        answer = inverted(gold, answer) or answer
        if other_label(gold, answer):
            return False
        if self._same_sides(gold, answer):
            return True
        if same_label(gold, answer) and self.forms(parse(gold.sides[1]), parse(answer.sides[1])):
            return True
        names = gold.sides[0], answer.sides[0]
        variables = [variable(name) for name in names]
        same_name = names[0].partition("(")[0] == names[1].partition("(")[0] or "y" in names
        if None not in variables and same_name:  # f(x) = x, f(t) = t, y = x: one function
            right = renamed(answer.sides[1], variables[1] or "", variables[0] or "")
            return right is not None and self.forms(parse(gold.sides[1]), parse(right))
        return equal_equations(gold, answer)


def _is_constant(text: str) -> bool:
    value = expression(text)
    return value is not None and not value.free_symbols


def _other_name(gold: Relation, answer: Relation) -> bool:
    """v = 3.1 answers for v ≈ 3.1, and w = 3.1 does not."""
    names = [_squeeze_name(relation.sides[0]) for relation in (gold, answer)]
    return is_name(answer.sides[0]) and names[0] != names[1]


def _is_other_kind(ordered: Tuple, several: Many) -> bool:
    """An interval with a closed end is no pair of values, nor is a set in braces a point."""
    return several.braced or "[" in ordered.opening or "]" in ordered.ending


def _rows(form: Form) -> list[tuple[Form, ...]] | None:
    """A matrix; a tuple is the column that it stands for."""
    if isinstance(form, Matrix):
        return list(form.rows)
    if isinstance(form, Tuple):
        if form.opening + form.ending not in ("()", "[]"):
            return None
        rows = [item for item in form.items if isinstance(item, Tuple)]
        if len(rows) == len(form.items):  # [[1, 2], [3, 4]]
            return [row.items for row in rows]
        return [(item,) for item in form.items]
    return None
