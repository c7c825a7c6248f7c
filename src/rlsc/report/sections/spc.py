"""What a self-play critic's game adds to the page of a run: error rates, faults, games, doubts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rlsc.records import GameRow
from rlsc.report.charts import COLOURS, Chart, Series
from rlsc.report.page import Block, Table
from rlsc.report.sections.steps import Line, is_known, signal
from rlsc.report.sections.words import NOTHING, decimal, share

SPC = "spc/"
_FAULTS = ("calculation", "copied", "skipped", "repeated", "sum_so_far", "mixed")
SPC_COMPARED = {
    f"{SPC}fixed_correct": "a",
    f"{SPC}fixed_wrong": "b",
    f"{SPC}exploit_mean": "exploit, mean",
    f"{SPC}exploit_max": "exploit, max",
}
"""What a comparison shows: right verdicts on right steps and on fixed corruptions, and over all
wrong steps the probability that the critic calls one correct."""
_SHOWN = 12
"""Games of a table."""


def spc_charts(metrics: Sequence[Line]) -> Iterator[Chart]:
    """What was written, both error rates, faults and how they are found."""
    written = {"valid_share": "wrong steps", "noop_share": "right after all"}
    yield _chart("What was rewritten", metrics, written | {"readable_share": "steps at all"})
    rates = {"critic_correct": "right steps", "critic_wrong": "wrong steps"}
    yield _chart("Right verdicts", metrics, rates | {"win_rate": "the generator wins"})
    said = {"verdict_share": "verdicts that are Incorrect", "no_verdict": "no verdict"}
    yield _chart("Verdicts", metrics, said)
    yield _chart("Faults of wrong steps", metrics, {f"error_{name}": name for name in _FAULTS})
    yield _chart("Faults found", metrics, {f"found_{name}": name for name in _FAULTS})


def _chart(title: str, metrics: Sequence[Line], names: Mapping[str, str]) -> Chart:
    known = {n: label for n, label in names.items() if is_known(metrics, SPC + n)}
    series: list[Series] = [
        signal(metrics, SPC + name, label, colour)
        for colour, (name, label) in enumerate(list(known.items())[:COLOURS])
    ]
    return Chart(title, "updates made", "share", series)


def spc_doubts(
    metrics: Sequence[Line], examined: Mapping[int, Mapping[str, float]] | None
) -> Iterator[str]:
    """Signs that the game is not being played as it should be, of its last fifth."""
    last = metrics[-max(1, len(metrics) // 5) :]

    def mean(name: str) -> float | None:
        values = [value for row in last if (value := row.get(SPC + name)) is not None]
        return sum(values) / len(values) if values else None

    incorrect, noop = mean("verdict_share"), mean("noop_share")
    if incorrect is not None and not 0.1 <= incorrect <= 0.9:
        yield f"{share(incorrect)} of the last verdicts are Incorrect: nearly a constant verdict."
    if noop is not None and noop > 0.5:
        yield f"{share(noop)} of the last rewritten steps are right after all."
    for name in _FAULTS:
        of_all = mean(f"error_{name}")
        if of_all is not None and of_all > 0.9:
            yield f"{share(of_all)} of the last wrong steps are of one fault, {name}."
    shares = [each for row in metrics if (each := row.get(f"{SPC}critic_wrong")) is not None]
    steps = sorted(examined or {})
    if len(steps) < 2 or len(shares) < 2 or examined is None:
        return
    before, after = (examined[step].get(f"{SPC}fixed_wrong") for step in (steps[0], steps[-1]))
    if before is not None and after is not None and shares[-1] > shares[0] and after <= before:
        yield (
            "The critic finds more of the generator's errors and no more of the fixed ones: it may "
            "have learned the generator's ways alone."
        )


def spc_games(tasks: Sequence[GameRow]) -> Iterator[Block]:
    """The newest games, and those in which most critics were deceived; all are in tasks.jsonl."""
    judged = [row for row in tasks if row.get("verdicts")]
    wrong = [row for row in judged if row.get("fault")]
    deceived = sorted(wrong, key=lambda row: -_share_of(row, True))
    alarms = [row for row in judged if not row.get("fault") and _share_of(row, False) > 0]
    groups = {
        "Newest games": list(reversed(wrong))[:_SHOWN],
        "Errors that critics missed": [row for row in deceived if _share_of(row, True)][:_SHOWN],
        "Right steps called incorrect": list(reversed(alarms))[:_SHOWN],
    }
    header = ("step", "problem", "done", "judged", "right step", "fault", "Incorrect", "paid")
    for title, rows in groups.items():
        if rows:
            yield Table(header, [_row(row) for row in rows], words=True, folded=title)


def _share_of(row: GameRow, verdict: bool) -> float:
    verdicts = row["verdicts"]
    return float(sum(judgement is verdict for judgement in verdicts) / len(verdicts))


def _row(row: GameRow) -> tuple[str, ...]:
    said = row["verdicts"]
    reward = row.get("reward")
    return (
        str(row.get("step", "")),
        str(row.get("problem", "")),
        "; ".join(map(str, row.get("done") or [])) or NOTHING,
        str(row.get("step_judged", "")),
        str(row.get("original", "")),
        str(row.get("fault") or NOTHING),
        f"{sum(verdict is False for verdict in said)} of {len(said)}",
        NOTHING if reward is None else decimal(reward, 3),
    )
