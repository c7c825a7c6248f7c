r"""Find the final answer in a completion, without looking at any reference.

In order: the last `\boxed{}` (with its neighbours, where several stand together), GSM8K's `####`
and `<answer>`, what follows "the answer is", a completion that is nothing but an answer, the
mathematics that the last sentence ends on, the last formula or bold passage, the last number. A
`<think>` block, Python code, a check or note after the answer and what follows a made-up next
question are not read. Of prose only the last `LAST_WORDS` characters are, since some patterns take
quadratic time.
"""

from __future__ import annotations

import functools
import re

from rlsc.grading.extract.boxes import boxed, cut_off
from rlsc.grading.extract.fallback import (
    FOR,
    SPELLED,
    after_verb,
    last_formula,
    last_number,
    without_numbering,
)
from rlsc.grading.extract.final import final_answer
from rlsc.grading.extract.in_words import DATE, said_in_words
from rlsc.grading.extract.own_words import (
    CONFIRMED,
    STATED,
    own_words,
    without_remarks,
    without_tasks,
)
from rlsc.grading.extract.passages import (
    BOUND,
    CIRCUMSTANCE,
    CONNECTIVES,
    DENIAL,
    MATH,
    NUMBER,
    PART_BEFORE,
    clean,
    inside,
    is_mathematics,
    last_mark,
    right_side,
    with_unit,
)
from rlsc.grading.extract.unsolved import unsolved_at
from rlsc.grading.notation.normalise import normalise

_REMARK = re.compile(
    r"\s*\((?=[^()\\]*[A-Za-z]{3,}[^()\\]*[A-Za-z]{3,})[^()\\]{12,}\)[*_.]*\s*$"
    r"|\s*\((?:and|so|with|where|since|note|not)\b[^()]*\)[*_.]*\s*$"
    r"|\s*(?:\$?\\(?:square|blacksquare)\$?|∎|QED)\s*$"
)
# "762 eggs a week (381 × 2)", but not "at (1, 2)", "gives (2 + 3)" or "means (4 × 6 = 24)".
_COMPUTED = re.compile(
    r"(\d[^\n.()]{0,80}[a-z]{3})\s\(=?\s?\d[\d\s.,$＄]*(?:(?:[×*+÷]|\\times|\\cdot|\s[-−x]\s)"
    r"\s*\$?\d[\d\s.,]*)+\)\W*$"
)
# "$x = 5$, since $2 \cdot 5 + 1 = 11$": a reason or a check behind a value, one formula of it.
_CLAUSE = r"(?:(?!\b(?:so|thus|hence|therefore|which|then|and|giving|gives?)\b)[^\n,;=]){0,120}"
# Of numbers alone: "x = 5 and 10 + 1 = 11 as required", but not "a = 5 and b = 12 as expected".
_NUMBERS = r"(?:[\d\s.+*/×·÷^(){}$−-]|\\(?:cdot|times|d?frac|div)(?![A-Za-z])){1,120}"
_REASON = re.compile(
    rf"(=\s*-?\d[\d.,/]*\$?),?\s+(?:(?:since|because)\s{_CLAUSE}=\s*-?[\d./]+\$?"
    rf"|and\s(?:(?:the|this|a)\s)?checks?\b{_CLAUSE}=\s*-?[\d./]+\$?(?:\s[a-z ]{{1,30}})?"
    rf"|and\s(?:indeed\s)?{_NUMBERS}=\s*-?[\d./]+\$?,?\s(?:holds|as\s(?:required|needed|expected|desired))"
    r")\W*$"
)
_ANSWER_LINE = re.compile(r"(?:^|\n)[*_]*(?:A|Ans|TL;DR)[*_]*:\s*(\S[^\n]*?)\s*$")
_NO_VALUE = re.compile(
    r"\b(does not exist|no (?:real |integer )?solutions?|undefined"
    r"|(?<=the )empty set|infinitely many(?: solutions)?)\W*$"
)
_BETWEEN = re.compile(r"[\s,;]*(?:\b(?:and|or)\b)?[\s,;]*")
_SENTENCE_END = re.compile(
    r"\.(?=\s|$|\*)|[!?;](?=\s|$)|\n|,?\s+\(?(?:(?:and|but)\s+(?=not))?(?:because|since|so|which|as|not|but|where)\b"
)
_NO_ANSWER = {"know", "sorry", "cannot", "not", "unable", "unknown", "here", "let", "sure", "step"}
_NO_ANSWER |= {"sum", "total", "result", "following", "found", "given", "same", "located"}
_MAX_BARE = 600
# Characters read for an answer in prose; a box may stand anywhere. Loops of text are longer.
LAST_WORDS = 20_000


