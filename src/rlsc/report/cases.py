"""Every evaluated question with its answers before and after, for the page's browser of cases."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlsc.evaluation.scores import decided, tallies
from rlsc.records.jsonl import read_jsonl

LONGEST = 20_000
"""Characters of an answer that the page holds; the samples' file has all of it."""

MOST = 20_000_000
"""Characters of all packed cases: the page stays under 25 MB."""

Row = Mapping[str, Any]
Case = dict[str, Any]


def run_cases(folder: Path) -> Iterator[Case]:
    """The greedy answers of a training run's own evaluation."""
    before, after = (
        [row for row in read_jsonl(folder / "eval" / f"{name}.jsonl") if row["pass"] == "greedy"]
        for name in ("before", "after")
    )
    yield from paired("evaluation", before, after)


def paired(benchmark: str, before: Sequence[Row], after: Sequence[Row]) -> Iterator[Case]:
    """Rows of the same questions side by side; one of the two may be empty.

    Of several samples the first is shown; right is what a question's majority is, as in the
    scores' paired difference.
    """
    first, second = _by_question(before), _by_question(after)
    for name in first | second:
        base, tuned = _side(first.get(name)), _side(second.get(name))
        prompts = [
            str(rows[name][0]["prompt"])[:LONGEST] for rows in (first, second) if name in rows
        ]
        case = {"benchmark": benchmark, "id": name, "prompt": prompts[0]}
        if prompts[-1] != prompts[0]:
            case["tuned_prompt"] = prompts[-1]
        yield case | {"base": base, "tuned": tuned}


def _by_question(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["id"], []).append(row)
    return found


def _side(rows: Sequence[Row] | None) -> dict[str, Any] | None:
    if rows is None:
        return None
    row = rows[0]
    text = str(row["text"])
    side = {
        "text": text[:LONGEST],
        "cut": len(text) > LONGEST,
        "answer": None if row["answer"] is None else str(row["answer"])[:500],
        "verdict": row["verdict"] or "no reference",
        "tokens": row["tokens"],
        "finish": row["finish_reason"],
    }
    if len(rows) > 1:
        (tally,) = tallies(rows).values()
        side |= {"samples": len(rows), "right": sum(tally.right), "decided": decided(tally)}
    ends, logps = row.get("token_ends"), row.get("token_logps")
    if ends and logps and len(ends) == len(logps) and None not in logps:
        side["spans"] = _spans(ends, logps)
    return side


def _spans(ends: Sequence[int], logps: Sequence[float]) -> list[int]:
    """Token by token its number of characters, and its probability in hundredths."""
    spans, last = [], 0
    for end, logp in zip(ends, logps, strict=True):
        if end > LONGEST:
            break
        spans += [end - last, round(100 * 2.718281828459045 ** min(logp, 0.0))]
        last = end
    return spans


def packed(cases: Sequence[Case], limit: int = MOST) -> str:
    """As base64 of gzip of JSON. Plain ASCII: nothing in a text can end the element it is in.

    Above `limit` characters the tokens' probabilities are left out, and then the ends of long
    texts, until it fits; the page says of each side what it lacks.
    """
    data = _packed(cases)
    if len(data) > limit:
        cases = [_smaller(one, LONGEST) for one in cases]
        data = _packed(cases)
    longest = LONGEST
    while len(data) > limit and longest > 100:
        longest //= 2
        cases = [_smaller(one, longest) for one in cases]
        data = _packed(cases)
    return data


def _packed(cases: Sequence[Case]) -> str:
    text = json.dumps(cases, ensure_ascii=True, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("ascii"), 6, mtime=0)).decode("ascii")


def _smaller(case: Case, longest: int) -> Case:
    """Without probabilities, and texts of at most so many characters."""
    found = dict(case)
    for name in ("prompt", "tuned_prompt"):
        if name in case:
            found[name] = case[name][:longest]
    for name in ("base", "tuned"):
        side = case[name]
        if side is not None:
            plain = {key: value for key, value in side.items() if key != "spans"}
            cut = side["cut"] or len(side["text"]) > longest
            found[name] = plain | {"text": side["text"][:longest], "cut": cut}
    return found
