r"""A value and its unit: ``864 \text{ inches}^2``, ``5 cm``, ``30°``, ``25%``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from rlsc.grading.notation.numbers import number

_F = Fraction
# Name: (dimension, size in the dimension's first unit).
_BASE: dict[str, tuple[str, Fraction]] = {}


def _define(dimension: str, *units: tuple[str, Fraction | int]) -> None:
    for names, size in units:
        for name in names.split():
            _BASE[name] = (dimension, Fraction(size))


_define(
    "length",
    ("m meter meters metre metres", 1),
    ("cm centimeter centimeters centimetre centimetres", _F(1, 100)),
    ("mm millimeter millimeters", _F(1, 1000)),
    ("km kilometer kilometers kilometre kilometres", 1000),
    ("microm micrometer micrometers micron microns", _F(1, 10**6)),
    ("nm nanometer nanometers", _F(1, 10**9)),
    ("angstrom angstroms", _F(1, 10**10)),
    ("inch inches", _F(254, 10000)),
    ("ft foot feet", _F(3048, 10000)),
    ("yd yard yards", _F(9144, 10000)),
    ("mi mile miles", _F(1609344, 1000)),
)
_define(
    "mass",
    ("kg kilogram kilograms", 1),
    ("g gram grams", _F(1, 1000)),
    ("mg milligram milligrams", _F(1, 10**6)),
    ("microg microgram micrograms", _F(1, 10**9)),
    ("lb lbs pound pounds", _F(45359237, 10**8)),
    ("oz ounce ounces", _F(45359237, 16 * 10**8)),
)
_define(
    "time",
    ("s sec secs second seconds", 1),
    ("ms millisecond milliseconds", _F(1, 1000)),
    ("micros microsecond microseconds", _F(1, 10**6)),
    ("min mins minute minutes", 60),
    ("h hr hrs hour hours", 3600),
    ("day days", 86400),
    ("week weeks", 604800),
    ("year years yr yrs", 31557600),
)
_define("money", ("dollar dollars USD usd", 1), ("cent cents", _F(1, 100)))
_define("euro", ("euro euros EUR", 1))
_define("yuan", ("yuan RMB", 1))
_define("yen", ("yen", 1))
_define("degree", ("° degree degrees deg", 1))
_define("radian", ("rad rads radian radians", 1))
# A volume is a length to the third, and an area to the second.
_define("volume", ("L liter liters litre litres", 1), ("milliliter milliliters mL ml", _F(1, 1000)))
_define("volume", ("gal gallon gallons", _F(3785411784, 10**9)), ("cl", _F(1, 100)))
_define("area", ("hectare hectares", 10000))
_define("force", ("N newton newtons", 1), ("kN", 1000))
_define(
    "energy",
    ("J joule joules", 1),
    ("kJ", 1000),
    ("eV", _F(1602176634, 10**28)),
    ("erg ergs", _F(1, 10**7)),
)
_define("power", ("W watt watts", 1), ("kW", 1000))
_define("frequency", ("Hz hertz", 1), ("kHz", 1000), ("MHz", 10**6))
_define("temperature", ("K kelvin", 1))
_define("celsius", ("°C celsius", 1))
_define("fahrenheit", ("°F fahrenheit", 1))
_define("capacitance", ("F farad farads", 1))
_define("inductance", ("H henry henries", 1))
_define("charge", ("C coulomb coulombs", 1))
_define("field", ("T tesla", 1))
_define("pressure", ("Pa pascal pascals", 1), ("atm", 101325))
_define("amount", ("mol mole moles", 1))
_define("voltage", ("V volt volts", 1))
_define("current", ("A amp amps ampere amperes", 1))
_define("resistance", ("ohm ohms", 1))

_POWERS_OF_TEN = {"p": -12, "n": -9, "micro": -6, "m": -3, "c": -2, "d": -1, "k": 3, "M": 6, "G": 9}
_POWERS_OF_TEN |= {"T": 12}
_PREFIXED = {
    "m": "n micro m c d k M",
    "g": "n micro m k M",
    "s": "p n micro m",
    "L": "micro m c d M",
    "mol": "n micro m k",
    "Pa": "m k M G",
    "Hz": "k M G T",
    "eV": "m k M G T",
    **dict.fromkeys("NJWVA", "n micro m k M G T"),
    **dict.fromkeys("FHC", "p n micro m"),
    "T": "n micro m",
    "ohm": "micro m k M G",
}
"""No pm, which is a time of day, nor what else is a word."""
_PRODUCTS: set[str] = set()
"""Prefixed units that are as well a product of variables: mV, dL, MN."""
for _name, _prefixes in _PREFIXED.items():
    for _prefix in _prefixes.split():
        if _prefix + _name in _BASE:
            continue
        _dimension, _size = _BASE[_name]
        _BASE[_prefix + _name] = (_dimension, _size * _F(10) ** _POWERS_OF_TEN[_prefix])
        _PRODUCTS.add(_prefix + _name)

_POWER = r"[A-Za-z]+(?:\s*\^\s*\{?\s*-?\d\s*\}?)?"
# N·m²/kg² after a number: letters in a fraction or with a power below zero are no names.
_RATE = re.compile(
    rf"(?<=[\d}}])\s+(?=.*(?:/|\^\s*\{{?\s*-))({_POWER}(?:\s*(?:\\cdot(?![A-Za-z])|/(?:\s*\()?|\s)\s*{_POWER})+\)?)$"
)
_MODIFIERS = {"per", "square", "sq", "cubic", "squared", "cubed", "mph", "kph"}
_NOT_UNITS = set("or and more less half factorial squared cubed dozen hundred not if to".split())
_NOISE = set("unit units about approximately exactly total of the a each in".split())
_TOKEN = re.compile(r"°[CF]|°|/|\bper\b|[A-Za-z$]+|\^\s*\{?\s*-?\d+\s*\}?|[·*()]|\\cdot")
_TAIL = re.compile(
    r"(?:\s*(?:\\text\s*\{(?:[^{}]|\{[^{}]*\})*\}|°|\^\s*\{?\s*-?\d\s*\}?|/(?:\s*s\s*\^\s*\{?[23]\}?)?|\\cdot(?![A-Za-z])|(?<![A-Za-z\\])[A-Za-z]{2,}\.?"
    r"|(?<![A-Za-z\\])[A-Za-z](?![A-Za-z({\^_]|\s*[\^_]\s*[^23{])))+\s*$"
)


def is_unit_word(word: str) -> bool:
    """Whether prose may have this word beside a number: miles, per, square, units."""
    lower = word.lower()
    return word in _BASE or lower in _BASE or lower in _MODIFIERS or lower in ("unit", "units")


def is_product(tail: str) -> bool:
    """Whether what stands behind a value may be variables as well: mV of `2mV` and of `2 mV`."""
    return r"\text" not in tail and any(w in _PRODUCTS for w in re.findall("[A-Za-z]+", tail))


def is_glued_product(text: str, value: str) -> bool:
    """Whether the letters behind the value are variables rather: of `2mV`, `2\\pi mV`, `2 mV^2`.

    Not of `2 mV` and of `2 dm^2`.
    """
    tail = text[len(value) :]
    if not is_product(tail):
        return False
    spaced = tail[:1].isspace() and not re.search(r"\\[A-Za-z]+$", value)
    return not spaced or re.search(r"[A-Za-z]{2}(?<!dm)(?<!Mm)\s*\^", tail) is not None


@dataclass(frozen=True)
class Unit:
    """Powers of dimensions and a size; `words` where the unit is not one of the table."""

    dimensions: tuple[tuple[str, int], ...] = ()
    size: Fraction = Fraction(1)
    words: str = ""

    @property
    def is_angle(self) -> bool:
        return self.dimensions in ((("degree", 1),), (("radian", 1),))


def split_unit(text: str) -> tuple[str, Unit | None]:
    """The value and its unit, None where there is none. ``2k`` has a unit by this; the caller
    knows whether a single letter can be meant as one."""
    text = text.strip()
    rate = _RATE.search(text[-120:])
    if rate and all(
        word in _BASE for word in re.findall("[A-Za-z]+", rate[1].replace("\\cdot", ""))
    ):
        return text[: -len(rate[0])].strip(), read_unit(rate[1])
    marked = text.find(r"\text")
    if marked > 0 and _TAIL.match(text[marked:]) and _ends_a_value(text[:marked], text[marked:]):
        return text[:marked].strip(), read_unit(text[marked:])
    best = None
    # The longest tail that leaves a value which ends like one.
    for match in re.finditer(r"(?<=[\d)}\]°%!A-Za-z])\s*(?=[\\A-Za-z°])", text[-120:]):
        start = match.start() + max(0, len(text) - 120)
        tail = text[start:]
        if start and _TAIL.match(tail) and _ends_a_value(text[:start], tail):
            best = start
            break
    if best is None:
        return text, None
    unit = read_unit(text[best:])
    # 5xy has no unit; "5 apples" has one that no table knows.
    if unit is None or not (unit.dimensions or re.match(r"\s+[A-Za-z]{3,}", text[best:])):
        return text, None
    return text[:best].strip(), unit


_CURRENCIES = {
    "dollar": re.compile(r"＄|\\\$|^\s*\$\s?\d[\d.,]*\s*$|\bdollars?\b|\bUSD\b"),
    "euro": re.compile(r"€|\beuros?\b|\bEUR\b"),
    # In a weight neither: 12 pounds are never 12 dollars.
    "pound": re.compile(r"£|\bGBP\b|\bpounds?\b"),
    "yen": re.compile(r"¥|\byen\b"),
}


def other_currency(first: str, second: str) -> bool:
    """Whether each of two amounts, as they were written, names a currency, and not the same."""
    named = [
        {name for name, sign in _CURRENCIES.items() if sign.search(text[-200:])}
        for text in (first, second)
    ]
    return all(named) and not named[0] & named[1]


_MONEY = {"money", "euro", "yen", "yuan"}


def money_beside_measure(first: str, second: str) -> bool:
    """Whether one of two amounts, as they were written, is of money and the other is measured.

    12 pounds are a weight too, and a price per kilogram has two units.
    """
    return any(
        any(sign.search(money[-200:]) for sign in _CURRENCIES.values())
        and not any(sign.search(other[-200:]) for sign in _CURRENCIES.values())
        and _measured(other)
        for money, other in ((first, second), (second, first))
    )


def _measured(text: str) -> bool:
    value, unit = split_unit(text.replace("$", "").strip()[-200:])
    dimensions = {name for name, _ in unit.dimensions} if unit else set()
    return number(value) is not None and bool(dimensions) and not dimensions & _MONEY


def compound(text: str) -> tuple[str, Fraction] | None:
    """`2 \\text{ hours } 30 \\text{ minutes}` as ("time", 9000), in the dimension's first unit.

    None unless there are two units or more of one dimension, each smaller than the one before.
    """
    plain = re.sub(r"\\text\s*|[{}]", " ", text)
    if not _COMPOUND.fullmatch(plain):
        return None
    amounts = [
        (Fraction(n), _BASE.get("inch" if u == "in" else u)) for n, u in _PART.findall(plain)
    ]
    sizes = [(unit[0], unit[1], value * unit[1]) for value, unit in amounts if unit]
    descending = all(a[0] == b[0] and a[1] > b[1] for a, b in pairwise(sizes))
    if len(sizes) < max(len(amounts), 2) or not descending:
        return None
    return sizes[0][0], sum((size for _, _, size in sizes), Fraction(0))


def simple(text: str) -> tuple[str, Fraction] | None:
    """A number with one unit of the table, as `compound` gives it."""
    value, unit = split_unit(text)
    exact = number(value)
    if exact is None or unit is None or len(unit.dimensions) != 1:
        return None
    if unit.dimensions == (("length", 3),):
        return "volume", exact * unit.size * 1000
    if unit.dimensions[0][1] != 1:
        return None
    return unit.dimensions[0][0], exact * unit.size


_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")
_COMPOUND = re.compile(
    r"\s*\d[\d.]*\s*[A-Za-z]++(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s*)(?=\d)\d[\d.]*\s*[A-Za-z]++)+\s*"
)


def _canonical(token: str) -> str:
    """One spelling of a token of a unit that the table does not have as a whole: pages/min."""
    word = token if token in _BASE else token.lower()
    if word in _BASE:
        return "{}:{}".format(*_BASE[word])
    plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss")
    return "per" if word == "/" else word[:-1] if plural else "".join(word.split())


def _ends_a_value(text: str, tail: str) -> bool:
    """A number or bracket before the unit; a name too where the unit is marked as text."""
    end = r"[\d)}\]%!A-Za-z]" if tail.lstrip().startswith(r"\text") else r"[\d)}\]%!]|\\pi"
    return bool(re.search(rf"(?:{end})\s*$", text) and re.search(r"\d|\\pi|\\sqrt", text))


def read_unit(text: str) -> Unit | None:
    """A unit from text like ``\\text{ cm}^2``, ``square inches``, ``m/s``; None if empty."""
    plain = re.sub(r"\\text\s*\{((?:[^{}]|\{[^{}]*\})*)\}", r" \1 ", text).strip()
    plain = re.sub(r"\bin\b(?=\.?\s*(?:\^|squared|cubed|$))", "inch", plain)
    plain = re.sub(r"\bmph\b", "miles per hour", plain)
    plain = re.sub(r"\b(?:kph|kmh)\b", "km per hour", plain)
    tokens = _TOKEN.findall(plain)
    if not tokens:
        return None
    powers: dict[str, int] = {}
    size, sign, raised = Fraction(1), 1, 1
    last: tuple[str, Fraction, int] | None = None
    known = False
    for token in tokens:
        word = token if token in _BASE else token.lower()
        if token in ("/", "per"):
            sign = -1
        elif word in ("square", "sq"):
            raised = 2
        elif word == "cubic":
            raised = 3
        elif token.startswith("^") and last is None:
            continue  # units squared
        elif token.startswith("^") and last is not None:
            exponent = int(re.sub(r"[^\d-]", "", token)) - 1
            powers[last[0]] += last[2] * exponent
            size *= last[1] ** (last[2] * exponent)
        elif word in _BASE:
            dimension, factor = _BASE[word]
            powers[dimension] = powers.get(dimension, 0) + sign * raised
            size *= factor ** (sign * raised) if factor else 1
            last, raised, known = (dimension, factor or Fraction(1), sign), 1, True
        elif word in ("squared", "cubed") and last is not None:
            extra = 1 if word == "squared" else 2
            powers[last[0]] += last[2] * extra
            size *= last[1] ** (last[2] * extra)
        elif word in _NOT_UNITS:
            return None
        elif word not in _NOISE and token not in "()*·" and token != r"\cdot":
            return Unit(words=" ".join(map(_canonical, tokens)))
    if not known:
        return Unit(words="")
    for name, power, metres in (("volume", 3, _F(1, 1000)), ("area", 2, _F(1))):
        if times := powers.pop(name, 0):
            powers["length"] = powers.get("length", 0) + power * times
            size *= metres**times
    return Unit(tuple(sorted((d, p) for d, p in powers.items() if p)), size)
