"""A few words of other languages: "or" and "and" between values, counters glued to a number."""

from __future__ import annotations

import re

# Between values alone: 3 和 5, x<1或x>3, \text{或}. `o` and `y` are names too often.
_OR, _AND = "或者|或|oder|ou", "以及|和|并且|并|且|및"
_BEFORE = r"(?<=[\w)}\]$∞°%])"
_AFTER = r"(?=[-−+±$(\[{\\]|\d|[A-Za-z](?![A-Za-z])|∞|π|√)"
_PLAIN = re.compile(
    rf"{_BEFORE}\s*(?:(?P<or>或者|或)|(?P<and>以及|和|并且|并|且))\s*{_AFTER}"
    rf"|(?<=[\d)}}\]$])\s+(?P<or_>oder|ou)\s+(?=[-+$(\[\\\d]|[A-Za-z]\s?[=<>])"
    rf"|\\(?:text|mbox|mathrm)\s*\{{\s*(?:(?P<or_text>{_OR})|(?P<and_text>{_AND}))\s*\}}"
)


def english_connectives(text: str) -> str:
    r"""`x<1或x>3` as `x<1 or x>3`, `1和3` as `1 and 3`, `\text{ 或 }` as `\text{ or }`.

    >>> english_connectives("x=1或x=2")
    'x=1 or x=2'
    """
    return _PLAIN.sub(_english, text)


def _english(match: re.Match[str]) -> str:
    word = "or" if match["or"] or match["or_"] or match["or_text"] else "and"
    return rf"\text{{ {word} }}" if match.group().startswith("\\") else f" {word} "


# "Answer:" and "the answer is"; 答 says a sentence, and its number where it has no other.
ANSWER_SAYS = (
    r"(?:答案|答え|정답|답)\s*(?:是|为|為|は|[은는](?=\s)|[:=])|(?<![가-힣一-鿿])答\s*:(?=[^\d\n]{0,30}-?\d[\d.,/]*[^\d\n]{0,30}(?:\n|$))"
    r"|\b(?:Ответ|Réponse(?:\s+finale)?|Antwort|Respuesta(?:\s+final)?|Risposta|Resposta)"
    r"\s*(?:[:=]|est|ist|lautet|es|è|é|равен)(?!\w)"
)


# What counts people, animals and things says nothing; what measures is a unit. 万 is a number,
# 倍 a factor, 月 and 点 are of dates and times: these stay, and are not read.
_COUNTERS = (
    "个個颗顆页頁本只隻条條张張辆輛人名位次件块塊朵棵头頭匹台支枝杯碗瓶盒箱袋包间間层層岁歲种種组組对對双雙份片"
    "粒根把座所道题題つ羽冊枚개명권원"
)
_SCALES = {"万": 4, "萬": 4, "亿": 8, "億": 8}
_SCALED = re.compile(r"(?<![\d.,])(\d[\d,]{0,15}(?:\.\d{1,15})?)\s?(千)?([万萬亿億])(?!\d)")
_UNITS = {
    **dict.fromkeys(("平方米", "平方公尺"), "m^2"),
    **dict.fromkeys(("平方厘米", "平方公分"), "cm^2"),
    **dict.fromkeys(("立方米",), "m^3"),
    **dict.fromkeys(("立方厘米",), "cm^3"),
    **dict.fromkeys(("厘米", "公分"), "cm"),
    **dict.fromkeys(("毫米",), "mm"),
    **dict.fromkeys(("千米", "公里"), "km"),
    **dict.fromkeys(("米", "公尺"), "m"),
    **dict.fromkeys(("千克", "公斤"), "kg"),
    **dict.fromkeys(("克",), "g"),
    **dict.fromkeys(("小时", "小時", "時間", "시간"), "hours"),
    **dict.fromkeys(("分钟", "分鐘"), "minutes"),
    **dict.fromkeys(("秒", "초"), "s"),
    **dict.fromkeys(("天", "日間"), "days"),
    **dict.fromkeys(("毫升",), "mL"),
    **dict.fromkeys(("升",), "L"),
    **dict.fromkeys(("度",), "degrees"),
    **dict.fromkeys(("元", "圆"), "yuan"),
    **dict.fromkeys(("円",), "yen"),
}
_COUNTED = re.compile(
    # 3个小时, 12 颗糖果; 3个月 is no 3
    rf"(-?\d[\d.,/]{{0,30}})\s?(?:[个個]?({'|'.join(sorted(_UNITS, key=len, reverse=True))})"
    rf"|[{_COUNTERS}](?:(?![月半百星季世小分])[一-鿿]{{1,4}})?)(?=[\s*。.!]*$)"
)


def without_counter(text: str) -> str:
    """`3页` as 3, `5厘米` as 5 cm: a number and what it is glued to, and nothing else."""
    counted = _COUNTED.match(text.strip("*$ "))
    if counted is None:
        return text
    if counted[2] is None:
        return counted[1]
    name, _, power = _UNITS[counted[2]].partition("^")
    return rf"{counted[1]}\text{{ {name}}}" + (f"^{power}" if power else "")


def with_scales(text: str) -> str:
    """`3万` as 3×10^4, which is a number.

    >>> with_scales("共有 3.5万 人")
    '共有 3.5×10^4 人'
    """
    return _SCALED.sub(lambda n: f"{n[1]}×10^{_SCALES[n[3]] + 3 * bool(n[2])}", text)