def extract_answer(text: str) -> str | None:
    r"""The answer that the text ends on, else None.

    What was found is kept, but of long texts: a completion is read for its key, its tokens and its
    figures.

    >>> extract_answer("3 + 8 = 11, so the answer is 11.")
    '11'
    """
    return _found(text) if len(text) > LAST_WORDS else _kept(text)


def _found(text: str) -> str | None:
    text = own_words(text)
    for find in (final_answer, boxed, _marked):
        if (answer := find(text)) is not None:
            return answer
    text = text[-LAST_WORDS:]
    if cut_off(text):
        return None
    if (admitted := unsolved_at(text)) is not None:
        return _stated(text[:admitted])
    for find in (_answer_line, _stated):
        if (answer := find(text)) is not None:
            return answer
    text = _COMPUTED.sub(r"\1", _REMARK.sub("", without_remarks(text)))
    text = _VALIDITY.sub(r"\1", without_numbering(without_tasks(text)))
    text = _REASON.sub(r"\1", text)
    concluded = (_both, _ratio, _part, said_in_words, _bare, _conclusion)
    for find in (*concluded, last_formula, last_number):
        if (answer := find(text)) is not None:
            return answer
    return None


_kept = functools.lru_cache(maxsize=1024)(_found)  # 20 million characters at most


def _marked(text: str) -> str | None:
    marked = last_mark(text)
    return None if marked is None else _told(marked) or right_side(marked)


_AMOUNTS_TO_MORE = re.compile(
    r"\b(?:than|and (?:an?|one|two|three)|at (?:least|most)|(?<!left )over|under|about|around|more"
    r"|fewer|less|too|debt|short)\b|\d(?:st|nd|rd|th)\b"
)


def _told(marked: str) -> str | None:
    """14 of `#### Liam is 14 years old`: a sentence with one number."""
    numbers = NUMBER.findall(marked) or SPELLED.findall(marked)
    if is_mathematics(marked) or len(numbers) != 1 or not _TELLS.search(marked):
        return None
    if DENIAL.search(marked) or _AMOUNTS_TO_MORE.search(marked):
        return None
    spelled = SPELLED.search(marked)
    return spelled.group() if spelled and not NUMBER.search(marked) else _value_of(marked)


def _answer_line(text: str) -> str | None:
    """A last line `A: 42`."""
    line = _ANSWER_LINE.search(text)
    said = clean(line.group(1)) if line else ""
    if not said or (re.search(r"[.!?]\s+[A-Z]", said) and not is_mathematics(said)):
        return None  # "A: Let's think step by step. …" is read as any text
    return right_side(said)


def _stated(text: str) -> str | None:
    """What follows the last "answer is" and holds a value, up to the end of the statement."""
    matches = list(STATED.finditer(text))
    for match in reversed(matches):
        rest = _NOT_BUT.sub("", text[match.end() : match.end() + 1500].lstrip(), count=1)
        before = text[: match.start()][-30:]
        if (
            not rest
            or (_LONG.search(before) and match is not matches[0])
            or _DENIED.match(rest)
            or CONFIRMED.match(rest)
            or DENIAL.search(before)
            or _SUPPOSED.search(before)
        ):
            continue
        if _WEAK.match(match.group()) and re.search(r"\d", rest.partition("\n\n")[2]):
            continue  # "the final value: …" on the way to an answer
        if said := _SAID.match(rest):
            return said[1]
        if formula := MATH.match(rest):
            return _formulas(rest, formula)
        end = _SENTENCE_END.search(rest)
        if end and end.group() == "?":
            continue
        statement = clean(rest[: end.start()] if end else rest)
        result = _WHICH_IS.match(rest[end.start() :]) if end else None  # "2 + 8, which equals 10"
        if statement and (value := result[1] if result else _value_of(statement)) is not None:
            return value
    return None


