r"""The answer in `\boxed{}`: the last one, with its neighbours where several stand together."""

from __future__ import annotations

import re

from rlsc.grading.extract.passages import MATH, clean, is_mathematics, last_match

_BRACE_OR_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{|\\[{}]|[{}]")
_GAP = r"(?:[\s$,;&~]|\\q?quad(?![A-Za-z])|\\[,;:!()\[\] ])*"
# "3 for part (a) and 5", "(a) 3 (b) 5"
_PLACE = r"(?:parts?|cases?|questions?)\s(?:\((?:[a-h]|[ivx]{1,4}|\d)\)|[A-Ha-h1-9]\b|[IVX]{1,4}\b)"
_FOR_PART = (
    r"(?:for|in|to|as)\s(?:the\s(?:first|second|third|other)(?:\s(?:one|part|case|question))?"
    rf"|{_PLACE})"
)
_CONNECTOR = re.compile(
    rf"{_GAP}(?:\\text\s*\{{\s*)?(?:{_FOR_PART})?,?(?:\s*\}}(?=\s*\\text))?{_GAP}"
    rf"(?:\\?\s*(?:and|or)(?:\s*\}})?|\\text\s*\{{\s*,?\s*(?:and|or)\s*\}})?{_GAP}"
    r"(?:[A-Za-z](?:_\w)?\s*=\s*|(?<=and )(?:the )?[a-z ]{1,40} is\s*\$?"
    r"|(?:\\text\s*\{\s*)?(?:[Pp]art\s)?\((?:[b-h]|[ivx]{2,4})\)[\s:$}]*)?"
)
_NEGATED = re.compile(r"[\s$,;]*(?:and|but)?\s*(?:is\s+)?not[\s$]*")


def boxed(text: str) -> str | None:
    """The last box that is not empty; boxes with only "and" or a comma between them together."""
    every = _boxes(text)
    boxes = [box for box in every if not _is_rejected(text, box)]
    if every and not boxes:
        return None
    if boxes and _begins_another(text, boxes[-1]):
        return None
    if not boxes:
        return _unclosed(text)
    group = [boxes[-1]]
    for box in reversed(boxes[:-1]):
        between = text[box[1] : group[0][0]]
        if len(between) <= 30 and _NEGATED.fullmatch(between):
            group = [box]  # "5, not 6"
            continue
        if len(between) > 60 or not _CONNECTOR.fullmatch(between):
            break
        group.insert(0, box)
    content = ", ".join(inside for _, _, inside in group)
    # The sign of "-\boxed{5}" stands outside.
    sign = re.search(r"(?:^|[\s$=])-\s*$", text[max(0, group[0][0] - 6) : group[0][0]])
    return f"-({content})" if sign and len(group) == 1 else content


def reference_answer(reference: str) -> str:
    r"""The answer in a reference that is a whole solution: after `####`, or in its last box.

    Prose without either is not read. Where a box stands among no words, it is a part of the answer
    (`x = \boxed{5}`), and its brackets alone go.
    """
    reference = reference.rpartition("####")[2].strip()
    boxes = _boxes(reference)
    if not boxes:
        last = boxed(reference) or _inside(reference) if r"\boxed" in reference else None
        return last or reference
    outside, end = "", 0
    for start, after, _ in boxes:
        outside, end = outside + reference[end:start], after
    outside += reference[end:]
    if len(boxes) > 1 or _PROSE.search(_COMMANDS.sub(" ", outside)):
        attached = _attached(reference, boxes[-1])
        return attached if attached is not None else boxed(reference) or reference
    start, after, inside = boxes[0]
    return reference[:start] + inside + reference[after:] if _PLAIN.fullmatch(inside) else reference


def _attached(reference: str, box: tuple[int, int, str]) -> str | None:
    r"""`3\pi` of `… is $\boxed{3}\pi$.`; a reference that computes on stays whole.

    None where the box stands alone in its formula, or at the right of it.
    """
    start, after, inside = box
    formula = next((m for m in MATH.finditer(reference) if m.start() < start < m.end()), None)
    if formula is None:
        return None
    inner = next(number for number, group in enumerate(formula.groups(), 1) if group is not None)
    before, behind = reference[formula.start(inner) : start], reference[after : formula.end(inner)]
    if _BOX.search(before):
        return None  # neighbours
    before_it = _NO_FACTOR.sub(";", before)
    if _COMPUTES.match(behind) or re.search(r"\d\s*$", before_it):
        return reference
    if _JUXTAPOSED.match(behind) or _FACTOR.search(before_it):
        return f"{before}{inside}{behind}".strip()
    return None


_COMPUTES = re.compile(
    r"\s*(?:[-+*/=<>]|\\(?:times|cdot|div|pm|mp|approx|[lg]eq?|neq?|equiv|in)(?![A-Za-z]))"
)
_JUXTAPOSED = re.compile(
    r"\s*(?:[A-Za-z0-9(!]|\^(?!\s*\{?\s*\\circ)|_|\\(?:pi|sqrt|[dt]?frac|left|sin|cos|tan|log|ln|theta"
    r"|alpha|beta)(?![A-Za-z]))"
)
_NO_FACTOR = re.compile(
    r"\\text\w*\s*\{[^{}]*\}|\\(?!(?:pi|times|cdot|div)(?![A-Za-z]))[A-Za-z]+(?!\s*\{)|\\[,;:! ]"
)
_FACTOR = re.compile(r"(?:[A-Za-z)}]|\^\s*\{?|[*/+]|\\(?:times|cdot|div))\s*$")
_PROSE = re.compile(r"\b[A-Za-z][a-z]+\b")
_COMMANDS = re.compile(r"\\text\s*\{[^{}]*\}|\\[A-Za-z]+")
_PLAIN = re.compile(r"[\d.,/]+")


def _is_rejected(text: str, box: tuple[int, int, str]) -> bool:
    """`It is not \\boxed{12}.`, `\\boxed{12} is incorrect.`, `Is it \\boxed{12}?`"""
    before, after = text[max(0, box[0] - 40) : box[0]], text[box[1] : box[1] + 60]
    asked = re.match(r"[\s$]*\?", after) is not None
    return asked or bool(_DENIED_BEFORE.search(before) or _DENIED_AFTER.match(after))


_DENIED_BEFORE = re.compile(
    r"\b(?:is|are|was|were|be)(?:n't| not)\s+(?:equal to\s+)?\$*\s*$"
    r"|\b(?:cannot|can't|could not|couldn't) be\s+\$*\s*$"
    r"|[(,;]\s*(?:(?:and|but)\s+)?not\s+\$*\s*$",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    r"[\s$]*(?:is|was|would be|seems)\s+(?:[a-z]+ly\s+)?"
    r"(?:wrong|incorrect|impossible|not (?:the (?:[a-z]+ )?answer|right|correct|possible|valid))\b",
    re.IGNORECASE,
)


def _boxes(text: str) -> list[tuple[int, int, str]]:
    """Start, end and content of the outermost closed boxes that hold something, in one pass."""
    open_braces: list[tuple[int, int, bool]] = []  # start, start of the content, is it a box
    boxes: list[tuple[int, int, str]] = []
    for match in _BRACE_OR_BOX.finditer(text):
        token = match.group()
        if token in (r"\{", r"\}"):
            continue
        if token != "}":
            open_braces.append((match.start(), match.end(), token != "{"))
        elif open_braces:
            start, inner, is_box = open_braces.pop()
            if is_box and (inside := text[inner : match.start()].strip()):
                while boxes and boxes[-1][0] > start:
                    boxes.pop()  # a box inside this one
                boxes.append((start, match.end(), inside))
    return boxes


def cut_off(text: str) -> bool:
    """Whether the text ends within its last box: of `\\boxed{42` the number may go on.

    Not where it visibly goes on behind the value, as in `$\\boxed{42$` or `\\boxed{42 is the
    answer`: there the brace alone was left out.
    """
    opened = last_match(_BOX, text)
    if opened is None:
        return False
    rest = text[opened.end() :][:_LONGEST]
    depth = 1
    for match in _BRACE_OR_BOX.finditer(rest):
        depth += {"}": -1, r"\{": 0, r"\}": 0}.get(match.group(), 1)
        if depth == 0:
            return False
    return bool(rest.strip()) and _GOES_ON.search(rest) is None


def _begins_another(text: str, box: tuple[int, int, str]) -> bool:
    """Whether a later box is cut off, and is not the same again."""
    opened = last_match(_BOX, text)
    if opened is None or opened.start() < box[1] or not cut_off(text):
        return False
    return not box[2].startswith(text[opened.end() :].strip())


def _unclosed(text: str) -> str | None:
    """`\\boxed 7`, or a box whose brace was left out in the middle of a text."""
    return None if cut_off(text) else _inside(text)


def _inside(text: str) -> str | None:
    opened = last_match(_BOX, text)
    rest = text[opened.end() :][:_LONGEST] if opened else ""
    if goes_on := _GOES_ON.search(rest):
        if _DENIED_AFTER.match(rest, goes_on.start()):
            return None
        value = clean(_OPEN_TEXT.sub("", rest[: goes_on.start()]))
        if re.search(r"\d", value) and len(value) <= 200 and is_mathematics(value):
            return value
    last = last_match(_OPEN_BOX, text)
    inside = clean(last.group(1) or "") if last else ""
    return inside if re.search(r"\d", inside) and is_mathematics(inside) else None


_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_LONGEST = 20_000
_OPEN_TEXT = re.compile(r"\\text\s*\{\s*$")
# The formula ends, a sentence begins, or words follow that no value holds.
_GOES_ON = re.compile(
    r"\$|\\[)\]]|[.!?]\s+[A-Z]|\n\s*[A-Z*#][a-z*#\s]"
    r"|(?<!\{)\b(?:is|are|was|were|so|thus|hence|therefore|the|this|that|which|because|since|as|we|it|I"
    r"|have|has|there|final)\s"
)
_OPEN_BOX = re.compile(r"\\boxed\s*(?:\{|\s)([^\n]{1,200})$|\\boxed\s+(?=(-?\w+))")
