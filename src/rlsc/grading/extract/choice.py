"""Multiple choice: by letter, or by the text of an option."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rlsc.grading.extract.answer import LAST_WORDS
from rlsc.grading.extract.boxes import boxed
from rlsc.grading.extract.own_words import own_words, without_others
from rlsc.grading.extract.passages import DENIAL, clean, last_mark, last_match
from rlsc.grading.notation.normalise import normalise
from rlsc.types import LETTERS

_TEXT = re.compile(r"\\(?:text\w*|math\w+)\s*\{([^{}]*)\}")
_LETTER = (
    r"(?:\\[(\[]\s*)?(?:\\(?:text\w*|math\w+)\s*\{\s*)?[(\[]?"
    r"\s*([A-J])(?![A-Za-z'’])\s*[)\]]?(?:\s*\})?"
)
# "is for sure D", "is, most likely, (B)"
_SURELY = (
    r"(?:[\s,]+(?:for (?:sure|certain)|(?:most |very |quite |almost )?(?:likely|certainly"
    r"|probably|clearly|definitely|obviously|surely|evidently)|undoubtedly|unquestionably"
    r"|without (?:an?y? )?doubt|beyond (?:any )?doubt|no doubt|of course|indeed|therefore|thus"
    r"|hence|then|simply|in fact|actually)\b,?){0,3}"
)
_LEAD = r"[\s:→–-]*(?:option|choice|letter|answer)?\s*[*_$`\"\s]*(?:\\boxed\s*\{\s*)?"
# "The answer is (B)", "I would go with B", "it's B". No letter before "=" or a verb, or of two. An
# adverb only behind "answer is": "the current is then I".
_STATED = re.compile(
    r"(?:(?:answer|ans|choice|option|答案|答え|정답|답|Ответ|Réponse|Antwort|Respuesta|Risposta|Resposta)\"?(?:\s+\([a-z][^()\n]{2,60}\))?"
    r"(?:\s+(?:is|would be|should be|must be|choice|to [^.\n]{1,60}? is))*\s*"
    rf"(?:is|:|=|是|为|為|选|選)?{_SURELY}"
    r"|(?:\.\.\.|…)\s*(?:no|wait|actually)[,.]?(?:\s+it's)?\s+"
    r"|\b(?:I(?:'d| would|'ll)? |let me )?(?:choose|pick|select|say|go with|think it(?:'s| is))"
    rf"|\b(?:it(?:'s| is| must be)|is)){_LEAD}{_LETTER}(?=[\s.,:;)*$`\"'\\}}\]]|$)"
    r"(?!\s*(?:and|or|&)\s*\(?[A-J]\b)(?!\s*=)"
    r"(?!\s+(?!(?:because|since|as|so|for|which|and not(?![^.!\n]{0,40}\?))\b)[a-z]{2,})",
    re.IGNORECASE,
)
# "(C) is the correct option", "B is right", "Option A is the correct answer".
_IS_RIGHT = re.compile(
    r"(?:^|[\s*\"(\[])[(\[]?([A-J])[)\]]?[*\"]*\s+(?:is|must be)\s+(?:the\s+)?"
    r"(?:correct|right|best|true|answer)(?!ly)"
)
_NAMED = (
    re.compile(r"answer is:?\s*([^\n]{1,300})", re.IGNORECASE),
    re.compile(r"([^\n.]{1,300}?) is the (?:correct|right|best)(?: answer| option| choice)?\W*$"),
)
_ONLY_TWO = re.compile(r"\(?[A-J]\)?\s*(?:and|or|&|,)\s*\(?[A-J]\)?")
_TWO = re.compile(
    r"answers? (?:is|are):? *\(?([A-J])\)? *(?:and|or|&|,) *\(?([A-J])\)?(?=[\s.,]|$)"
)
_BOLD = re.compile(rf"\*\*\s*{_LETTER}\s*(?:[.):].*?)?\*\*")
_JUDGED = re.compile(
    r"^\s*[*_-]*\s*\(?([A-J])[).:]\**\s.*?\b(?<!in)(?<!not )correct\b", re.MULTILINE
)
_LINE = re.compile(r"^\s*[*_$`\"]*\(?([A-J])\)?[*_$`\"]*\s*(?:[.):]\s*.*)?$", re.MULTILINE)
# "so A.", "→ (D)", "[B]" at the very end; a letter after a unit's number is no choice.
_LAST_WORD = re.compile(
    r"(?:^|[:>→∴]\s*|[.,]\s+(?=[(\[])|[.!]\s+|\b(?:so|thus|hence|therefore|choose|pick|select|option"
    r"|choice|answer|is|with|be|leaves|leaving)\s+|(?<=\d)\s+(?=[(\[]))[(\[]?([A-J])[)\]]?[*\"]*[.!]?\s*$"
)

# A list of what is wrong, beside what is right.
_WRONG_ONES = re.compile(
    r"^[ \t*_#]*(?:incorrect|wrong|false) (?:answers?|options?|choices?)\b[*_]*:[^\n]*(?:\n|$)",
    re.IGNORECASE | re.MULTILINE,
)


def extract_choice(response: str, choices: Sequence[str] | None = None) -> str | None:
    """The letter that the response settles on, else None.

    Several letters in one box are no choice. `choices` lets the text of an option stand for it.
    """
    text = own_words(response)
    if re.search(r"\b(?:is|be)\s+not\s+(?:option\s+)?[(\[]?[A-J]\b[)\]]?\W*$", text):
        return None  # "It is not A." chooses nothing
    if (inside := boxed(text)) is not None:
        return _of_statement(inside, choices)
    if (marked := last_mark(text)) is not None:
        return _of_statement(marked, choices)
    text = _WRONG_ONES.sub("", without_others(text[-LAST_WORDS:]))
    if pair := _TWO.search(text):
        return _of_statement(f"{pair.group(1)} and {pair.group(2)}", choices)
    letters = LETTERS[: len(choices)] if choices else LETTERS
    return (
        _stated(text, letters)
        or _named_by_text(text, choices)
        or _by_pattern(text, letters)
        or _of_statement(clean(text), choices)
        or _named_option(clean(text), choices)
    )


def _stated(text: str, letters: str) -> str | None:
    stated: re.Match[str] | None = None
    for match in _STATED.finditer(text):
        # "a" as an article is no letter: lower case counts only in brackets or at the end.
        at_end = re.match(r"\W*(?:\n|$)", text[match.end() :])
        is_letter = match.group(1).isupper() or "(" in match.group() or at_end
        denied = DENIAL.search(match.group()) or DENIAL.search(text[: match.start()][-30:])
        if is_letter and match.group(1).upper() in letters and not denied:
            stated = match
    right = last_match(_IS_RIGHT, text)
    if right and right.group(1) in letters and (not stated or right.start() > stated.start()):
        return right.group(1)
    return stated.group(1).upper() if stated else None


def _named_by_text(text: str, choices: Sequence[str] | None) -> str | None:
    """`The answer is 5 N.`, `"All of the above" is the correct answer`, `Answer: 5 N (B)`."""
    for pattern in _NAMED:
        if named := last_match(pattern, text):
            statement = clean(named.group(1))
            if letter := re.search(r"\(([A-J])\)\W*$", statement):
                return letter.group(1)
            if same := _matching_options(statement, choices):
                return same[0]
            if quoted := re.search(r"[\"“]([^\"”]+)[\"”]?$", statement):
                same = _matching_options(quoted.group(1), choices)
                if same:
                    return same[0]
    return None


def _by_pattern(text: str, letters: str) -> str | None:
    judged = {match.group(1) for match in _JUDGED.finditer(text)}
    if len(judged) == 1:
        return judged.pop()
    for pattern in (_BOLD, _LAST_WORD):
        choice = last_match(pattern, text)
        if choice is not None and DENIAL.search(text[: choice.start(1)][-40:]):
            continue
        if choice is not None and choice.group(1).upper() in letters:
            return choice.group(1).upper()
    lines = [match.group(1) for match in _LINE.finditer(text) if match.group(1) in letters]
    # A copied list of options chooses none of them; one repeated below it does.
    if lines and (len(set(lines)) == 1 or lines.count(lines[-1]) > 1):
        return lines[-1]
    bracketed = last_match(re.compile(r"answer\W+[^\n]*?\(([A-J])\)", re.IGNORECASE), text)
    return bracketed.group(1) if bracketed and bracketed.group(1) in letters else None


def _of_statement(text: str, choices: Sequence[str] | None) -> str | None:
    plain = _TEXT.sub(r"\1", clean(text)).strip()
    plain = re.sub(
        r"^(?:option|choice|answer)\s*:?\s*(?=\(?[A-J]\b)", "", plain, flags=re.IGNORECASE
    )
    same = _matching_options(plain, choices)
    if len(same) == 1 and not re.fullmatch(r"\(?[A-J]\)?", plain):
        return same[0]
    if re.fullmatch(r"\(?[a-jA-J]\)?[.:]?", plain):
        return plain.strip("().: ").upper()
    if _ONLY_TWO.fullmatch(plain):
        return plain  # two letters: an answer, and not the one that was asked for
    match = re.fullmatch(r"\(?([A-J])\)?\s*[.):,-]\s*(.+)|\(([A-J])\)\s*(.+)", plain, re.DOTALL)
    if match is None:
        return same[0] if same else None
    letter, rest = match[1] or match[3], match[2] or match[4]
    if re.fullmatch(r"(?:and|or|,|&|\s)*\(?[A-J]\)?", rest):
        return plain  # two letters: an answer, and not the one that was asked for
    return str(letter)


def _matching_options(text: str, choices: Sequence[str] | None) -> list[str]:
    """Options with this text: as it stands, else with case and spelling of LaTeX set aside."""
    for form in (_light, lambda option: _light(option).casefold(), _plain):
        wanted, options = form(text), [form(option) for option in choices or ()]
        matching = [
            letter
            for letter, option in zip(LETTERS, options, strict=False)
            if wanted and option == wanted
        ]
        # Aa and AA differ by case alone: then case decides, and nothing looser.
        if matching or len(set(options)) < len(options):
            return matching if len(matching) == 1 or form is _light else []
    return []


def _named_option(text: str, choices: Sequence[str] | None) -> str | None:
    """The one option whose text ends the response's last line."""
    wanted = _plain(text.strip().rpartition("\n")[2][-300:])
    wanted = re.sub(r"(?<=\w),? (?:and )?not [^,]*$", "", wanted) if ", not" in wanted else wanted
    if len(choices or ()) > 2 and all(
        re.search(rf"(?<![a-z0-9./-]){re.escape(_plain(option))}(?![a-z0-9])", wanted)
        for option in choices or ()
    ):
        return None  # a copy of the options
    named = [
        letter
        for letter, option in zip(LETTERS, choices or (), strict=False)
        if (plain := _plain(option)) and re.search(rf"(?<![a-z0-9./-]){re.escape(plain)}$", wanted)
    ]
    if any(DENIAL.search(wanted.removesuffix(_plain(option))[-30:]) for option in choices or ()):
        return None  # "it is not blue"
    if len(named) > 1 and choices:  # "increases then decreases" ends on "decreases" too
        longest = max(named, key=lambda letter: len(choices[LETTERS.index(letter)]))
        ends = [_plain(choices[LETTERS.index(letter)]) for letter in named]
        return longest if all(max(ends, key=len).endswith(end) for end in ends) else None
    return named[0] if named else None


def _light(text: str) -> str:
    return " ".join(text.replace("$", "").split()).rstrip(".")


def _plain(text: str) -> str:
    return re.sub(r"[\s$]+", " ", normalise(text)).strip().rstrip(".").casefold()
