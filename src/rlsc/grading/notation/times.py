r"""Times of day: ``7:15 \text{ a.m.}``, ``4 PM``, ``15:40``; dates. A time is not a ratio."""

from __future__ import annotations

import re

_TIME = re.compile(r"(\d{1,2})(?::([0-5]\d))?(?::([0-5]\d))?(?:([ap])\.?m\.?)?", re.IGNORECASE)


def time_of_day(text: str) -> tuple[int, int, int, bool] | None:
    """Hour, minute, second and whether the half of the day is known; None for anything else.

    From 13:00 on, and before 1:00, the hour itself says the half. ``3:4`` is a ratio.

    >>> time_of_day(r"7:15 \\text{ p.m.}")
    (19, 15, 0, True)
    """
    match = _TIME.fullmatch(re.sub(r"\\text\s*|[\s{}()]", "", text))
    if match is None or not (match[2] or match[4]):
        return None
    hour, minute, second = int(match[1]), int(match[2] or 0), int(match[3] or 0)
    if match[4] is None:
        return (hour, minute, second, not 0 < hour < 13) if hour < 24 else None
    if not 0 < hour < 13:
        return None
    return hour % 12 + 12 * (match[4].lower() == "p"), minute, second, True


def same_time(gold: tuple[int, int, int, bool], answer: tuple[int, int, int, bool]) -> bool:
    """A reference without its half of the day allows either; an answer may not leave it out."""
    if gold[3]:
        return gold == answer
    return (gold[0] % 12, *gold[1:3]) == (answer[0] % 12, *answer[1:3])


MONTHS = (
    "january february march april may june july august september october november december"
).split()
_MONTH = "|".join([*MONTHS, *(month[:3] for month in MONTHS), "sept"])
_DATE = re.compile(
    rf"(?:on )?(?:the )?(?:(?P<day>\d{{1,2}})(?: of)? (?P<month>{_MONTH})\.?"
    rf"|(?P<month2>{_MONTH})\.? (?:the )?(?P<day2>\d{{1,2}}))(?: (?P<year>\d{{4}}))?",
    re.IGNORECASE,
)


def date(text: str) -> tuple[int, int, int | None] | None:
    r"""Month, day and year of ``\text{March } 4``, 4 March, the 4th of March, Mar. 4, 2021."""
    plain = re.sub(r"\\text\s*|[{}~,]", " ", text)
    plain = re.sub(r"(?<=\d)\s*(?:st|nd|rd|th)\b", "", plain)
    match = _DATE.fullmatch(" ".join(plain.split()))
    if match is None:
        return None
    month = (match["month"] or match["month2"]).lower()[:3]
    day = int(match["day"] or match["day2"])
    number = next(place for place, name in enumerate(MONTHS, 1) if name.startswith(month))
    return (number, day, int(match["year"]) if match["year"] else None) if 0 < day < 32 else None
