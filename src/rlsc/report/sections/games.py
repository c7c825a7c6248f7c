"""What a game's environment said: its figures by step, the tasks that were made, held-out ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from rlsc.records import ComparedRun, ComparisonResults, GameRow
from rlsc.report.charts import COLOURS, Chart, Series
from rlsc.report.page import Block, Bullets, Curves, Heading, Paragraph, Table
from rlsc.report.sections.programs import is_program, program_cell, program_section
from rlsc.report.sections.spc import SPC, SPC_COMPARED, spc_charts, spc_doubts, spc_games
from rlsc.report.sections.steps import Line, is_known, signal
from rlsc.report.sections.words import NOTHING, decimal, share
from rlsc.statistics import seed_interval

AZR = "azr/"
_KINDS = ("deduction", "abduction", "induction")
_NOT_GAMES = ("guard/", AZR, SPC)
_SHOWN, _LONGEST = 12, 300
"""Tasks of a table, and characters of a text of theirs."""
_BINS = 5
_REFUSED = f"{AZR}refused_"
Rated = Sequence[tuple[float, GameRow]]
"""Tasks whose solve rate was estimated, with it."""


def game_section(
    tasks: Sequence[GameRow],
    metrics: Sequence[Line],
    examined: Mapping[int, Mapping[str, float]] | None = None,
) -> Iterator[Block]:
    """Nothing for a run on questions. `tasks` are the rows of tasks.jsonl."""
    own = _of_others(metrics)
    azr = [chart for chart in (*_azr_charts(metrics), *spc_charts(metrics)) if chart.series]
    if not (own or azr or tasks or examined):
        return
    yield Heading("The game")
    if own or azr:
        yield Curves([*azr, *own])
    yield from _doubts(metrics)
    if critics := list(spc_doubts(metrics, examined)):
        yield Bullets(critics)
    if examined:
        yield from _examined(examined)
    rates = ((row.get("rate"), row) for row in tasks)
    rated = [(rate, row) for rate, row in rates if isinstance(rate, int | float)]
    if rated:
        yield from _learnability(rated)
    yield from program_section(tasks)
    yield from spc_games(tasks)
    yield from _browser(tasks, rated)


def _of_others(metrics: Sequence[Line]) -> list[Chart]:
    """Columns that a user's environment has named, such as `guess/right`."""
    names = dict.fromkeys(name for row in metrics for name in row if "/" in name)
    names = {n: None for n in names if not n.startswith(_NOT_GAMES) and is_known(metrics, n)}
    series = [signal(metrics, name, name, colour) for colour, name in enumerate(names)]
    return [Chart("The environment's figures", "updates made", "", series[:COLOURS])] * bool(series)


def _azr_charts(metrics: Sequence[Line]) -> Iterator[Chart]:
    """Proposals, what they are worth, how they are solved, what they are like."""
    reasons = Counter(name for row in metrics for name in row if name.startswith(_REFUSED))
    yield _chart(
        "What was proposed",
        "share of proposals",
        metrics,
        {
            "valid_share": "valid",
            **{name.removeprefix(AZR): name.removeprefix(_REFUSED) for name in sorted(reasons)},
        },
    )
    yield _chart(
        "Learnability of new tasks",
        "mean pay without the ends",
        metrics,
        {f"learnability_{kind}": kind for kind in _KINDS},
    )
    solved = {f"solver_accuracy_{k}_{n}": f"{k}, {age}" for k in _KINDS for n, age in _AGES}
    yield _chart("Solved, of new and of older tasks", "share", metrics, solved)
    yield _chart(
        "Solve rate of new tasks",
        "share of estimates",
        metrics,
        {**{f"solve_rate_{kind}": kind for kind in _KINDS}, "best_rate": "paid most"},
    )
    variety = {
        "distinct_programs": "distinct programs",
        "duplicates": "duplicates",
        "reference_overlap": "copied",
        "copied_lines": "lines copied",
    }
    yield _chart("Variety", "share", metrics, variety)
    size = {"program_lines": "lines", "branches": "branches"}
    yield _chart("Size of new programs", "mean", metrics, size)
    ran = {"timeouts": "timed out", "near_limit": "over half of their time"}
    yield _chart("Slow calls in the sandbox", "calls", metrics, ran)


