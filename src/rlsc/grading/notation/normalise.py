r"""Write answers one way: Unicode and plain text become LaTeX, decoration goes.

`½`, `\dfrac12` and `\frac{1}{2}` come out alike. Nothing here interprets mathematics.
"""

from __future__ import annotations

import functools
import re
import unicodedata

from rlsc.grading.notation.calculator import calculator_text
from rlsc.grading.notation.languages import english_connectives, without_counter

_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau "
    "upsilon phi chi psi omega"
).split()
_FUNCTIONS = (
    "arcsin arccos arctan sin cos tan cot sec csc sinh cosh tanh log ln exp max min".split()
)

_COMMANDS = {
    "×": "times",
    **dict.fromkeys("·⋅∙•∗", "cdot"),
    **dict(zip("π∞≤≥≠≈±∓∪∩∈", "pi infty le ge ne approx pm mp cup cap in".split(), strict=True)),
    **dict(
        zip("∅∖∠△→√ℏ…", "emptyset setminus angle triangle to sqrt hbar ldots".split(), strict=True)
    ),
    **dict(zip("⌊⌋⌈⌉", "lfloor rfloor lceil rceil".split(), strict=True)),
    **dict(zip("αβγδεζηθικλμνξρστυφχψω", _GREEK, strict=True)),
    **dict(zip("ΓΔΘΞΠΣΦΨΩ", "Gamma Delta Theta Xi Pi Sigma Phi Psi Omega".split(), strict=True)),
}
_CHARACTERS = {
    **{character: rf"\{command} " for character, command in _COMMANDS.items()},
    **dict.fromkeys("−–—‐‑﹣", "-"),
    **dict.fromkeys("\u00a0\u2009\u202f\u2005\u200a\u2007", " "),
    **dict.fromkeys("\u200b\u2061\u2062\u2063\ufeff€£", ""),
    **dict.fromkeys("“”„", '"'),
    **dict.fromkeys("‘’′", "'"),
    **dict.fromkeys("÷⁄", "/"),
    **dict.fromkeys("∣❘", "|"),
    "≃": r"\approx ",
    **dict.fromkeys("°º", r"^\circ "),
    **dict.fromkeys("\u212b\u00c5", r"\text{ angstrom}"),
    "ℝ": r"\mathbb{R}",
    "∛": r"\sqrt[3]",
    "¢": r"\text{ cents}",
    "＄": "＄",  # an escaped dollar, which is money
}
_SUPERSCRIPTS = {**dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))}
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉ₙ", "0123456789n", strict=True))

_WORDS = re.compile(
    r"(?<![\\A-Za-z])(" + "|".join(["sqrt", "pi", "infty", *_GREEK, *_FUNCTIONS]) + r")(?![A-Za-z])"
)
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_TEXT_COMMANDS = r"\\(?:text(?:bf|it|rm|sf|tt|normal|up)|mbox|hbox|mathsf|mathtt|textrm)(?=\s*\{)"
_UNIT = r"\\text\s*\{[^{}]*\}(?:\^\{?\d\}?)?"
_ENDS = r"\s*[^][(),;\s][^][(),;]*[,;]\s*[^][(),;\s][^][(),;]*"
_OHM = r"(?:(?<=[\d}])\s+|(?<=\d))(\\text\s*\{\s*)?([kMGm]|\\mu|μ)?\s*(?:\}\s*)?\\Omega\s*\}?$"


def _ohms(match: re.Match[str]) -> str:
    r"""5 Ω, 3 kΩ, 5\Omega; of 3 + 2\Omega it is a name."""
    glued = not (match[1] or match[2] or match.group()[0].isspace())
    if glued and not re.fullmatch(r"-?[\d.]+", match.string[: match.start()]):
        return match.group()
    prefix = match[2] or ""
    return rf"\text{{ {prefix if prefix in 'kMGm' else 'micro'}ohm}}"


