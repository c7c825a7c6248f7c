"""Passages of a response: are they mathematics, and what is their value?"""

from __future__ import annotations

import re

from rlsc.grading.extract.own_words import MARKS
from rlsc.grading.notation.normalise import normalise
from rlsc.grading.notation.units import is_unit_word

_COMMAND = re.compile(r"\\text\s*\{[^{}]*\}|\\(?:begin|end)\s*\{[^{}]*\}|\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]{2,}")
_PART = "[¼½¾⅐-⅞]"
NUMBER = re.compile(
    r"-?[$＄€£]?(?:\d{1,3}(?:,\d{3})+|\d+)"
    # 6½ cm and 6 1/2 cm, but not 6 1/2-cup servings
    rf"(?:\s?{_PART}| \d{{1,2}}/\d{{1,2}}(?![\d/-])"
    r"|(?:\.\d+)?(?:[eE][-+]?\d+)?(?:/\d+)?"
    r"(?:\s*(?:×|\\times|\\cdot|\*|x)\s*10(?:\s*\^\s*\{?\s*[-−]?\d+\}?|[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?)"
    r"(?:\s?\\?%)?"
    # ½ cm, but not ½mv²
    rf"|(?<![\w)])-?[$＄€£]?{_PART}(?=\s+[a-z]|[*.,;!]|\s*$)"
)
MATH = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$(?!\d)|\\\[(.+?)\\\]|\\\((.+?)\\\)", re.DOTALL)
_ADDING = "".join(f"(?<!{verb} )" for verb in "round rounds rounded add adds adding added".split())
CIRCUMSTANCE = re.compile(
    r"\b(?:not|n't|cannot be|can't be|never|less than|more than|at least|at most|between|of the"
    r"|satisfying|for which|such that|where|(?<!exactly )(?<!precisely )(?<!only )when"
    rf"|{_ADDING}up to"
    r"|multiples? of|divisible by|factor of|divisor of"
    r"|under|below|above|beyond|exceeds?|exceeding"
    r"|over|(?<!results )(?<!result )(?<!resulting )in|after|within|during|than|out of"
    r"|compared (?:with|to)|every|per|leaving the|end of)"
    r"\s+(?:the |a |an |only |about |just )*\$?$"
)
DENIAL = re.compile(
    r"(?:\bnot|n't|\bcannot|\bnever|\bwrong|\bunlikely|\brule out|\beliminate|\bdisagree"
    r"|\brejects?|\bdiscard|\bexclude|\bnicht|\bn['’]est pas|\bno es|\bnon è|\bnão é|\bне)\b"
    r"[^.,;\n]*$|(?:不是|不等于|不等於|并非|並非)[^.,;\n]*$",
    re.IGNORECASE,
)
BOUND = re.compile(
    r"\b(?:under|below|beneath|above|beyond|exceed(?:s|ing)?|(?<=is )over|(?<=are )over"
    rf"|at least|at most|{_ADDING}up to|no (?:more|less|fewer) than"
    r"|between|(?:less|more|fewer|greater|larger|smaller|higher|lower|bigger) than(?: or equal to)?"
    r"|(?:a )?multiples? of|divisible by|(?:a )?(?:factor|divisor) of)\s+[*$]*(?=[-\d\\])"
)
# "Half of 12", "from 10 to 12", "12 times as many", "everything but 12": 12 is a part of the value.
PART_BEFORE = re.compile(
    r"(?:\b(?:twice|thrice|half(?: of)?|double|triple|(?:third|quarter|fifth|tenth|root) of"
    r"|(?:any|every)thing (?:but|except)|all (?:but|except)|except(?: for)?|other than"
    r"|from \S+(?: [a-z]+)? (?:to|until))\s+(?:the )?[*$]*)$",
    re.IGNORECASE,
)
PART_AFTER = re.compile(
    r"\s+(?:times\s+(?:as|the|more|less|some\w*|what|that|his|her|its|their)"
    r"|(?:more|less|fewer) than|plus|minus)\b"
)
CONNECTIVES = set("and or sqrt infinity infty pi base".split())
_FUNCTIONS = {"sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "arcsin", "arccos"}
_NAME = re.compile(r"(?![xyz]{2,3}$)\\?[A-Za-z]+|[A-Za-z](?:_\{?\w+\}?)?|[A-Za-z ]{3,30}")
_SHORT_WORDS = set(
    (
        "is it to of in on at by we so if as be do no he me my an up us go ok oh hi "
        "es la el de le en un il"
    ).split()
)
_RESTATED = re.compile(
    r"(?<=[\w%}$*])\s+\((?:(?:or|i\.e\.,?|=|≈|that is|about|approximately)\s*[^()]*"
    r"|[\d.]+ ?[A-Za-z]{2,3})\)$"
)
_EMPHASIS = re.compile(r"(?<![\w)}])\*\*(?=[^\s*])([^*\n]{1,200})(?<=\S)\*\*(?![\w({\\])")
_POINTERS = re.compile(r"^(?:=>|⇒|→|∴|\\(?:implies|therefore|Rightarrow)(?![A-Za-z]))\s*")


def is_mathematics(text: str, numberless: bool = False) -> bool:
    """No words but units, names of functions, "and", "or", and capital letters in a row."""
    plain = _COMMAND.sub(" ", normalise(text))
    if any(character.isalpha() and not character.isascii() for character in plain):
        return False
    words = _WORD.findall(plain)
    known = (
        word.lower() in CONNECTIVES
        or word.lower() in _FUNCTIONS
        or is_unit_word(word)
        or (word.isupper() and len(word) <= 5)
        or (len(word) == 2 and word.lower() not in _SHORT_WORDS)
        for word in words
    )
    if not text or not all(known):
        return False
    return numberless or not words or bool(re.search(r"[\d\\=]", normalise(text)))


_LAYERS = 20
"""Of decoration: no text has more, and one made to have would take quadratic time."""


def clean(text: str) -> str:
    """Without emphasis, quotes, formula signs and a full stop around it."""
    text = _EMPHASIS.sub(r"\1", text.strip())
    if " " in text and "$" not in text:
        text = text.rstrip("!")  # joy; a lone 5! is a factorial
    previous = None
    for _ in range(_LAYERS):
        if text == previous:
            break
        previous = text
        text = text.strip().strip('*`"“”').strip()
        if text[:1] + text[-1:] in ("''", "‘’", "«»", "「」", "__"):
            text = text[1:-1]
        text = re.sub(r"^\\[\[(]\s*(.*?)\s*\\[\])]$", r"\1", text, flags=re.DOTALL)
        if len(text) > 1 and text.startswith("$") and text.endswith("$"):
            inner = text.strip("$")
            text = inner if "$" not in inner else text
            if "$" in inner:
                break
        text = _RESTATED.sub("", _POINTERS.sub("", text.rstrip(".,;").strip()))
    return text


def right_side(text: str) -> str:
    """`11` of `3 + 8 = 11` and `5` of `x = 5`; other equations stay as they are."""
    text = re.split(r"⇒|→|\\(?:Rightarrow|implies|Longrightarrow)(?![A-Za-z])", text)[-1].strip()
    segments = [part for part in re.split(r";\s+|\.\s+", text) if part]
    if len(segments) > 1 and not all(_DEFINES.match(part) for part in segments):
        text = segments[-1]  # "3 + 4 = 7; 7 · 2 = 14" concludes on 14
    if worked := _WORKED_OUT.fullmatch(text):
        return worked[1]
    if "=" not in text or re.search(r"[,;<>]|\\[lg]e(?![a-z])|\bor\b|\band\b|!=", text):
        return text
    left, _, right = text.rpartition("=")
    named = all(
        not re.search(r"[A-Za-z]", _COMMAND.sub("", side)) or _NAME.fullmatch(side.strip())
        for side in left.split("=")
    )
    if re.fullmatch(r"\s*[A-Za-z]{2,}\s*", left) and not re.search(r"[\d\\]", right):
        return text  # MR = MC is an equation, not a definition of MR
    return clean(right) or clean(left) if named else text


# "(4 × 6 = 24)": what is worked out in brackets.
_WORKED_OUT = re.compile(
    r"\((?:[^(),;]|,(?=\d{3})|\([^(),;]*\))*=\s*(-?\$?\d[\d.]*(?:,\d{3})*(?:\.\d+)?)\)"
)
_DEFINES = re.compile(r"\s*\\?[A-Za-z](?:_\{?\w+\}?)?\s*=")


def inside(match: re.Match[str]) -> str:
    """The content of a match of `MATH` or of bold text, without its signs."""
    return clean(next(group for group in match.groups() if group is not None))


def last_mark(text: str) -> str | None:
    """What stands at the last mark: GSM8K's `#### 42`, `<answer>42</answer>`, `"answer": 42`.

    `#### Part 3` with text below it is a heading.
    """
    for mark in reversed(list(MARKS.finditer(text))[-20:]):
        content = clean(mark.group(mark.lastindex or 0))
        if mark[1] is None or not text[mark.end() :].strip() or is_mathematics(content):
            return content
    return None


def with_unit(text: str, number: re.Match[str]) -> str:
    """The number and the word after it: a unit, scale or currency, a rate, or nothing."""
    word = _AFTER_NUMBER.match(text[number.end() : number.end() + 60])
    return number.group() + (word.group() if word else "")


# In a rate the order of its words matters: 3 apples per child are not 3 children per apple. One
# word is counted in it, and no adjective or adverb: "14 more pages per week" is the number 14.
_UNCOUNTED = (
    r"(?:per|percent|more|less|fewer|extra|additional|further|other|another|new|whole|full|total"
    r"|altogether|overall|average|each|apiece|both|half|to|for|from|on|off|in|out|at|of|up|down|away"
    r"|back|by|or|and|not|if|left|about|only|just|dozen|hundred|thousand|million|billion|trillion"
    r"|squared|cubed|factorial)\b"
)
_NAMED_AMOUNT = (
    r"\s*(?:dollars?|cents?|euros?|pounds?|yen)\b"
    rf"|\s+(?:(?:square|cubic) )?(?!{_UNCOUNTED})[A-Za-z]{{2,20}}"
    r" per (?!cent|half|dozen|hundred|thousand|million|billion)[a-z]{2,20}\b"
)
_AMOUNT = re.compile(rf"(?<=[\d¼½¾⅐-⅞])(?:{_NAMED_AMOUNT})\W*$")
_SIZELESS = re.compile(r"(?:dollars?|euros?|pounds?|yen|units?)")
_AFTER_NUMBER = re.compile(
    r"\s*(?:degrees|radians|°|(?:dozen|hundred|thousand|million|billion|trillion)\b)"
    rf"|{_NAMED_AMOUNT}"
)


def without_name(answer: str) -> str:
    """The number of `12 dollars` and `12 eggs per week`, which a text may name or not.

    A unit that another size is measured in stays: `50 cents`, `5 km per hour`, as `5 km` does.
    """
    amount = _AMOUNT.search(answer[-100:])
    if amount is None:
        return answer
    counted = _WORD.findall(amount.group())[0]
    if is_unit_word(counted) and not _SIZELESS.fullmatch(counted):
        return answer
    return answer.removesuffix(amount.group())


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match of `pattern`."""
    match = None
    for match in pattern.finditer(text):  # noqa: B007
        pass
    return match