_AGES = (("new", "new"), ("buffer", "older"))


def _chart(title: str, unit: str, metrics: Sequence[Line], names: Mapping[str, str]) -> Chart:
    """Of the names that are known; as many as there are colours."""
    known = {n: label for n, label in names.items() if is_known(metrics, AZR + n)}
    series: list[Series] = [
        replace(signal(metrics, AZR + name, label, colour), dashed=name == "best_rate")
        for colour, (name, label) in enumerate(list(known.items())[:COLOURS])
    ]
    return Chart(title, "updates made", unit, series)


def _doubts(metrics: Sequence[Line]) -> Iterator[Block]:
    """Signs that the game is not being played as it should be, of its last fifth."""
    last = metrics[-max(1, len(metrics) // 5) :]
    doubts = []
    for name, bound, text in (
        (
            "duplicates",
            0.3,
            "of the last proposals were there already: the proposer repeats itself",
        ),
        *((f"mastered_{k}", 0.8, f"of new {k} tasks are always solved: too easy") for k in _KINDS),
        *((f"unsolved_{k}", 0.8, f"of new {k} tasks are never solved: too hard") for k in _KINDS),
    ):
        values = [value for row in last if (value := row.get(AZR + name)) is not None]
        if values and sum(values) / len(values) > bound:
            doubts.append(f"{share(sum(values) / len(values))} {text}.")
    near = sum(row.get(AZR + "near_limit") or 0 for row in last)
    if near:
        doubts.append(
            f"{near:.0f} of the last calls took more than half of their time: on a slower machine "
            "they may end otherwise."
        )
    if doubts:
        yield Bullets(doubts)


def _examined(examined: Mapping[int, Mapping[str, float]]) -> Iterator[Block]:
    yield Paragraph("Held-out tasks of the game's own, greedy, by step:")
    names = list(dict.fromkeys(name for figures in examined.values() for name in figures))
    rows = [
        [str(step), *(decimal(figures.get(name), 3) for name in names)]
        for step, figures in sorted(examined.items())
    ]
    yield Table(("step", *(name.removeprefix(AZR).removeprefix(SPC) for name in names)), rows)


def compared_examined(results: ComparisonResults) -> Iterator[Block]:
    """Of a comparison of games: each figure before → after training, means over seeds.

    A mean that is not over all seeds of the objective says over how many.
    """
    done = {m.label: [run for run in m.runs if run.done and run.examined] for m in results.methods}
    examined = [figures for runs in done.values() for run in runs for figures in _ends(run)]
    known = dict.fromkeys(name for figures in examined for name in figures)
    if not known:
        return
    names = {name: label for name, label in SPC_COMPARED.items() if name in known}
    names = names or {name: name.partition("/")[2] or name for name in known}
    rows = []
    for method in results.methods:
        ends, seeds = [_ends(run) for run in done[method.label]], len(method.runs)
        before, after = ([_values([e[at] for e in ends], n) for n in names] for at in (0, 1))
        changes = [_change(*pair, seeds) for pair in zip(before, after, strict=True)]
        rows.append([method.label, *changes, *map(_interval, after)])
    yield Heading("The game's held-out tasks, before → after")
    places = range(len(names) + 1)
    intervals = [f"{label}: 95 % interval" for label in names.values()]
    yield Table(("objective", *names.values(), *intervals), rows, brief=tuple(places))
    yield Paragraph(
        "Means over seeds, of so many of all where some have no such figure; intervals of what is "
        "after, by Student's t over these seeds: the tasks are the same in every run."
    )


def _ends(run: ComparedRun) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """What was examined first and last."""
    examined = run.examined or {}
    return examined[min(examined)], examined[max(examined)]


def _values(examined: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [figures[name] for figures in examined if name in figures]


def _change(before: Sequence[float], after: Sequence[float], seeds: int) -> str:
    """Of how many seeds, where not of all; said of each where the two differ in it."""
    of_before, of_after = (_number(values, seeds) for values in (before, after))
    alike = len(before) == len(after)
    return f"{_mean(before)}{'' if alike else of_before} → {_mean(after)}{of_after}"


def _mean(values: Sequence[float]) -> str:
    return f"{fmean(values):.2f}" if values else NOTHING


def _number(values: Sequence[float], seeds: int) -> str:
    return f" ({len(values)} of {seeds})" if 0 < len(values) < seeds else ""


def _interval(values: Sequence[float]) -> str:
    interval = seed_interval(values) if values else None
    return NOTHING if interval is None else f"[{interval[0]:.2f}, {interval[1]:.2f}]"


def _learnability(rated: Rated) -> Iterator[Block]:
    """How often new tasks are solved: the first and the last fifth of the steps."""
    last_step = max(row["step"] for _, row in rated)
    parts = {
        "first fifth": [each for each in rated if each[1]["step"] <= last_step / 5],
        "last fifth": [each for each in rated if each[1]["step"] >= last_step - last_step / 5],
    }
    header = ["", *(f"{20 * n}–{20 * n + 20} %" for n in range(_BINS)), "mean", "tasks"]
    rows = []
    for kind in _KINDS:
        for name, of_part in parts.items():
            rates = [rate for rate, row in of_part if row.get("kind") == kind]
            if rates:
                bins = Counter(min(int(rate * _BINS), _BINS - 1) for rate in rates)
                shares = [share(bins[n] / len(rates)) for n in range(_BINS)]
                mean = share(sum(rates) / len(rates))
                rows.append([f"{kind}, {name}", *shares, mean, str(len(rates))])
    if rows:
        yield Paragraph("How often the policy solved new tasks, by its own samples:")
        yield Table(header, rows)


def _browser(tasks: Sequence[GameRow], rated: Rated) -> Iterator[Block]:
    """The hardest, easiest, newest and refused ones; all are in tasks.jsonl."""
    hardest = sorted((each for each in rated if each[0] > 0), key=lambda each: each[0])
    easiest = sorted(rated, key=lambda each: -each[0])
    refused = [row for row in tasks if row.get("reason")]
    groups = {
        "Newest tasks": [row for _, row in reversed(rated)][:_SHOWN],
        "Hardest tasks that were solved": [row for _, row in hardest[:_SHOWN]],
        "Easiest tasks": [row for _, row in easiest[:_SHOWN]],
        "Refused proposals": list(reversed(refused))[:_SHOWN],
    }
    if refused:
        counts = Counter(str(row["reason"]) for row in refused).most_common()
        listed = ", ".join(f"{reason} {count}" for reason, count in counts)
        yield Paragraph(
            f"{len(refused)} of {len(tasks)} rows of tasks.jsonl are refused: {listed}."
        )
    for title, rows in groups.items():
        if rows:
            header = ("step", "kind", "task", "solved", "paid", "refused")
            yield Table(header, [_row(row) for row in rows], words=True, folded=title)


def _row(row: GameRow) -> tuple[str, ...]:
    rate, reward = row.get("rate"), row.get("reward")
    return (
        str(row.get("step", "")),
        str(row.get("kind", "")),
        _task(row),
        NOTHING if rate is None else share(rate),
        NOTHING if reward is None else decimal(reward, 3),
        str(row.get("reason") or ""),
    )


def _task(row: GameRow) -> str:
    """Program, input and output; of a refused proposal its text."""
    if row.get("reason") or "program" not in row:
        return str(row.get("text", ""))[:_LONGEST]
    if is_program(row):
        return program_cell(row)
    pairs = row.get("pairs") or []
    if pairs:
        shown = ", ".join(f"{given} → {output}" for given, output in pairs)
        return f"{row['program']}: {shown}"[:_LONGEST]
    return f"{row['program']}: {row.get('input', '')} → {row.get('output', '')}"[:_LONGEST]