def _value_of(statement: str) -> str | None:
    """The value in a few words: all of them if they are mathematics, else what they hold."""
    statement = _THEN.sub("", _HEDGES.sub("", statement))
    if DATE.fullmatch(statement):
        return statement
    statement = re.sub(r"^[\d\s+*×·/-]+\b(?:equals?|is|makes|gives)\s+", "", statement)
    head, _, rest = statement.partition(", ")
    if rest.startswith(("a ", "an ", "the ")) and is_mathematics(head):
        return right_side(head)  # "24, a multiple of 12"
    if is_mathematics(statement):
        return right_side(statement)
    if two := _TWO_COUNTS.search(statement):
        return f"{two.group(1)}, {two.group(2)}"
    ending = _IS_VALUE.fullmatch(statement)
    if ending and is_mathematics(clean(ending[2])):
        earlier = _IS_VALUE.fullmatch(ending[1])
        if earlier is None or not is_mathematics(clean(earlier[2])):
            return right_side(clean(ending[2]))  # "the smallest $k$ is 12"
    if _QUALIFIED.search(statement):
        return statement  # "all even k ≥ 2" is not "k ≥ 2"
    bound, inner, number = (p.search(statement) for p in (BOUND, MATH, NUMBER))
    if bound and not any(m and m.start() < bound.start() for m in (inner, number)):
        return statement  # nor is "at least 12" 12
    if inner and not (_NAME.fullmatch(inside(inner)) and len(statement.split()) > 4):
        return _formulas(statement, inner)
    if number:
        return with_unit(statement, number)
    words = statement.split()
    if len(words) <= 4 and not _NO_ANSWER & {word.lower() for word in words}:
        return _SUBJECT.sub("", statement)
    return None


_NOT_BUT = re.compile(r"^not\s+[^\s,;]+,?\s+but\s+(?:rather\s+)?", re.IGNORECASE)
_SUPPOSED = re.compile(
    r"\b(?:suppose|assume|assuming|if|whether|although|though)\b[^.,;\n]*$", re.IGNORECASE
)
# "Short answer: 3", then "Long answer: …", which explains.
_LONG = re.compile(r"\b(?:long|longer|detailed)[ *_]+$", re.IGNORECASE)
_WEAK = re.compile(r"(?:final|correct|right|possible)\s+(?!answers?)", re.IGNORECASE)
_DENIED = re.compile(
    r"(?:\w+ly\s+)?(?:not|nicht)\b|(?:pas|no|non|não|не)\s(?=[-$\\\d*])", re.IGNORECASE
)
_SAID = re.compile(r"[*_]*(yes|no)\b[*_]*\s*(?:[,;.:–—(]|$)", re.IGNORECASE)  # "No, 5 < 7"
_IS_VALUE = re.compile(r"(.*)\s(?:is|are|equals?|becomes?)\s+(.+)", re.DOTALL)
_NAME = re.compile(r"\\?[A-Za-z]+")  # "The area $A$ of the circle is given by" names no value
_WHICH_IS = re.compile(r",?\s*which\s+(?:equals|is|gives|makes)\s+(-?\d[\d.,/]*\b)")
_HEDGES = re.compile(r"\b(?:either|maybe|perhaps|possibly|exactly|probably)\s+", re.IGNORECASE)
_THEN = re.compile(r"^(?:so|thus|hence|therefore|then|consequently)[,:]?\s+", re.IGNORECASE)
_TELLS = re.compile(
    r"\b(?:is|are|was|were|be|has|have|had|gets?|got|needs?|costs?|makes?|made|pays?|paid|earns?"
    r"|takes?|took|sells?|sold|buys?|bought|spends?|spent|saves?|saved|reads?|runs?|ran|eats?|ate"
    r"|equals|left|remain|remains)\b"
)
_TWO_COUNTS = re.compile(r"^(\d[\d,.]*) [a-z]+ and (\d[\d,.]*) [a-z]+$")
_SUBJECT = re.compile(
    r"^(?:there|it|he|she|they|this|that|we|i)\s+(?:is|are|was|were|has|have|gets?|got)\s+"
    r"|^(?:an?|the)\s+",
    re.IGNORECASE,
)
_QUALIFIED = re.compile(
    r"\b(?:even|odd|prime|except|multiples?|divisible)\b|\d(?:th|nd|rd) (?:power|root)\b"
    r"|\b(?:twice|thrice|half(?: of)?|double|triple|(?:square|cube) root of)\s+\$?[\d\\]"
    r"|\d\s+(?:times\s+(?:as\b|\$?[\d\\])|(?:more|less|fewer) than\b|to\s+\$?\d"
    r"|(?:plus|minus|divided by|multiplied by)\b"
    r"|(?:más|menos|moins|mehr|weniger|più|meno|mais) (?:que|als|d[eio])\b)"
    r"|\bany (?:\w+ ){0,2}(?:number|integer|value)\b",
    re.IGNORECASE,
)


