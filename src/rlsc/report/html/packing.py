"""The cases as data inside a page: packed, and small enough to open."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import replace

from rlsc.report.page import Case, Side

MOST = 20_000_000
"""Characters of all packed cases: the page stays under 25 MB."""


def packed(cases: Sequence[Case], limit: int = MOST) -> str:
    """As base64 of gzip of JSON. Plain ASCII: nothing in a text can end the element it is in.

    Above `limit` characters the tokens' probabilities are left out, and then the ends of long
    texts, until it fits; the page says of each side what it lacks.
    """
    data = _packed(cases)
    longest = max((len(s.text) for case in cases for s in (case.base, case.tuned) if s), default=0)
    if len(data) > limit:
        cases = [_smaller(case, longest) for case in cases]
        data = _packed(cases)
    while len(data) > limit and longest > 100:
        longest //= 2
        cases = [_smaller(case, longest) for case in cases]
        data = _packed(cases)
    return data


def _packed(cases: Sequence[Case]) -> str:
    text = json.dumps(list(cases), default=vars, ensure_ascii=True, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("ascii"), 6, mtime=0)).decode("ascii")


def _smaller(case: Case, longest: int) -> Case:
    """Without probabilities, and texts of at most so many characters."""

    def cut(side: Side | None) -> Side | None:
        if side is None:
            return None
        lacks = side.cut or len(side.text) > longest
        return replace(side, spans=None, text=side.text[:longest], cut=lacks)

    return replace(
        case,
        prompt=case.prompt[:longest],
        base=cut(case.base),
        tuned=cut(case.tuned),
        tuned_prompt=case.tuned_prompt and case.tuned_prompt[:longest],
    )