_REWRITES = [
    (re.compile(pattern), to)
    for pattern, to in (
        (r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![A-Za-z])\.?", ""),
        (r",\\!\s*|(?<=\d)\{,\}(?=\d)", ","),
        (r"\\!", ""),
        (r"(?<!\\)\\[,;:> ]|\\q?quad(?![A-Za-z])|\\enspace|\\thinspace|~", " "),
        (r"\\textcolor\s*\{[^{}]*\}|\\color\s*\{[^{}]*\}", ""),
        (
            r"\\(?:displaystyle|textstyle|limits|nolimits|rm|bf|[lL]arge|LARGE|[hH]uge|small"
            r"|normalsize|boldsymbol|bm|pmb|mathbf|mathit)(?![A-Za-z])",
            "",
        ),
        (r"\\(?:mathrm|operatorname|mathop)\s*\{\s*([eid])\s*\}", r"\1"),
        (r"\\operatorname\s*\{\s*([a-zA-Z]+)\s*\}", r"\\\1 "),
        (r"\\mathrm(?=\s*\{)", r"\\text"),
        (_TEXT_COMMANDS, r"\\text"),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\leq(?:slant|q)?(?![A-Za-z])", r"\\le"),
        (r"\\geq(?:slant|q)?(?![A-Za-z])", r"\\ge"),
        (r"\\neq(?![A-Za-z])", r"\\ne"),
        (r"\\(?:simeq|approxeq)(?![A-Za-z])", r"\\approx"),
        (r"\\(?:backslash)(?![A-Za-z])", r"\\setminus"),
        (r"\\langle(?![A-Za-z])", "("),
        (r"\\rangle(?![A-Za-z])", ")"),
        (r"(?<![A-Za-z])\\?log_?\s*(\d+)\s*\(", r"\\log_{\1}("),
        (r"\\lbrace|\\lbrack", lambda m: r"\{" if "brace" in m.group() else "["),
        (r"\\rbrace|\\rbrack", lambda m: r"\}" if "brace" in m.group() else "]"),
        (r"\\lor(?![A-Za-z])|\\vee(?![A-Za-z])", r"\\text{ or }"),
        (r"\\land(?![A-Za-z])|\\wedge(?![A-Za-z])", r"\\text{ and }"),
        (r"\\[lr]vert(?![A-Za-z])|\\vert(?![A-Za-z])", "|"),
        (r"\\degree(?![A-Za-z])", r"^\\circ "),
        (
            r"\\(?:infinity|inf)(?![A-Za-z])|(?<![\\A-Za-z])(?:infinity|inf)(?![A-Za-z])",
            r"\\infty ",
        ),
        (r"\s*\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))", "°"),
        (
            r"\\(sin|cos|tan|cot|sec|csc)\s*(?:\(\s*([\d.]+)\s*°\s*\)|\{?\s*([\d.]+)\s*°\s*\}?)",
            lambda m: rf"\{m[1]}{{\frac{{{m[2] or m[3]} \pi}}{{180}}}}",
        ),
        (
            r"(?<=\d)\s*(?:\\text\s*\{\s*)?\b((?i:hundred|thousand|million|billion|trillion))\b\s*\}?",
            lambda m: rf" \cdot 10^{{{_SCALES[m[1].lower()]}}}",
        ),
        (
            r",?\s*(?:\(\s*[a-zA-Z]\s*\\in\s*\\(?:mathbb\s*\{\s*[ZN]\s*\}|[ZN])\s*\)|"
            r"[a-zA-Z]\s*\\in\s*\\(?:mathbb\s*\{\s*[ZN]\s*\}|[ZN])(?![a-z])\S*)$",
            "",
        ),
        (r"\\[lc]?dots(?![a-z])", r"\\ldots "),
        (r"\\lg(?![a-z])", r"\\log_{10} "),
        # {x | x > 1}, as plain text has it
        (
            r"^\{\s*([A-Za-z](?:\s*\\in\s*[^{}|:]{0,12}(?:\{[^{}]*\})?)?)\s*(?:\||:|\\mid(?![A-Za-z]))"
            r"\s*([^{}|:]*(?:[<>=]|\\(?:le|ge|ne|lt|gt)(?![A-Za-z]))[^{}|:]*)\}$",
            r"\\{\1 | \2\\}",
        ),
        (r"\\(?:vec|overrightarrow|hat)\s*\{([^{}]*)\}", r"\1"),
        (r"°\s*([CF])(?![A-Za-z])", r"\\text{ °\1}"),
        (r"\s*(?:\\text\s*\{\s*)?\b(?:per ?cent|pct)\b\.?\s*\}?", "%"),
        (rf"\\frac\s*\{{\s*({_UNIT})\s*\}}\s*\{{\s*({_UNIT})\s*\}}", r"\1/\2"),
        (r"\\text\s*\{\s*([^{}]*?[^{},\s])\s+(and|or)\s*\}", r"\\text{ \1}\\text{ \2 }"),
        (r"\\text\s*\{\s*(-?\d[\d.,]*)\s*\}", r" \1 "),
        (r"\\overline\s*\{\s*([A-Z]{2})\s*\}", r"\1"),  # a segment
        (r"\\log_\s*(?:e(?![A-Za-z])|\{\s*e\s*\})", r"\\ln "),
        (r"\\(dot|overline|bar)\s*(\d)", r"\\\1{\2}"),  # \dot3
        (r"^([-+]?\d+\.\d*)\((\d+)\)$", r"\1\\overline{\2}"),  # 0.1(6)
        (r"(\d*\.\d*)\s*\\dot\s*\{(\d)\}(?:(\d*)\\dot\s*\{(\d)\})?", r"\1\\overline{\2\3\4}"),
        (r"^([-+\d.\s]*[-+]\s*[\d.]*)j$", r"\1i"),
        # Intervals as the French write them: ]0, 1[. The brackets of \sqrt[3]{2} are no ends.
        (r"\\sqrt\s*\[([^][]{1,20})\]", r"\\sqrt⟦\1⟧"),
        (rf"\]({_ENDS})\[", r"(\1)"),
        (rf"\[({_ENDS})\[", r"[\1)"),
        (rf"\]({_ENDS})\]", r"(\1]"),
        (r"⟦", "["),
        (r"⟧", "]"),
        (r"^\\begin\s*\{cases\}([^&]*)\\end\s*\{cases\}$", lambda m: m[1].replace(r"\\", ",")),
        # 7th, 7^{\text{th}}, (n + 1)^{th}
        (
            r"(?:(?<=\d)\s*\^?|(?<=\))\s*\^)\s*(?:\{\s*\\text\s*\{\s*(?:st|nd|rd|th)\s*\}\s*\}"
            r"|(?:\\text\s*)?\{\s*(?:st|nd|rd|th)\s*\}|(?:st|nd|rd|th))(?![A-Za-z])",
            "",
        ),
        (_OHM, lambda m: _ohms(m)),
        # 1.2 μm; without a space before it a μ is a name
        (
            r"(?<=\d)(?:\s+|\\,\s*)(?:\\mu(?![A-Za-z])|μ)\s*(?:\\text\s*\{\s*([msgFACVLHNJWT])\s*\}|([msgFACVLHNJWT]))$",
            lambda m: rf"\text{{ micro{m[1] or m[2]}}}",
        ),
        (r"(?<!\\)\\(?=\d)|\\(?=[%#&_])", ""),  # \15: a dollar was lost
        (r"(?:\\\$|＄)\s*(-?[\d,.]*\d)", r"\1\\text{ dollars}"),
        (r"\\?\$|＄", ""),
        (r"\\(?:varnothing|O(?![A-Za-z]))|\\\{\s*\\\}", r"\\emptyset"),
        (r"^(?:\\text\s*\{\s*)?(?:the )?empty set\s*\}?$", r"\\emptyset"),
        # (1, 2)or(2, 1), x=1andx=2
        (
            r"(?<=[\d)}\]])(or|and)(?=-?[\d(\\]|\[|[A-Za-z](?:_\{?\w+\}?)?\s*[=<>])",
            r" \1 ",
        ),
        (r"\{([^{}]*)\\choose(?![A-Za-z])([^{}]*)\}", r"\\binom{\1}{\2}"),
        (r"\bnp\.", ""),
        (r"\\(sin|cos|tan)\s*\^\s*\{?\s*-1\s*\}?", r"\\arc\1 "),
        (r",?\s*(?:\\text\s*\{\s*)?,?\s*\b(?:for (?:all|every|any|some)|where|with)\b.*$", ""),
        (r"(?<!\\)\\[()\[\]]", " "),
        (r"\{,\}", ","),
        (r"<=", r"\\le "),
        (r">=", r"\\ge "),
        (r"!=", r"\\ne "),
        (r"\*\*", "^"),
        (r"(?<![\\^_{])\*", r" \\cdot "),
        (r"\\sqrt\s*([0-9A-Za-z](?![A-Za-z]))(?!\s*\[)", r"\\sqrt{\1}"),
        (r"\^\s*(-?\d{2,})", r"^{\1}"),
        (r"\s+", " "),
        (r"^\s*(?:negative|minus)\s+(?=[\d\\(])", "-"),
        (r"^\s*(?:about|approximately|roughly|around|exactly|only|just)\s+", ""),
        (r"(?<=[\d)}\]])\s*,?\s*(?:or|which is|\()\s*(?:about|approximately|roughly) .*$", ""),
        (
            r"\s*(?:\\text\s*\{\s*)?\(?\s*(?:in )?base[ -]?(?:\\text\s*\{)?(\d+|[a-z]+)\)?\s*\}?$",
            r"_{\1}",
        ),
    )
]
_MULTI_SQRT = re.compile(r"√\s*(\d+(?:\.\d+)?)")
# 0.3 with a line or a dot above
_OVERLINED = re.compile("(?:\\d[\u0304\u0305])+")
_DOTTED = re.compile("(\\d)\u0307")
_CALLS = re.compile(r"(\\sqrt(?:\[[^][]{1,20}\])?|\^|_)\s*\(")