def _formulas(text: str, first: re.Match[str]) -> str:
    """A formula, joined with those that follow it after a comma or "and"."""
    parts, end = [inside(first)], first.end()
    while (gap := _BETWEEN.match(text, end)) and gap.end() > end:
        following = MATH.match(text, gap.end())
        if following is None or not gap.group().strip():
            break
        parts.append(inside(following))
        end = following.end()
    unit = re.match(r"\s*(?:degrees|radians|cm|m|km|%|\\%)(?![A-Za-z])", text[end : end + 12])
    if len(parts) > 1 and "=" in parts[-1] and "=" not in "".join(parts[:-1]):
        parts = parts[-1:]  # "the probability is 3/8 and m + n = 11" concludes on the equation
    if len(parts) == 1:
        return right_side(parts[0]) + (unit.group() if unit else "")
    return ", ".join(parts)


def _both(text: str) -> str | None:
    """`The smallest is 3 and the largest is 8.` has two answers."""
    pair = _BOTH.search(clean(text[-300:]))
    return f"{pair.group(1)}, {pair.group(2)}" if pair else None


def _ratio(text: str) -> str | None:
    """`2:3` of `The ratio of boys to girls is 2 to 3.`"""
    ratio = _RATIO.search(clean(text[-300:]))
    return ratio[1].replace(" to ", ":") if ratio else None


def _part(text: str) -> str | None:
    """`1/8` of `So 3 inches is 1/8 of 2 feet.`, `25%` of `8 is 25% of 32`.

    `The tax is 5% of 100` is an amount to be worked out, and a reason tells no answer.
    """
    sentence = re.split(r"(?<=[.!?])\s+|\n", text.rstrip())[-1][-300:]
    part = _PART_OF.search(sentence.rstrip(" .!*"))
    before = sentence[: part.start()] if part else ""
    if part is None or DENIAL.search(sentence[: part.start(1)]) or _IN_REASON.search(before):
        return None
    if NUMBER.search(before) or SPELLED.search(before):
        return part[1]
    return sentence[part.start(1) :].rstrip(" .!*")


_PART_OF = re.compile(
    r"\b(?:is|are|was|were|equals|makes? up|represents?)\s+(?:exactly\s+|only\s+|just\s+)?[$*]{0,3}"
    r"(\d{1,9}/\d{1,9}|\\[dt]?frac\s?\{\d{1,9}\}\s?\{\d{1,9}\}|\d{1,9}(?:\.\d{1,9})?\s?\\?%"
    r"|(?:one|two|three|four|five|six|seven|eight|nine)[ -]"
    r"(?:third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|tenth)s?)"
    r"[$*]{0,3} of [^.,;:=()\d\n]{0,20}\d[\d,]{0,20}(?:[./]\d{1,9})?"
    r"(?![^\n]*\b(?:which|so|giving|gives?|equals?|is|are|means|or|and)\b)[^.,;:=()\d\n→⇒]{0,40}$"
)
_IN_REASON = re.compile(r"\b(?:because|since|as|for|if|when|where|whose)\b", re.IGNORECASE)


def _bare(text: str) -> str | None:
    """A completion that is an answer and nothing else: `(2, 3]`, `x = 5`, `east`."""
    plain = clean(text)
    if not plain or len(plain) > _MAX_BARE or "\n" in plain:
        return None
    if formula := MATH.fullmatch(plain):
        return right_side(inside(formula))
    if DATE.fullmatch(plain):
        return plain
    if is_mathematics(plain):
        return right_side(plain) if re.search(r"[\dA-Za-z\\]", normalise(plain)) else None
    if valueless := _NO_VALUE.search(plain):
        return valueless.group(1)
    if (said := _YES_NO.match(plain)) and (
        said[2] or not re.search(r"\d", plain) or _SO_IT_IS.search(plain)
    ):
        return said[1]
    if (most := _MOST.fullmatch(plain)) and most[1] not in _NO_NAMES:
        return most[1]
    words = plain.split()
    if len(words) <= 3 and not re.search(r"\d", plain):
        return None if re.search(r"(?::|\b(?:is|are|be|equals))$", plain) else _value_of(plain)
    ending = re.search(
        r".*\s(?:is|are|was|were|equals|facing|(?:describes|represents|forms)(?= an? ))\s+(.+)$",
        plain,
    )
    is_word = ending is not None and len(_SUBJECT.sub("", ending[1]).split()) == 1
    is_word = is_word and not re.search(r"\d", plain)
    before = plain[: ending.start(1)] if ending else ""
    is_word = is_word and not (plain.endswith(" left") and SPELLED.search(before))
    denied = DENIAL.search(before) or _CONDITION.search(before)
    if ending and not denied and DATE.fullmatch(ending[1]):
        return ending[1]
    if ending and not denied and (is_mathematics(ending[1]) or is_word):
        return _value_of(ending[1])
    return None


