"""What a last sentence concludes on in words: a lettered option, a name, a figure, a date."""

from __future__ import annotations

import re

from rlsc.grading.extract.passages import DENIAL, clean
from rlsc.grading.notation.times import MONTHS

_SENTENCE = 600
_SO = r"(?:(?:so|thus|hence|therefore|then|consequently)[,:]?\s|[→⇒∴]\s?)"
# "Hence C.", "So it must be (B).", "Therefore option D."
_LETTER = re.compile(
    rf"{_SO}\s*(?:(?:it|that|this|(?:the )?(?:answer|choice))\s(?:is|must be|has to be)\s"
    r"|(?:we|I)\s(?:choose|pick|select)\s)?(?:only\s)?(?:(?i:option|choice|letter|answer)\s)?"
    r"[(\[]?([A-J])[)\]]?(?:\sis\s(?:the\s)?(?:correct|right)(?:\s(?:one|option|choice|answer))?)?",
    re.IGNORECASE,
)
# "The one who ran the farthest was Maria.", "The winner is Tom.", "So the tallest is Ann."
_PERSON = (
    r"(?:one|person|child|kid|boy|girl|man|woman|student|pupil|runner|player|friend|brother|sister)"
)
_MOST = r"(?:(?!(?:inter|for|harv|requ|gu|ch)est\b)[a-z]{2,}est|(?:most|least)\s[a-z]+)"
_WHO = re.compile(
    rf"(?:{_SO})?(?:the\s(?:{_PERSON}\s(?:who|with|that)\s[^,;:]{{1,80}}?"
    rf"|(?:winner|{_MOST})(?:\s{_PERSON})?(?:\sof\s(?:all|them|the\s[a-z]+))?)"
    r"\s(?:is|was|must be)|it\s(?:is|was)(?=\s\w+\swho\s))\s(?P<last>\w+)(?:\swho\s[^,;:]{1,80})?"
    rf"|{_SO}(?P<first>\w+)\s(?:is|was|has|ran|runs|won|got|scored)\s(?:the\s)?{_MOST}(?:\s[a-z]+)?",
    re.IGNORECASE,
)
_NO_NAMES = {"It", "He", "She", "This", "That", "There", "What", "Which", "Who", "Here", "One"}
_NO_NAMES |= {"The", "They", "Both", "Neither", "Nobody", "None", "Not", "Only", "Each"}
_FIGURES = (
    r"(?:ellipse|circle|parabola|hyperbola|(?:straight\s|vertical\s|horizontal\s)?line|ray|segment"
    r"|line segment|point|plane|sphere|ellipsoid|paraboloid|cone|cylinder|torus|spiral|cardioid"
    r"|triangle|quadrilateral|square|rectangle|rhombus|parallelogram|trapezoid|trapezium|kite"
    r"|pentagon|hexagon|octagon)"
)
# "the equation $4x^2 + 9y^2 = 36$ describes an ellipse"; of "…, which is a circle" and of "since
# the curve is a circle" something else is the answer.
_FIGURE = re.compile(
    rf"(?:^|[,;:]\s|\b{_SO}|\b(?:see|conclude|shows?|find)(?:\sthat)?\s)(?:the|this|that|our|its)\s"
    r"(?:(?:graph|plot|set of points)\s(?:of|with)\s(?:the\s|this\s)?)?(?:[a-z]+\s){0,2}"
    r"(?:equation|graph|curve|locus|conic(?: section)?|path|trajectory|orbit|cross[- ]section|shape"
    r"|figure|function|relation|surface)\b"
    r"(?:(?!\b(?:since|because|as|where|if|when|which|not|never|and)\b)[^;]){0,120}?"
    rf"\s(?:describes|represents|defines|forms|gives|is|must be)\san?\s({_FIGURES})",
    re.IGNORECASE,
)
_MONTH = rf"(?:{'|'.join(map(str.title, MONTHS))})"
DATE = re.compile(
    rf"\b(?:on )?(?:the )?(?:{_MONTH} (?:the )?\d{{1,2}}(?:st|nd|rd|th)?"
    rf"|(?<![\d.,/])\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH})(?:,? \d{{4}})?$"
)


def said_in_words(text: str) -> str | None:
    """The option, person or figure that the last sentence names as the answer."""
    sentence = clean(re.split(r"(?<=[.!?])\s+|\n", text.rstrip())[-1][-_SENTENCE:])
    if DENIAL.search(sentence):
        return None
    # "So A" may begin a sentence that was cut off, and "so a" does: brackets mark a letter.
    letter = _LETTER.fullmatch(sentence)
    whole = re.search(r"[.!)\]*$]\s*$", text) or sentence[:1] in "→⇒∴"
    if letter and whole and (letter[1].isupper() or f"({letter[1]})" in sentence):
        return letter[1].upper()
    if who := _WHO.fullmatch(sentence):
        name = who["last"] or who["first"]
        if re.fullmatch("[A-Z][a-z]+", name) and name not in _NO_NAMES:
            return name
    if figure := re.search(_FIGURE.pattern + "$", sentence, re.IGNORECASE):
        return figure[1].lower()
    return None