@functools.lru_cache(maxsize=4096)
def normalise(text: str) -> str:
    """The answer in one spelling, without decoration. Callers bound its length."""
    text = re.sub(r"(\s)\s+", r"\1", text.strip())  # long runs take patterns quadratic time
    text = _unicode(text)
    text = re.sub(r"^(?:\*\*|__|`|\*)+|(?:\*\*|__|`|\*)+$", "", text)
    text = _without_fonts(calculator_text(english_connectives(without_counter(text))))
    text = _WORDS.sub(lambda match: rf"\{match.group(1)} ", text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    text = _braces_for_calls(text)
    return brace_fractions(text).strip().rstrip(".,;:").strip()


def _unicode(text: str) -> str:
    if text.isascii():
        return text
    text = _MULTI_SQRT.sub(r"\\sqrt{\1}", text)
    text = _OVERLINED.sub(lambda run: rf"\overline{{{run[0][::2]}}}", text)
    text = _DOTTED.sub(r"\\dot{\1}", text)
    out: list[str] = []
    run: list[str] = []  # a run of raised or lowered characters, written as one group
    kind = ""
    for character in [*text, ""]:
        raised, lowered = _SUPERSCRIPTS.get(character), _SUBSCRIPTS.get(character)
        now = "^" if raised else "_" if lowered else ""
        if run and now != kind:
            out.append(f"{kind}{{{''.join(run)}}}")
            run = []
        kind = now
        if now:
            run.append(raised or lowered or "")
        else:
            out.append(_character(character))
    return "".join(out)


def _character(character: str) -> str:
    if character in _CHARACTERS:
        return _CHARACTERS[character]
    if not character or character.isascii():
        return character
    plain = unicodedata.normalize("NFKC", character)
    if "⁄" in plain:  # ½
        top, _, bottom = plain.partition("⁄")
        return rf"\frac{{{top}}}{{{bottom}}}" if bottom else plain
    return plain


_FONT = re.compile(
    r"\\(?:math(?:bf|it|cal|normal)|boldsymbol|bm|pmb|symbf|bold|underline|displaystyle|textstyle)\s*\{"
)


_MOST_FONTS = 40
_TAKES = re.compile(r"(?:[\^_]|\\(?:sqrt(?:\s*\[[^][]{1,20}\])?|frac(?:\s*\{[^{}]*\})?))\s*$")


def _without_fonts(text: str) -> str:
    """What a font command such as `\\mathbf{}` holds; in braces where it is an argument."""
    end = 0
    for _ in range(_MOST_FONTS):
        match = _FONT.search(text, end)
        if match is None:
            break
        opening = match.end() - 1
        last = closing(text, opening)
        if last is None:
            end = match.end()
            continue
        held, before = text[opening + 1 : last], text[: match.start()]
        if _TAKES.search(before[-30:]):
            held = f"{{{held}}}"
        elif before[-1:].isalpha():
            held = f" {held}"  # \\cdot\\mathbf{x}
        text, end = f"{before}{held}{text[last + 1 :]}", match.start()
    return text


def _braces_for_calls(text: str) -> str:
    """`\\sqrt(3)` and `x^(1/2)`, as plain text has them, with braces."""
    while match := _CALLS.search(text):
        end = closing(text, match.end() - 1)
        if end is None:
            return text
        inside = text[match.end() : end]
        text = f"{text[: match.start()]}{match.group(1)}{{{inside}}}{text[end + 1 :]}"
    return text


def closing(text: str, start: int) -> int | None:
    """Index of the bracket that closes the one at `start`; None if there is none."""
    depth = 0
    for position in range(start, len(text)):
        if text[position] in "([{":
            depth += 1
        elif text[position] in ")]}":
            depth -= 1
            if depth == 0:
                return position
    return None


def brace_fractions(text: str) -> str:
    r"""Give the arguments of every `\frac` braces: `\frac43`, `\frac9{19}`, `\frac{270}7`."""
    start = text.rfind(r"\frac")
    while start >= 0:  # from the right, so that what is inside is braced before what is around
        head, rest = text[:start], text[start + len(r"\frac") :]
        first, rest = _argument(rest.lstrip())
        second, rest = _argument(rest.lstrip())
        if first is not None and second is not None:
            text = rf"{head}\frac{{{first}}}{{{second}}}{rest}"
        start = head.rfind(r"\frac")
    return text


def _argument(text: str) -> tuple[str | None, str]:
    if text.startswith("{"):
        end = closing(text, 0)
        return (None, text) if end is None else (text[1:end], text[end + 1 :])
    if text[:1].isalnum():
        return text[0], text[1:]
    return None, text