def _conclusion(text: str) -> str | None:
    """The mathematics that the last sentence ends on: `(3, π/2)`, `n = 1 or n = -2`."""
    sentence = re.split(r"(?<=[.!?])\s+|\n", text.rstrip())[-1][-600:]
    sentence = _HEDGES.sub("", sentence)
    words = clean(sentence).split(" ")
    if said := DATE.search(clean(sentence)) or _DAY.search(clean(sentence)):
        return said.group()
    start = len(words)
    if numbered := _WITH_COLON.search(clean(sentence)):
        return right_side(numbered[1])
    while start > 0 and is_mathematics(" ".join(words[start - 1 :]), numberless=True):
        start -= 1
    while start < len(words) and words[start].lower() in CONNECTIVES | {"="}:
        start += 1
    ending = clean(" ".join(words[start:]))
    before = " ".join(words[:start]) + " "
    if FOR.search(before) and MATH.search(before):
        return None  # "buys $740$ eggs for 6 weeks"
    if _NEEDED.search(before):
        return None  # "needs 9 more to have 20"
    if re.search(r"\bfor\s+$", before) and after_verb(before):
        return None  # "earns $15 an hour for 8 hours"
    if CIRCUMSTANCE.search(before) or _CONDITION.search(before) or DENIAL.search(before[-40:]):
        return None
    if PART_BEFORE.search(before[-60:]):
        return None
    if not re.search(r"[\d=]", normalise(ending)) or ending.count("$") % 2:
        return None
    if formulas := list(MATH.finditer(ending)):
        return _formulas(ending, _first_of_last_chain(ending, formulas))
    return right_side(ending)


def _first_of_last_chain(text: str, formulas: list[re.Match[str]]) -> re.Match[str]:
    """Of the formulas that end the text with only commas or "and" between, the first."""
    first = formulas[-1]
    for formula in reversed(formulas[:-1]):
        gap = text[formula.end() : first.start()]
        if not gap.strip() or not _BETWEEN.fullmatch(gap):
            break
        first = formula
    return first


_WITH_COLON = re.compile(r"[a-z] -?\d+: ([a-zA-Z] = [^:=\s]{1,40})$")  # "Divide by 2: x = 8"
_NEEDED = re.compile(
    r"\bneeds? \d\S*(?: [a-z]+){1,4} to (?:have|reach|own|afford|complete|fill|buy)\s+"
    r"(?:[a-z]+ ){0,2}$"
)
# "Yes. 3² + 4² = 5², so it is a right triangle." concludes on words.
_SO_IT_IS = re.compile(
    r",?\s(?:so|thus|hence|therefore),? (?:the )?[a-z]+ (?:is|are|does|do|has|have)"
    r"(?: [a-z-]+){1,8}$"
)
_MOST = re.compile(
    r"([A-Z][a-z]+) (?:is|was|has|ran|runs) the (?:[a-z]{2,}est|(?:most|least) [a-z]+|winner)"
    r"(?: [a-z]+)?"
)
_NO_NAMES = {"It", "He", "She", "This", "That", "There", "What", "Which", "Who", "Here", "One"}
_YES_NO = re.compile(r"(yes|no)[,.;]\s(because\b|since\b|as\b)?", re.IGNORECASE)
_DAY = re.compile(
    r"(?:(?<=is |be |s: )|(?<=is on |be on )|(?<=falls on )|(?<=is a |be a ))"
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day$"
)
_RATIO = re.compile(
    r"\bratio\b[^.\n]{0,120}?\s(?:is|are|=)\s+(\d+(?:\.\d+)?(?: to \d+(?:\.\d+)?){1,2})$"
)
# "$a_n = 2n + 1$ for all $n \ge 1$": where a formula is valid is no answer.
_VALIDITY = re.compile(
    r"([a-z](?:'*\([a-z]\)|_\{?[a-z]\}?)\s*=[^$\n]{1,200}\$),?\s+for\s+(?:(?:all|any|every|each)\s+)?"
    r"(?:(?:positive|natural|real|integers?|numbers?)\s+){0,2}"
    r"\$\s*[a-z]\s*(?:[<>≥≤∈≠]|\\(?:geq?|leq?|in|neq?|gt|lt)(?![a-z]))[^$\n]{1,60}\$(?=\W*$)"
)
_CONDITION = re.compile(
    r"\d\S*(?: \S+)? (?:when|if|provided|given)\b[^,]*$|\d[^,]*, (?:who|whose)\b[^,]*$"
)
_BOTH = re.compile(
    r"\bis\s+\$?(-?[\d.,/]*\d)\$?,?\s+(?:and\s+)?the\s[a-z ]{1,40}\sis\s+\$?(-?[\d.,/]*\d)\$?$"
)
